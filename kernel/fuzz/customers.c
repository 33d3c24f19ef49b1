/* Fuzz the reading and summing of customers, under sanitizers, against a second and simple way.
 *
 *     make -C kernel fuzz DURATION_S=30        or        make -C kernel fuzz INPUTS=1000000
 *
 * Lines are written, then mutated; half of them never are. Every row must be judged as a slow reader built on
 * strtod judges it, but that a number which the core does not take may be odd; of what was written plainly
 * nothing may. Pieces must give what the whole gives, columns of the same numbers too, and the sums be those of one customer after another. The
 * text lies at the very end of its own allocation, so that reading one byte too many is seen.
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
#define MOST_HASH 2147483647 /* 2^31 - 1, which none reaches */

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

static void check_sums(const kernel_lines *lines, const kernel_sums *sums, const kernel_drawn *rows, size_t n) {
    static kernel_cell found[2 * MAX_ROWS], expected[MAX_ROWS];
    size_t n_found = 0, n_expected = 0;
    uint64_t n_incomes = 0, income_sum = 0, n_known = 0, expected_sum = 0;
    for (size_t i = 0; i < n; i++) {
        const double *values = rows[i].values;
        double age = cut(values[0]), income = cut(values[1]), purchases = cut(values[2]);
        double x = age * 4 + 0.5, y = sqrt(sqrt(sqrt(income / fmax(purchases, 1)))) * 1024;
        uint64_t u = (uint64_t)floor((x - floor(x)) * 65536 + 0.5), v = (uint64_t)floor((y - floor(y)) * 65536 + 0.5);
        uint64_t units = (uint64_t)floor(income * 1024 + 0.5);
        size_t place = 0;
        kernel_cell *cell;
        if (rows[i].hash < 0 || rows[i].hash >= MOST_HASH) {
            fail("a hash is out of range", lines, i);
        }
        if (isnan(values[1])) {
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
    for (size_t i = 0; i < sums->n_slots; i++) {
        if (sums->slots[i].n) {
            found[n_found++] = sums->slots[i];
        }
    }
    for (size_t i = 0; i < KERNEL_INCOME_CELLS; i++) {
        n_incomes += (uint64_t)sums->income_counts[i];
        income_sum += (uint64_t)sums->income_sums[i];
    }
    qsort(found, n_found, sizeof *found, by_cell);
    qsort(expected, n_expected, sizeof *expected, by_cell);
    if (n_found != n_expected || n_found != sums->n_cells || memcmp(found, expected, n_found * sizeof *found)) {
        fail("the cells are others", lines, n_found);
    }
    if (n_incomes != n_known || income_sum != expected_sum) {
        fail("the incomes are others", lines, n_found);
    }
}

/* ---- one input ------------------------------------------------------------------------------------------ */

/* Tell where the line begins that has a carriage return elsewhere than before its line feed, or the end. */
static size_t find_lone_return(const char *text, size_t length) {
    size_t start = 0;
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '\r' && text[i + 1] != '\n') {
            return start;
        }
        start = text[i] == '\n' ? i + 1 : start;
    }
    return length;
}

/* Takes away what a buffer begins with. */
typedef struct {
    const kernel_buffer *buffer;
    size_t at;
} reader;

static int takes(reader *from, const void *bytes, size_t length) {
    size_t at = from->at;
    from->at += length;
    return !length || (from->at <= from->buffer->length && !memcmp(from->buffer->bytes + at, bytes, length));
}

static int is_at_end(const reader *from) { return from->at == from->buffer->length; }

/* Tell whether a row is the next that was found odd, or wanting. */
static int is_next(const reader *from, size_t row, enum kernel_row kind) {
    kernel_unusual unusual = {(int64_t)row, kind};
    reader copy = *from;
    return takes(&copy, &unusual, sizeof unusual);
}

/* Compare what was found, all plain rows being drawn, with how a slow reader judges the lines. */
static void check_found(const kernel_lines *lines, const kernel_found *found, int is_mutated) {
    reader drawn = {&found->drawn, 0}, drawn_lines = {&found->drawn_lines, 0}, plain_lines = {&found->plain_lines, 0};
    reader no_incomes = {&found->no_incomes, 0}, missing = {&found->missing, 0}, odd = {&found->odd, 0};
    reader missing_lines = {&found->missing_lines, 0}, odd_lines = {&found->odd_lines, 0};
    size_t start = 0, row = 0, n_plain = 0, n_no_purchases = 0, n_odd = 0;
    for (size_t at = 0; at < found->length; at++) {
        const char *line = (const char *)lines->text + start;
        double values[KERNEL_COLUMNS];
        size_t size = at + 1 - start;
        enum kernel_row kind;
        if (lines->text[at] != '\n') {
            continue;
        }
        kind = judge(lines, line, size - 1, values);
        if (is_next(&odd, row, KERNEL_ODD)) {
            if (kind != KERNEL_ODD && !is_mutated) {
                fail("a row is judged otherwise", lines, row);
            }
            odd.at += sizeof(kernel_unusual);
            n_odd++;
            if (!takes(&odd_lines, line, size)) {
                fail("an odd line is another", lines, row);
            }
        } else if (kind == KERNEL_ODD) {
            fail("an odd row is not seen", lines, row);
        } else if (kind == KERNEL_PLAIN) {
            double pair[] = {values[KERNEL_AGE], values[KERNEL_PURCHASES]}, income;
            if (drawn.at + sizeof(kernel_drawn) > found->drawn.length) {
                fail("a plain row is not drawn", lines, row);
            }
            memcpy(&income, found->drawn.bytes + drawn.at + KERNEL_INCOME * sizeof income, sizeof income);
            if (isnan(values[KERNEL_INCOME]) && isnan(income)) {
                values[KERNEL_INCOME] = income; /* there are many NaN */
                if (!takes(&no_incomes, pair, sizeof pair)) {
                    fail("a row without an Income is another", lines, row);
                }
            }
            if (!takes(&drawn, values, sizeof values)) {
                fail("a number is another", lines, row);
            }
            drawn.at += sizeof(int64_t);
            if (!takes(&drawn_lines, line, size) || !takes(&plain_lines, line, size)) {
                fail("a plain line is another", lines, row);
            }
            n_no_purchases += values[KERNEL_PURCHASES] == 0;
            n_plain++;
        } else if (is_next(&missing, row, kind)) {
            missing.at += sizeof(kernel_unusual);
            if (!takes(&missing_lines, line, size)) {
                fail("a line that lacks a number is another", lines, row);
            }
        } else {
            fail("what a row lacks is not seen", lines, row);
        }
        row++;
        start = at + 1;
    }
    if (start != found->length || row != found->n_rows || n_plain != found->n_plain ||
        n_no_purchases != found->n_no_purchases || n_odd != found->n_odd) {
        fail("the rows are counted otherwise", lines, row);
    }
    if (row > KERNEL_ENOUGH_ROWS && 2 * n_odd > row + 1) {
        fail("it is read on although most rows are odd", lines, row);
    }
    if (!is_at_end(&drawn) || !is_at_end(&drawn_lines) || !is_at_end(&plain_lines) || !is_at_end(&no_incomes) ||
        !is_at_end(&missing) || !is_at_end(&missing_lines) || !is_at_end(&odd) || !is_at_end(&odd_lines)) {
        fail("there is more than was in the lines", lines, row);
    }
}

/* Read the lines again in pieces, not all of whose plain rows are drawn. */
static void check_pieces(kernel_lines *lines, kernel_sums *sums, const kernel_found *whole) {
    int64_t below = chance(4) ? (int64_t)chance(MOST_HASH) : 0;
    size_t most_drawn = 1 + chance(500), n_rows = 0, place = 0, n_expected = 0;
    const kernel_drawn *expected = (const kernel_drawn *)(void *)whole->drawn.bytes;
    reader missing_lines = {&whole->missing_lines, 0}, no_incomes = {&whole->no_incomes, 0};
    kernel_lines left = *lines;
    left.length = whole->length;
    while (left.length) {
        kernel_found piece = {0};
        const kernel_drawn *drawn;
        size_t n_drawn;
        if (!kernel_sums_add_lines(sums, &left, below, most_drawn, 0, &piece)) {
            abort();
        }
        n_drawn = piece.drawn.length / sizeof *drawn;
        drawn = (const kernel_drawn *)(void *)piece.drawn.bytes;
        for (size_t i = 0; i < n_drawn; i++, place++) {
            while (place < whole->n_plain && expected[place].hash >= below) {
                place++;
            }
            if (place >= whole->n_plain || memcmp(&drawn[i], &expected[place], sizeof *drawn)) {
                fail("another row is drawn", lines, n_rows);
            }
        }
        if (!takes(&missing_lines, piece.missing_lines.bytes, piece.missing_lines.length) ||
            !takes(&no_incomes, piece.no_incomes.bytes, piece.no_incomes.length) || piece.plain_lines.length) {
            fail("pieces give other rows", lines, n_rows);
        }
        n_rows += piece.n_rows;
        n_expected += n_drawn;
        if (!piece.length) {
            fail("nothing is read", lines, n_rows);
        }
        left.text += piece.length;
        left.length -= piece.length;
        kernel_found_end(&piece);
    }
    for (size_t i = 0; i < whole->n_plain; i++) {
        n_expected -= expected[i].hash < below;
    }
    if (n_rows != whole->n_rows || n_expected || !is_at_end(&missing_lines) || !is_at_end(&no_incomes)) {
        fail("pieces give more or fewer rows", lines, n_rows);
    }
}

static int is_alike(const kernel_buffer *one, const kernel_buffer *other) {
    return one->length == other->length && (!one->length || !memcmp(one->bytes, other->bytes, one->length));
}

/* Make up a row that is what a row of the lines was: the numbers, and a bit for each that is there. */
static unsigned make_row(size_t row, const kernel_found *whole, reader *drawn, reader *missing, reader *odd,
                         double *values) {
    for (int column = 0; column < KERNEL_COLUMNS; column++) {
        values[column] = 1.0 + (double)chance(90);
    }
    if (is_next(odd, row, KERNEL_ODD)) {
        static const double WRONG[] = {-1.0, NAN, INFINITY, 1.1e100};
        unsigned column = (unsigned)chance(KERNEL_COLUMNS);
        odd->at += sizeof(kernel_unusual);
        values[column] = column == KERNEL_AGE && chance(2) ? 0.0 : WRONG[chance(4)];
        return chance(5) ? 7 : 0; /* all are missing in a blank row */
    }
    for (enum kernel_row kind = KERNEL_NO_AGE; kind <= KERNEL_NO_PURCHASES; kind++) {
        if (is_next(missing, row, kind)) {
            missing->at += sizeof(kernel_unusual);
            return 7u & ~(kind == KERNEL_NO_AGE ? 1u : 4u) & ~(unsigned)(2 * chance(2));
        }
    }
    memcpy(values, whole->drawn.bytes + drawn->at, KERNEL_COLUMNS * sizeof *values);
    drawn->at += sizeof(kernel_drawn);
    if (isnan(values[KERNEL_INCOME])) {
        values[KERNEL_INCOME] = (double)chance(9); /* whatever stands where nothing is */
        return 5;
    }
    return 7;
}

/* Read rows of numbers that are what the lines were, all plain ones being drawn: the same must be found. */
static void check_columns(const kernel_lines *lines, kernel_sums *sums, const kernel_found *whole) {
    size_t n = whole->n_rows, offset = chance(20), end = offset + n;
    reader drawn = {&whole->drawn, 0}, missing = {&whole->missing, 0}, odd = {&whole->odd, 0};
    kernel_numbers columns[KERNEL_COLUMNS];
    kernel_found found = {0};
    double *numbers[KERNEL_COLUMNS];
    uint8_t *bits[KERNEL_COLUMNS];
    unsigned all = 7;
    for (int column = 0; column < KERNEL_COLUMNS; column++) {
        numbers[column] = calloc(end + !end, sizeof(double));
        bits[column] = malloc((end + 7) / 8 + !end);
        memset(bits[column], (int)chance(256), (end + 7) / 8);
    }
    for (size_t row = 0; row < n; row++) {
        double values[KERNEL_COLUMNS];
        unsigned there = make_row(row, whole, &drawn, &missing, &odd, values);
        size_t place = offset + row;
        all &= there;
        for (int column = 0; column < KERNEL_COLUMNS; column++) {
            unsigned bit = 1u << place % 8;
            numbers[column][place] = values[column];
            bits[column][place / 8] = (uint8_t)((bits[column][place / 8] & ~bit) | (there >> column & 1 ? bit : 0));
        }
    }
    for (int column = 0; column < KERNEL_COLUMNS; column++) {
        columns[column] = (kernel_numbers){.values = (const uint8_t *)numbers[column],
                                           .is_there = all >> column & 1 ? NULL : bits[column],
                                           .offset = offset,
                                           .kind = KERNEL_F8};
    }
    if (!kernel_sums_add_columns(sums, columns, n, MOST_HASH, 1, &found)) {
        abort();
    }
    if (found.length != n || found.n_rows != n || found.n_plain != whole->n_plain ||
        found.n_no_purchases != whole->n_no_purchases || found.n_odd != whole->n_odd || !found.has_more_plain) {
        fail("columns are counted otherwise", lines, found.n_rows);
    }
    if (!is_alike(&found.drawn, &whole->drawn) || !is_alike(&found.no_incomes, &whole->no_incomes) ||
        !is_alike(&found.missing, &whole->missing) || !is_alike(&found.odd, &whole->odd) ||
        !is_alike(&found.drawn_lines, &found.plain_lines)) {
        fail("columns give other rows", lines, n);
    }
    if (found.drawn_lines.length != found.n_plain * sizeof(int64_t) ||
        found.missing_lines.length + found.odd_lines.length != (n - found.n_plain) * sizeof(int64_t)) {
        fail("columns give other numbers of rows", lines, n);
    }
    for (int column = 0; column < KERNEL_COLUMNS; column++) {
        free(numbers[column]);
        free(bits[column]);
    }
    kernel_found_end(&found);
}

static size_t try_one(kernel_lines *lines, kernel_sums *sums, const char *text, size_t length, int is_mutated) {
    char *copy = malloc(length + !length);
    kernel_found found = {0};
    int is_checked = chance(50) == 0; /* it takes far longer than to read */
    kernel_sums own;
    size_t n_plain, lone;
    memcpy(copy, text, length);
    lines->text = (const uint8_t *)copy;
    lines->length = length;
    lone = find_lone_return(copy, length);
    if (is_checked && !kernel_sums_begin(&own)) {
        abort();
    }
    if (!kernel_sums_add_lines(is_checked ? &own : sums, lines, MOST_HASH, MAX_BYTES, 1, &found)) {
        abort();
    }
    if (found.length != lone && found.n_odd * 2 <= found.n_rows) {
        fail("a lone return is not seen, or one is seen where there is none", lines, 0);
    }
    if (found.has_more_plain != (found.length == length)) {
        fail("it is not said whether all was read", lines, 0);
    }
    check_found(lines, &found, is_mutated);
    if (is_checked) {
        check_sums(lines, &own, (kernel_drawn *)(void *)found.drawn.bytes, found.n_plain);
        kernel_sums_end(&own);
    }
    if (chance(4) == 0) {
        check_pieces(lines, sums, &found);
    }
    if (chance(4) == 0) {
        check_columns(lines, sums, &found);
    }
    n_plain = found.n_plain;
    kernel_found_end(&found);
    free(copy);
    return n_plain;
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
    uint64_t whole = chance(20) ? 19 : 6; /* of 20 */
    for (size_t row = 0; row < n; row++) {
        size_t width = chance(20) < whole ? lines->width : 1 + (size_t)chance(9);
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
    kernel_sums sums = {0};
    seed = argc > 3 ? strtoull(argv[3], NULL, 10) | 1 : (uint64_t)time(NULL) | 1;
    printf("seed %llu\n", (unsigned long long)seed);
    while (most ? inputs < most : time(NULL) < end) {
        kernel_sums_end(&sums);
        if (!kernel_sums_begin(&sums)) {
            abort();
        }
        for (int i = 0; i < 100; i++, inputs++) {
            kernel_lines lines = {NULL, 0, (uint8_t) ",;\t|"[chance(4)], 1 + chance(8), {0, 0, 0}};
            int is_mutated = chance(2) != 0;
            size_t length;
            for (int column = 0; column < KERNEL_COLUMNS; column++) {
                lines.places[column] = chance(lines.width);
            }
            length = write_lines(text, &lines, chance(20) ? 1 + chance(12) : 1 + chance(600));
            length = is_mutated ? mutate(text, length) : length;
            rows += try_one(&lines, &sums, text, length, is_mutated);
        }
    }
    kernel_sums_end(&sums);
    printf("%llu inputs, %llu plain rows: nothing found\n", (unsigned long long)inputs, (unsigned long long)rows);
    return rows > inputs ? 0 : 1; /* else it proved little */
}
