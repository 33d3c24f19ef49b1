/* One step of k-means on one data set, with the operations of service/training/arithmetic.py in their order. */
#ifndef SEGSERVE_KERNEL_LLOYD_H
#define SEGSERVE_KERNEL_LLOYD_H

#include <stddef.h>

typedef struct {
    const double *x; /* of the records, n each */
    const double *y;
    const double *weights; /* customers that each record stands for, n; NULL: one each */
    const double *cx;      /* of the centroids, k each */
    const double *cy;
    double *nearest; /* squared distance of each record to its centroid, n */
    double *counts;  /* customers of each cluster, k each */
    double *sums_x;
    double *sums_y;
} kernel_step;

void kernel_lloyd_step(const kernel_step *step, size_t n, size_t k);

#endif
