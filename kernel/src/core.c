#include "core.h"

#include <stdio.h>
#include <string.h>

#include "number.h"

#define BLOCK 256 /* records worked on at a time, so that the intermediate columns stay in the CPU's cache */
#define NPY_HEADER_BYTES 128

/* ---- reading -------------------------------------------------------------------------------------------- */

typedef struct {
    const uint8_t *at;
    const uint8_t *end; /* where the 0 is */
    size_t n_left;      /* of an array's numbers */
    int is_begun;
    int is_done;
} cursor;

static inline const uint8_t *skip_space(const uint8_t *at) {
    while (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t') {
        at++;
    }
    return at;
}

static inline const uint8_t *skip_tabs(const uint8_t *at) {
    while (*at == ' ' || *at == '\t') {
        at++;
    }
    return at;
}

static inline const uint8_t *skip_in_line(const uint8_t *at) {
    while (*at == ' ' || *at == '\t' || *at == '\r') {
        at++;
    }
    return at;
}

/* Fill a block with records between brackets. Return how many, -1 where it is not plain. */
static int read_json(cursor *from, double *ages, double *powers) {
    const uint8_t *at = from->at;
    int n = 0;
    if (!from->is_begun) {
        from->is_begun = 1;
        at = skip_space(at);
        if (*at++ != '[') {
            return -1;
        }
        at = skip_space(at);
    }
    while (n < BLOCK) {
        if (*at != '[' || !(at = kernel_number(skip_space(at + 1), &ages[n]))) {
            return -1;
        }
        at = skip_space(at);
        if (*at != ',' || !(at = kernel_number(skip_space(at + 1), &powers[n]))) {
            return -1;
        }
        at = skip_space(at);
        if (*at != ']') {
            return -1;
        }
        n++;
        at = skip_space(at + 1);
        if (*at == ',') {
            at = skip_space(at + 1);
            continue;
        }
        if (*at != ']' || skip_space(at + 1) != from->end) {
            return -1;
        }
        from->is_done = 1;
        break;
    }
    from->at = at;
    return n;
}

/* Step over the end of a line; only the last ones of a payload may be blank. NULL where it is not plain. */
static const uint8_t *next_line(cursor *from, const uint8_t *at) {
    if (at != from->end && *at != '\n') {
        return NULL;
    }
    if (skip_space(at) == from->end) {
        from->is_done = 1;
        return from->end;
    }
    return at + 1;
}

static int read_json_lines(cursor *from, double *ages, double *powers) {
    const uint8_t *at = from->is_begun ? from->at : skip_space(from->at);
    int n = 0;
    from->is_begun = 1;
    while (n < BLOCK && !from->is_done) {
        at = skip_in_line(at);
        if (*at != '[' || !(at = kernel_number(skip_in_line(at + 1), &ages[n]))) {
            return -1;
        }
        at = skip_in_line(at);
        if (*at != ',' || !(at = kernel_number(skip_in_line(at + 1), &powers[n]))) {
            return -1;
        }
        at = skip_in_line(at);
        if (*at != ']' || !(at = next_line(from, skip_in_line(at + 1)))) {
            return -1;
        }
        n++;
    }
    from->at = at;
    return n;
}

static int read_csv(cursor *from, double *ages, double *powers) {
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
        at = skip_tabs(at);
        at += at[0] == '\r' && at[1] == '\n'; /* a 0 follows every byte of the text */
        if (!(at = next_line(from, at))) {
            return -1;
        }
        n++;
    }
    from->at = at;
    return n;
}

#define READ_AS(type)                                            \
    for (int i = 0; i < n; i++) {                                \
        type pair[2];                                            \
        memcpy(pair, from->at + (size_t)i * sizeof pair, sizeof pair); \
        ages[i] = (double)pair[0];                               \
        powers[i] = (double)pair[1];                             \
    }                                                            \
    from->at += (size_t)n * 2 * sizeof(type);                    \
    break

static int read_array(cursor *from, enum kernel_kind kind, double *ages, double *powers) {
    int n = from->n_left < BLOCK ? (int)from->n_left : BLOCK;
    int is_valid = 1;
    switch (kind) {
    case KERNEL_F4: READ_AS(float);
    case KERNEL_F8: READ_AS(double);
    case KERNEL_I1: READ_AS(int8_t);
    case KERNEL_I2: READ_AS(int16_t);
    case KERNEL_I4: READ_AS(int32_t);
    case KERNEL_I8: READ_AS(int64_t);
    case KERNEL_U1: READ_AS(uint8_t);
    case KERNEL_U2: READ_AS(uint16_t);
    case KERNEL_U4: READ_AS(uint32_t);
    case KERNEL_U8: READ_AS(uint64_t);
    default: return -1;
    }
    for (int i = 0; i < n; i++) {
        is_valid &= ages[i] >= 0.0 && ages[i] <= KERNEL_MAX_VALUE; /* a NaN is neither */
        is_valid &= powers[i] >= 0.0 && powers[i] <= KERNEL_MAX_VALUE;
    }
    from->n_left -= (size_t)n;
    from->is_done = from->n_left == 0;
    return is_valid ? n : -1;
}

static size_t kind_bytes(enum kernel_kind kind) {
    static const uint8_t SIZES[KERNEL_KINDS] = {4, 8, 1, 2, 4, 8, 1, 2, 4, 8};
    return SIZES[kind];
}

static int read_block(cursor *from, const kernel_payload *payload, double *ages, double *powers) {
    switch (payload->reader) {
    case KERNEL_READ_JSON: return read_json(from, ages, powers);
    case KERNEL_READ_JSON_LINES: return read_json_lines(from, ages, powers);
    case KERNEL_READ_CSV: return read_csv(from, ages, powers);
    case KERNEL_READ_ARRAY: return read_array(from, payload->kind, ages, powers);
    default: return -1;
    }
}

/* ---- assigning ------------------------------------------------------------------------------------------ */

/* log(1 + x) with the operations of service/transform.py, in their order.
 * Source: fdlibm s_log1p.c (Sun Microsystems, 1993) for the reduction and the coefficients. */
static double log1p_exactly(double x) {
    static const double COEFFICIENTS[7] = {
        6.666666666666735130e-01, 3.999999999940941908e-01, 2.857142874366239149e-01, 2.222219843214978396e-01,
        1.818357216161805012e-01, 1.531383769920937332e-01, 1.479819860511658591e-01,
    };
    static const double LN2_HI = 6.93147180369123816490e-01;
    static const double LN2_LO = 1.90821492927058770002e-10;
    static const double SQRT2 = 1.0 + 0x6A09E / 1048576.0;
    double u = 1.0 + x, mantissa, correction, f, half_square, s, z, r = 0.0, tail, scale;
    uint64_t bits;
    int exponent;
    memcpy(&bits, &u, sizeof bits); /* 1 <= u: a normal number */
    exponent = (int)(bits >> 52) - 1023;
    bits = (bits & ((UINT64_C(1) << 52) - 1)) | UINT64_C(1023) << 52;
    memcpy(&mantissa, &bits, sizeof mantissa);
    correction = (exponent > 0 ? 1.0 - (u - x) : x - (u - 1.0)) / u;
    if (mantissa >= SQRT2) {
        mantissa = mantissa * 0.5;
        exponent++;
    }
    f = exponent == 0 ? x : mantissa - 1.0;
    half_square = 0.5 * f * f;
    s = f / (2.0 + f);
    z = s * s;
    for (int i = 6; i >= 0; i--) {
        r = z * (COEFFICIENTS[i] + r);
    }
    tail = s * (half_square + r);
    if (exponent == 0) {
        return f - (half_square - tail);
    }
    scale = exponent;
    return scale * LN2_HI - ((half_square - (tail + (scale * LN2_LO + correction))) - f);
}

/* Find the nearest centroid of each record; the first of those that are equally near. */
static void assign(const kernel_model *model, int n, const double *restrict ages, const double *restrict powers,
                   int64_t *restrict labels) {
    double x[BLOCK], y[BLOCK], nearest[BLOCK];
    for (int i = 0; i < n; i++) {
        double transformed = model->is_log1p ? log1p_exactly(powers[i]) : powers[i];
        x[i] = (ages[i] - model->mean[0]) / model->scale[0];
        y[i] = (transformed - model->mean[1]) / model->scale[1];
    }
    for (int i = 0; i < n; i++) {
        double dx = x[i] - model->x[0], dy = y[i] - model->y[0];
        nearest[i] = dx * dx + dy * dy;
        labels[i] = 0;
    }
    for (int label = 1; label < model->n_clusters; label++) {
        double center_x = model->x[label], center_y = model->y[label];
        for (int i = 0; i < n; i++) {
            double dx = x[i] - center_x, dy = y[i] - center_y;
            double squared = dx * dx + dy * dy;
            int is_nearer = squared < nearest[i];
            labels[i] = is_nearer ? label : labels[i];
            nearest[i] = is_nearer ? squared : nearest[i];
        }
    }
}

/* ---- writing -------------------------------------------------------------------------------------------- */

int kernel_write_text(kernel_text *text, int32_t id, const char *separator) {
    char written[2 * KERNEL_TEXT_BYTES];
    int length;
    if (id < 0 || id > 999999999) {
        return 0;
    }
    length = snprintf(written, sizeof written, "%ld%s", (long)id, separator);
    if (length <= 0 || length >= KERNEL_TEXT_BYTES) {
        return 0;
    }
    memset(text->bytes, 0, sizeof text->bytes);
    memcpy(text->bytes, written, (size_t)length);
    text->bytes[KERNEL_TEXT_BYTES - 1] = (char)length;
    return 1;
}

size_t kernel_capacity(const kernel_model *model, const kernel_payload *payload) {
    size_t least = 4; /* bytes of a record: 1,2 and the end of a line */
    size_t width = model->widest;
    if (payload->reader == KERNEL_READ_ARRAY) {
        least = 2 * kind_bytes(payload->kind);
    } else if (payload->reader != KERNEL_READ_CSV) {
        least = 6; /* [1,2] and a separator */
    }
    if (payload->media == KERNEL_WRITE_NPY) {
        width = sizeof(int32_t);
    }
    return NPY_HEADER_BYTES + KERNEL_SLACK_BYTES + (payload->length / least + 1) * width;
}

/* Write the header that np.save writes for a vector of int32. */
static void write_npy_header(uint8_t *out, size_t n_records) {
    char text[NPY_HEADER_BYTES];
    int length = snprintf(text, sizeof text, "{'descr': '<i4', 'fortran_order': False, 'shape': (%llu,), }",
                          (unsigned long long)n_records);
    memset(out, ' ', NPY_HEADER_BYTES);
    memcpy(out, "\x93NUMPY\x01\x00\x76\x00", 10);
    memcpy(out + 10, text, (size_t)length);
    out[NPY_HEADER_BYTES - 1] = '\n';
}

static uint8_t *write_block(const kernel_model *model, enum kernel_media media, int n, const int64_t *labels,
                            uint8_t *out) {
    if (media == KERNEL_WRITE_NPY) {
        for (int i = 0; i < n; i++, out += sizeof(int32_t)) {
            memcpy(out, &model->ids[labels[i]], sizeof(int32_t));
        }
        return out;
    }
    for (int i = 0; i < n; i++) {
        const kernel_text *text = &model->texts[media][labels[i]];
        memcpy(out, text->bytes, KERNEL_TEXT_BYTES);
        out += (size_t)text->bytes[KERNEL_TEXT_BYTES - 1];
    }
    return out;
}

/* ---- counting ------------------------------------------------------------------------------------------- */

#define EARLY (KERNEL_SAMPLED * KERNEL_MAX_STEP) /* records after which the largest step is sure */

typedef struct {
    double ages[EARLY];
    double powers[EARLY];
    size_t n;
} early;

/* Count the features of each step-th record. A value on an edge belongs to the bin above it. */
static void count_features(const kernel_model *model, const double *ages, const double *powers, size_t n, size_t step,
                           kernel_result *result) {
    const double *const features[2] = {ages, powers};
    for (int feature = 0; feature < 2; feature++) {
        const double *edges = model->edges[feature];
        int n_edges = model->n_bins[feature] - 1;
        if (n_edges < 0) {
            continue;
        }
        for (size_t i = 0; i < n; i += step) {
            double value = features[feature][i];
            int bin = 0;
            for (int edge = 0; edge < n_edges; edge++) {
                bin += edges[edge] <= value;
            }
            result->bins[feature][bin] += (int64_t)step;
        }
    }
}

/* Keep a block's features while it is not known for how many records each stands, else count them. */
static void look_at(const kernel_model *model, early *kept, const double *ages, const double *powers, int n,
                    kernel_result *result) {
    _Static_assert(BLOCK % KERNEL_MAX_STEP == 0 && EARLY % BLOCK == 0, "each block begins with a record to look at");
    if (result->n_records < EARLY) {
        memcpy(kept->ages + kept->n, ages, (size_t)n * sizeof *ages);
        memcpy(kept->powers + kept->n, powers, (size_t)n * sizeof *powers);
        kept->n += (size_t)n;
    } else {
        count_features(model, ages, powers, (size_t)n, KERNEL_MAX_STEP, result);
    }
}

/* ---- all of it ------------------------------------------------------------------------------------------ */

enum kernel_status kernel_answer(const kernel_model *model, const kernel_payload *payload, kernel_result *result) {
    double ages[BLOCK], powers[BLOCK];
    int64_t labels[BLOCK];
    cursor from = {payload->text, payload->text + payload->length, 0, 0, 0};
    early kept;
    size_t step;
    size_t width = payload->media == KERNEL_WRITE_NPY ? sizeof(int32_t) : model->widest;
    uint8_t *out = result->answer;
    kept.n = 0;
    result->n_records = result->length = 0;
    memset(result->bins, 0, sizeof result->bins);
    if (payload->reader == KERNEL_READ_ARRAY) {
        from.n_left = payload->length / (2 * kind_bytes(payload->kind));
        if (from.n_left == 0) {
            return KERNEL_NOT_PLAIN;
        }
    }
    if (payload->media == KERNEL_WRITE_NPY) {
        out += NPY_HEADER_BYTES;
    } else if (payload->media == KERNEL_WRITE_JSON) {
        *out++ = '[';
    }
    while (!from.is_done) {
        int n = read_block(&from, payload, ages, powers);
        if (n <= 0 || result->capacity - (size_t)(out - result->answer) < (size_t)n * width + KERNEL_SLACK_BYTES) {
            return KERNEL_NOT_PLAIN;
        }
        assign(model, n, ages, powers, labels);
        out = write_block(model, payload->media, n, labels, out);
        for (int i = 0; i < n; i++) {
            result->counts[labels[i]]++;
        }
        look_at(model, &kept, ages, powers, n, result);
        result->n_records += (size_t)n;
    }
    if (payload->media == KERNEL_WRITE_JSON) {
        out[-2] = ']';
        out--;
    } else if (payload->media == KERNEL_WRITE_NPY) {
        write_npy_header(result->answer, result->n_records);
    }
    step = result->n_records / KERNEL_SAMPLED;
    step = step < 1 ? 1 : step > KERNEL_MAX_STEP ? KERNEL_MAX_STEP : step;
    count_features(model, kept.ages, kept.powers, kept.n, step, result);
    result->length = (size_t)(out - result->answer);
    return KERNEL_ANSWERED;
}
