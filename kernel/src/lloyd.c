#include "lloyd.h"

#include <stdint.h>
#include <string.h>

#include "nearest.h"

#define BLOCK 256 /* records worked on at a time, in the CPU's nearest cache */

void kernel_lloyd_step(const kernel_step *step, size_t n, size_t k) {
    double nearest[BLOCK];
    int64_t labels[BLOCK];
    memset(step->counts, 0, k * sizeof *step->counts);
    memset(step->sums_x, 0, k * sizeof *step->sums_x);
    memset(step->sums_y, 0, k * sizeof *step->sums_y);
    for (size_t start = 0; start < n; start += BLOCK) {
        size_t size = n - start < BLOCK ? n - start : BLOCK;
        const double *x = step->x + start, *y = step->y + start;
        kernel_find_nearest(x, y, size, step->cx, step->cy, k, nearest, labels);
        memcpy(step->nearest + start, nearest, size * sizeof *nearest);
        for (size_t i = 0; i < size; i++) {
            double weight = step->weights ? step->weights[start + i] : 1.0;
            step->counts[labels[i]] += weight;
            step->sums_x[labels[i]] += x[i] * weight;
            step->sums_y[labels[i]] += y[i] * weight;
        }
    }
}
