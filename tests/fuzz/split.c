/* Tar-split files beside a directory of known content: the tar is given or refused, and what is read
 * in parts is what is read as a whole. */
#include "harness.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

#include "tar.h"

enum { MOST = 8 << 20 };

/* Its lines, compressed as in a store: a fuzzer would not find that by itself. */
static int compressed(const uint8_t *data, size_t size)
{
    uLong room = compressBound(size) + 64;
    Bytef *out = malloc(room);
    z_stream stream = {.next_in = (Bytef *)data, .avail_in = (uInt)size, .next_out = out,
                       .avail_out = (uInt)room};
    int fd;

    must(deflateInit2(&stream, 1, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    must(deflate(&stream, Z_FINISH) == Z_STREAM_END);
    fd = memory(out, stream.total_out);
    deflateEnd(&stream);
    free(out);
    return fd;
}

static int directory(void)
{
    static int fd = -1;
    char path[] = "tree-XXXXXX";
    int file;

    if (fd >= 0)
        return fd;
    must(mkdtemp(path) != NULL);
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    must(fd >= 0 && mkdirat(fd, "d", 0755) == 0);
    file = openat(fd, "d/f", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    must(file >= 0 && write(file, "hello\n", 6) == 6 && close(file) == 0);
    must(symlinkat("d/f", fd, "l") == 0 && mkfifoat(fd, "p", 0600) == 0);
    return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int directory_fd = directory(), split_fd = compressed(data, size), spill_fd = memory("", 0);
    struct hold_tar_out_options options = {.fd = memory("", 0), .cancel_fd = -1};
    struct hold_tar_out_result result;
    struct hold_segments *segments;

    if (hold_segments_from_split(split_fd, &directory_fd, 1, spill_fd, &segments, &result) == 0) {
        uint64_t whole = hold_segments_size(segments);

        must(lseek(split_fd, 0, SEEK_SET) == 0);
        if (whole <= MOST && hold_tar_from_split(split_fd, &directory_fd, 1, &options, &result) == 0) {
            char *text = malloc(whole + 1), part[700];

            must(result.size == whole && pread(options.fd, text, whole, 0) == (ssize_t)whole);
            for (uint64_t at = 0; at < whole; at += 611) {
                int64_t got = hold_segments_read(segments, at, part, sizeof part);

                must(got > 0 && memcmp(part, text + at, (size_t)got) == 0);
            }
            free(text);
        }
        hold_segments_free(segments);
    }
    close(options.fd);
    close(split_fd);
    close(spill_fd);
    return 0;
}
