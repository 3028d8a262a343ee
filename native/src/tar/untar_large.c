#define _GNU_SOURCE
#include <errno.h>
#include <isa-l/crc64.h>
#include <stdlib.h>
#include <unistd.h>

#include "untar_unpack.h"

enum { PIECE = 1 << 20 };

/* Write the next `length` bytes of the stream at offset; they go to the tar-split if it has no sum
 * of them. */
static int write_range(struct unpacker *unpacker, int fd, uint64_t length, int64_t offset,
                       bool is_kept, uint64_t *crc)
{
    struct untar *untar = unpacker->untar;
    struct tar_parser *parser = &unpacker->parser;

    while (length > 0) {
        size_t now = length < PIECE ? (size_t)length : PIECE;
        struct iovec spans[2];
        int count, result = ring_need(untar, parser->position + now);

        if (result < 0)
            return result;
        if (result == 0)
            return unpack_fail(unpacker, -EBADMSG, TAR_SHORT);
        count = ring_spans(untar, parser->position, now, spans);
        if (!is_kept && untar->split)
            for (int i = 0; i < count; i++)
                *crc = crc64_iso_refl(*crc, spans[i].iov_base, spans[i].iov_len);
        result = make_write(fd, spans, count, offset);
        if (result < 0)
            return unpack_fail_errno(unpacker, result, "write");
        if (is_kept) {
            result = tar_keep(parser, now);
            if (result < 0)
                return result;
        } else {
            parser->position += now;
            ring_parsed(untar, parser->position);
        }
        length -= now;
        offset += (int64_t)now;
    }
    return 0;
}

static int write_content(struct unpacker *unpacker, int fd, bool is_kept, uint64_t *crc)
{
    const struct tar_member *member = &unpacker->member;
    int result = 0;

    if (!member->is_sparse)
        return write_range(unpacker, fd, (uint64_t)member->payload, 0, is_kept, crc);
    if (ftruncate(fd, member->size) < 0)
        return unpack_fail_errno(unpacker, -errno, "make a sparse file of");
    for (size_t i = 0; result == 0 && i < member->pieces_length; i++)
        result = write_range(unpacker, fd, (uint64_t)member->pieces[i].length,
                             member->pieces[i].offset, is_kept, crc);
    return result;
}

int unpack_large(struct unpacker *unpacker, struct parent *parent, const char *name)
{
    struct untar *untar = unpacker->untar;
    const struct tar_member *member = &unpacker->member;
    bool is_kept = unpack_must_keep(unpacker, parent);
    uint64_t crc = 0;
    struct job *job;
    int fd, result = 0;

    if (parent->is_aliased)
        (void)jobs_drain(untar);
    if (is_kept && untar->split)
        result = tarsplit_member(untar->split, member->name, 0, 0);
    if (result < 0)
        return unpack_fail_errno(unpacker, result, "write tar-split");
    job = unpack_job(unpacker, JOB_FILE, parent, name, "");
    fd = job ? make_file(untar, NULL, job) : -ENOMEM;
    if (fd < 0) {
        result = unpack_fail_errno(unpacker, fd, "write");
    } else {
        result = write_content(unpacker, fd, is_kept, &crc);
        if (result == 0) {
            result = make_file_complete(untar, fd, job);
            if (close(fd) < 0 && result == 0)
                result = -errno;
            if (result < 0)
                unpack_fail_errno(unpacker, result, "write");
        } else {
            close(fd);
        }
    }
    if (job)
        parent_release(job->parent);
    free(job);
    if (result == 0 && !is_kept && untar->split) {
        result = tarsplit_member(untar->split, member->name, (uint64_t)member->payload, crc);
        if (result < 0)
            unpack_fail_errno(unpacker, result, "write tar-split");
    }
    return result;
}
