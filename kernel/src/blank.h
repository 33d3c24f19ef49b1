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

#endif
