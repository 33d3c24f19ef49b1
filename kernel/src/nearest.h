/* The nearest centroid of each record; knows nothing of Python. */
#ifndef SEGSERVE_KERNEL_NEAREST_H
#define SEGSERVE_KERNEL_NEAREST_H

#include <stddef.h>
#include <stdint.h>

/* Fill in the squared distance of each of n records to the nearest of k centroids, and which that is: the first of those
 * that are equally near. The operations are those of service/partition.py, in their order. */
void kernel_find_nearest(const double *x, const double *y, size_t n, const double *cx, const double *cy, size_t k,
                         double *nearest, int64_t *labels);

/* Scale n numbers: (number - mean) / scale. */
void kernel_scale(const double *numbers, size_t n, double mean, double scale, double *scaled);

#endif
