/* Label plain records in one pass: text or numbers in, the answer's bytes out. Knows nothing of Python.
 *
 * What it accepts is a subset of what service/serving/codec.py accepts, read to the same bits; what it does with
 * the numbers are the operations of service/partition.py and service/transform.py in their order. Everything
 * else, unusual or wrong, is KERNEL_NOT_PLAIN, and the caller's own way decides.
 */
#ifndef SEGSERVE_KERNEL_CORE_H
#define SEGSERVE_KERNEL_CORE_H

#include <stddef.h>
#include <stdint.h>

#if defined(__FAST_MATH__)
#error "segserve-kernel must be compiled without -ffast-math: its labels are exact"
#endif
#if defined(__FLT_EVAL_METHOD__) && __FLT_EVAL_METHOD__ != 0
#error "segserve-kernel needs arithmetic in plain doubles (on 32-bit x86: -msse2 -mfpmath=sse)"
#endif
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "segserve-kernel is for little-endian machines; segserve works without it"
#endif

#define KERNEL_MAX_VALUE 1e100   /* service/features.py, MAX_VALUE */
#define KERNEL_MAX_CLUSTERS 1000 /* service/model.py, MAX_CLUSTERS */
#define KERNEL_MAX_BINS 64       /* service/serving/signals/layout.py, MAX_BINS */
#define KERNEL_MAX_STEP 16       /* service/serving/tally.py, MAX_STEP: of a large payload every 16th is looked at, */
#ifndef KERNEL_SAMPLED
#define KERNEL_SAMPLED 256       /* SAMPLED: of a small one all, of those between ever fewer */
#endif
#define KERNEL_TEXT_BYTES 16
#define KERNEL_SLACK_BYTES 32    /* of an answer's buffer: texts are copied whole, whatever their length */

enum kernel_status { KERNEL_NOT_PLAIN, KERNEL_ANSWERED };
enum kernel_reader {
    KERNEL_READ_JSON,
    KERNEL_READ_JSON_LINES,
    KERNEL_READ_CSV,
    KERNEL_READ_TABLE, /* CSV behind its header */
    KERNEL_READ_ARRAY,
    KERNEL_READERS
};
enum kernel_media { KERNEL_WRITE_JSON, KERNEL_WRITE_LINES, KERNEL_WRITE_NPY, KERNEL_MEDIA };
enum kernel_kind {
    KERNEL_F4, KERNEL_F8, KERNEL_I1, KERNEL_I2, KERNEL_I4, KERNEL_I8, KERNEL_U1, KERNEL_U2, KERNEL_U4, KERNEL_U8,
    KERNEL_KINDS
};

/* What is told of a customer by name; a table's columns may hold something else, too. */
enum kernel_value { KERNEL_VALUE_AGE, KERNEL_VALUE_POWER, KERNEL_VALUE_INCOME, KERNEL_VALUE_PURCHASES, KERNEL_VALUES };

/* An id with the separator of one kind of answer after it; the last byte is the length of both. */
typedef struct {
    char bytes[KERNEL_TEXT_BYTES];
} kernel_text;

typedef struct {
    double mean[2];
    double scale[2];
    int is_log1p;
    int n_clusters;
    double *x; /* of the centroids, in scaled space */
    double *y;
    int32_t *ids;
    kernel_text *texts[2]; /* for KERNEL_WRITE_JSON and KERNEL_WRITE_LINES */
    size_t widest;         /* of the texts, without the last byte */
    double edges[2][KERNEL_MAX_BINS - 1]; /* between the bins of each feature, ascending */
    int n_bins[2];                        /* one more than there are edges; 0 to count no features */
} kernel_model;

typedef struct {
    enum kernel_reader reader;
    enum kernel_media media;
    const uint8_t *text; /* a 0 follows the last byte, as in every bytes object */
    size_t length;
    enum kernel_kind kind; /* of numbers, for KERNEL_READ_ARRAY; `text` is the first of them */
    const uint8_t *columns; /* for KERNEL_READ_TABLE: what each holds, KERNEL_VALUES where it is something else */
    size_t n_columns;       /* at least 2 */
} kernel_payload;

typedef struct {
    uint8_t *answer; /* of kernel_capacity bytes */
    size_t capacity;
    size_t length;
    size_t n_records;
    int64_t *counts; /* records by cluster, n_clusters zeros */
    int64_t bins[2][KERNEL_MAX_BINS]; /* of each feature: records looked at, times those that each stands for */
} kernel_result;

/* Return room enough for the answer to any payload of this length; memory that is not used is never touched. */
size_t kernel_capacity(const kernel_model *model, const kernel_payload *payload);

enum kernel_status kernel_answer(const kernel_model *model, const kernel_payload *payload, kernel_result *result);

/* Fill a text; 0 where the id is not from 0 to 999999999. */
int kernel_write_text(kernel_text *text, int32_t id, const char *separator);

#endif
