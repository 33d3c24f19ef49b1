#include "distances.h"

#include <math.h>

#include "cpus.h"

enum { LANES = 8 };

static double join(const double *lanes) {
    return ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]));
}

FOR_ALL_CPUS
double kernel_approach(const double *x, const double *y, size_t n, double cx, double cy, const double *closest,
                       double *squared) {
    double lanes[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        for (size_t lane = 0; lane < LANES; lane++) {
            double dx = x[i + lane] - cx, dy = y[i + lane] - cy;
            double apart = dx * dx + dy * dy, before = closest[i + lane];
            double least = apart < before ? apart : before;
            squared[i + lane] = least;
            lanes[lane] += least;
        }
    }
    for (size_t lane = 0; i < n; i++, lane++) {
        double dx = x[i] - cx, dy = y[i] - cy;
        double apart = dx * dx + dy * dy;
        squared[i] = apart < closest[i] ? apart : closest[i];
        lanes[lane] += squared[i];
    }
    return join(lanes);
}

FOR_ALL_CPUS
static double sum_distances(const double *x, const double *y, size_t n, double cx, double cy) {
    double lanes[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        for (size_t lane = 0; lane < LANES; lane++) {
            double dx = cx - x[i + lane], dy = cy - y[i + lane];
            lanes[lane] += sqrt(dx * dx + dy * dy);
        }
    }
    for (size_t lane = 0; i < n; i++, lane++) {
        double dx = cx - x[i], dy = cy - y[i];
        lanes[lane] += sqrt(dx * dx + dy * dy);
    }
    return join(lanes);
}

void kernel_sum_distances(const double *x, const double *y, size_t n, const int64_t *borders, size_t k, double *sums) {
    for (size_t record = 0; record < n; record++) {
        for (size_t cluster = 0; cluster < k; cluster++) {
            size_t start = (size_t)borders[cluster], size = (size_t)borders[cluster + 1] - start;
            sums[record * k + cluster] = sum_distances(x + start, y + start, size, x[record], y[record]);
        }
    }
}
