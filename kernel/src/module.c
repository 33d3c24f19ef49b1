/* Offer the kernel to Python: a Labeller for each model, which answers payloads with the lock released. */
#include <stdlib.h>
#include <string.h>

#include "ledger.h"
#include "model.h"
#include "training.h"

#define INTERFACE 8 /* service/compiled.py asks for this one */

/* Shorter payloads take less time than it may take to get the interpreter's lock back. */
#define RELEASING_BYTES (64 * 1024)

static void labeller_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    end_model(&((labeller_object *)self)->model);
    release(self);
    Py_DECREF(type);
}

static PyObject *labeller_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    PyObject *self;
    kernel_model model;
    if (kwargs && PyDict_Size(kwargs)) {
        PyErr_SetString(PyExc_TypeError, "Labeller takes no keywords");
        return NULL;
    }
    if (!begin_model(&model, args)) {
        return NULL;
    }
    if (!(self = allocate(type, 0))) {
        end_model(&model);
        return NULL;
    }
    ((labeller_object *)self)->model = model;
    return self;
}

/* Return the answer's bytes; copied, for the limited API cannot shrink an object. */
static PyObject *to_bytes(const kernel_result *result, int is_releasing) {
    PyObject *answer = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)result->length);
    char *to = answer ? PyBytes_AsString(answer) : NULL;
    if (!to) {
        return NULL;
    }
    if (is_releasing) {
        Py_BEGIN_ALLOW_THREADS
        memcpy(to, result->answer, result->length);
        Py_END_ALLOW_THREADS
    } else {
        memcpy(to, result->answer, result->length);
    }
    return answer;
}

/* Turn the result into what Python gets. */
static PyObject *pack(const kernel_result *result, const kernel_model *model, int is_releasing) {
    PyObject *answer = to_bytes(result, is_releasing);
    if (!answer) {
        return NULL;
    }
    return Py_BuildValue("(Nny#y#y#)", answer, (Py_ssize_t)result->n_records, (const char *)result->counts,
                         (Py_ssize_t)((size_t)model->n_clusters * sizeof *result->counts),
                         (const char *)result->bins[0], (Py_ssize_t)((size_t)model->n_bins[0] * sizeof **result->bins),
                         (const char *)result->bins[1],
                         (Py_ssize_t)((size_t)model->n_bins[1] * sizeof **result->bins));
}

/* Give memory back; that of a large answer goes to the system page by page, so without the lock. */
static void release(kernel_result *result, int is_releasing) {
    if (is_releasing) {
        Py_BEGIN_ALLOW_THREADS
        free(result->answer);
        Py_END_ALLOW_THREADS
    } else {
        free(result->answer);
    }
    free(result->counts);
}

/* Read what a table's columns hold. */
static int read_columns(kernel_payload *payload, PyObject *columns) {
    char *bytes;
    Py_ssize_t n;
    if (PyBytes_AsStringAndSize(columns, &bytes, &n) < 0) {
        return 0;
    }
    if (n < 2) {
        PyErr_SetString(PyExc_ValueError, "a table has two columns or more");
        return 0;
    }
    payload->columns = (const uint8_t *)bytes;
    payload->n_columns = (size_t)n;
    return 1;
}

static int read_kind(kernel_payload *payload, PyObject *kind) {
    Py_ssize_t number = PyLong_AsSsize_t(kind);
    if (number == -1 && PyErr_Occurred()) {
        return 0;
    }
    if (number < 0 || number >= KERNEL_KINDS) {
        PyErr_SetString(PyExc_ValueError, "kind is out of range");
        return 0;
    }
    payload->kind = (enum kernel_kind)number;
    return 1;
}

static int read_arguments(kernel_payload *payload, PyObject *const *args, Py_ssize_t n_args) {
    Py_ssize_t numbers[3], length;
    char *text;
    if (n_args != 5) {
        PyErr_SetString(PyExc_TypeError, "answer takes body, reader, media, offset and detail");
        return 0;
    }
    if (PyBytes_AsStringAndSize(args[0], &text, &length) < 0) {
        return 0;
    }
    for (int i = 0; i < 3; i++) {
        numbers[i] = PyLong_AsSsize_t(args[i + 1]);
        if (numbers[i] == -1 && PyErr_Occurred()) {
            return 0;
        }
    }
    if (numbers[0] < 0 || numbers[0] >= KERNEL_READERS || numbers[1] < 0 || numbers[1] >= KERNEL_MEDIA ||
        numbers[2] < 0 || numbers[2] > length) {
        PyErr_SetString(PyExc_ValueError, "reader, media or offset is out of range");
        return 0;
    }
    payload->reader = (enum kernel_reader)numbers[0];
    payload->media = (enum kernel_media)numbers[1];
    payload->text = (const uint8_t *)text + numbers[2];
    payload->length = (size_t)(length - numbers[2]);
    switch (payload->reader) {
    case KERNEL_READ_TABLE: return read_columns(payload, args[4]);
    case KERNEL_READ_ARRAY: return read_kind(payload, args[4]);
    default: return 1;
    }
}

static PyObject *labeller_answer(PyObject *self, PyObject *const *args, Py_ssize_t n_args) {
    const kernel_model *model = &((labeller_object *)self)->model;
    kernel_payload payload = {0};
    kernel_result result = {0};
    enum kernel_status status;
    PyObject *packed = NULL;
    int is_releasing;
    if (!read_arguments(&payload, args, n_args)) {
        return NULL;
    }
    is_releasing = payload.length > RELEASING_BYTES;
    result.capacity = kernel_capacity(model, &payload);
    result.answer = malloc(result.capacity);
    result.counts = calloc((size_t)model->n_clusters, sizeof *result.counts);
    if (!result.answer || !result.counts) {
        PyErr_NoMemory();
    } else {
        if (is_releasing) {
            Py_BEGIN_ALLOW_THREADS
            status = kernel_answer(model, &payload, &result); /* the body is borrowed: the caller holds it */
            Py_END_ALLOW_THREADS
        } else {
            status = kernel_answer(model, &payload, &result);
        }
        packed = status == KERNEL_ANSWERED ? pack(&result, model, is_releasing) : Py_NewRef(Py_None);
    }
    release(&result, is_releasing);
    return packed;
}

static PyMethodDef labeller_methods[] = {
    {"answer", (PyCFunction)(void (*)(void))labeller_answer, METH_FASTCALL,
     "answer(body, reader, media, offset, detail)\n--\n\n"
     "Return the answer's bytes, the number of records, and int64 counts by cluster, by bin of the first and by\n"
     "bin of the second feature; None for a payload that is not plain. Records begin at the offset. The detail is\n"
     "the kind of an array's numbers, one of KINDS, or a byte of COLUMNS for each column of a table, or None."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot labeller_slots[] = {
    {Py_tp_doc, "Labeller(mean, scale, is_log1p, centroids, ids, ages, powers)\n--\n\nAnswer payloads with a model's labels."},
    {Py_tp_new, (void *)labeller_new},
    {Py_tp_dealloc, (void *)labeller_dealloc},
    {Py_tp_methods, labeller_methods},
    {0, NULL},
};

static PyType_Spec labeller_spec = {
    .name = "segserve_kernel.Labeller",
    .basicsize = sizeof(labeller_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = labeller_slots,
};

/* Add a dictionary of names to numbers from 0 on. */
static int add_numbers(PyObject *module, const char *name, const char *const *names, int n) {
    PyObject *numbers = PyDict_New();
    int failed = !numbers || PyModule_AddObjectRef(module, name, numbers) < 0;
    for (int i = 0; i < n && !failed; i++) {
        PyObject *number = PyLong_FromLong(i);
        failed = !number || PyDict_SetItemString(numbers, names[i], number) < 0;
        Py_XDECREF(number);
    }
    Py_XDECREF(numbers);
    return failed ? -1 : 0;
}

static int add_constants(PyObject *module, const char *const *names, int n) {
    for (int i = 0; i < n; i++) {
        if (PyModule_AddIntConstant(module, names[i], i) < 0) {
            return -1;
        }
    }
    return 0;
}

static int module_exec(PyObject *module) {
    static const char *const READERS[] = {"READ_JSON", "READ_JSON_LINES", "READ_CSV", "READ_TABLE", "READ_ARRAY"};
    static const char *const MEDIA[] = {"WRITE_JSON", "WRITE_LINES", "WRITE_NPY"};
    static const char *const KINDS[] = {"<f4", "<f8", "|i1", "<i2", "<i4", "<i8", "|u1", "<u2", "<u4", "<u8"};
    static const char *const COLUMNS[] = {"Age", "Spending_Power", "Income", "Purchases", ""};
    module_state *state = PyModule_GetState(module);
    PyObject *type = PyType_FromModuleAndSpec(module, &labeller_spec, NULL);
    if (!type || PyModule_AddObjectRef(module, "Labeller", type) < 0) {
        Py_XDECREF(type);
        return -1;
    }
    state->labeller_type = type;
    if (add_constants(module, READERS, KERNEL_READERS) < 0 || add_constants(module, MEDIA, KERNEL_MEDIA) < 0 ||
        add_numbers(module, "KINDS", KINDS, KERNEL_KINDS) < 0 ||
        add_numbers(module, "COLUMNS", COLUMNS, KERNEL_VALUES + 1) < 0 || add_ledger(module) < 0 ||
        add_training(module) < 0) {
        return -1;
    }
    return PyModule_AddIntConstant(module, "INTERFACE", INTERFACE);
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, (void *)module_exec},
#ifdef Py_GIL_DISABLED
    {Py_mod_gil, Py_MOD_GIL_NOT_USED}, /* a Labeller never changes; a Ledger and Sums keep other threads out */
#endif
    {0, NULL},
};

static int module_traverse(PyObject *module, visitproc visit, void *arg) {
    Py_VISIT(((module_state *)PyModule_GetState(module))->labeller_type);
    return 0;
}

static int module_clear(PyObject *module) {
    Py_CLEAR(((module_state *)PyModule_GetState(module))->labeller_type);
    return 0;
}

static struct PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "segserve_kernel",
    .m_size = sizeof(module_state),
    .m_traverse = module_traverse,
    .m_clear = module_clear,
    .m_doc = "Label plain records, and sum up plain customers, in one pass.",
    .m_slots = module_slots,
};

PyMODINIT_FUNC PyInit_segserve_kernel(void) { return PyModuleDef_Init(&module_definition); }
