/* Offer the kernel to Python: a Labeller for each model, which answers payloads with the lock released. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"

#define INTERFACE 2 /* service/serving/kernel.py asks for this one */

/* Shorter payloads take less time than it may take to get the interpreter's lock back. */
#define RELEASING_BYTES (64 * 1024)

typedef struct {
    PyObject_HEAD
    kernel_model model;
} labeller;

static void free_model(kernel_model *model) {
    PyMem_Free(model->x);
    PyMem_Free(model->y);
    PyMem_Free(model->ids);
    PyMem_Free(model->texts[KERNEL_WRITE_JSON]);
    PyMem_Free(model->texts[KERNEL_WRITE_LINES]);
}

static void labeller_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    free_model(&((labeller *)self)->model);
    release(self);
    Py_DECREF(type);
}

static int fill_cluster(kernel_model *model, Py_ssize_t i, PyObject *centroid, PyObject *id_object) {
    static const char *const SEPARATORS[2] = {", ", "\n"};
    long id = PyLong_AsLong(id_object);
    if (id == -1 && PyErr_Occurred()) {
        return 0;
    }
    if (!PyTuple_Check(centroid)) {
        PyErr_SetString(PyExc_TypeError, "a centroid must be a tuple of two numbers");
        return 0;
    }
    if (!PyArg_ParseTuple(centroid, "dd", &model->x[i], &model->y[i])) {
        return 0;
    }
    for (int media = 0; media < 2; media++) {
        kernel_text *text = &model->texts[media][i];
        if (id > INT32_MAX || id < 0 || !kernel_write_text(text, (int32_t)id, SEPARATORS[media])) {
            PyErr_SetString(PyExc_ValueError, "an id must be from 0 to 999999999");
            return 0;
        }
        if ((size_t)text->bytes[KERNEL_TEXT_BYTES - 1] > model->widest) {
            model->widest = (size_t)text->bytes[KERNEL_TEXT_BYTES - 1];
        }
    }
    model->ids[i] = (int32_t)id;
    return 1;
}

static int fill_model(kernel_model *model, PyObject *centroids, PyObject *ids) {
    Py_ssize_t n = PyTuple_Size(centroids);
    if (n < 1 || n > KERNEL_MAX_CLUSTERS || PyTuple_Size(ids) != n) {
        PyErr_Format(PyExc_ValueError, "there must be 1 to %d centroids, each with an id", KERNEL_MAX_CLUSTERS);
        return 0;
    }
    model->n_clusters = (int)n;
    model->x = PyMem_Calloc((size_t)n, sizeof *model->x);
    model->y = PyMem_Calloc((size_t)n, sizeof *model->y);
    model->ids = PyMem_Calloc((size_t)n, sizeof *model->ids);
    for (int media = 0; media < 2; media++) {
        model->texts[media] = PyMem_Calloc((size_t)n, sizeof *model->texts[media]);
    }
    if (!model->x || !model->y || !model->ids || !model->texts[0] || !model->texts[1]) {
        PyErr_NoMemory();
        return 0;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        if (!fill_cluster(model, i, PyTuple_GetItem(centroids, i), PyTuple_GetItem(ids, i))) {
            return 0;
        }
    }
    return 1;
}

/* Read the edges of one feature's bins, None to count none. */
static int fill_edges(kernel_model *model, int feature, PyObject *edges) {
    Py_ssize_t n;
    if (edges == Py_None) {
        return 1;
    }
    if (!PyTuple_Check(edges)) {
        PyErr_SetString(PyExc_TypeError, "edges must be a tuple of numbers, or None");
        return 0;
    }
    n = PyTuple_Size(edges);
    if (n >= KERNEL_MAX_BINS) {
        PyErr_Format(PyExc_ValueError, "there must be at most %d edges", KERNEL_MAX_BINS - 1);
        return 0;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        double edge = PyFloat_AsDouble(PyTuple_GetItem(edges, i));
        if (edge == -1.0 && PyErr_Occurred()) {
            return 0;
        }
        model->edges[feature][i] = edge;
    }
    model->n_bins[feature] = (int)n + 1;
    return 1;
}

static PyObject *labeller_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    PyObject *self, *centroids, *ids, *ages, *powers;
    kernel_model model = {0};
    if (kwargs && PyDict_Size(kwargs)) {
        PyErr_SetString(PyExc_TypeError, "Labeller takes no keywords");
        return NULL;
    }
    if (!PyArg_ParseTuple(args, "(dd)(dd)pO!O!OO:Labeller", &model.mean[0], &model.mean[1], &model.scale[0],
                          &model.scale[1], &model.is_log1p, &PyTuple_Type, &centroids, &PyTuple_Type, &ids, &ages,
                          &powers)) {
        return NULL;
    }
    if (!fill_model(&model, centroids, ids) || !fill_edges(&model, 0, ages) || !fill_edges(&model, 1, powers) ||
        !(self = allocate(type, 0))) {
        free_model(&model);
        return NULL;
    }
    ((labeller *)self)->model = model;
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

static int read_arguments(kernel_payload *payload, PyObject *const *args, Py_ssize_t n_args) {
    Py_ssize_t numbers[4], length, offset;
    char *text;
    if (n_args != 5) {
        PyErr_SetString(PyExc_TypeError, "answer takes body, reader, media, kind and offset");
        return 0;
    }
    if (PyBytes_AsStringAndSize(args[0], &text, &length) < 0) {
        return 0;
    }
    for (int i = 0; i < 4; i++) {
        numbers[i] = PyLong_AsSsize_t(args[i + 1]);
        if (numbers[i] == -1 && PyErr_Occurred()) {
            return 0;
        }
    }
    offset = numbers[3];
    if (numbers[0] < 0 || numbers[0] >= KERNEL_READERS || numbers[1] < 0 || numbers[1] >= KERNEL_MEDIA ||
        numbers[2] < 0 || numbers[2] >= KERNEL_KINDS || offset < 0 || offset > length) {
        PyErr_SetString(PyExc_ValueError, "reader, media, kind or offset is out of range");
        return 0;
    }
    payload->reader = (enum kernel_reader)numbers[0];
    payload->media = (enum kernel_media)numbers[1];
    payload->kind = (enum kernel_kind)numbers[2];
    payload->text = (const uint8_t *)text + offset;
    payload->length = (size_t)(length - offset);
    return 1;
}

static PyObject *labeller_answer(PyObject *self, PyObject *const *args, Py_ssize_t n_args) {
    const kernel_model *model = &((labeller *)self)->model;
    kernel_payload payload;
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
     "answer(body, reader, media, kind, offset)\n--\n\n"
     "Return the answer's bytes, the number of records, and int64 counts by cluster, by bin of the first and by\n"
     "bin of the second feature; None for a payload that is not plain."},
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
    .basicsize = sizeof(labeller),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = labeller_slots,
};

static int module_exec(PyObject *module) {
    static const char *const READERS[] = {"READ_JSON", "READ_JSON_LINES", "READ_CSV", "READ_ARRAY"};
    static const char *const MEDIA[] = {"WRITE_JSON", "WRITE_LINES", "WRITE_NPY"};
    static const char *const KINDS[] = {"<f4", "<f8", "|i1", "<i2", "<i4", "<i8", "|u1", "<u2", "<u4", "<u8"};
    PyObject *type = PyType_FromModuleAndSpec(module, &labeller_spec, NULL);
    PyObject *kinds = PyDict_New();
    if (!type || !kinds || PyModule_AddObjectRef(module, "Labeller", type) < 0 ||
        PyModule_AddObjectRef(module, "KINDS", kinds) < 0) {
        Py_XDECREF(type);
        Py_XDECREF(kinds);
        return -1;
    }
    Py_DECREF(type);
    Py_DECREF(kinds);
    for (int i = 0; i < KERNEL_READERS; i++) {
        if (PyModule_AddIntConstant(module, READERS[i], i) < 0) {
            return -1;
        }
    }
    for (int i = 0; i < KERNEL_MEDIA; i++) {
        if (PyModule_AddIntConstant(module, MEDIA[i], i) < 0) {
            return -1;
        }
    }
    for (int i = 0; i < KERNEL_KINDS; i++) {
        PyObject *number = PyLong_FromLong(i);
        int failed = !number || PyDict_SetItemString(kinds, KINDS[i], number) < 0;
        Py_XDECREF(number);
        if (failed) {
            return -1;
        }
    }
    return PyModule_AddIntConstant(module, "INTERFACE", INTERFACE);
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, (void *)module_exec},
#ifdef Py_GIL_DISABLED
    {Py_mod_gil, Py_MOD_GIL_NOT_USED}, /* a Labeller never changes */
#endif
    {0, NULL},
};

static struct PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "segserve_kernel",
    .m_doc = "Label plain records in one pass: text or numbers in, the answer's bytes out.",
    .m_slots = module_slots,
};

PyMODINIT_FUNC PyInit_segserve_kernel(void) { return PyModuleDef_Init(&module_definition); }
