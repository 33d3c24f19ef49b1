/* Fuzz the core by itself, under sanitizers, against a second reading of the same rules.
 *
 *     make -C kernel fuzz DURATION_S=30        or        make -C kernel fuzz INPUTS=1000000
 *
 * Payloads are written, then mutated; half of them never are. What the core takes must be taken by a slow and
 * simple reader too, built on strtod, and be answered with the same bytes, counts and sample. What was written
 * plainly and not mutated it must take. The text lies at the very end of its own allocation, so that reading
 * one byte too many is seen.
 */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../src/response.h"

#define MAX_BYTES (1 << 17)

static uint64_t seed;

static uint64_t chance(uint64_t below) {
    seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17; /* Marsaglia, Xorshift RNGs, 2003 */
    return (seed * UINT64_C(2685821657736338717) >> 11) % below;
}

static void fail(const char *why, const kernel_payload *payload) {
    FILE *file = fopen("build/fuzz-failure.bin", "wb");
    if (file) {
        fwrite(payload->text, 1, payload->length, file);
        fclose(file);
    }
    fprintf(stderr, "%s: reader %d media %d kind %d length %zu, in kernel/build/fuzz-failure.bin\n", why, (int)payload->reader,
            (int)payload->media, (int)payload->kind, payload->length);
    abort();
}

/* ---- models --------------------------------------------------------------------------------------------- */

static kernel_model make_model(int n_clusters, int is_log1p) {
    static const char *const SEPARATORS[2] = {", ", "\n"};
    kernel_model model = {{44.3, 7.1}, {15.1, 1.3}, is_log1p, n_clusters, NULL, NULL, NULL, {NULL, NULL}, 0, {{0}}, {0}};
    size_t n = (size_t)n_clusters;
    model.x = calloc(n, sizeof *model.x);
    model.y = calloc(n, sizeof *model.y);
    model.ids = calloc(n, sizeof *model.ids);
    for (int media = 0; media < 2; media++) {
        model.texts[media] = calloc(n, sizeof *model.texts[media]);
    }
    for (int feature = 0; feature < 2; feature++) {
        model.n_bins[feature] = n_clusters == 1 ? 1 : n_clusters == 40 ? KERNEL_MAX_BINS : 10;
        for (int i = 0; i + 1 < model.n_bins[feature]; i++) {
            model.edges[feature][i] = i * (feature ? 500.0 : 2.5);
        }
    }
    for (size_t i = 0; i < n; i++) {
        model.x[i] = (double)chance(4001) / 1000 - 2;
        model.y[i] = (double)chance(4001) / 1000 - 2;
        model.ids[i] = n_clusters == 5 ? (int32_t)(i * 249999999) : (int32_t)i;
        for (int media = 0; media < 2; media++) {
            kernel_text *text = &model.texts[media][i];
            if (!kernel_write_text(text, model.ids[i], SEPARATORS[media])) {
                abort();
            }
            if ((size_t)text->bytes[KERNEL_TEXT_BYTES - 1] > model.widest) {
                model.widest = (size_t)text->bytes[KERNEL_TEXT_BYTES - 1];
            }
        }
    }
    return model;
}

/* ---- a second reading ----------------------------------------------------------------------------------- */

static size_t skip(const char *text, size_t at, const char *any) {
    while (text[at] && strchr(any, text[at])) {
        at++;
    }
    return at;
}

/* Read a number by JSON's grammar; return where it ends, 0 where there is none. */
static size_t number(const char *text, size_t at, double *value) {
    size_t start = at, digits;
    char *end;
    digits = strspn(text + at, "0123456789");
    if (digits == 0 || (digits > 1 && text[at] == '0')) {
        return 0;
    }
    at += digits;
    if (text[at] == '.') {
        digits = strspn(text + at + 1, "0123456789");
        if (digits == 0) {
            return 0;
        }
        at += 1 + digits;
    }
    if (text[at] == 'e' || text[at] == 'E') {
        at++;
        at += text[at] == '+' || text[at] == '-';
        digits = strspn(text + at, "0123456789");
        if (digits == 0) {
            return 0;
        }
        at += digits;
    }
    *value = strtod(text + start, &end);
    return end == text + at && *value >= 0 && *value <= KERNEL_MAX_VALUE ? at : 0;
}

static size_t pair(const char *text, size_t at, const char *blanks, double *values) {
    at = number(text, skip(text, at, blanks), &values[0]);
    if (!at || text[at = skip(text, at, blanks)] != ',') {
        return 0;
    }
    at = number(text, skip(text, at + 1, blanks), &values[1]);
    return at ? skip(text, at, blanks) : 0;
}

/* Return where a character of UTF-8 ends, 0 where there is none. */
static size_t character(const char *text, size_t at) {
    static const unsigned long LEAST[] = {0, 0x80, 0x800, 0x10000};
    unsigned char first = (unsigned char)text[at];
    size_t more = first < 0x80 ? 0 : first < 0xC0 ? 9 : first < 0xE0 ? 1 : first < 0xF0 ? 2 : first < 0xF8 ? 3 : 9;
    unsigned long code = more == 0 ? first : first & (0x3Fu >> more);
    if (more > 3) {
        return 0;
    }
    for (size_t i = 1; i <= more; i++) {
        unsigned char next = (unsigned char)text[at + i];
        if (next >> 6 != 2) {
            return 0;
        }
        code = code << 6 | (next & 0x3F);
    }
    return code < LEAST[more] || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF) ? 0 : at + more + 1;
}

/* Return what follows a string's closing quote; `at` is behind the opening one. */
static size_t string(const char *text, size_t at) {
    while (text[at] != '"') {
        unsigned code;
        int length = 0;
        if ((unsigned char)text[at] < 0x20) {
            return 0;
        }
        if (text[at] != '\\') {
            at = character(text, at);
        } else if (text[at + 1] == 'u') {
            if (strspn(text + at + 2, "0123456789abcdefABCDEF") < 4 || sscanf(text + at + 2, "%4x%n", &code, &length) < 1 ||
                length != 4 || (code >= 0xD800 && code <= 0xDFFF)) {
                return 0;
            }
            at += 6;
        } else if (text[at + 1] && strchr("\"\\/bfnrt", text[at + 1])) {
            at += 2;
        } else {
            return 0;
        }
        if (!at) {
            return 0;
        }
    }
    return at + 1;
}

static const char *const NAMES[] = {"Age", "Spending_Power", "Income", "Purchases", "features", "instances", "inputs"};

/* What is known of one customer. */
typedef struct {
    double named[4], features[2];
    int has[5];
} customer;

static int finish(const customer *found, double *values) {
    values[0] = found->named[0];
    if (found->has[4]) {
        values[0] = found->features[0], values[1] = found->features[1];
    } else if (found->has[0] && found->has[1]) {
        values[1] = found->named[1];
    } else if (found->has[0] && found->has[2] && found->has[3]) {
        values[1] = found->named[2] / fmax(found->named[3], 1);
    } else {
        return 0;
    }
    return 1;
}

/* Return what follows a pair in brackets, 0 where there is none. */
static size_t brackets(const char *text, size_t at, const char *blanks, double *values) {
    if (text[at] != '[' || !(at = pair(text, at + 1, blanks, values)) || text[at] != ']') {
        return 0;
    }
    return at + 1;
}

static size_t object(const char *text, size_t at, const char *blanks, double *values) {
    customer found = {{0}, {0}, {0}};
    do {
        double unused;
        size_t name = skip(text, at + 1, blanks) + 1, end;
        int meaning = 0;
        if (text[name - 1] != '"' || !(end = string(text, name))) {
            return 0;
        }
        while (meaning < 7 && (strlen(NAMES[meaning]) != end - 1 - name || strncmp(text + name, NAMES[meaning], end - 1 - name))) {
            meaning++;
        }
        at = skip(text, end, blanks);
        if (text[at++] != ':' || meaning == 5 || meaning == 6 || memchr(text + name, '\\', end - 1 - name)) {
            return 0;
        }
        at = skip(text, at, blanks);
        if (meaning < 5) {
            at = meaning == 4 ? brackets(text, at, blanks, found.features) : number(text, at, &found.named[meaning]);
            found.has[meaning] = 1;
        } else if (text[at] == '"') {
            at = string(text, at + 1);
        } else if (strncmp(text + at, "true", 4) == 0 || strncmp(text + at, "null", 4) == 0) {
            at += 4;
        } else if (strncmp(text + at, "false", 5) == 0) {
            at += 5;
        } else {
            at = number(text, at + (text[at] == '-'), &unused);
        }
        if (!at) {
            return 0;
        }
        at = skip(text, at, blanks);
    } while (text[at] == ',');
    return text[at] == '}' && finish(&found, values) ? at + 1 : 0;
}

/* Return what follows a row's last cell, 0 where it is refused. */
static size_t row(const kernel_payload *payload, const char *text, size_t at, double *values) {
    customer found = {{0}, {0}, {0}};
    for (size_t column = 0; column < payload->n_columns; column++) {
        unsigned char meaning = payload->columns[column];
        size_t end = at + strcspn(text + at, ",\r\n\"");
        if (text[end] == '"' || end - at > 131072) {
            return 0;
        }
        for (size_t i = at; i < end;) {
            if (((unsigned char)text[i] < 0x20 && text[i] != '\t') || !(i = character(text, i))) {
                return 0;
            }
        }
        if (meaning < 4) {
            size_t last = number(text, skip(text, at, " \t"), &found.named[meaning]);
            if (!last || skip(text, last, " \t") != end) {
                return 0;
            }
            found.has[meaning] = 1;
        }
        at = end;
        if (column + 1 < payload->n_columns && text[at++] != ',') {
            return 0;
        }
    }
    return finish(&found, values) ? at : 0;
}

/* Return the number of records, -1 where the text is refused. */
static long read_text(const kernel_payload *payload, double *values) {
    const char *text = (const char *)payload->text;
    int is_json = payload->reader == KERNEL_READ_JSON, is_table = payload->reader == KERNEL_READ_TABLE;
    int is_csv = payload->reader == KERNEL_READ_CSV || is_table, is_alone = 0, is_wrapped = 0;
    const char *blanks = is_json ? " \t\r\n" : is_csv ? " \t" : " \t\r";
    size_t at = is_table ? 0 : skip(text, 0, " \t\r\n"), length = strlen(text);
    long n = 0;
    if (length != payload->length) {
        return -1;
    }
    while (length && strchr(" \t\r\n", text[length - 1])) {
        length--;
    }
    if (is_json) {
        if (text[at] == '{') {
            size_t name = skip(text, at + 1, blanks);
            size_t width = strncmp(text + name, "\"instances\"", 11) == 0 ? 11 : strncmp(text + name, "\"inputs\"", 8) == 0 ? 8 : 0;
            is_alone = width == 0;
            is_wrapped = !is_alone;
            if (is_wrapped) {
                at = skip(text, name + width, blanks);
                if (text[at++] != ':') {
                    return -1;
                }
                at = skip(text, at, blanks);
            }
        }
        if (text[at] == '[' && !is_wrapped && strchr("0123456789", text[skip(text, at + 1, blanks)])) {
            is_alone = 1;
        }
        if (!is_alone) {
            if (text[at] != '[') {
                return -1;
            }
            at = skip(text, at + 1, blanks);
        }
    }
    for (;;) {
        if (is_table) {
            at = row(payload, text, at, values + 2 * n);
        } else {
            at = skip(text, at, blanks);
            at = is_csv ? pair(text, at, blanks, values + 2 * n)
                 : text[at] == '{' ? object(text, at, blanks, values + 2 * n)
                                   : brackets(text, at, blanks, values + 2 * n);
        }
        if (!at) {
            return -1;
        }
        n++;
        if (!is_table) {
            at = skip(text, at, blanks);
        }
        if (is_json) {
            if (text[at] == ',' && !is_alone) {
                at++;
                continue;
            }
            if (!is_alone) {
                if (text[at] != ']') {
                    return -1;
                }
                at = skip(text, at + 1, blanks);
            }
            if (is_wrapped) {
                if (text[at] != '}') {
                    return -1;
                }
                at = skip(text, at + 1, blanks);
            }
            return text[at] ? -1 : n;
        }
        if (at >= length) {
            return n;
        }
        at += is_csv && text[at] == '\r';
        if (text[at++] != '\n') {
            return -1;
        }
    }
}

#define VALUES_OF(type)                                                  \
    for (size_t i = 0; i < n; i++) {                                     \
        type value;                                                      \
        memcpy(&value, payload->text + i * sizeof value, sizeof value);  \
        values[i] = (double)value;                                       \
    }                                                                    \
    break

static long read_numbers(const kernel_payload *payload, double *values) {
    static const size_t SIZES[KERNEL_KINDS] = {4, 8, 1, 2, 4, 8, 1, 2, 4, 8};
    size_t n = payload->length / (2 * SIZES[payload->kind]) * 2;
    switch (payload->kind) {
    case KERNEL_F4: VALUES_OF(float);
    case KERNEL_F8: VALUES_OF(double);
    case KERNEL_I1: VALUES_OF(int8_t);
    case KERNEL_I2: VALUES_OF(int16_t);
    case KERNEL_I4: VALUES_OF(int32_t);
    case KERNEL_I8: VALUES_OF(int64_t);
    case KERNEL_U1: VALUES_OF(uint8_t);
    case KERNEL_U2: VALUES_OF(uint16_t);
    case KERNEL_U4: VALUES_OF(uint32_t);
    case KERNEL_U8: VALUES_OF(uint64_t);
    default: return -1;
    }
    for (size_t i = 0; i < n; i++) {
        if (!(values[i] >= 0 && values[i] <= KERNEL_MAX_VALUE)) {
            return -1;
        }
    }
    return n ? (long)(n / 2) : -1;
}

static int nearest(const kernel_model *model, double age, double power) {
    double least = INFINITY, x, y;
    int label = 0;
    x = (age - model->mean[0]) / model->scale[0];
    y = (power - model->mean[1]) / model->scale[1];
    for (int i = 0; i < model->n_clusters; i++) {
        double squared = (x - model->x[i]) * (x - model->x[i]) + (y - model->y[i]) * (y - model->y[i]);
        if (squared < least) {
            least = squared;
            label = i;
        }
    }
    return label;
}

/* ---- one input ------------------------------------------------------------------------------------------ */

static void check(const kernel_model *model, const kernel_payload *payload, const kernel_result *result,
                  const double *values, long n) {
    int64_t counts[KERNEL_MAX_CLUSTERS] = {0};
    int64_t bins[2][KERNEL_MAX_BINS] = {{0}};
    long step = n / KERNEL_SAMPLED;
    size_t at = 0;
    step = step < 1 ? 1 : step > KERNEL_MAX_STEP ? KERNEL_MAX_STEP : step;
    if (result->n_records != (size_t)n) {
        fail("another number of records", payload);
    }
    for (long i = 0; i < n; i += step) {
        for (int feature = 0; feature < 2; feature++) {
            int bin = model->n_bins[feature] - 1;
            while (bin > 0 && model->edges[feature][bin - 1] > values[2 * i + feature]) {
                bin--;
            }
            bins[feature][bin] += step;
        }
    }
    if (memcmp(bins, result->bins, sizeof bins) != 0) {
        fail("other counts of the features", payload);
    }
    at = payload->media == KERNEL_WRITE_NPY ? 128 : payload->media == KERNEL_WRITE_JSON;
    for (long i = 0; i < n; i++) {
        char text[32];
        int label = nearest(model, values[2 * i], values[2 * i + 1]);
        size_t length = sizeof(int32_t);
        counts[label]++;
        memcpy(text, &model->ids[label], length);
        if (payload->media != KERNEL_WRITE_NPY) {
            const char *separator = payload->media == KERNEL_WRITE_LINES ? "\n" : i + 1 < n ? ", " : "]";
            length = (size_t)snprintf(text, sizeof text, "%d%s", (int)model->ids[label], separator);
        }
        if (at + length > result->length || memcmp(result->answer + at, text, length) != 0) {
            fail("another answer", payload);
        }
        at += length;
    }
    if (at != result->length || memcmp(counts, result->counts, (size_t)model->n_clusters * sizeof *counts) != 0) {
        fail("another length, or other counts", payload);
    }
}

/* A request with this payload must be answered whole with the same, and counted the same. */
static void check_response(const kernel_model *model, const kernel_payload *payload, const kernel_result *result) {
    static const char HEAD[] = "POST / HTTP/1.1\r\n\r\n", ANSWER[] = "HTTP/1.1 200 OK\r\nx-request-id: ";
    static const uint8_t TEMPLATE[] = {KERNEL_FIELD_TIME, ' ', KERNEL_FIELD_REQUEST_ID, ' ', KERNEL_FIELD_RECORDS,
                                       ' ', KERNEL_FIELD_TAG, '\n'};
    kernel_ledger *ledger = malloc(sizeof *ledger);
    kernel_request request = {NULL, sizeof HEAD - 1 + payload->length, (const uint8_t *)HEAD, sizeof HEAD - 1, payload->length,
                              payload->reader, payload->media, (const uint8_t *)ANSWER, sizeof ANSWER - 1, (const uint8_t *)"tag", 3};
    kernel_response response = {0};
    uint8_t *text = malloc(request.length + 1), *lines;
    char expected[256], line[128];
    size_t times = chance(20) ? 1 : KERNEL_MAX_ENTRIES + 1, taken = 0, length;
    int64_t counted = 0;
    if (!ledger || !text) {
        abort();
    }
    kernel_ledger_begin(ledger, "01234567");
    memcpy(text, HEAD, sizeof HEAD - 1);
    memcpy(text + sizeof HEAD - 1, payload->text, payload->length + 1);
    request.text = text;
    while (taken < times && kernel_respond(ledger, model, &request, &response) == KERNEL_ANSWERED) {
        taken++;
    }
    if (taken != (payload->length > KERNEL_MAX_BODY ? 0 : times > KERNEL_MAX_ENTRIES ? KERNEL_MAX_ENTRIES : times)) {
        fail("a request that is not answered whole", payload);
    }
    if (taken) {
        length = (size_t)snprintf(expected, sizeof expected, "%s01234567%08llx\r\ncontent-length: %zu\r\n\r\n", ANSWER,
                                  (unsigned long long)taken, result->length);
        if (response.length != length + result->length || memcmp(response.text, expected, length) != 0 ||
            memcmp(response.text + length, result->answer, result->length) != 0) {
            fail("another answer to the whole request", payload);
        }
    }
    for (int i = 0; i < model->n_clusters; i++) {
        counted += ledger->clusters[i] == result->counts[i] * (int64_t)taken;
    }
    for (int i = 0; i < KERNEL_MAX_BINS; i++) {
        counted += ledger->bins[0][i] == result->bins[0][i] * (int64_t)taken;
        counted += ledger->bins[1][i] == result->bins[1][i] * (int64_t)taken;
    }
    if (counted != model->n_clusters + 2 * KERNEL_MAX_BINS) {
        fail("other counts of whole requests", payload);
    }
    lines = malloc(kernel_line_capacity(TEMPLATE, sizeof TEMPLATE, 3) * (ledger->n_entries + 1));
    length = (size_t)(kernel_write_lines(ledger, TEMPLATE, sizeof TEMPLATE, (const uint8_t *)"now", 3, lines) - lines);
    for (size_t i = 0, at = 0; i < taken; i++) {
        size_t n = (size_t)snprintf(line, sizeof line, "now 01234567%08llx %zu tag\n", (unsigned long long)i + 1, result->n_records);
        if (at + n > length || memcmp(lines + at, line, n) != 0 || (i + 1 == taken && at + n != length)) {
            fail("other lines for the log", payload);
        }
        at += n;
    }
    free(ledger), free(text), free(lines);
}

/* Answer a payload and check it; tell whether it was taken. */
static int try_one(const kernel_model *model, kernel_payload payload, const uint8_t *text, size_t length) {
    static double values[MAX_BYTES + 8];
    kernel_result result = {0};
    enum kernel_status status;
    size_t ending = payload.reader != KERNEL_READ_ARRAY;
    uint8_t *copy = malloc(length + ending + !(length + ending));
    memcpy(copy, text, length);
    if (ending) {
        copy[length] = 0;
    }
    payload.text = copy;
    payload.length = length;
    result.capacity = kernel_capacity(model, &payload);
    result.answer = malloc(result.capacity);
    result.counts = calloc((size_t)model->n_clusters, sizeof *result.counts);
    status = kernel_answer(model, &payload, &result);
    if (status == KERNEL_ANSWERED) {
        long n = ending ? read_text(&payload, values) : read_numbers(&payload, values);
        if (n < 1) {
            fail("taken, but not plain", &payload);
        }
        if (payload.reader < KERNEL_READ_TABLE) {
            check_response(model, &payload, &result);
        }
        if (!model->is_log1p) { /* log1p is compared with Python's own (tests/kernel) */
            check(model, &payload, &result, values, n);
        }
    }
    free(copy);
    free(result.answer);
    free(result.counts);
    return status == KERNEL_ANSWERED;
}

/* ---- inputs --------------------------------------------------------------------------------------------- */

static size_t write_number(char *out) {
    double value = (double)chance(UINT64_C(1) << 53) / (double)(UINT64_C(1) << chance(60));
    switch (chance(8)) {
    case 0: return (size_t)sprintf(out, "%d", (int)chance(100));
    case 1: return (size_t)sprintf(out, "%d.%02d", (int)chance(100000), (int)chance(100));
    case 2: return (size_t)sprintf(out, "%.17g", value);
    case 3: return (size_t)sprintf(out, "%.*f", (int)chance(25), value);
    case 4: return (size_t)sprintf(out, "%.*e", (int)chance(22), value);
    case 5: return (size_t)sprintf(out, "%llu", (unsigned long long)((UINT64_C(1) << 53) + chance(9999)));
    case 6: return (size_t)sprintf(out, "%llue-%d", (unsigned long long)chance(UINT64_C(1) << 63), (int)chance(32));
    default: return (size_t)sprintf(out, "%d.%d", (int)chance(1000), (int)chance(10));
    }
}

static size_t write_blank(char *out, const char *blanks) {
    if (chance(4)) {
        return 0;
    }
    *out = blanks[chance(strlen(blanks))];
    return 1;
}

static size_t write_text(char *out, const char *text) {
    size_t length = strlen(text);
    memcpy(out, text, length);
    return length;
}

static size_t write_name(char *out, const char *blanks, const char *name) {
    size_t at = write_blank(out, blanks);
    at += (size_t)sprintf(out + at, "\"%s\"", name);
    at += write_blank(out + at, blanks);
    out[at++] = ':';
    return at + write_blank(out + at, blanks);
}

static size_t write_pair(char *out, const char *blanks) {
    size_t at = write_blank(out, blanks);
    at += write_number(out + at);
    out[at++] = ',';
    at += write_blank(out + at, blanks);
    at += write_number(out + at);
    return at + write_blank(out + at, blanks);
}

static size_t write_object(char *out, const char *blanks) {
    static const char *const OTHERS[] = {"x", "", "Gender", "age", "Gr\xc3\xb6\xc3\x9f" "e", "\xf0\x9f\x99\x82"};
    static const char *const VALUES[] = {"\"\"", "\"Ada\"", "true", "false", "null", "-1.5", "7", "\"\\u00e9\\n\\\"\"",
                                         "\"\xe9\xa1\xa7\xf0\x9f\x99\x82\""};
    static const int SETS[3][4] = {{0, 2, 3, -1}, {1, 0, -1, -1}, {3, 2, 1, 0}};
    const int *set = SETS[chance(3)];
    size_t at = 0;
    out[at++] = '{';
    if (chance(6) == 0) {
        at += write_name(out + at, blanks, "features");
        out[at++] = '[';
        at += write_pair(out + at, blanks);
        out[at++] = ']';
        out[at++] = ',';
    }
    for (int i = 0; i < 4 && set[i] >= 0; i++) {
        if (chance(4) == 0) {
            at += write_name(out + at, blanks, OTHERS[chance(6)]);
            at += write_text(out + at, VALUES[chance(9)]);
            out[at++] = ',';
        }
        at += write_name(out + at, blanks, NAMES[set[i]]);
        at += write_number(out + at);
        at += write_blank(out + at, blanks);
        out[at++] = ',';
    }
    out[at - 1] = '}';
    return at;
}

static size_t write_row(char *out, const kernel_payload *payload) {
    static const char *const CELLS[] = {"", "Ada", "7", " x\ty ", "Gr\xc3\xb6\xc3\x9f" "e", "\xf0\x9f\x99\x82", "-1", "'"};
    size_t at = 0;
    for (size_t column = 0; column < payload->n_columns; column++) {
        at += write_blank(out + at, " \t");
        at += payload->columns[column] < 4 ? write_number(out + at) : write_text(out + at, CELLS[chance(8)]);
        at += write_blank(out + at, " \t");
        out[at++] = ',';
    }
    return at - 1;
}

static size_t write_record(char *out, const kernel_payload *payload, const char *blanks, int is_object) {
    size_t at = 0;
    if (payload->reader == KERNEL_READ_TABLE) {
        return write_row(out, payload);
    }
    at += write_blank(out, blanks);
    if (payload->reader == KERNEL_READ_CSV) {
        return at + write_pair(out + at, blanks);
    }
    if (is_object) {
        return at + write_object(out + at, blanks);
    }
    out[at++] = '[';
    at += write_pair(out + at, blanks);
    out[at++] = ']';
    return at;
}

static size_t write_payload(char *out, const kernel_payload *payload, size_t n) {
    static const char *const LISTS[] = {"[", "[", "{\"instances\":[", "{ \"inputs\" : ["};
    int is_json = payload->reader == KERNEL_READ_JSON, has_objects = chance(2) == 0;
    const char *blanks = is_json ? " \t\r\n" : " \t";
    uint64_t list = chance(16) == 0 ? 4 : chance(4);
    size_t at = payload->reader == KERNEL_READ_TABLE ? 0 : write_blank(out, " \t\r\n");
    if (is_json && list < 4) {
        at += write_text(out + at, LISTS[list]);
    } else if (is_json) {
        at += write_record(out + at, payload, blanks, chance(2) == 0);
        return at + write_blank(out + at, blanks);
    }
    for (size_t i = 0; i < n; i++) {
        at += write_record(out + at, payload, blanks, has_objects && chance(20));
        if (is_json && i + 1 < n) {
            out[at++] = ',';
        } else if (!is_json && (i + 1 < n || chance(2))) {
            if (chance(2)) {
                out[at++] = '\r';
            }
            out[at++] = '\n';
        }
    }
    if (is_json) {
        at += write_blank(out + at, blanks);
        out[at++] = ']';
        if (list > 1) {
            at += write_blank(out + at, blanks);
            out[at++] = '}';
        }
    }
    return at;
}

static size_t mutate(char *text, size_t length) {
    static const char GLUE[] = "0123456789+-.eE,,[[]]{}{} \t\r\n\n::\"\"\\x\0\xff";
    for (uint64_t times = 1 + chance(3); times > 0 && length > 0; times--) {
        size_t at = chance(length), run = 1 + chance(6);
        run = at + run > length ? length - at : run;
        switch (chance(5)) {
        case 0: text[at] = GLUE[chance(sizeof GLUE - 1)]; break;
        case 1: text[at] = (char)chance(256); break;
        case 2: memmove(text + at, text + at + run, length - at - run), length -= run; break;
        case 3: memmove(text + at + run, text + at, length - at), length += run; break;
        default: length = at; break;
        }
    }
    return length;
}

int main(int argc, char **argv) {
    static const struct {
        size_t n;
        uint8_t columns[5];
    } TABLES[] = {{2, {0, 1}}, {5, {4, 4, 0, 2, 3}}, {4, {3, 0, 2, 4}}, {3, {1, 4, 0}}};
    static char text[4 * MAX_BYTES];
    double seconds = argc > 1 ? atof(argv[1]) : 30;
    uint64_t most = argc > 2 ? strtoull(argv[2], NULL, 10) : 0, inputs = 0, taken = 0, plain = 0;
    time_t end = time(NULL) + (time_t)seconds;
    kernel_model models[4];
    seed = argc > 3 ? strtoull(argv[3], NULL, 10) | 1 : (uint64_t)time(NULL) | 1;
    setlocale(LC_ALL, "C");
    printf("seed %llu\n", (unsigned long long)seed);
    for (int i = 0; i < 4; i++) {
        models[i] = make_model((int[]){1, 4, 5, 40}[i], 0);
    }
    while (most ? inputs < most : time(NULL) < end) {
        for (int i = 0; i < 1000; i++, inputs++) {
            kernel_payload payload = {0};
            size_t length, n = chance(50) ? 1 + chance(6) : 1 + chance(700);
            int is_mutated = chance(2) != 0, was_taken;
            uint64_t table = chance(4);
            kernel_model *model = &models[chance(4)];
            payload.reader = (enum kernel_reader)chance(KERNEL_READERS);
            payload.media = (enum kernel_media)chance(KERNEL_MEDIA);
            payload.kind = (enum kernel_kind)chance(KERNEL_KINDS);
            payload.columns = TABLES[table].columns;
            payload.n_columns = TABLES[table].n;
            model->is_log1p = chance(8) == 0;
            if (payload.reader == KERNEL_READ_ARRAY) {
                length = 2 * n * (size_t[]){4, 8, 1, 2, 4, 8, 1, 2, 4, 8}[payload.kind];
                for (size_t at = 0; at < length; at++) {
                    text[at] = (char)(is_mutated ? chance(256) : at % 4 == 3 ? 63 : chance(64));
                }
                length -= is_mutated && length ? chance(length) : 0;
            } else {
                length = write_payload(text, &payload, n);
                length = is_mutated ? mutate(text, length) : length;
            }
            was_taken = try_one(model, payload, (const uint8_t *)text, length);
            plain += !is_mutated;
            taken += (uint64_t)was_taken;
        }
    }
    printf("%llu inputs, %llu taken, %llu not mutated: nothing found\n", (unsigned long long)inputs,
           (unsigned long long)taken, (unsigned long long)plain);
    for (int i = 0; i < 4; i++) {
        free(models[i].x), free(models[i].y), free(models[i].ids);
        free(models[i].texts[0]), free(models[i].texts[1]);
    }
    return taken * 5 > inputs ? 0 : 1; /* else it proved little */
}
