/* Read two numbers in brackets, as JSON writes them. */
#ifndef SEGSERVE_KERNEL_PAIR_H
#define SEGSERVE_KERNEL_PAIR_H

#include <stddef.h>
#include <stdint.h>

#include "blank.h"
#include "number.h"

/* Return what follows the closing bracket, NULL where it is not plain. */
static inline const uint8_t *kernel_pair(const uint8_t *at, int is_in_line, double *first, double *second) {
    if (*at != '[' || !(at = kernel_number(skip_blank(at + 1, is_in_line), first))) {
        return NULL;
    }
    at = skip_blank(at, is_in_line);
    if (*at != ',' || !(at = kernel_number(skip_blank(at + 1, is_in_line), second))) {
        return NULL;
    }
    at = skip_blank(at, is_in_line);
    return *at == ']' ? at + 1 : NULL;
}

#endif
