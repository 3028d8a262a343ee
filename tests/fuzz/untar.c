/* Tars, compressed or not: nothing is made outside of the directory, and a tar that is taken comes
 * back byte for byte, at once or in parts, or it is said that a file is not what it was. */
#include "harness.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <openssl/sha.h>

#include "holdfs.h"
#include "tar.h"

/* The parent of a new directory, which holds nothing else. */
static int place(void)
{
    char path[] = "place-XXXXXX";
    int fd;

    must(mkdtemp(path) != NULL);
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    must(fd >= 0 && mkdirat(fd, "root", 0755) == 0 && rmdir(path) != 0);
    return fd;
}

static void only_root_is_in(int fd)
{
    DIR *directory = fdopendir(dup(fd));
    struct dirent *entry;

    must(directory != NULL);
    while ((entry = readdir(directory)))
        must(strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
             strcmp(entry->d_name, "root") == 0);
    closedir(directory);
}

static void comes_back(int split_fd, int root_fd, const struct hold_untar_result *taken)
{
    struct hold_tar_out_result result;
    struct hold_tar_out_options options = {.fd = memory("", 0), .cancel_fd = -1};
    struct hold_segments *segments;
    unsigned char sum[SHA256_DIGEST_LENGTH];
    int spill_fd = memory("", 0);

    must(lseek(split_fd, 0, SEEK_SET) == 0);
    if (hold_tar_from_split(split_fd, &root_fd, 1, &options, &result) == 0) {
        unsigned char *text = malloc(result.size + 1);

        must(result.size == taken->size);
        must(pread(options.fd, text, result.size, 0) == (ssize_t)result.size);
        SHA256(text, result.size, sum);
        must(memcmp(sum, taken->sha256, sizeof sum) == 0);
        must(lseek(split_fd, 0, SEEK_SET) == 0);
        if (hold_segments_from_split(split_fd, &root_fd, 1, spill_fd, &segments, &result) == 0) {
            char part[700];

            must(hold_segments_size(segments) == taken->size);
            for (uint64_t at = 0; at < taken->size; at += 611) {
                int64_t got = hold_segments_read(segments, at, part, sizeof part);

                must(got > 0 && memcmp(part, text + at, (size_t)got) == 0);
            }
            hold_segments_free(segments);
        }
        free(text);
    }
    close(options.fd);
    close(spill_fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int parent_fd, root_fd, split_fd, outcome;
    char path[64], parent[256];
    ssize_t length;
    struct hold_untar_result result;
    struct hold_untar_options options = {.tar_split_fd = -1,
                                         .cancel_fd = -1,
                                         .force_mask = -1,
                                         .parent_mode = 0755};

    if (size == 0)
        return 0;
    parent_fd = place();
    root_fd = openat(parent_fd, "root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    split_fd = memory("", 0);
    options.directory_fd = root_fd;
    options.tar_split_fd = split_fd;
    options.whiteouts = data[0] % 4;
    options.writers = 1 + data[0] / 4 % 2;
    options.source_fd = memory(data + 1, size - 1);
    outcome = hold_untar(&options, &result);
    must(outcome == 0 || (outcome < 0 && memchr(result.message, 0, sizeof result.message)));
    only_root_is_in(parent_fd);
    if (outcome == 0)
        comes_back(split_fd, root_fd, &result);
    hold_untar_free(&result);

    must(hold_remove_tree(parent_fd, "root") == 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", parent_fd);
    length = readlink(path, parent, sizeof parent - 1);
    must(length > 0);
    parent[length] = 0;
    must(rmdir(parent) == 0);
    close(options.source_fd);
    close(split_fd);
    close(root_fd);
    close(parent_fd);
    return 0;
}
