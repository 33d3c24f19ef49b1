#include "model.h"

#include <string.h>

void end_model(kernel_model *model) {
    PyMem_Free(model->x);
    PyMem_Free(model->y);
    PyMem_Free(model->ids);
    PyMem_Free(model->texts[KERNEL_WRITE_JSON]);
    PyMem_Free(model->texts[KERNEL_WRITE_LINES]);
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

int begin_model(kernel_model *model, PyObject *args) {
    PyObject *centroids, *ids, *ages, *powers;
    memset(model, 0, sizeof *model);
    if (!PyArg_ParseTuple(args, "(dd)(dd)pO!O!OO", &model->mean[0], &model->mean[1], &model->scale[0],
                          &model->scale[1], &model->is_log1p, &PyTuple_Type, &centroids, &PyTuple_Type, &ids, &ages,
                          &powers)) {
        return 0;
    }
    if (!fill_model(model, centroids, ids) || !fill_edges(model, 0, ages) || !fill_edges(model, 1, powers)) {
        end_model(model);
        return 0;
    }
    return 1;
}
