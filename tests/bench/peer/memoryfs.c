/* The limit for holdfs' own answers: the same requests on libfuse's low-level API, from memory.
 *
 *     mount point/   attribute    one small file, read directly as holdfs' attributes are
 *
 * Usage: memoryfs -f MOUNTPOINT. One thread, as holdfs has one for its answers.
 */
#define _GNU_SOURCE
#define FUSE_USE_VERSION 314

#include <errno.h>
#include <fuse_lowlevel.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_INO = 2 };

static const char NAME[] = "attribute";
/* What holdfs' file `id` holds: 64 digits and a newline. */
static const char CONTENT[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n";
static const double LONG_S = 86400;

/* Fill in the attributes of an inode; 0, or -1 if there is none. */
static int fill(fuse_ino_t ino, struct stat *attributes)
{
    memset(attributes, 0, sizeof *attributes);
    attributes->st_ino = ino;
    attributes->st_nlink = 1;
    attributes->st_uid = getuid();
    attributes->st_gid = getgid();
    if (ino == FUSE_ROOT_ID) {
        attributes->st_mode = S_IFDIR | 0555;
        return 0;
    }
    if (ino == FILE_INO) {
        attributes->st_mode = S_IFREG | 0444;
        attributes->st_size = sizeof CONTENT - 1;
        attributes->st_blocks = 1;
        return 0;
    }
    return -1;
}

static void do_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct fuse_entry_param entry = {
        .ino = FILE_INO, .attr_timeout = LONG_S, .entry_timeout = LONG_S};

    if (parent != FUSE_ROOT_ID || strcmp(name, NAME) != 0) {
        fuse_reply_err(req, ENOENT);
        return;
    }
    fill(FILE_INO, &entry.attr);
    fuse_reply_entry(req, &entry);
}

static void do_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count)
{
    (void)ino;
    (void)count;
    fuse_reply_none(req);
}

static void do_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info)
{
    struct stat attributes;

    (void)info;
    if (fill(ino, &attributes) < 0)
        fuse_reply_err(req, ENOENT);
    else
        fuse_reply_attr(req, &attributes, LONG_S);
}

static void do_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info)
{
    if (ino != FILE_INO) {
        fuse_reply_err(req, EISDIR);
        return;
    }
    info->direct_io = 1;
    info->fh = 1;
    fuse_reply_open(req, info);
}

static void do_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                    struct fuse_file_info *info)
{
    size_t left = off < (off_t)(sizeof CONTENT - 1) ? sizeof CONTENT - 1 - (size_t)off : 0;

    (void)ino;
    (void)info;
    fuse_reply_buf(req, CONTENT + (left ? off : 0), left < size ? left : size);
}

/* Not left out, as the kernel then asks never again: holdfs has to be asked, for its writers. */
static void do_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info)
{
    (void)ino;
    (void)info;
    fuse_reply_err(req, 0);
}

static void do_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info)
{
    (void)ino;
    (void)info;
    fuse_reply_err(req, 0);
}

static const struct fuse_lowlevel_ops OPERATIONS = {
    .lookup = do_lookup,
    .forget = do_forget,
    .getattr = do_getattr,
    .open = do_open,
    .read = do_read,
    .flush = do_flush,
    .release = do_release,
};

int main(int argc, char **argv)
{
    struct fuse_args args = FUSE_ARGS_INIT(argc, argv);
    struct fuse_cmdline_opts options;
    struct fuse_session *session;
    int status = 1;

    if (fuse_parse_cmdline(&args, &options) != 0 || options.mountpoint == NULL) {
        fprintf(stderr, "usage: memoryfs -f MOUNTPOINT\n");
        return 2;
    }
    session = fuse_session_new(&args, &OPERATIONS, sizeof OPERATIONS, NULL);
    if (session == NULL)
        return 1;
    if (fuse_set_signal_handlers(session) == 0) {
        if (fuse_session_mount(session, options.mountpoint) == 0) {
            status = fuse_session_loop(session) != 0;
            fuse_session_unmount(session);
        }
        fuse_remove_signal_handlers(session);
    }
    fuse_session_destroy(session);
    return status;
}
