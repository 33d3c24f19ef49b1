/* Write whole answers to requests whose head is known, count them, and keep what is logged. Knows nothing of Python.
 *
 * What is written is what service/serving/protocol.py writes, byte for byte, but for the request id; what is counted,
 * what service/serving/signals/meter.py counts.
 */
#ifndef SEGSERVE_KERNEL_RESPONSE_H
#define SEGSERVE_KERNEL_RESPONSE_H

#include <stddef.h>
#include <stdint.h>

#include "core.h"

#define KERNEL_MAX_ENTRIES 4096
#define KERNEL_MAX_BODY (8 * 1024)      /* service/serving/stepping.py, STEP_BYTES: what is parsed at a time */
#define KERNEL_MAX_HEAD (4 * 1024)      /* of an answer */
#define KERNEL_PREFIX_BYTES 8           /* of request ids */
#define KERNEL_ID_BYTES (KERNEL_PREFIX_BYTES + 16)
#define KERNEL_BOUNDS 32
#define KERNEL_MAX_TAG 256              /* what follows it is left out */
#define KERNEL_MAX_TAIL (KERNEL_ID_BYTES + 64)
#define KERNEL_BODY_BYTES (256 + (KERNEL_MAX_BODY / 4 + 1) * KERNEL_TEXT_BYTES) /* of the longest answer */
#define KERNEL_BUFFER_BYTES (KERNEL_MAX_HEAD + KERNEL_MAX_TAIL + KERNEL_BODY_BYTES)
#define KERNEL_MAX_FIELDS 16               /* of a line */

/* The byte that stands in a template of log lines for what each line has of its own; all else is copied. */
enum kernel_field {
    KERNEL_FIELD_TIME = 1,
    KERNEL_FIELD_RECORDS,
    KERNEL_FIELD_BYTES_IN,
    KERNEL_FIELD_BYTES_OUT,
    KERNEL_FIELD_MS_2, /* milliseconds, with two or three decimals */
    KERNEL_FIELD_MS_3,
    KERNEL_FIELD_REQUEST_ID,
    KERNEL_FIELD_TAG,
    KERNEL_FIELDS_END
};

/* An answer that is not counted and logged yet. */
typedef struct {
    uint64_t number;
    int64_t nanoseconds;
    size_t n_records;
    size_t bytes_in;
    size_t bytes_out;
    const uint8_t *tag; /* of the model that answered; the caller's, until the ledger is cleared */
    size_t tag_length;
} kernel_entry;

typedef struct {
    char prefix[KERNEL_PREFIX_BYTES];
    uint64_t n_answers; /* ever */
    size_t n_entries;
    kernel_entry entries[KERNEL_MAX_ENTRIES];
    int n_clusters; /* of all models that answered, the most */
    int n_bins[2];
    int64_t clusters[KERNEL_MAX_CLUSTERS]; /* records of the entries */
    int64_t bins[2][KERNEL_MAX_BINS];
    int64_t counts[KERNEL_MAX_CLUSTERS]; /* of the payload at hand */
    uint8_t buffer[KERNEL_BUFFER_BYTES];
} kernel_ledger;

typedef struct {
    const uint8_t *text; /* all that has come; a 0 follows the last byte */
    size_t length;
    const uint8_t *head; /* up to and with the empty line */
    size_t head_length;
    size_t body_length;
    enum kernel_reader reader; /* neither KERNEL_READ_TABLE nor KERNEL_READ_ARRAY */
    enum kernel_media media;
    const uint8_t *answer_head; /* up to the value of x-request-id, which is the last header but one */
    size_t answer_head_length;
    const uint8_t *tag;
    size_t tag_length;
} kernel_request;

/* Where the answer is, until the next one. */
typedef struct {
    const uint8_t *text;
    size_t length;
} kernel_response;

void kernel_ledger_begin(kernel_ledger *ledger, const char *prefix);

/* Answer; not where it is another request, not plain, or there are as many entries as there can be. */
enum kernel_status kernel_respond(kernel_ledger *ledger, const kernel_model *model, const kernel_request *request,
                                  kernel_response *response);

/* Count values up to each of the bounds, which ascend, and those above them all. */
void kernel_count_durations(const kernel_ledger *ledger, const double *bounds_s, size_t n_bounds, int64_t *counts);
void kernel_count_payloads(const kernel_ledger *ledger, const double *bounds, size_t n_bounds, int64_t *counts);

/* Return the bytes that a line takes at most; 0 where there are too many fields, or zeros. */
size_t kernel_line_capacity(const uint8_t *template, size_t length, size_t time_length);

/* Write a line for each entry; return where the last one ends. */
uint8_t *kernel_write_lines(const kernel_ledger *ledger, const uint8_t *template, size_t length, const uint8_t *time,
                            size_t time_length, uint8_t *out);

/* Begin anew. */
void kernel_ledger_clear(kernel_ledger *ledger);

#endif
