#ifndef _WIN32
#define _POSIX_C_SOURCE 200809L /* clock_gettime */
#endif
#include "response.h"

#include <string.h>
#include <time.h>

#define MAX_DIGITS 20

static int64_t now_ns(void) {
    struct timespec now;
#ifdef _WIN32
    timespec_get(&now, TIME_UTC);
#else
    clock_gettime(CLOCK_MONOTONIC, &now);
#endif
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* ---- texts ---------------------------------------------------------------------------------------------- */

static uint8_t *write_bytes(uint8_t *out, const void *bytes, size_t length) {
    memcpy(out, bytes, length);
    return out + length;
}

/* Write digits, with zeros in front where they are fewer than asked for. */
static uint8_t *write_digits(uint8_t *out, uint64_t value, unsigned base, int least) {
    char digits[MAX_DIGITS];
    int n = 0;
    while (value || n < least) {
        digits[n++] = "0123456789abcdef"[value % base];
        value /= base;
    }
    while (n) {
        *out++ = (uint8_t)digits[--n];
    }
    return out;
}

static uint8_t *write_ms(uint8_t *out, int64_t nanoseconds, int decimals) {
    uint64_t unit = decimals == 3 ? 1000 : 10000;
    uint64_t value = ((uint64_t)nanoseconds + unit / 2) / unit;
    uint64_t whole = 1000000 / unit;
    out = write_digits(out, value / whole, 10, 1);
    *out++ = '.';
    return write_digits(out, value % whole, 10, decimals);
}

static uint8_t *write_id(uint8_t *out, const kernel_ledger *ledger, uint64_t number) {
    return write_digits(write_bytes(out, ledger->prefix, KERNEL_PREFIX_BYTES), number, 16, 8);
}

/* ---- answering ------------------------------------------------------------------------------------------ */

void kernel_ledger_begin(kernel_ledger *ledger, const char *prefix) {
    memset(ledger, 0, offsetof(kernel_ledger, buffer));
    memcpy(ledger->prefix, prefix, KERNEL_PREFIX_BYTES);
}

static int larger(int one, int other) { return one > other ? one : other; }

static int is_request(const kernel_request *request) {
    return request->length == request->head_length + request->body_length && request->body_length <= KERNEL_MAX_BODY &&
           request->answer_head_length <= KERNEL_MAX_HEAD &&
           memcmp(request->text, request->head, request->head_length) == 0;
}

/* Write the head before the body, so that both are in one piece. */
static void write_head(const kernel_ledger *ledger, const kernel_request *request, uint8_t *body, size_t body_length,
                       kernel_response *response) {
    static const char LENGTH[] = "\r\ncontent-length: ";
    uint8_t tail[KERNEL_MAX_TAIL];
    uint8_t *end = write_id(tail, ledger, ledger->n_answers + 1);
    end = write_bytes(end, LENGTH, sizeof LENGTH - 1);
    end = write_digits(end, body_length, 10, 1);
    end = write_bytes(end, "\r\n\r\n", 4);
    body -= end - tail;
    memcpy(body, tail, (size_t)(end - tail));
    body -= request->answer_head_length;
    memcpy(body, request->answer_head, request->answer_head_length);
    response->text = body;
    response->length = request->answer_head_length + (size_t)(end - tail) + body_length;
}

enum kernel_status kernel_respond(kernel_ledger *ledger, const kernel_model *model, const kernel_request *request,
                                  kernel_response *response) {
    int64_t began_ns;
    kernel_payload payload = {.reader = request->reader,
                              .media = request->media,
                              .text = request->text + request->head_length,
                              .length = request->body_length};
    kernel_result result;
    kernel_entry *entry;
    if (ledger->n_entries == KERNEL_MAX_ENTRIES || !is_request(request)) {
        return KERNEL_NOT_PLAIN;
    }
    began_ns = now_ns();
    result.answer = ledger->buffer + KERNEL_MAX_HEAD + KERNEL_MAX_TAIL;
    result.capacity = KERNEL_BODY_BYTES;
    result.counts = ledger->counts;
    memset(ledger->counts, 0, (size_t)model->n_clusters * sizeof *ledger->counts);
    if (kernel_answer(model, &payload, &result) != KERNEL_ANSWERED) {
        return KERNEL_NOT_PLAIN;
    }
    write_head(ledger, request, result.answer, result.length, response);
    ledger->n_clusters = larger(ledger->n_clusters, model->n_clusters);
    for (int cluster = 0; cluster < model->n_clusters; cluster++) {
        ledger->clusters[cluster] += ledger->counts[cluster];
    }
    for (int feature = 0; feature < 2; feature++) {
        ledger->n_bins[feature] = larger(ledger->n_bins[feature], model->n_bins[feature]);
        for (int bin = 0; bin < model->n_bins[feature]; bin++) {
            ledger->bins[feature][bin] += result.bins[feature][bin];
        }
    }
    entry = &ledger->entries[ledger->n_entries++];
    entry->number = ++ledger->n_answers;
    entry->n_records = result.n_records;
    entry->bytes_in = request->body_length;
    entry->bytes_out = result.length;
    entry->tag = request->tag;
    entry->tag_length = request->tag_length < KERNEL_MAX_TAG ? request->tag_length : KERNEL_MAX_TAG;
    entry->nanoseconds = now_ns() - began_ns;
    if (entry->nanoseconds < 0) { /* where the clock can be set */
        entry->nanoseconds = 0;
    }
    return KERNEL_ANSWERED;
}

/* ---- counting ------------------------------------------------------------------------------------------- */

static void count(double value, const double *bounds, size_t n_bounds, int64_t *counts) {
    size_t bucket = 0;
    while (bucket < n_bounds && bounds[bucket] < value) {
        bucket++;
    }
    counts[bucket]++;
}

void kernel_count_durations(const kernel_ledger *ledger, const double *bounds_s, size_t n_bounds, int64_t *counts) {
    for (size_t i = 0; i < ledger->n_entries; i++) {
        count((double)ledger->entries[i].nanoseconds / 1e9, bounds_s, n_bounds, counts);
    }
}

void kernel_count_payloads(const kernel_ledger *ledger, const double *bounds, size_t n_bounds, int64_t *counts) {
    for (size_t i = 0; i < ledger->n_entries; i++) {
        count((double)ledger->entries[i].bytes_in, bounds, n_bounds, counts);
    }
}

/* ---- logging -------------------------------------------------------------------------------------------- */

size_t kernel_line_capacity(const uint8_t *template, size_t length, size_t time_length) {
    size_t n_fields = 0;
    for (size_t i = 0; i < length; i++) {
        n_fields += template[i] < KERNEL_FIELDS_END;
        if (template[i] == 0 || n_fields > KERNEL_MAX_FIELDS) {
            return 0;
        }
    }
    return length + n_fields * (KERNEL_MAX_TAG + time_length) + 1;
}

static uint8_t *write_field(const kernel_ledger *ledger, const kernel_entry *entry, uint8_t field, uint8_t *out) {
    switch (field) {
    case KERNEL_FIELD_RECORDS:
        return write_digits(out, entry->n_records, 10, 1);
    case KERNEL_FIELD_BYTES_IN:
        return write_digits(out, entry->bytes_in, 10, 1);
    case KERNEL_FIELD_BYTES_OUT:
        return write_digits(out, entry->bytes_out, 10, 1);
    case KERNEL_FIELD_MS_2:
        return write_ms(out, entry->nanoseconds, 2);
    case KERNEL_FIELD_MS_3:
        return write_ms(out, entry->nanoseconds, 3);
    case KERNEL_FIELD_REQUEST_ID:
        return write_id(out, ledger, entry->number);
    case KERNEL_FIELD_TAG:
        return write_bytes(out, entry->tag, entry->tag_length);
    default:
        return out;
    }
}

/* What is copied, and the field after it; 0 after the last. */
typedef struct {
    const uint8_t *text;
    size_t length;
    uint8_t field;
} piece;

static size_t split(const uint8_t *template, size_t length, piece *pieces) {
    size_t n = 0, begin = 0;
    for (size_t i = 0; i <= length; i++) {
        if (i == length || template[i] < KERNEL_FIELDS_END) {
            pieces[n].text = template + begin;
            pieces[n].length = i - begin;
            pieces[n++].field = i == length ? 0 : template[i];
            begin = i + 1;
        }
    }
    return n;
}

uint8_t *kernel_write_lines(const kernel_ledger *ledger, const uint8_t *template, size_t length, const uint8_t *time,
                            size_t time_length, uint8_t *out) {
    piece pieces[KERNEL_MAX_FIELDS + 1];
    size_t n_pieces = split(template, length, pieces);
    for (size_t i = 0; i < ledger->n_entries; i++) {
        for (size_t j = 0; j < n_pieces; j++) {
            out = write_bytes(out, pieces[j].text, pieces[j].length);
            out = pieces[j].field == KERNEL_FIELD_TIME
                      ? write_bytes(out, time, time_length)
                      : write_field(ledger, &ledger->entries[i], pieces[j].field, out);
        }
    }
    return out;
}

void kernel_ledger_clear(kernel_ledger *ledger) {
    ledger->n_entries = 0;
    memset(ledger->clusters, 0, (size_t)ledger->n_clusters * sizeof *ledger->clusters);
    memset(ledger->bins, 0, sizeof ledger->bins);
    ledger->n_clusters = ledger->n_bins[0] = ledger->n_bins[1] = 0;
}
