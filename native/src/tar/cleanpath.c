#include <string.h>

#include "cleanpath.h"

enum cleaned clean_path(const char *name, char *to)
{
    enum cleaned above = *name == '/' ? CLEANED_CLAMPED : CLEANED_OUTSIDE, result = CLEANED;
    char *at = to;

    while (*name) {
        size_t length = strcspn(name, "/");

        if (length == 2 && name[0] == '.' && name[1] == '.') {
            if (at == to)
                result = above;
            while (at > to && *--at != '/')
                ;
        } else if (length > 0 && !(length == 1 && *name == '.')) {
            if (at > to)
                *at++ = '/';
            memmove(at, name, length);
            at += length;
        }
        name += length;
        name += *name == '/';
    }
    *at = 0;
    return result;
}

const char *split_path(const char *path, int *parent_length)
{
    const char *slash = strrchr(path, '/');

    *parent_length = slash ? (int)(slash - path) : 0;
    return slash ? slash + 1 : path;
}
