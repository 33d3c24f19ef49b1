/* Fuzz the reading and summing of customers, under sanitizers, against a second and simple way.
 *
 *     make -C kernel fuzz DURATION_S=30        or        make -C kernel fuzz INPUTS=1000000
 *
 * Lines are written, then mutated; half of them never are. Every row must be judged as a slow reader built on
 * strtod judges it, but that a number which the core does not take may be odd; of what was written plainly
 * nothing may. The sums of what was read must be those of one customer after another. The text lies at the very
 * end of its own allocation, so that reading one byte too many is seen.
 */
#define _POSIX_C_SOURCE 200809L
#include "../src/customers.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_BYTES (1 << 16)
#define MAX_ROWS 4096

static uint64_t seed;

static uint64_t chance(uint64_t below) {
    seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17; /* Marsaglia, Xorshift RNGs, 2003 */
    return (seed * UINT64_C(2685821657736338717) >> 11) % below;
}

static void fail(const char *why, const kernel_lines *lines, size_t row) {
    FILE *file = fopen("build/fuzz-failure.bin", "wb");
    if (file) {
        fwrite(lines->text, 1, lines->length, file);
        fclose(file);
    }
    fprintf(stderr, "%s: row %zu, delimiter %c, width %zu, places %zu %zu %zu, in kernel/build/fuzz-failure.bin\n", why,
            row, lines->delimiter, lines->width, lines->places[0], lines->places[1], lines->places[2]);
    abort();
}

/* ---- a second reading ----------------------------------------------------------------------------------- */

/* Tell whether a field is a number as JSON has them, without a sign. */
static int is_number(const char *field) {
    const char *at = field;
    if (*at == '0') {
        at++;
    } else {
        if (*at < '1' || *at > '9') {
            return 0;
        }
        at += strspn(at, "0123456789");
    }
    if (*at == '.') {
        size_t digits = strspn(++at, "0123456789");
        if (!digits) {
            return 0;
        }
        at += digits;
    }
    if (*at == 'e' || *at == 'E') {
        at++;
        at += *at == '+' || *at == '-';
        if (!strspn(at, "0123456789")) {
            return 0;
        }
        at += strspn(at, "0123456789");
    }
    return *at == 0;
}

/* Judge one line, without its line feed. */
static enum kernel_row judge(const kernel_lines *lines, const char *line, size_t length, double *values) {
    static char field[MAX_BYTES];
    unsigned good = 0, empty = 0;
    size_t place = 0, start = 0;
    length -= length && line[length - 1] == '\r';
    values[KERNEL_AGE] = values[KERNEL_PURCHASES] = 0.0;
    values[KERNEL_INCOME] = NAN;
    for (size_t at = 0; at <= length; at++) {
        if (at < length && (uint8_t)line[at] != lines->delimiter) {
            continue;
        }
        memcpy(field, line + start, at - start);
        field[at - start] = 0;
        for (int column = 0; column < KERNEL_COLUMNS; column++) {
            double value;
            if (lines->places[column] != place) {
                continue;
            }
            if (at == start) {
                empty |= 1u << column;
            } else if (strlen(field) == at - start && is_number(field)) {
                value = strtod(field, NULL);
                if (value <= 1e100 && (column != KERNEL_AGE || value > 0)) {
                    good |= 1u << column;
                    values[column] = value;
                }
            }
        }
        place++;
        start = at + 1;
    }
    if (place != lines->width || (good | empty) != 7 || !good) {
        return KERNEL_ODD;
    }
    return empty & 1 ? KERNEL_NO_AGE : empty & 4 ? KERNEL_NO_PURCHASES : KERNEL_PLAIN;
}

/* ---- a second summing ----------------------------------------------------------------------------------- */

static double cut(double value) { return fmin(value, 274877906944.0); }

static int by_cell(const void *one, const void *other) {
    int64_t a = ((const kernel_cell *)one)->cell, b = ((const kernel_cell *)other)->cell;
    return (a > b) - (a < b);
}

static void check_sums(const kernel_lines *lines, const kernel_rows *rows) {
    static kernel_cell found[2 * MAX_ROWS], expected[MAX_ROWS];
    static int64_t hashes[MAX_ROWS];
    const double *values[KERNEL_COLUMNS] = {rows->values[0], rows->values[1], rows->values[2]};
    kernel_sums sums;
    size_t n_found = 0, n_expected = 0;
    uint64_t n_incomes = 0, income_sum = 0, n_known = 0, expected_sum = 0;
    if (!kernel_sums_begin(&sums) || !kernel_sums_add(&sums, values, rows->n_plain, hashes)) {
        abort();
    }
    for (size_t i = 0; i < rows->n_plain; i++) {
        double age = cut(values[0][i]), income = cut(values[1][i]), purchases = cut(values[2][i]);
        double x = age * 4 + 0.5, y = sqrt(sqrt(sqrt(income / fmax(purchases, 1)))) * 1024;
        uint64_t u = (uint64_t)floor((x - floor(x)) * 65536 + 0.5), v = (uint64_t)floor((y - floor(y)) * 65536 + 0.5);
        uint64_t units = (uint64_t)floor(income * 1024 + 0.5);
        size_t place = 0;
        kernel_cell *cell;
        if (hashes[i] < 0 || hashes[i] >= 2147483647) {
            fail("a hash is out of range", lines, i);
        }
        if (isnan(values[1][i])) {
            continue;
        }
        n_known++;
        expected_sum += units;
        while (place < n_expected && expected[place].cell != (int64_t)floor(x) * 1048576 + (int64_t)floor(y)) {
            place++;
        }
        cell = &expected[place];
        if (place == n_expected) {
            n_expected++;
            memset(cell, 0, sizeof *cell);
            cell->cell = (int64_t)floor(x) * 1048576 + (int64_t)floor(y);
        }
        cell->n++, cell->u += u, cell->uu += u * u, cell->v += v, cell->vv += v * v;
        cell->income += units, cell->purchases += (uint64_t)floor(purchases * 1024 + 0.5);
    }
    for (size_t i = 0; i < sums.n_slots; i++) {
        if (sums.slots[i].n) {
            found[n_found++] = sums.slots[i];
        }
    }
    for (size_t i = 0; i < KERNEL_INCOME_CELLS; i++) {
        n_incomes += (uint64_t)sums.income_counts[i];
        income_sum += (uint64_t)sums.income_sums[i];
    }
    qsort(found, n_found, sizeof *found, by_cell);
    qsort(expected, n_expected, sizeof *expected, by_cell);
    if (n_found != n_expected || n_found != sums.n_cells || memcmp(found, expected, n_found * sizeof *found)) {
        fail("the cells are others", lines, n_found);
    }
    if (n_incomes != n_known || income_sum != expected_sum) {
        fail("the incomes are others", lines, n_found);
    }
    kernel_sums_end(&sums);
}

/* ---- one input ------------------------------------------------------------------------------------------ */

static int has_lone_return(const char *text, size_t length) {
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '\r' && text[i + 1] != '\n') {
            return 1;
        }
    }
    return 0;
}

static size_t try_one(kernel_lines *lines, const char *text, size_t length, int is_mutated) {
    static double numbers[KERNEL_COLUMNS][MAX_ROWS];
    static uint8_t kinds[MAX_ROWS];
    static int64_t ends[MAX_ROWS];
    kernel_rows rows = {MAX_ROWS, 0, 0, {numbers[0], numbers[1], numbers[2]}, kinds, ends};
    char *copy = malloc(length + !length);
    size_t start = 0, row = 0, plain = 0;
    int is_read;
    memcpy(copy, text, length);
    lines->text = (const uint8_t *)copy;
    lines->length = length;
    is_read = kernel_read_rows(lines, &rows);
    if (is_read == has_lone_return(copy, length)) {
        fail("a lone return is not seen, or one is seen where there is none", lines, 0);
    }
    for (size_t at = 0; is_read && at < length; at++) {
        double values[KERNEL_COLUMNS];
        enum kernel_row kind;
        if (copy[at] != '\n') {
            continue;
        }
        kind = judge(lines, copy + start, at - start, values);
        if (row >= rows.n_rows || ends[row] != (int64_t)at + 1) {
            fail("a row ends elsewhere", lines, row);
        }
        if (kinds[row] != kind && (kinds[row] != KERNEL_ODD || !is_mutated)) {
            fail("a row is judged otherwise", lines, row);
        }
        if (kinds[row] == KERNEL_PLAIN) {
            for (int column = 0; column < KERNEL_COLUMNS; column++) {
                if (memcmp(&values[column], &numbers[column][plain], sizeof(double)) && !isnan(values[column])) {
                    fail("a number is another", lines, row);
                }
                if (isnan(values[column]) != isnan(numbers[column][plain])) {
                    fail("a number is missing, or is not", lines, row);
                }
            }
            plain++;
        }
        row++;
        start = at + 1;
    }
    if (is_read && (row != rows.n_rows || plain != rows.n_plain)) {
        fail("the rows are counted otherwise", lines, row);
    }
    if (is_read && chance(50) == 0) { /* it takes far longer than to read */
        check_sums(lines, &rows);
    }
    free(copy);
    return plain;
}

/* ---- writing -------------------------------------------------------------------------------------------- */

static size_t write_field(char *out, int is_number_wanted) {
    static const char *const WORDS[] = {"", "Male", "Female", "x y", "1", "\xc3\xa4", "-", "nan"};
    static const char *const RARE[] = {"", "", "0", "0.0", "1e3", "2.5e-3", "1e27", "9007199254740993", "274877906944",
                                       "1e22", "0.30000000000000004", "123456789.123456789"};
    if (!is_number_wanted) {
        return (size_t)sprintf(out, "%s", WORDS[chance(8)]);
    }
    if (chance(6) == 0) {
        return (size_t)sprintf(out, "%s", RARE[chance(12)]);
    }
    if (chance(2)) {
        return (size_t)sprintf(out, "%d", (int)chance(100));
    }
    return (size_t)sprintf(out, "%d.%02d", (int)chance(100000), (int)chance(100));
}

static size_t write_lines(char *out, const kernel_lines *lines, size_t n) {
    size_t at = 0;
    int has_returns = chance(3) == 0;
    for (size_t row = 0; row < n; row++) {
        size_t width = chance(20) ? lines->width : 1 + (size_t)chance(9);
        for (size_t place = 0; place < width; place++) {
            int is_wanted = place == lines->places[0] || place == lines->places[1] || place == lines->places[2];
            out[at] = (char)lines->delimiter;
            at += place > 0;
            at += write_field(out + at, is_wanted);
        }
        out[at] = '\r';
        at += (size_t)has_returns;
        out[at++] = '\n';
    }
    return at;
}

static size_t mutate(char *text, size_t length) {
    static const char GLUE[] = "0123456789+-.eE,;\t \r\n\n\"x\0\xff";
    for (uint64_t times = 1 + chance(4); times > 0 && length > 1; times--) {
        size_t at = chance(length), run = 1 + chance(6);
        run = at + run > length ? length - at : run;
        switch (chance(4)) {
        case 0: text[at] = GLUE[chance(sizeof GLUE - 1)]; break;
        case 1: text[at] = (char)chance(256); break;
        case 2: memmove(text + at, text + at + run, length - at - run), length -= run; break;
        default: memmove(text + at + run, text + at, length - at), length += run; break;
        }
    }
    text[length] = '\n';
    return length + (length == 0 || text[length - 1] != '\n');
}

int main(int argc, char **argv) {
    static char text[2 * MAX_BYTES];
    double seconds = argc > 1 ? atof(argv[1]) : 30;
    uint64_t most = argc > 2 ? strtoull(argv[2], NULL, 10) : 0, inputs = 0, rows = 0;
    time_t end = time(NULL) + (time_t)seconds;
    seed = argc > 3 ? strtoull(argv[3], NULL, 10) | 1 : (uint64_t)time(NULL) | 1;
    printf("seed %llu\n", (unsigned long long)seed);
    while (most ? inputs < most : time(NULL) < end) {
        for (int i = 0; i < 100; i++, inputs++) {
            kernel_lines lines = {NULL, 0, (uint8_t) ",;\t|"[chance(4)], 1 + chance(8), {0, 0, 0}};
            int is_mutated = chance(2) != 0;
            size_t length;
            for (int column = 0; column < KERNEL_COLUMNS; column++) {
                lines.places[column] = chance(lines.width);
            }
            length = write_lines(text, &lines, chance(20) ? 1 + chance(12) : 1 + chance(600));
            length = is_mutated ? mutate(text, length) : length;
            rows += try_one(&lines, text, length, is_mutated);
        }
    }
    printf("%llu inputs, %llu plain rows: nothing found\n", (unsigned long long)inputs, (unsigned long long)rows);
    return rows > inputs ? 0 : 1; /* else it proved little */
}
