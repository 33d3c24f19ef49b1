/* Make features of what is told of a customer by name, as service/features.py does. */
#ifndef SEGSERVE_KERNEL_NAMED_H
#define SEGSERVE_KERNEL_NAMED_H

#include <stdint.h>

#include "core.h"

typedef struct {
    double values[KERNEL_VALUES];
    unsigned has; /* a bit for each */
} kernel_named;

/* Return the features; 0 where one cannot be told. Spending_Power goes before Income and Purchases. */
static inline int kernel_features(const kernel_named *found, double *age, double *power) {
    static const unsigned FEATURES = 1u << KERNEL_VALUE_AGE | 1u << KERNEL_VALUE_POWER;
    static const unsigned RAW = 1u << KERNEL_VALUE_AGE | 1u << KERNEL_VALUE_INCOME | 1u << KERNEL_VALUE_PURCHASES;
    *age = found->values[KERNEL_VALUE_AGE];
    if ((found->has & FEATURES) == FEATURES) {
        *power = found->values[KERNEL_VALUE_POWER];
        return 1;
    }
    if ((found->has & RAW) == RAW) {
        double purchases = found->values[KERNEL_VALUE_PURCHASES];
        *power = found->values[KERNEL_VALUE_INCOME] / (1.0 > purchases ? 1.0 : purchases);
        return 1;
    }
    return 0;
}

#endif
