#include "lloyd.h"

#include <stdint.h>
#include <string.h>

#include "cpus.h"

#define BLOCK 256 /* records worked on at a time, in the CPU's nearest cache */

FOR_ALL_CPUS
static void assign(const double *x, const double *y, const kernel_step *step, size_t n, size_t k, double *nearest,
                   int64_t *labels) {
    for (size_t i = 0; i < n; i++) {
        double dx = x[i] - step->cx[0], dy = y[i] - step->cy[0];
        nearest[i] = dx * dx + dy * dy;
        labels[i] = 0;
    }
    for (size_t label = 1; label < k; label++) {
        double cx = step->cx[label], cy = step->cy[label];
        for (size_t i = 0; i < n; i++) {
            double dx = x[i] - cx, dy = y[i] - cy;
            double squared = dx * dx + dy * dy;
            int64_t is_nearer = -(int64_t)(squared < nearest[i]);
            labels[i] = ((int64_t)label & is_nearer) | (labels[i] & ~is_nearer);
            nearest[i] = squared < nearest[i] ? squared : nearest[i];
        }
    }
}

void kernel_lloyd_step(const kernel_step *step, size_t n, size_t k) {
    double nearest[BLOCK];
    int64_t labels[BLOCK];
    memset(step->counts, 0, k * sizeof *step->counts);
    memset(step->sums_x, 0, k * sizeof *step->sums_x);
    memset(step->sums_y, 0, k * sizeof *step->sums_y);
    for (size_t start = 0; start < n; start += BLOCK) {
        size_t size = n - start < BLOCK ? n - start : BLOCK;
        const double *x = step->x + start, *y = step->y + start;
        assign(x, y, step, size, k, nearest, labels);
        memcpy(step->nearest + start, nearest, size * sizeof *nearest);
        for (size_t i = 0; i < size; i++) {
            double weight = step->weights ? step->weights[start + i] : 1.0;
            step->counts[labels[i]] += weight;
            step->sums_x[labels[i]] += x[i] * weight;
            step->sums_y[labels[i]] += y[i] * weight;
        }
    }
}
