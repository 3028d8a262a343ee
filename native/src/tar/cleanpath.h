/* Names in tars as paths. */
#ifndef HOLDFS_CLEANPATH_H
#define HOLDFS_CLEANPATH_H

enum cleaned {
    CLEANED,
    CLEANED_CLAMPED, /* absolute, with .. that leads above the root and stays there */
    CLEANED_OUTSIDE  /* relative, and leads out of where it starts */
};

/* Go's filepath.Clean without a leading slash: no empty, "." or ".." parts, "" for the root.
 * to has room for as many bytes as name, and may be it. */
enum cleaned clean_path(const char *name, char *to);

/* The last part, and the length of what is before it without the slash. */
const char *split_path(const char *path, int *parent_length);

#endif
