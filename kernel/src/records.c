#include "records.h"

#include <string.h>

#include "blank.h"
#include "kinds.h"
#include "named.h"
#include "number.h"
#include "object.h"
#include "pair.h"
#include "utf8.h"

#define BLOCK KERNEL_BLOCK

/* ---- JSON ----------------------------------------------------------------------------------------------- */

/* Return what follows a record, NULL where it is not plain. */
static inline const uint8_t *read_record(const uint8_t *at, int is_in_line, double *age, double *power) {
    return *at == '{' ? kernel_object(at + 1, is_in_line, age, power) : kernel_pair(at, is_in_line, age, power);
}

/* Return where the first record begins; NULL where there is none. */
static const uint8_t *begin_json(kernel_cursor *from) {
    const uint8_t *at = skip_space(from->at), *first = skip_space(at + (*at != 0)), *list;
    if (*at == '[') {
        from->is_alone = *first - (unsigned)'0' <= 9;
        return from->is_alone ? at : first;
    }
    if (*at != '{') {
        return NULL;
    }
    if (!(list = kernel_name(first, "instances")) && !(list = kernel_name(first, "inputs"))) {
        from->is_alone = 1;
        return at;
    }
    from->is_wrapped = 1;
    list = skip_space(list);
    return *list == '[' ? skip_space(list + 1) : NULL;
}

/* Tell whether nothing follows the records but what closes their list; `at` is behind the last one. */
static int is_end(const kernel_cursor *from, const uint8_t *at) {
    if (!from->is_alone) {
        if (*at != ']') {
            return 0;
        }
        at = skip_space(at + 1);
    }
    if (from->is_wrapped) {
        if (*at != '}') {
            return 0;
        }
        at = skip_space(at + 1);
    }
    return at == from->end;
}

static int read_json(kernel_cursor *from, double *ages, double *powers) {
    const uint8_t *at = from->at;
    int n = 0;
    if (!from->is_begun) {
        from->is_begun = 1;
        if (!(at = begin_json(from))) {
            return -1;
        }
    }
    while (n < BLOCK) {
        if (!(at = read_record(at, 0, &ages[n], &powers[n]))) {
            return -1;
        }
        n++;
        at = skip_space(at);
        if (*at == ',' && !from->is_alone) {
            at = skip_space(at + 1);
            continue;
        }
        if (!is_end(from, at)) {
            return -1;
        }
        from->is_done = 1;
        break;
    }
    from->at = at;
    return n;
}

/* ---- lines ---------------------------------------------------------------------------------------------- */

/* Step over the end of a line; only the last ones of a payload may be blank. NULL where it is not plain. */
static const uint8_t *next_line(kernel_cursor *from, const uint8_t *at) {
    if (at != from->end && *at != '\n') {
        return NULL;
    }
    if (skip_space(at) == from->end) {
        from->is_done = 1;
        return from->end;
    }
    return at + 1;
}

/* Step over the end of a line of CSV: a carriage return is a blank only before a line feed. */
static const uint8_t *next_row(kernel_cursor *from, const uint8_t *at) {
    return next_line(from, at + (at[0] == '\r' && at[1] == '\n')); /* a 0 follows every byte of the text */
}

static int read_json_lines(kernel_cursor *from, double *ages, double *powers) {
    const uint8_t *at = from->is_begun ? from->at : skip_space(from->at);
    int n = 0;
    from->is_begun = 1;
    while (n < BLOCK && !from->is_done) {
        at = read_record(skip_in_line(at), 1, &ages[n], &powers[n]);
        if (!at || !(at = next_line(from, skip_in_line(at)))) {
            return -1;
        }
        n++;
    }
    from->at = at;
    return n;
}

static int read_csv(kernel_cursor *from, double *ages, double *powers) {
    const uint8_t *at = from->is_begun ? from->at : skip_space(from->at);
    int n = 0;
    from->is_begun = 1;
    while (n < BLOCK && !from->is_done) {
        if (!(at = kernel_number(skip_tabs(at), &ages[n]))) {
            return -1;
        }
        at = skip_tabs(at);
        if (*at != ',' || !(at = kernel_number(skip_tabs(at + 1), &powers[n]))) {
            return -1;
        }
        if (!(at = next_row(from, skip_tabs(at)))) {
            return -1;
        }
        n++;
    }
    from->at = at;
    return n;
}

/* Read one row of a table; NULL where it is not plain. */
static const uint8_t *read_row(const kernel_payload *payload, const uint8_t *at, kernel_named *found) {
    for (size_t column = 0; column < payload->n_columns; column++) {
        unsigned field = payload->columns[column];
        const uint8_t *cell = at;
        if (column > 0) {
            if (*at != ',') {
                return NULL;
            }
            cell = ++at;
        }
        if (!(at = kernel_cell(cell))) {
            return NULL;
        }
        if (field < KERNEL_VALUES) {
            cell = kernel_number(skip_tabs(cell), &found->values[field]);
            if (!cell || skip_tabs(cell) != at) {
                return NULL;
            }
            found->has |= 1u << field;
        }
    }
    return at;
}

static int read_table(kernel_cursor *from, double *ages, double *powers) {
    const uint8_t *at = from->at;
    int n = 0;
    while (n < BLOCK && !from->is_done) {
        kernel_named found = {{0}, 0};
        if (!(at = read_row(from->payload, at, &found)) || !kernel_features(&found, &ages[n], &powers[n]) ||
            !(at = next_row(from, at))) {
            return -1;
        }
        n++;
    }
    from->at = at;
    return n;
}

/* ---- arrays --------------------------------------------------------------------------------------------- */

#define READ_PAIRS(type)                                               \
    for (int i = 0; i < n; i++) {                                      \
        type pair[2];                                                  \
        memcpy(pair, from->at + (size_t)i * sizeof pair, sizeof pair); \
        ages[i] = (double)pair[0];                                     \
        powers[i] = (double)pair[1];                                   \
    }

static int read_array(kernel_cursor *from, double *ages, double *powers) {
    int n = from->n_left < BLOCK ? (int)from->n_left : BLOCK;
    int is_valid = 1;
    KERNEL_BY_KIND(from->payload->kind, READ_PAIRS)
    from->at += (size_t)n * kernel_least_bytes(from->payload);
    for (int i = 0; i < n; i++) {
        is_valid &= ages[i] >= 0.0 && ages[i] <= KERNEL_MAX_VALUE; /* a NaN is neither */
        is_valid &= powers[i] >= 0.0 && powers[i] <= KERNEL_MAX_VALUE;
    }
    from->n_left -= (size_t)n;
    from->is_done = from->n_left == 0;
    return is_valid ? n : -1;
}

/* ---- any ------------------------------------------------------------------------------------------------ */

size_t kernel_least_bytes(const kernel_payload *payload) {
    switch (payload->reader) {
    case KERNEL_READ_ARRAY: return 2 * kernel_size_of(payload->kind);
    case KERNEL_READ_JSON:
    case KERNEL_READ_JSON_LINES: return 6; /* [1,2] and a separator */
    default: return 4;                     /* 1,2 and the end of a line */
    }
}

void kernel_begin(kernel_cursor *from, const kernel_payload *payload) {
    memset(from, 0, sizeof *from);
    from->payload = payload;
    from->at = payload->text;
    from->end = payload->text + payload->length;
    if (payload->reader == KERNEL_READ_ARRAY) {
        from->n_left = payload->length / kernel_least_bytes(payload);
    }
}

int kernel_read(kernel_cursor *from, double *ages, double *powers) {
    switch (from->payload->reader) {
    case KERNEL_READ_JSON: return read_json(from, ages, powers);
    case KERNEL_READ_JSON_LINES: return read_json_lines(from, ages, powers);
    case KERNEL_READ_CSV: return read_csv(from, ages, powers);
    case KERNEL_READ_TABLE: return read_table(from, ages, powers);
    case KERNEL_READ_ARRAY: return read_array(from, ages, powers);
    default: return -1;
    }
}
