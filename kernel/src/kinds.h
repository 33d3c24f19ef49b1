/* Do something with numbers of each kind: READ(type) is what stands in the loop's place. */
#ifndef SEGSERVE_KERNEL_KINDS_H
#define SEGSERVE_KERNEL_KINDS_H

#include <stdint.h>

#include "core.h"

#define KERNEL_BY_KIND(kind, READ)         \
    switch (kind) {                        \
    case KERNEL_F4: READ(float); break;    \
    case KERNEL_F8: READ(double); break;   \
    case KERNEL_I1: READ(int8_t); break;   \
    case KERNEL_I2: READ(int16_t); break;  \
    case KERNEL_I4: READ(int32_t); break;  \
    case KERNEL_I8: READ(int64_t); break;  \
    case KERNEL_U1: READ(uint8_t); break;  \
    case KERNEL_U2: READ(uint16_t); break; \
    case KERNEL_U4: READ(uint32_t); break; \
    case KERNEL_U8: READ(uint64_t); break; \
    default: break;                        \
    }

/* Of one number, in bytes. */
static inline size_t kernel_size_of(enum kernel_kind kind) {
    static const uint8_t SIZES[KERNEL_KINDS] = {4, 8, 1, 2, 4, 8, 1, 2, 4, 8};
    return SIZES[kind];
}

#endif
