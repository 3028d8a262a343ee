/* Records: whatever the bytes, what is said to be a record lies in them, in order, and every column
 * has a line for each. */
#include "harness.h"

#include <string.h>

#include "scan.h"

enum { COLUMNS = 4 };

static const char IMAGES[] = "s0id\0s-digest\0S1names\0s-layer\0S-mapped-layers\0s-metadata\0"
                             "S-big-data-names\0m-big-data-sizes\0M2big-data-digests\0t3created\0"
                             "f-flags\0";
static const char LAYERS[] = "s0id\0S1names\0s-parent\0t2created\0i-diff-size\0I-uidset\0f-flags\0"
                             "x3uidmap\0x-gidmap\0";

static void records(const char *data, size_t length, const char *keys)
{
    size_t room = length / 9 + 1;
    uint32_t *spans = malloc(2 * room * sizeof *spans), end = 0;
    struct hold_column columns[COLUMNS];
    long count;

    for (int i = 0; i < COLUMNS; i++)
        columns[i] = (struct hold_column){.text = malloc(hold_scan_room(length))};
    count = hold_scan_records(data, length, keys, spans, room, columns);
    for (long i = 0; i < count; i++) {
        must(end <= spans[2 * i] && spans[2 * i] < spans[2 * i + 1]);
        end = spans[2 * i + 1];
        must(end <= length && data[spans[2 * i]] == '{' && data[end - 1] == '}');
    }
    for (int i = 0; i < COLUMNS; i++) {
        long lines = 0;

        for (size_t at = 0; count >= 0 && at < columns[i].size; at++)
            lines += columns[i].text[at] == '\n';
        must(count < 0 || lines == count);
        free(columns[i].text);
    }
    free(spans);
}

static void members(const char *data, size_t length)
{
    enum { ROOM = 64 };
    uint32_t spans[4 * ROOM], end = 0;
    long count = hold_scan_members(data, length, spans, ROOM);

    must(count <= ROOM);
    for (long i = 0; i < 4 * count; i++) {
        must(end <= spans[i] && spans[i] <= length);
        end = spans[i];
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* On the heap and no longer than it is: a byte too far is found. */
    char *copy = malloc(size);

    memcpy(copy, data, size);
    records(copy, size, IMAGES);
    records(copy, size, LAYERS);
    members(copy, size);
    free(copy);
    return 0;
}
