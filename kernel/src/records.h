/* Read the records of a payload block by block. */
#ifndef SEGSERVE_KERNEL_RECORDS_H
#define SEGSERVE_KERNEL_RECORDS_H

#include <stddef.h>
#include <stdint.h>

#include "core.h"

#define KERNEL_BLOCK 256 /* records worked on at a time, so that the intermediate columns stay in the CPU's cache */

typedef struct {
    const kernel_payload *payload;
    const uint8_t *at;
    const uint8_t *end; /* where the 0 is */
    size_t n_left;      /* of an array's numbers */
    int is_begun;
    int is_alone;   /* one record without a list around it */
    int is_wrapped; /* the list is the one value of an object */
    int is_done;
} kernel_cursor;

void kernel_begin(kernel_cursor *from, const kernel_payload *payload);

/* Fill a block with features. Return how many records there are, -1 where they are not plain. */
int kernel_read(kernel_cursor *from, double *ages, double *powers);

/* Return the bytes of a record at least. */
size_t kernel_least_bytes(const kernel_payload *payload);

#endif
