#include "customers.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kinds.h"
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

/* Return where a row ends, its line feed included; NULL where a carriage return stands alone. */
static const uint8_t *read_row(const kernel_lines *lines, const uint8_t *stops, const uint8_t *at, customer *found,
                               enum kernel_row *kind) {
    size_t place = 0;
    for (;; place++, at++) {
        unsigned columns = columns_at(lines, place);
        if (columns) {
            at = read_field(lines, at, columns, found);
        }
        while (!stops[*at]) {
            at++;
        }
        if (*at == '\r' && *++at != '\n') {
            return NULL;
        }
        if (*at == '\n') {
            break;
        }
    }
    *kind = place + 1 == lines->width ? kind_of(found) : KERNEL_ODD;
    return at + 1;
}

/* ---- summing -------------------------------------------------------------------------------------------- */

#define BLOCK 256            /* customers worked on at a time, in the CPU's nearest cache */
#define FIRST_SLOTS (1 << 14)
#define PAGE_BYTES 4096
#define PRIME 2147483647u    /* 2^31 - 1 */

/* Return free slots; NULL where there is no memory. Every page is written to: one that is read before would be fetched twice,
 * and the second time all other threads stopped for it. */
static kernel_cell *make_slots(size_t n) {
    kernel_cell *slots = calloc(n, sizeof *slots);
    volatile kernel_cell *page = slots;
    for (size_t place = 0; slots && place < n; place += PAGE_BYTES / sizeof *slots) {
        page[place].n = 0;
    }
    return slots;
}

int kernel_sums_begin(kernel_sums *sums) {
    memset(sums, 0, sizeof *sums);
    sums->n_slots = FIRST_SLOTS;
    sums->slots = make_slots(sums->n_slots);
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

/* Make room for a block of new cells, so that at most three of four slots are ever taken. */
static int make_room(kernel_sums *sums) {
    size_t n_slots = sums->n_slots;
    kernel_cell *slots;
    while (3 * n_slots < 4 * (sums->n_cells + BLOCK)) {
        n_slots *= 2;
    }
    if (n_slots == sums->n_slots) {
        return 1;
    }
    if (!(slots = make_slots(n_slots))) {
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

/* Return a smaller number that is alike modulo PRIME: twice makes 2^31 + 8 at most of any number. */
static inline uint64_t fold(uint64_t number) { return (number & PRIME) + (number >> 31); }

/* service/training/drawing.py, hash_customers; missing is NaN. */
static inline int64_t hash_of(double age, double income, double purchases) {
    uint64_t a = (uint64_t)floor_of(least(age) * KERNEL_UNITS) & PRIME;
    uint64_t i = income == income ? (uint64_t)floor_of(least(income) * KERNEL_UNITS) & PRIME : PRIME;
    uint64_t p = (uint64_t)floor_of(least(purchases) * KERNEL_UNITS) & PRIME;
    uint64_t mixed = fold(fold(a * 1103515245u + i * 1812433253u + p * 1664525u));
    mixed = fold(fold(fold(fold(mixed * mixed)) * 48271u));
    mixed = fold(fold(fold(fold(mixed * mixed)) * 48271u));
    return (int64_t)(mixed >= PRIME ? mixed - PRIME : mixed);
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

/* Fill in the hashes of BLOCK customers at most, and sum up those with an Income. */
static int add_customers(kernel_sums *sums, const double *ages, const double *incomes, const double *purchases, int n,
                         int64_t *hashes) {
    double known[KERNEL_COLUMNS][BLOCK];
    int n_known = 0;
    for (int k = 0; k < n; k++) {
        hashes[k] = hash_of(ages[k], incomes[k], purchases[k]);
        known[KERNEL_AGE][n_known] = ages[k];
        known[KERNEL_INCOME][n_known] = incomes[k];
        known[KERNEL_PURCHASES][n_known] = purchases[k];
        n_known += incomes[k] == incomes[k];
    }
    return add_block(sums, known[KERNEL_AGE], known[KERNEL_INCOME], known[KERNEL_PURCHASES], n_known);
}

int kernel_sums_add(kernel_sums *sums, const double *const values[KERNEL_COLUMNS], size_t n, int64_t *hashes) {
    for (size_t start = 0; start < n; start += BLOCK) {
        int size = n - start < BLOCK ? (int)(n - start) : BLOCK;
        if (!add_customers(sums, values[KERNEL_AGE] + start, values[KERNEL_INCOME] + start,
                           values[KERNEL_PURCHASES] + start, size, hashes + start)) {
            return 0;
        }
    }
    return 1;
}

/* ---- reading and summing -------------------------------------------------------------------------------- */

#ifndef KERNEL_ENOUGH_ROWS
#define KERNEL_ENOUGH_ROWS 4096 /* to tell whether most are odd */
#endif

/* Plain rows, before they are summed up. */
typedef struct {
    double values[KERNEL_COLUMNS][BLOCK];
    const uint8_t *starts[BLOCK], *ends[BLOCK];
    int n;
} plain_rows;

static int append(kernel_buffer *buffer, const void *bytes, size_t length) {
    if (buffer->capacity - buffer->length < length) {
        size_t capacity = 2 * buffer->capacity + length + 4096;
        uint8_t *grown = realloc(buffer->bytes, capacity);
        if (!grown) {
            return 0;
        }
        buffer->bytes = grown;
        buffer->capacity = capacity;
    }
    memcpy(buffer->bytes + buffer->length, bytes, length);
    buffer->length += length;
    return 1;
}

void kernel_found_end(kernel_found *found) {
    kernel_buffer *buffers[] = {&found->drawn,   &found->drawn_lines,   &found->plain_lines, &found->no_incomes,
                                &found->missing, &found->missing_lines, &found->odd,         &found->odd_lines};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) {
        free(buffers[i]->bytes);
    }
    memset(found, 0, sizeof *found);
}

static int keep_unusual(kernel_found *found, enum kernel_row kind, const uint8_t *line, size_t length) {
    kernel_unusual unusual = {(int64_t)found->n_rows, kind};
    int is_odd = kind == KERNEL_ODD;
    found->n_odd += (size_t)is_odd;
    return append(is_odd ? &found->odd : &found->missing, &unusual, sizeof unusual) &&
           append(is_odd ? &found->odd_lines : &found->missing_lines, line, length);
}

/* Read from `at` until there is a block of plain rows, and return where that was; NULL where there is no memory. */
static const uint8_t *read_block(const kernel_lines *lines, const uint8_t *at, plain_rows *plain,
                                 kernel_found *found) {
    const uint8_t *end = lines->text + lines->length;
    uint8_t stops[256] = {0};
    stops['\n'] = stops['\r'] = stops[lines->delimiter] = 1;
    plain->n = 0;
    while (at < end && plain->n < BLOCK) {
        customer row = {{0.0, NAN, 0.0}, 0, 0};
        enum kernel_row kind;
        const uint8_t *next = read_row(lines, stops, at, &row, &kind);
        if (!next || (2 * found->n_odd > found->n_rows && found->n_rows >= KERNEL_ENOUGH_ROWS)) {
            found->has_more_plain = 0;
            break;
        }
        if (kind == KERNEL_PLAIN) {
            for (int column = 0; column < KERNEL_COLUMNS; column++) {
                plain->values[column][plain->n] = row.values[column];
            }
            plain->starts[plain->n] = at;
            plain->ends[plain->n++] = next;
        } else if (!keep_unusual(found, kind, at, (size_t)(next - at))) {
            return NULL;
        }
        found->n_rows++;
        at = next;
    }
    return at;
}

/* Sum plain rows up, and keep those that are looked at again. */
static int add_plain(kernel_sums *sums, const plain_rows *plain, int64_t below, int wants_plain, kernel_found *found) {
    const double *ages = plain->values[KERNEL_AGE], *incomes = plain->values[KERNEL_INCOME];
    const double *purchases = plain->values[KERNEL_PURCHASES];
    int64_t hashes[BLOCK];
    if (!add_customers(sums, ages, incomes, purchases, plain->n, hashes)) {
        return 0;
    }
    for (int k = 0; k < plain->n; k++) {
        size_t length = (size_t)(plain->ends[k] - plain->starts[k]);
        found->n_no_purchases += purchases[k] == 0.0;
        if (hashes[k] < below) {
            kernel_drawn drawn = {{ages[k], incomes[k], purchases[k]}, hashes[k]};
            if (!append(&found->drawn, &drawn, sizeof drawn) ||
                !append(&found->drawn_lines, plain->starts[k], length)) {
                return 0;
            }
        }
        if (incomes[k] != incomes[k]) {
            double pair[] = {ages[k], purchases[k]};
            if (!append(&found->no_incomes, pair, sizeof pair)) {
                return 0;
            }
        }
        if (wants_plain && !append(&found->plain_lines, plain->starts[k], length)) {
            return 0;
        }
    }
    found->n_plain += (size_t)plain->n;
    return 1;
}

int kernel_sums_add_lines(kernel_sums *sums, const kernel_lines *lines, int64_t below, size_t most_drawn,
                          int wants_plain, kernel_found *found) {
    const uint8_t *at = lines->text, *end = lines->text + lines->length;
    plain_rows plain;
    found->has_more_plain = 1;
    while (at < end && found->has_more_plain && found->drawn.length < most_drawn * sizeof(kernel_drawn)) {
        at = read_block(lines, at, &plain, found);
        if (!at || !add_plain(sums, &plain, below, wants_plain, found)) {
            return 0;
        }
    }
    found->length = (size_t)(at - lines->text);
    return 1;
}

/* ---- columns -------------------------------------------------------------------------------------------- */

#define LOAD(type)                                                                   \
    for (int k = 0; k < n; k++) {                                                    \
        type number;                                                                 \
        memcpy(&number, column->values + (first + (size_t)k) * sizeof number, sizeof number); \
        values[k] = (double)number;                                                  \
    }

/* Read numbers of a column, BLOCK at most, and mark the rows where they are good or missing. */
static void load(const kernel_numbers *column, size_t start, int n, unsigned mark, double *values, uint8_t *good,
                 uint8_t *empty) {
    size_t first = column->offset + start;
    KERNEL_BY_KIND(column->kind, LOAD)
    for (int k = 0; k < n; k++) {
        int is_there = 1;
        if (column->is_there) {
            size_t bit = first + (size_t)k;
            is_there = column->is_there[bit / 8] >> bit % 8 & 1;
        }
        int is_enough = mark == HAS_AGE ? values[k] > 0.0 : values[k] >= 0.0;
        int is_good = is_there & is_enough & (values[k] <= KERNEL_MAX_VALUE); /* a NaN is not */
        good[k] |= (uint8_t)(is_good ? mark : 0);
        empty[k] |= (uint8_t)(is_there ? 0 : mark);
        values[k] = is_there ? values[k] : NAN;
    }
}

int kernel_sums_add_columns(kernel_sums *sums, const kernel_numbers columns[KERNEL_COLUMNS], size_t n, int64_t below,
                            int wants_plain, kernel_found *found) {
    double values[KERNEL_COLUMNS][BLOCK];
    int64_t rows[BLOCK];
    plain_rows plain;
    found->has_more_plain = 1;
    for (size_t start = 0; start < n; start += BLOCK) {
        int size = n - start < BLOCK ? (int)(n - start) : BLOCK;
        uint8_t good[BLOCK] = {0}, empty[BLOCK] = {0};
        for (int column = 0; column < KERNEL_COLUMNS; column++) {
            load(&columns[column], start, size, 1u << column, values[column], good, empty);
        }
        plain.n = 0;
        for (int k = 0; k < size; k++, found->n_rows++) {
            customer row = {.good = good[k], .empty = empty[k]};
            enum kernel_row kind = kind_of(&row);
            rows[k] = (int64_t)found->n_rows;
            if (kind == KERNEL_PLAIN) {
                for (int column = 0; column < KERNEL_COLUMNS; column++) {
                    plain.values[column][plain.n] = values[column][k];
                }
                plain.starts[plain.n] = (const uint8_t *)&rows[k];
                plain.ends[plain.n++] = (const uint8_t *)(&rows[k] + 1);
            } else if (!keep_unusual(found, kind, (const uint8_t *)&rows[k], sizeof rows[k])) {
                return 0;
            }
        }
        if (!add_plain(sums, &plain, below, wants_plain, found)) {
            return 0;
        }
    }
    found->length = n;
    return 1;
}
