#include "utf8.h"

#include <stddef.h>

#define MAX_CELL_BYTES 131072 /* csv.field_size_limit(), which counts characters */

/* Step over a character of several bytes. Source: The Unicode Standard, table 3-7. */
static const uint8_t *skip_wide(const uint8_t *at) {
    uint8_t first = at[0];
    uint8_t least = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
    uint8_t most = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
    int length = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    if (first < 0xC2 || first > 0xF4 || at[1] < least || at[1] > most) {
        return NULL;
    }
    for (int i = 2; i < length; i++) {
        if ((at[i] & 0xC0) != 0x80) {
            return NULL;
        }
    }
    return at + length;
}

static int is_hexadecimal(uint8_t byte) {
    uint8_t lower = byte | 0x20;
    return (byte >= '0' && byte <= '9') || (lower >= 'a' && lower <= 'f');
}

/* Step over an escape, of which `at` is behind the backslash. */
static const uint8_t *skip_escape(const uint8_t *at) {
    switch (*at) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        return at + 1;
    case 'u':
        break;
    default:
        return NULL;
    }
    for (int i = 1; i <= 4; i++) {
        if (!is_hexadecimal(at[i])) {
            return NULL;
        }
    }
    return (at[1] | 0x20) == 'd' && at[2] >= '8' ? NULL : at + 5; /* a surrogate */
}

const uint8_t *kernel_string(const uint8_t *at) {
    while (*at != '"') {
        if (*at < 0x20) {
            return NULL;
        }
        at = *at == '\\' ? skip_escape(at + 1) : *at < 0x80 ? at + 1 : skip_wide(at);
        if (!at) {
            return NULL;
        }
    }
    return at + 1;
}

const uint8_t *kernel_cell(const uint8_t *at) {
    const uint8_t *start = at;
    while (*at != ',' && *at != '\n' && *at != '\r' && *at != 0) {
        if (*at == '"' || (*at < 0x20 && *at != '\t')) {
            return NULL;
        }
        at = *at < 0x80 ? at + 1 : skip_wide(at);
        if (!at) {
            return NULL;
        }
    }
    return at - start > MAX_CELL_BYTES ? NULL : at;
}
