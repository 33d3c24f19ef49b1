#include "nearest.h"

#include "cpus.h"

/* A bit mask instead of a condition: who is nearer cannot be foretold, and a branch that is taken wrong costs as much as
 * three centroids. */
FOR_ALL_CPUS
void kernel_find_nearest(const double *restrict x, const double *restrict y, size_t n, const double *restrict cx,
                         const double *restrict cy, size_t k, double *restrict nearest, int64_t *restrict labels) {
    for (size_t i = 0; i < n; i++) {
        double dx = x[i] - cx[0], dy = y[i] - cy[0];
        nearest[i] = dx * dx + dy * dy;
        labels[i] = 0;
    }
    for (size_t label = 1; label < k; label++) {
        double center_x = cx[label], center_y = cy[label];
        for (size_t i = 0; i < n; i++) {
            double dx = x[i] - center_x, dy = y[i] - center_y;
            double squared = dx * dx + dy * dy;
            int64_t is_nearer = -(int64_t)(squared < nearest[i]);
            labels[i] = ((int64_t)label & is_nearer) | (labels[i] & ~is_nearer);
            nearest[i] = squared < nearest[i] ? squared : nearest[i];
        }
    }
}

FOR_ALL_CPUS
void kernel_scale(const double *restrict numbers, size_t n, double mean, double scale, double *restrict scaled) {
    for (size_t i = 0; i < n; i++) {
        scaled[i] = (numbers[i] - mean) / scale;
    }
}
