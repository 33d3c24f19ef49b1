/* Step over blanks. Text ends with a 0, which is none. */
#ifndef SEGSERVE_KERNEL_BLANK_H
#define SEGSERVE_KERNEL_BLANK_H

#include <stdint.h>

static inline const uint8_t *skip_space(const uint8_t *at) {
    while (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t') {
        at++;
    }
    return at;
}

static inline const uint8_t *skip_tabs(const uint8_t *at) {
    while (*at == ' ' || *at == '\t') {
        at++;
    }
    return at;
}

static inline const uint8_t *skip_in_line(const uint8_t *at) {
    while (*at == ' ' || *at == '\t' || *at == '\r') {
        at++;
    }
    return at;
}

/* Step over the blanks of JSON; where a record stands in a line, a line feed is none. */
static inline const uint8_t *skip_blank(const uint8_t *at, int is_in_line) {
    return is_in_line ? skip_in_line(at) : skip_space(at);
}

#endif
