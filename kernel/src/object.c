#include "object.h"

#include <string.h>

#include "blank.h"
#include "named.h"
#include "number.h"
#include "pair.h"
#include "utf8.h"

enum { FEATURES = KERNEL_VALUES, OTHER, NOT_PLAIN }; /* beside the fields, what a name may stand for */

#define IS(text) (length == sizeof text - 1 && memcmp(name, text, sizeof text - 1) == 0)

static int find_field(const uint8_t *name, size_t length) {
    if (IS("Age")) {
        return KERNEL_VALUE_AGE;
    }
    if (IS("Income")) {
        return KERNEL_VALUE_INCOME;
    }
    if (IS("Purchases")) {
        return KERNEL_VALUE_PURCHASES;
    }
    if (IS("Spending_Power")) {
        return KERNEL_VALUE_POWER;
    }
    if (IS("features")) {
        return FEATURES;
    }
    /* The first two make the whole document another thing, and a name with an escape may be any. */
    return IS("instances") || IS("inputs") || memchr(name, '\\', length) ? NOT_PLAIN : OTHER;
}

static const uint8_t *skip_literal(const uint8_t *at, const char *literal) {
    size_t length = strlen(literal);
    return strncmp((const char *)at, literal, length) == 0 ? at + length : NULL;
}

/* Step over a value that nobody needs. */
static const uint8_t *skip_value(const uint8_t *at) {
    double unused;
    switch (*at) {
    case '"': return kernel_string(at + 1);
    case 't': return skip_literal(at, "true");
    case 'f': return skip_literal(at, "false");
    case 'n': return skip_literal(at, "null");
    default: return kernel_number(at + (*at == '-'), &unused);
    }
}

static inline const uint8_t *read_object(const uint8_t *at, int is_in_line, double *age, double *power) {
    kernel_named found = {{0}, 0};
    double features[2] = {0, 0};
    int has_features = 0;
    for (;;) {
        const uint8_t *name;
        int field;
        at = skip_blank(at, is_in_line);
        name = at + 1;
        if (*at != '"' || !(at = kernel_string(name))) {
            return NULL;
        }
        field = find_field(name, (size_t)(at - 1 - name));
        at = skip_blank(at, is_in_line);
        if (*at != ':') {
            return NULL;
        }
        at = skip_blank(at + 1, is_in_line);
        if (field < KERNEL_VALUES) {
            at = kernel_number(at, &found.values[field]);
            found.has |= 1u << field;
        } else if (field == OTHER) {
            at = skip_value(at);
        } else if (field == FEATURES) {
            at = kernel_pair(at, is_in_line, &features[0], &features[1]);
            has_features = 1;
        } else {
            return NULL;
        }
        if (!at) {
            return NULL;
        }
        at = skip_blank(at, is_in_line);
        if (*at == '}') {
            break;
        }
        if (*at++ != ',') {
            return NULL;
        }
    }
    if (has_features) {
        *age = features[0];
        *power = features[1];
    } else if (!kernel_features(&found, age, power)) {
        return NULL;
    }
    return at + 1;
}

const uint8_t *kernel_object(const uint8_t *at, int is_in_line, double *age, double *power) {
    return is_in_line ? read_object(at, 1, age, power) : read_object(at, 0, age, power);
}

const uint8_t *kernel_name(const uint8_t *at, const char *name) {
    if (*at != '"' || !(at = skip_literal(at + 1, name)) || *at != '"') {
        return NULL;
    }
    at = skip_space(at + 1);
    return *at == ':' ? at + 1 : NULL;
}
