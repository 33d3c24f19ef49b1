#include "customers.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "number.h"

/* ---- reading -------------------------------------------------------------------------------------------- */

#define HAS_AGE (1u << KERNEL_AGE)
#define HAS_INCOME (1u << KERNEL_INCOME)
#define HAS_PURCHASES (1u << KERNEL_PURCHASES)
#define HAS_ALL (HAS_AGE | HAS_INCOME | HAS_PURCHASES)

typedef struct {
    double values[KERNEL_COLUMNS];
    unsigned good;
    unsigned empty;
} customer;

/* Tell which of the columns stand in a field. */
static inline unsigned columns_at(const kernel_lines *lines, size_t place) {
    return (unsigned)(lines->places[KERNEL_AGE] == place) << KERNEL_AGE |
           (unsigned)(lines->places[KERNEL_INCOME] == place) << KERNEL_INCOME |
           (unsigned)(lines->places[KERNEL_PURCHASES] == place) << KERNEL_PURCHASES;
}

static inline int ends_field(const uint8_t *at, uint8_t delimiter) {
    return *at == delimiter || *at == '\n' || (*at == '\r' && at[1] == '\n');
}

/* Return where a field ends, having read its number where there is one. */
static inline const uint8_t *read_field(const kernel_lines *lines, const uint8_t *at, unsigned columns,
                                        customer *found) {
    double value;
    const uint8_t *end;
    if (ends_field(at, lines->delimiter)) {
        found->empty |= columns;
        return at;
    }
    end = kernel_number(at, &value);
    if (!end || !ends_field(end, lines->delimiter)) {
        return at;
    }
    if (value <= KERNEL_MAX_VALUE) {
        found->good |= value > 0.0 ? columns : columns & ~HAS_AGE;
        for (int column = 0; column < KERNEL_COLUMNS; column++) {
            if (columns >> column & 1) {
                found->values[column] = value;
            }
        }
    }
    return end;
}

static inline enum kernel_row kind_of(const customer *found) {
    unsigned known = found->good | found->empty;
    if (known != HAS_ALL) {
        return KERNEL_ODD;
    }
    if ((found->good | HAS_INCOME) == HAS_ALL) {
        return KERNEL_PLAIN;
    }
    if (found->good == 0) {
        return KERNEL_ODD; /* it may be a blank row */
    }
    return found->empty & HAS_AGE ? KERNEL_NO_AGE : KERNEL_NO_PURCHASES;
}

int kernel_read_rows(const kernel_lines *lines, kernel_rows *rows) {
    const uint8_t *at = lines->text, *end = lines->text + lines->length;
    uint8_t stops[256] = {0};
    size_t n_rows = 0, n_plain = 0;
    stops['\n'] = stops['\r'] = stops[lines->delimiter] = 1;
    while (at < end) {
        customer found = {{0.0, NAN, 0.0}, 0, 0};
        size_t place = 0;
        enum kernel_row kind;
        if (n_rows == rows->capacity) {
            return 0;
        }
        for (;; place++, at++) {
            unsigned columns = columns_at(lines, place);
            if (columns) {
                at = read_field(lines, at, columns, &found);
            }
            while (!stops[*at]) {
                at++;
            }
            if (*at == '\r' && *++at != '\n') {
                return 0;
            }
            if (*at == '\n') {
                break;
            }
        }
        at++;
        kind = place + 1 == lines->width ? kind_of(&found) : KERNEL_ODD;
        if (kind == KERNEL_PLAIN) {
            for (int column = 0; column < KERNEL_COLUMNS; column++) {
                rows->values[column][n_plain] = found.values[column];
            }
            n_plain++;
        }
        rows->kinds[n_rows] = (uint8_t)kind;
        rows->ends[n_rows] = at - lines->text;
        n_rows++;
    }
    rows->n_rows = n_rows;
    rows->n_plain = n_plain;
    return 1;
}

/* ---- summing -------------------------------------------------------------------------------------------- */

#define BLOCK 256            /* customers worked on at a time, in the CPU's nearest cache */
#define FIRST_SLOTS (1 << 14)
#define PRIME 2147483647u    /* 2^31 - 1 */

int kernel_sums_begin(kernel_sums *sums) {
    memset(sums, 0, sizeof *sums);
    sums->n_slots = FIRST_SLOTS;
    sums->slots = calloc(sums->n_slots, sizeof *sums->slots);
    sums->income_counts = calloc(KERNEL_INCOME_CELLS, sizeof *sums->income_counts);
    sums->income_sums = calloc(KERNEL_INCOME_CELLS, sizeof *sums->income_sums);
    if (!sums->slots || !sums->income_counts || !sums->income_sums) {
        kernel_sums_end(sums);
        return 0;
    }
    return 1;
}

void kernel_sums_end(kernel_sums *sums) {
    free(sums->slots);
    free(sums->income_counts);
    free(sums->income_sums);
    memset(sums, 0, sizeof *sums);
}

static inline double least(double value) { return value < KERNEL_LARGEST ? value : KERNEL_LARGEST; }

/* The values are not negative and below 2^53, so that to cut is to round down. */
static inline int64_t floor_of(double value) { return (int64_t)value; }

static inline size_t slot_of(int64_t cell, size_t n_slots) {
    return (size_t)((uint64_t)cell * UINT64_C(0x9E3779B97F4A7C15) >> 32) & (n_slots - 1); /* Knuth 6.4 */
}

static inline kernel_cell *find_slot(kernel_cell *slots, size_t n_slots, int64_t cell) {
    size_t place = slot_of(cell, n_slots);
    while (slots[place].n != 0 && slots[place].cell != cell) {
        place = (place + 1) & (n_slots - 1);
    }
    return &slots[place];
}

/* Make room for a block of new cells, so that at most half of the slots are ever taken. */
static int make_room(kernel_sums *sums) {
    size_t n_slots = sums->n_slots;
    kernel_cell *slots;
    while (n_slots < 2 * (sums->n_cells + BLOCK)) {
        n_slots *= 2;
    }
    if (n_slots == sums->n_slots) {
        return 1;
    }
    if (!(slots = calloc(n_slots, sizeof *slots))) {
        return 0;
    }
    for (size_t i = 0; i < sums->n_slots; i++) {
        if (sums->slots[i].n != 0) {
            *find_slot(slots, n_slots, sums->slots[i].cell) = sums->slots[i];
        }
    }
    free(sums->slots);
    sums->slots = slots;
    sums->n_slots = n_slots;
    return 1;
}

/* service/training/drawing.py, hash_customers; missing is NaN. */
static inline int64_t hash_of(double age, double income, double purchases) {
    uint64_t a = (uint64_t)floor_of(least(age) * KERNEL_UNITS) & PRIME;
    uint64_t i = income == income ? (uint64_t)floor_of(least(income) * KERNEL_UNITS) & PRIME : PRIME;
    uint64_t p = (uint64_t)floor_of(least(purchases) * KERNEL_UNITS) & PRIME;
    uint64_t mixed = (a * 1103515245u + i * 1812433253u + p * 1664525u) % PRIME;
    mixed = mixed * mixed % PRIME * 48271u % PRIME;
    mixed = mixed * mixed % PRIME * 48271u % PRIME;
    return (int64_t)mixed;
}

/* Sum up customers with an Income, BLOCK at most. */
static int add_block(kernel_sums *sums, const double *ages, const double *incomes, const double *purchases, int n) {
    int64_t cells[BLOCK], us[BLOCK], vs[BLOCK], steps[BLOCK];
    uint64_t income_units[BLOCK], purchase_units[BLOCK];
    if (!make_room(sums)) {
        return 0;
    }
    for (int k = 0; k < n; k++) {
        double a = least(ages[k]), i = least(incomes[k]), p = least(purchases[k]);
        double power = i / (p > 1.0 ? p : 1.0);
        double x = a * KERNEL_AGE_CELLS + 0.5;
        double y = sqrt(sqrt(sqrt(power))) * KERNEL_POWER_CELLS;
        int64_t fx = floor_of(x), fy = floor_of(y);
        cells[k] = fx * (1 << KERNEL_POWER_BITS) + fy;
        us[k] = floor_of((x - (double)fx) * KERNEL_OFFSETS + 0.5);
        vs[k] = floor_of((y - (double)fy) * KERNEL_OFFSETS + 0.5);
        income_units[k] = (uint64_t)floor_of(i * KERNEL_UNITS + 0.5);
        purchase_units[k] = (uint64_t)floor_of(p * KERNEL_UNITS + 0.5);
        steps[k] = floor_of(sqrt(sqrt(sqrt(i))) * KERNEL_INCOME_STEPS);
    }
#if defined(__GNUC__)
    for (int k = 0; k < n; k++) {
        __builtin_prefetch(&sums->slots[slot_of(cells[k], sums->n_slots)], 1);
    }
#endif
    for (int k = 0; k < n; k++) {
        kernel_cell *slot = find_slot(sums->slots, sums->n_slots, cells[k]);
        uint64_t u = (uint64_t)us[k], v = (uint64_t)vs[k];
        sums->n_cells += slot->n == 0;
        slot->cell = cells[k];
        slot->n++;
        slot->u += u;
        slot->uu += u * u;
        slot->v += v;
        slot->vv += v * v;
        slot->income += income_units[k];
        slot->purchases += purchase_units[k];
        sums->income_counts[steps[k]]++;
        sums->income_sums[steps[k]] += (int64_t)income_units[k];
    }
    return 1;
}

int kernel_sums_add(kernel_sums *sums, const double *const values[KERNEL_COLUMNS], size_t n, int64_t *hashes) {
    const double *ages = values[KERNEL_AGE], *incomes = values[KERNEL_INCOME];
    const double *purchases = values[KERNEL_PURCHASES];
    double known[KERNEL_COLUMNS][BLOCK];
    for (size_t start = 0; start < n; start += BLOCK) {
        size_t stop = n - start < BLOCK ? n : start + BLOCK;
        int n_known = 0;
        for (size_t k = start; k < stop; k++) {
            hashes[k] = hash_of(ages[k], incomes[k], purchases[k]);
            known[KERNEL_AGE][n_known] = ages[k];
            known[KERNEL_INCOME][n_known] = incomes[k];
            known[KERNEL_PURCHASES][n_known] = purchases[k];
            n_known += incomes[k] == incomes[k];
        }
        if (!add_block(sums, known[KERNEL_AGE], known[KERNEL_INCOME], known[KERNEL_PURCHASES], n_known)) {
            return 0;
        }
    }
    return 1;
}
