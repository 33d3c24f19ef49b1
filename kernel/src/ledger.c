/* Offer to Python what answers a whole request at once, and what it has counted and logged since it was asked last. */
#include "ledger.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"
#include "response.h"

typedef struct {
    PyObject_HEAD
    kernel_ledger *ledger;
    PyObject *tags[KERNEL_MAX_ENTRIES]; /* of its entries */
    atomic_flag is_busy;
} ledger_object;

static PyObject *ledger_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    const char *prefix;
    Py_ssize_t prefix_length;
    ledger_object *self;
    if (kwargs && PyDict_Size(kwargs)) {
        PyErr_SetString(PyExc_TypeError, "Ledger takes no keywords");
        return NULL;
    }
    if (!PyArg_ParseTuple(args, "y#:Ledger", &prefix, &prefix_length)) {
        return NULL;
    }
    if (prefix_length != KERNEL_PREFIX_BYTES) {
        PyErr_Format(PyExc_ValueError, "the prefix must have %d bytes", KERNEL_PREFIX_BYTES);
        return NULL;
    }
    if (!(self = (ledger_object *)allocate(type, 0))) {
        return NULL;
    }
    atomic_flag_clear(&self->is_busy);
    if (!(self->ledger = malloc(sizeof *self->ledger))) { /* of the buffer, what is not used is never touched */
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    kernel_ledger_begin(self->ledger, prefix);
    return (PyObject *)self;
}

static void release_tags(ledger_object *self) {
    for (size_t i = 0; i < self->ledger->n_entries; i++) {
        Py_CLEAR(self->tags[i]);
    }
}

static void ledger_dealloc(PyObject *object) {
    ledger_object *self = (ledger_object *)object;
    PyTypeObject *type = Py_TYPE(object);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    if (self->ledger) {
        release_tags(self);
        free(self->ledger);
    }
    release(object);
    Py_DECREF(type);
}

/* ---- answering ------------------------------------------------------------------------------------------ */

static int read_bytes(PyObject *object, const uint8_t **text, size_t *length) {
    char *bytes;
    Py_ssize_t n;
    if (PyBytes_AsStringAndSize(object, &bytes, &n) < 0) {
        return 0;
    }
    *text = (const uint8_t *)bytes;
    *length = (size_t)n;
    return 1;
}

static int read_request(kernel_request *request, PyObject *const *args, Py_ssize_t n_args) {
    Py_ssize_t numbers[3];
    if (n_args != 8) {
        PyErr_SetString(PyExc_TypeError, "respond takes labeller, request, head, length, reader, media, answer_head, tag");
        return 0;
    }
    for (int i = 0; i < 3; i++) {
        numbers[i] = PyLong_AsSsize_t(args[i + 3]);
        if (numbers[i] == -1 && PyErr_Occurred()) {
            return 0;
        }
    }
    if (numbers[0] < 0 || numbers[1] < 0 || numbers[1] >= KERNEL_READ_TABLE || numbers[2] < 0 ||
        numbers[2] >= KERNEL_MEDIA) {
        PyErr_SetString(PyExc_ValueError, "length, reader or media is out of range");
        return 0;
    }
    request->body_length = (size_t)numbers[0];
    request->reader = (enum kernel_reader)numbers[1];
    request->media = (enum kernel_media)numbers[2];
    return read_bytes(args[1], &request->text, &request->length) &&
           read_bytes(args[2], &request->head, &request->head_length) &&
           read_bytes(args[6], &request->answer_head, &request->answer_head_length) &&
           read_bytes(args[7], &request->tag, &request->tag_length);
}

/* Return the model of a Labeller; NULL where it is something else. */
static const kernel_model *model_of(ledger_object *self, PyObject *object) {
    const module_state *state = PyModule_GetState(PyType_GetModule(Py_TYPE((PyObject *)self)));
    if ((PyObject *)Py_TYPE(object) != state->labeller_type) {
        PyErr_SetString(PyExc_TypeError, "respond takes a Labeller");
        return NULL;
    }
    return &((labeller_object *)object)->model;
}

static PyObject *ledger_respond(PyObject *object, PyObject *const *args, Py_ssize_t n_args) {
    ledger_object *self = (ledger_object *)object;
    kernel_request request;
    kernel_response response;
    const kernel_model *model;
    PyObject *answer;
    if (!read_request(&request, args, n_args) || !(model = model_of(self, args[0]))) {
        return NULL;
    }
    if (atomic_flag_test_and_set(&self->is_busy)) {
        Py_RETURN_NONE;
    }
    if (kernel_respond(self->ledger, model, &request, &response) == KERNEL_ANSWERED) {
        self->tags[self->ledger->n_entries - 1] = Py_NewRef(args[7]);
        answer = PyBytes_FromStringAndSize((const char *)response.text, (Py_ssize_t)response.length);
    } else {
        answer = Py_NewRef(Py_None);
    }
    atomic_flag_clear(&self->is_busy);
    return answer;
}

/* ---- counting and logging ------------------------------------------------------------------------------- */

/* Read ascending bounds of buckets; -1 where they are none. */
static Py_ssize_t read_bounds(PyObject *tuple, double *bounds) {
    Py_ssize_t n = PyTuple_Size(tuple);
    if (n > KERNEL_BOUNDS) {
        PyErr_Format(PyExc_ValueError, "there must be at most %d bounds", KERNEL_BOUNDS);
        return -1;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        bounds[i] = PyFloat_AsDouble(PyTuple_GetItem(tuple, i));
        if (bounds[i] == -1.0 && PyErr_Occurred()) {
            return -1;
        }
    }
    return n;
}

/* Return the log's lines, with what each has of its own in the place of the fields. */
static PyObject *make_lines(const kernel_ledger *ledger, const uint8_t *template, size_t length, const uint8_t *time,
                            size_t time_length) {
    size_t capacity = kernel_line_capacity(template, length, time_length);
    uint8_t *text;
    PyObject *lines;
    if (!capacity) {
        PyErr_Format(PyExc_ValueError, "a template must have at most %d fields, and no zeros", KERNEL_MAX_FIELDS);
        return NULL;
    }
    if (!(text = malloc(capacity * (ledger->n_entries + 1)))) {
        return PyErr_NoMemory();
    }
    capacity = (size_t)(kernel_write_lines(ledger, template, length, time, time_length, text) - text);
    lines = PyBytes_FromStringAndSize((const char *)text, (Py_ssize_t)capacity);
    free(text);
    return lines;
}

static PyObject *count_all(const kernel_ledger *ledger, const double *durations_s,
                           Py_ssize_t n_durations, const double *sizes, Py_ssize_t n_sizes, PyObject *lines) {
    int64_t by_duration[KERNEL_BOUNDS + 1] = {0}, by_size[KERNEL_BOUNDS + 1] = {0}, nanoseconds = 0;
    size_t bytes_in = 0, bytes_out = 0;
    kernel_count_durations(ledger, durations_s, (size_t)n_durations, by_duration);
    kernel_count_payloads(ledger, sizes, (size_t)n_sizes, by_size);
    for (size_t i = 0; i < ledger->n_entries; i++) {
        nanoseconds += ledger->entries[i].nanoseconds;
        bytes_in += ledger->entries[i].bytes_in;
        bytes_out += ledger->entries[i].bytes_out;
    }
    return Py_BuildValue("(ndnny#y#y#y#y#O)", (Py_ssize_t)ledger->n_entries, (double)nanoseconds / 1e9,
                         (Py_ssize_t)bytes_in, (Py_ssize_t)bytes_out, (const char *)by_duration,
                         (Py_ssize_t)((size_t)(n_durations + 1) * sizeof *by_duration), (const char *)by_size,
                         (Py_ssize_t)((size_t)(n_sizes + 1) * sizeof *by_size), (const char *)ledger->clusters,
                         (Py_ssize_t)((size_t)ledger->n_clusters * sizeof *ledger->clusters),
                         (const char *)ledger->bins[0], (Py_ssize_t)((size_t)ledger->n_bins[0] * sizeof **ledger->bins),
                         (const char *)ledger->bins[1], (Py_ssize_t)((size_t)ledger->n_bins[1] * sizeof **ledger->bins),
                         lines);
}

static PyObject *ledger_take(PyObject *object, PyObject *args) {
    ledger_object *self = (ledger_object *)object;
    PyObject *durations, *sizes, *lines, *taken;
    double durations_s[KERNEL_BOUNDS], size_bounds[KERNEL_BOUNDS];
    Py_ssize_t n_durations, n_sizes, template_length, time_length;
    const char *template, *time;
    if (!PyArg_ParseTuple(args, "O!O!y#y#:take", &PyTuple_Type, &durations, &PyTuple_Type, &sizes, &template,
                          &template_length, &time, &time_length)) {
        return NULL;
    }
    if ((n_durations = read_bounds(durations, durations_s)) < 0 || (n_sizes = read_bounds(sizes, size_bounds)) < 0) {
        return NULL;
    }
    if (atomic_flag_test_and_set(&self->is_busy)) {
        PyErr_SetString(PyExc_RuntimeError, "another thread is answering");
        return NULL;
    }
    lines = make_lines(self->ledger, (const uint8_t *)template, (size_t)template_length, (const uint8_t *)time,
                       (size_t)time_length);
    taken = lines ? count_all(self->ledger, durations_s, n_durations, size_bounds, n_sizes, lines) : NULL;
    Py_XDECREF(lines);
    if (taken) {
        release_tags(self);
        kernel_ledger_clear(self->ledger);
    }
    atomic_flag_clear(&self->is_busy);
    return taken;
}

static PyMethodDef ledger_methods[] = {
    {"respond", (PyCFunction)(void (*)(void))ledger_respond, METH_FASTCALL,
     "respond(labeller, request, head, length, reader, media, answer_head, tag)\n--\n\n"
     "Return the whole answer to a request with this head and a payload of this length; None where it is another\n"
     "request, its payload is not plain, or too much is kept. The answer's head ends with `x-request-id: `; the tag\n"
     "is for the log."},
    {"take", ledger_take, METH_VARARGS,
     "take(durations, sizes, template, time)\n--\n\n"
     "Return of all answers since the last time: how many, seconds, bytes in, bytes out; int64 counts by duration, by\n"
     "size of the payload, by cluster, by bin of the first and of the second feature; and lines for the log."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot ledger_slots[] = {
    {Py_tp_doc, "Ledger(prefix)\n--\n\nAnswer requests, and keep what is counted and logged of them."},
    {Py_tp_new, (void *)ledger_new},
    {Py_tp_dealloc, (void *)ledger_dealloc},
    {Py_tp_methods, ledger_methods},
    {0, NULL},
};

static PyType_Spec ledger_spec = {
    .name = "segserve_kernel.Ledger",
    .basicsize = sizeof(ledger_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = ledger_slots,
};

int add_ledger(PyObject *module) {
    static const char *const FIELDS[] = {"FIELD_TIME", "FIELD_RECORDS", "FIELD_BYTES_IN",  "FIELD_BYTES_OUT",
                                         "FIELD_MS_2", "FIELD_MS_3",    "FIELD_REQUEST_ID", "FIELD_TAG"};
    PyObject *type = PyType_FromModuleAndSpec(module, &ledger_spec, NULL);
    int failed = !type || PyModule_AddObjectRef(module, "Ledger", type) < 0 ||
                 PyModule_AddIntConstant(module, "MAX_BODY", KERNEL_MAX_BODY) < 0;
    Py_XDECREF(type);
    for (int field = KERNEL_FIELD_TIME; !failed && field < KERNEL_FIELDS_END; field++) {
        failed = PyModule_AddIntConstant(module, FIELDS[field - 1], field) < 0;
    }
    return failed ? -1 : 0;
}
