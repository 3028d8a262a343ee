#define _GNU_SOURCE
#include <stdbool.h>
#include <string.h>

#include "json.h"
#include "scan.h"

enum { DEEPEST = 32, MOST_DIGITS = 17 };

/* Between the values of a list, in a column. */
static const char SEPARATOR = 0x1f;

void json_blanks(struct json *s)
{
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\n' || *s->at == '\r' || *s->at == '\t'))
        s->at++;
}

bool json_sign(struct json *s, char sign)
{
    json_blanks(s);
    if (s->at >= s->end || *s->at != (unsigned char)sign)
        return false;
    s->at++;
    return true;
}

bool json_next(struct json *s, char sign)
{
    json_blanks(s);
    return s->at < s->end && *s->at == (unsigned char)sign;
}

static void put(struct hold_column *out, const void *text, size_t size)
{
    memcpy(out->text + out->size, text, size);
    out->size += size;
}

static void put_separator(struct hold_column *out)
{
    if (out)
        put(out, &SEPARATOR, 1);
}

/* -- texts ------------------------------------------------------------------------------------ */

/* Whether any of 8 bytes is a quote, a backslash, a control sign, or not ASCII. */
static bool is_special(uint64_t word)
{
    const uint64_t ones = 0x0101010101010101u, high = ones * 0x80;
    uint64_t quote = word ^ (ones * '"'), slash = word ^ (ones * '\\');

    return (((quote - ones) & ~quote) | ((slash - ones) & ~slash) | (word - ones * 0x20) | word) &
           high;
}

/* The length of the UTF-8 sequence at p, 0 if it is none. Source: RFC 3629. */
static size_t sequence(const unsigned char *p, const unsigned char *end)
{
    unsigned char low = 0x80, high = 0xbf;
    size_t length = p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;

    if (!length || (size_t)(end - p) < length)
        return 0;
    if (p[0] == 0xe0)
        low = 0xa0;
    else if (p[0] == 0xed)
        high = 0x9f;
    else if (p[0] == 0xf0)
        low = 0x90;
    else if (p[0] == 0xf4)
        high = 0x8f;
    if (p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return length;
}

static bool take_hex(struct json *s, unsigned *value)
{
    *value = 0;
    if (s->end - s->at < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        unsigned char c = *s->at++;
        unsigned char lower = c | 0x20;

        if (c >= '0' && c <= '9')
            *value = *value * 16 + (unsigned)(c - '0');
        else if (lower >= 'a' && lower <= 'f')
            *value = *value * 16 + (unsigned)(lower - 'a') + 10;
        else
            return false;
    }
    return true;
}

static void put_code(struct hold_column *out, unsigned code)
{
    unsigned char utf8[4];
    size_t size = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const unsigned char first[] = {0, 0, 0xc0, 0xe0, 0xf0};

    for (size_t i = size - 1; i > 0; i--, code >>= 6)
        utf8[i] = (unsigned char)(0x80 | (code & 0x3f));
    utf8[0] = (unsigned char)(first[size] | code);
    put(out, utf8, size);
}

/* What follows a backslash. A control sign is not for a column, whose own signs it might be. */
static bool take_escape(struct json *s, struct hold_column *out)
{
    static const char plain[] = "\"\\/";
    static const char control[] = "bfnrt";
    unsigned code, low;
    char c;

    if (s->at >= s->end)
        return false;
    c = (char)*s->at++;
    if (c && strchr(plain, c)) {
        if (out)
            put(out, &c, 1);
        return true;
    }
    if (c && strchr(control, c))
        return !out;
    if (c != 'u' || !take_hex(s, &code))
        return false;
    if (code >= 0xdc00 && code < 0xe000)
        return false;
    if (code >= 0xd800 && code < 0xdc00) {
        if (s->end - s->at < 2 || s->at[0] != '\\' || s->at[1] != 'u')
            return false;
        s->at += 2;
        if (!take_hex(s, &low) || low < 0xdc00 || low > 0xdfff)
            return false;
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    if (!out)
        return true;
    if (code < 0x20)
        return false;
    put_code(out, code);
    return true;
}

/* A text, its content put into out if that is not NULL. */
bool json_text(struct json *s, struct hold_column *out)
{
    if (!json_sign(s, '"'))
        return false;
    for (;;) {
        const unsigned char *begin = s->at;
        size_t length = 0;
        uint64_t word;
        unsigned char c;

        while (s->end - s->at >= 8) {
            memcpy(&word, s->at, 8);
            if (is_special(word))
                break;
            s->at += 8;
        }
        while (s->at < s->end && *s->at >= 0x20 && *s->at < 0x80 && *s->at != '"' &&
               *s->at != '\\')
            s->at++;
        if (out)
            put(out, begin, (size_t)(s->at - begin));
        if (s->at >= s->end || *s->at < 0x20)
            return false;
        c = *s->at;
        if (c == '"') {
            s->at++;
            return true;
        }
        if (c == '\\') {
            s->at++;
            if (!take_escape(s, out))
                return false;
            continue;
        }
        length = sequence(s->at, s->end);
        if (!length)
            return false;
        if (out)
            put(out, s->at, length);
        s->at += length;
    }
}

/* -- numbers and times -------------------------------------------------------------------------- */

static bool is_digit(const struct json *s)
{
    return s->at < s->end && *s->at >= '0' && *s->at <= '9';
}

/* A whole number that fits 64 bits; can_be_part: or one with a fraction. No exponents: which of
 * those are too large is for others to say. */
bool json_number(struct json *s, struct hold_column *out, bool can_be_part)
{
    const unsigned char *begin;
    int digits = 0;

    json_blanks(s);
    begin = s->at;
    if (s->at < s->end && *s->at == '-')
        s->at++;
    if (!is_digit(s) || (s->at[0] == '0' && s->end - s->at > 1 && s->at[1] >= '0' && s->at[1] <= '9'))
        return false;
    for (; is_digit(s); digits++)
        s->at++;
    if (can_be_part && s->at < s->end && *s->at == '.') {
        s->at++;
        if (!is_digit(s))
            return false;
        for (; is_digit(s); digits++)
            s->at++;
    }
    if (digits > MOST_DIGITS)
        return false;
    if (s->at < s->end && (*s->at == '.' || (*s->at | 0x20) == 'e'))
        return false;
    if (out)
        put(out, begin, (size_t)(s->at - begin));
    return true;
}

/* Two digits at p, or 1000. */
static int two(const unsigned char *p)
{
    if (p[0] < '0' || p[0] > '9' || p[1] < '0' || p[1] > '9')
        return 1000;
    return (p[0] - '0') * 10 + p[1] - '0';
}

static bool is_day(int century, int year, int month, int day)
{
    int last = month == 2 ? 28 : month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;

    return century < 1000 && year < 1000 && (century || year) && month >= 1 && month <= 12 &&
           day >= 1 && day <= last;
}

/* 2026-11-24T02:53:46.19002702Z; what is rarer (a leap day, a comma) is for others to say. */
bool json_time(struct json *s, struct hold_column *out)
{
    const unsigned char *p;

    if (!json_next(s, '"') || s->end - s->at < 22)
        return false;
    p = s->at + 1;
    if (!is_day(two(p), two(p + 2), two(p + 5), two(p + 8)) || p[4] != '-' || p[7] != '-' ||
        p[10] != 'T' || two(p + 11) > 23 || p[13] != ':' || two(p + 14) > 59 || p[16] != ':' ||
        two(p + 17) > 59)
        return false;
    p += 19;
    if (*p == '.') {
        const unsigned char *fraction = ++p;

        while (p < s->end && *p >= '0' && *p <= '9')
            p++;
        if (p == fraction)
            return false;
    }
    if (s->end - p < 2)
        return false;
    if (*p == 'Z')
        p++;
    else if (s->end - p >= 7 && (*p == '+' || *p == '-') && two(p + 1) <= 23 && p[3] == ':' && two(p + 4) <= 59)
        p += 6;
    else
        return false;
    return *p == '"' && json_text(s, out);
}

/* -- values ------------------------------------------------------------------------------------ */

static bool take_word(struct json *s, const char *word)
{
    size_t length = strlen(word);

    if ((size_t)(s->end - s->at) < length || memcmp(s->at, word, length) != 0)
        return false;
    s->at += length;
    return true;
}

bool json_any(struct json *s, int depth)
{
    bool is_object;
    char close;

    json_blanks(s);
    if (s->at >= s->end || depth > DEEPEST)
        return false;
    switch (*s->at) {
    case '"':
        return json_text(s, NULL);
    case 't':
        return take_word(s, "true");
    case 'f':
        return take_word(s, "false");
    case 'n':
        return take_word(s, "null");
    case '{':
    case '[':
        break;
    default:
        return json_number(s, NULL, true);
    }
    is_object = *s->at++ == '{';
    close = is_object ? '}' : ']';
    if (json_sign(s, close))
        return true;
    do {
        if (is_object && (!json_text(s, NULL) || !json_sign(s, ':')))
            return false;
        if (!json_any(s, depth + 1))
            return false;
    } while (json_sign(s, ','));
    return json_sign(s, close);
}

/* [value, …] of texts or numbers. */
bool json_list(struct json *s, struct hold_column *out, bool of_texts)
{
    if (!json_sign(s, '['))
        return false;
    if (json_sign(s, ']'))
        return true;
    do {
        if (of_texts ? !json_text(s, out) : !json_number(s, out, false))
            return false;
        put_separator(out);
    } while (json_sign(s, ','));
    return json_sign(s, ']');
}

/* {"key": value, …} of texts or numbers. */
bool json_map(struct json *s, struct hold_column *out, bool of_texts)
{
    if (!json_sign(s, '{'))
        return false;
    if (json_sign(s, '}'))
        return true;
    do {
        if (!json_text(s, out) || !json_sign(s, ':'))
            return false;
        put_separator(out);
        if (of_texts ? !json_text(s, out) : !json_number(s, out, false))
            return false;
        put_separator(out);
    } while (json_sign(s, ','));
    return json_sign(s, '}');
}

/* [{"container_id":0,"host_id":100000,"size":65536}, …], the keys in this order. */
bool json_id_maps(struct json *s, struct hold_column *out)
{
    static const char *const names[] = {"\"container_id\"", "\"host_id\"", "\"size\""};

    if (!json_sign(s, '['))
        return false;
    if (json_sign(s, ']'))
        return true;
    do {
        for (int i = 0; i < 3; i++) {
            if (!json_sign(s, i ? ',' : '{'))
                return false;
            json_blanks(s);
            if (!take_word(s, names[i]) || !json_sign(s, ':') || !json_number(s, out, false))
                return false;
            put_separator(out);
        }
        if (!json_sign(s, '}'))
            return false;
    } while (json_sign(s, ','));
    return json_sign(s, ']');
}
