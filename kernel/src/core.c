#include "core.h"

#include <stdio.h>
#include <string.h>

#include "nearest.h"
#include "records.h"

#define BLOCK KERNEL_BLOCK
#define NPY_HEADER_BYTES 128

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

/* Find the nearest centroid of each record. */
static void assign(const kernel_model *model, int n, const double *ages, const double *powers, int64_t *labels) {
    double x[BLOCK], y[BLOCK], transformed[BLOCK], nearest[BLOCK];
    size_t size = (size_t)n;
    if (model->is_log1p) {
        for (int i = 0; i < n; i++) {
            transformed[i] = log1p_exactly(powers[i]);
        }
        powers = transformed;
    }
    kernel_scale(ages, size, model->mean[0], model->scale[0], x);
    kernel_scale(powers, size, model->mean[1], model->scale[1], y);
    kernel_find_nearest(x, y, size, model->x, model->y, (size_t)model->n_clusters, nearest, labels);
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
    size_t width = payload->media == KERNEL_WRITE_NPY ? sizeof(int32_t) : model->widest;
    return NPY_HEADER_BYTES + KERNEL_SLACK_BYTES + (payload->length / kernel_least_bytes(payload) + 1) * width;
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
    kernel_cursor from;
    early kept;
    size_t step;
    size_t width = payload->media == KERNEL_WRITE_NPY ? sizeof(int32_t) : model->widest;
    uint8_t *out = result->answer;
    kept.n = 0;
    result->n_records = result->length = 0;
    memset(result->bins, 0, sizeof result->bins);
    kernel_begin(&from, payload);
    if (payload->media == KERNEL_WRITE_NPY) {
        out += NPY_HEADER_BYTES;
    } else if (payload->media == KERNEL_WRITE_JSON) {
        *out++ = '[';
    }
    while (!from.is_done) {
        int n = kernel_read(&from, ages, powers);
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
