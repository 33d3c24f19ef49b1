/* Distances of records to clusters, with the operations of service/training/arithmetic.py in their order. */
#ifndef SEGSERVE_KERNEL_DISTANCES_H
#define SEGSERVE_KERNEL_DISTANCES_H

#include <stddef.h>
#include <stdint.h>

/* Fill in the squared distance of each of n records to the closest centroid, given that to the closest of the others,
 * and return their sum. */
double kernel_approach(const double *x, const double *y, size_t n, double cx, double cy, const double *closest,
                       double *squared);

/* Fill in the sum of the distances of each record to all of each cluster, n times k numbers.
 *
 * The records are in the order of their clusters: cluster c from borders[c] to borders[c + 1], of k + 1. */
void kernel_sum_distances(const double *x, const double *y, size_t n, const int64_t *borders, size_t k, double *sums);

#endif
