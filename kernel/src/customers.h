/* Read plain customers out of CSV in one pass, and sum them up. Knows nothing of Python.
 *
 * A plain row is one that service/training/customers.py takes, read to the same bits; all others are told apart
 * and left to it. What is summed is what service/training/cells.py, census.py and drawing.py sum, by the same
 * operations in the same order.
 */
#ifndef SEGSERVE_KERNEL_CUSTOMERS_H
#define SEGSERVE_KERNEL_CUSTOMERS_H

#include <stddef.h>
#include <stdint.h>

#include "core.h"

enum kernel_column { KERNEL_AGE, KERNEL_INCOME, KERNEL_PURCHASES, KERNEL_COLUMNS };

/* What a row is. A missing number is an empty field in a row that is plain but for it. */
enum kernel_row { KERNEL_PLAIN, KERNEL_NO_AGE, KERNEL_NO_PURCHASES, KERNEL_ODD };

typedef struct {
    const uint8_t *text; /* whole lines without quotes: the last byte is a line feed */
    size_t length;
    uint8_t delimiter; /* nothing that a number may hold */
    size_t width;      /* fields of a row */
    size_t places[KERNEL_COLUMNS];
} kernel_lines;

/* Numbers of one column, as Arrow lays them out. Source: Arrow Columnar Format, "Fixed-Size Primitive Layout". */
typedef struct {
    const uint8_t *values;   /* from the buffer's beginning, at any address */
    const uint8_t *is_there; /* a bit each, from the lowest of a byte; NULL where all are there */
    size_t offset;           /* of the first number that counts, in both */
    enum kernel_kind kind;
} kernel_numbers;

/* Grows as it is written to; empty where all is zero. */
typedef struct {
    uint8_t *bytes;
    size_t length, capacity;
} kernel_buffer;

typedef struct {
    double values[KERNEL_COLUMNS];
    int64_t hash;
} kernel_drawn;

typedef struct {
    int64_t row; /* from 0 */
    int64_t kind;
} kernel_unusual;

/* What has been read of lines, beside what is in the sums. */
typedef struct {
    size_t length; /* of the lines that were read */
    size_t n_rows, n_plain, n_no_purchases, n_odd;
    int has_more_plain;       /* it is worth it to read on */
    kernel_buffer drawn;         /* a kernel_drawn each, of plain rows whose hash is low enough */
    kernel_buffer drawn_lines;   /* the same rows as they are, as in all the lines below */
    kernel_buffer plain_lines;   /* of all plain rows, where they are wanted */
    kernel_buffer no_incomes;    /* Age and Purchases, of plain rows without an Income */
    kernel_buffer missing;       /* a kernel_unusual each, of rows without Age or Purchases */
    kernel_buffer missing_lines;
    kernel_buffer odd; /* the same of odd rows */
    kernel_buffer odd_lines;
} kernel_found;

void kernel_found_end(kernel_found *found);

#define KERNEL_LARGEST 274877906944.0 /* service/training/cells.py, LARGEST: 2^38 */
#define KERNEL_AGE_CELLS 4
#define KERNEL_POWER_CELLS 1024
#define KERNEL_POWER_BITS 20
#define KERNEL_OFFSETS 65536
#define KERNEL_UNITS 1024
#define KERNEL_INCOME_STEPS 16384 /* service/training/census.py, _INCOME_STEPS */
#define KERNEL_INCOME_CELLS 440873 /* the last that an Income falls into, and two more */

/* Customers, sums of u, u^2, v, v^2, Income and Purchases; n = 0 where a slot is free. */
typedef struct {
    int64_t cell;
    uint64_t n, u, uu, v, vv, income, purchases;
} kernel_cell;

typedef struct {
    kernel_cell *slots; /* by a hash of the cell, or the next that was free */
    size_t n_slots;     /* a power of two */
    size_t n_cells;
    int64_t *income_counts; /* KERNEL_INCOME_CELLS each */
    int64_t *income_sums;
} kernel_sums;

/* Return 0 where there is no memory. */
int kernel_sums_begin(kernel_sums *sums);
void kernel_sums_end(kernel_sums *sums);

/* Fill in the hash of each customer, and sum up those with an Income. Return 0 where there is no memory: some have been added. */
int kernel_sums_add(kernel_sums *sums, const double *const values[KERNEL_COLUMNS], size_t n, int64_t *hashes);

/* Read lines and add the plain rows. Stops where a carriage return stands elsewhere than before a line feed, where
 * more than half of the rows are odd, and where about so many have been drawn.
 *
 * `below` draws the rows of lower hashes, `found` is all zero before. Return 0 where there is no memory.
 */
int kernel_sums_add_lines(kernel_sums *sums, const kernel_lines *lines, int64_t below, size_t most_drawn,
                          int wants_plain, kernel_found *found);

/* The same with rows of numbers, of which all are read. What stands for the line of a row is its number, from 0, as 8 bytes. */
int kernel_sums_add_columns(kernel_sums *sums, const kernel_numbers columns[KERNEL_COLUMNS], size_t n, int64_t below,
                            int wants_plain, kernel_found *found);

#endif
