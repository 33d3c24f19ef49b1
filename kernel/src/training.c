/* Offer to Python what reads, sums up and clusters customers, with the interpreter's lock released. */
#include "training.h"

#include <stdatomic.h>
#include <string.h>

#include "customers.h"
#include "distances.h"
#include "kinds.h"
#include "lloyd.h"

/* ---- buffers -------------------------------------------------------------------------------------------- */

/* Get a contiguous buffer whose items have so many bytes. */
static int get_buffer(PyObject *object, Py_buffer *view, int flags, size_t item_bytes) {
    if (PyObject_GetBuffer(object, view, flags) < 0) {
        view->obj = NULL;
        return 0;
    }
    if ((uintptr_t)view->buf % item_bytes || (size_t)view->len % item_bytes) {
        PyErr_SetString(PyExc_ValueError, "a buffer is not made of aligned numbers of the right size");
        return 0;
    }
    return 1;
}

static void release_buffers(Py_buffer *views, int n) {
    for (int i = 0; i < n; i++) {
        if (views[i].obj) {
            PyBuffer_Release(&views[i]);
        }
    }
}

/* ---- summing -------------------------------------------------------------------------------------------- */

typedef struct {
    PyObject_HEAD
    kernel_sums sums;
    atomic_flag is_busy; /* while the lock is released */
} sums_object;

static PyObject *sums_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    PyObject *self;
    if (PyTuple_Size(args) || (kwargs && PyDict_Size(kwargs))) {
        PyErr_SetString(PyExc_TypeError, "Sums takes no arguments");
        return NULL;
    }
    if (!(self = allocate(type, 0))) {
        return NULL;
    }
    atomic_flag_clear(&((sums_object *)self)->is_busy);
    if (!kernel_sums_begin(&((sums_object *)self)->sums)) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    return self;
}

static void sums_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    kernel_sums_end(&((sums_object *)self)->sums);
    release(self);
    Py_DECREF(type);
}

/* Keep other threads out until it is given back. */
static kernel_sums *borrow(PyObject *self) {
    if (atomic_flag_test_and_set(&((sums_object *)self)->is_busy)) {
        PyErr_SetString(PyExc_RuntimeError, "another thread is adding to these sums");
        return NULL;
    }
    return &((sums_object *)self)->sums;
}

static void give_back(PyObject *self) { atomic_flag_clear(&((sums_object *)self)->is_busy); }

static PyObject *sums_add(PyObject *self, PyObject *args) {
    PyObject *objects[KERNEL_COLUMNS + 1], *done = NULL;
    Py_buffer views[KERNEL_COLUMNS + 1] = {{0}};
    const double *values[KERNEL_COLUMNS];
    kernel_sums *sums;
    if (!PyArg_ParseTuple(args, "OOOO:add", &objects[0], &objects[1], &objects[2], &objects[3])) {
        return NULL;
    }
    for (int i = 0; i <= KERNEL_COLUMNS; i++) {
        int flags = i < KERNEL_COLUMNS ? PyBUF_SIMPLE : PyBUF_WRITABLE;
        if (!get_buffer(objects[i], &views[i], flags, sizeof(double))) {
            goto done;
        }
        if (views[i].len != views[0].len) {
            PyErr_SetString(PyExc_ValueError, "ages, incomes, purchases and hashes must be of one length");
            goto done;
        }
    }
    for (int column = 0; column < KERNEL_COLUMNS; column++) {
        values[column] = views[column].buf;
    }
    if (!(sums = borrow(self))) {
        goto done;
    }
    {
        int is_added;
        Py_BEGIN_ALLOW_THREADS
        is_added = kernel_sums_add(sums, values, (size_t)views[0].len / sizeof(double), views[KERNEL_COLUMNS].buf);
        Py_END_ALLOW_THREADS
        done = is_added ? Py_NewRef(Py_None) : PyErr_NoMemory();
    }
    give_back(self);
done:
    release_buffers(views, KERNEL_COLUMNS + 1);
    return done;
}

/* ---- reading and summing -------------------------------------------------------------------------------- */

static int set_lines(kernel_lines *lines, const Py_buffer *text, Py_ssize_t delimiter, Py_ssize_t width,
                     const Py_ssize_t *places) {
    static const char PARTS_OF_NUMBERS[] = "0123456789.eE+-\r\n";
    if (delimiter <= 0 || delimiter > 127 || strchr(PARTS_OF_NUMBERS, (int)delimiter)) {
        PyErr_SetString(PyExc_ValueError, "the delimiter must be an ASCII character that no number holds");
        return 0;
    }
    for (int column = 0; column < KERNEL_COLUMNS; column++) {
        if (places[column] < 0 || places[column] >= width) {
            PyErr_SetString(PyExc_ValueError, "a place is not within the row");
            return 0;
        }
        lines->places[column] = (size_t)places[column];
    }
    lines->text = text->buf;
    lines->length = (size_t)text->len;
    if (lines->length && lines->text[lines->length - 1] != '\n') {
        PyErr_SetString(PyExc_ValueError, "the text must end with a line feed");
        return 0;
    }
    lines->delimiter = (uint8_t)delimiter;
    lines->width = (size_t)width;
    return 1;
}

static PyObject *tuple_of(const kernel_found *found) {
    const kernel_buffer *buffers[] = {&found->drawn,   &found->drawn_lines,   &found->plain_lines, &found->no_incomes,
                                      &found->missing, &found->missing_lines, &found->odd,         &found->odd_lines};
    enum { N_NUMBERS = 5, N_BUFFERS = sizeof buffers / sizeof *buffers };
    const size_t numbers[N_NUMBERS] = {found->length, found->n_rows, found->n_plain, found->n_no_purchases,
                                       (size_t)found->has_more_plain};
    PyObject *tuple = PyTuple_New(N_NUMBERS + N_BUFFERS);
    for (Py_ssize_t i = 0; tuple && i < N_NUMBERS + N_BUFFERS; i++) {
        const kernel_buffer *buffer = i < N_NUMBERS ? NULL : buffers[i - N_NUMBERS];
        PyObject *item = buffer ? PyBytes_FromStringAndSize((const char *)buffer->bytes, (Py_ssize_t)buffer->length)
                                : PyLong_FromSize_t(numbers[i]);
        if (!item || PyTuple_SetItem(tuple, i, item) < 0) {
            Py_CLEAR(tuple);
        }
    }
    return tuple;
}

static PyObject *sums_add_lines(PyObject *self, PyObject *args) {
    PyObject *object, *done = NULL;
    Py_buffer view = {0};
    Py_ssize_t delimiter, width, places[KERNEL_COLUMNS], most_drawn;
    long long below;
    int wants_plain, is_added;
    kernel_lines lines;
    kernel_found found = {0};
    kernel_sums *sums;
    if (!PyArg_ParseTuple(args, "Onn(nnn)Lnp:add_lines", &object, &delimiter, &width, &places[0], &places[1],
                          &places[2], &below, &most_drawn, &wants_plain)) {
        return NULL;
    }
    if (most_drawn < 1) {
        PyErr_SetString(PyExc_ValueError, "there must be room for who is drawn");
        return NULL;
    }
    if (!get_buffer(object, &view, PyBUF_SIMPLE, 1) || !set_lines(&lines, &view, delimiter, width, places) ||
        !(sums = borrow(self))) {
        goto done;
    }
    Py_BEGIN_ALLOW_THREADS
    is_added = kernel_sums_add_lines(sums, &lines, below, (size_t)most_drawn, wants_plain, &found);
    Py_END_ALLOW_THREADS
    give_back(self);
    done = is_added ? tuple_of(&found) : PyErr_NoMemory();
    kernel_found_end(&found);
done:
    release_buffers(&view, 1);
    return done;
}

/* Read what a column is: its values, what tells which are there, where it begins, and the kind of its numbers. */
static int get_numbers(PyObject *object, size_t n, Py_buffer views[2], kernel_numbers *numbers) {
    PyObject *values, *is_there;
    Py_ssize_t offset;
    int kind;
    size_t end;
    if (!PyTuple_Check(object)) {
        PyErr_SetString(PyExc_TypeError, "a column is a tuple");
        return 0;
    }
    if (!PyArg_ParseTuple(object, "OOni:column", &values, &is_there, &offset, &kind) ||
        !get_buffer(values, &views[0], PyBUF_SIMPLE, 1) ||
        (is_there != Py_None && !get_buffer(is_there, &views[1], PyBUF_SIMPLE, 1))) {
        return 0;
    }
    if (kind < 0 || kind >= KERNEL_KINDS || offset < 0 || (size_t)offset > SIZE_MAX / 16 - n) {
        PyErr_SetString(PyExc_ValueError, "a column's kind or offset is out of range");
        return 0;
    }
    end = (size_t)offset + n;
    if ((size_t)views[0].len < end * kernel_size_of((enum kernel_kind)kind) ||
        (views[1].obj && (size_t)views[1].len < (end + 7) / 8)) {
        PyErr_SetString(PyExc_ValueError, "a column's buffers are too short");
        return 0;
    }
    numbers->values = views[0].buf;
    numbers->is_there = views[1].obj ? views[1].buf : NULL;
    numbers->offset = (size_t)offset;
    numbers->kind = (enum kernel_kind)kind;
    return 1;
}

static PyObject *sums_add_columns(PyObject *self, PyObject *args) {
    PyObject *objects[KERNEL_COLUMNS], *done = NULL;
    Py_buffer views[2 * KERNEL_COLUMNS] = {{0}};
    kernel_numbers columns[KERNEL_COLUMNS];
    Py_ssize_t n;
    long long below;
    int wants_plain, is_added;
    kernel_found found = {0};
    kernel_sums *sums;
    if (!PyArg_ParseTuple(args, "nOOOLp:add_columns", &n, &objects[0], &objects[1], &objects[2], &below, &wants_plain)) {
        return NULL;
    }
    if (n < 0 || (size_t)n > SIZE_MAX / 32) {
        PyErr_SetString(PyExc_ValueError, "there cannot be so many rows");
        return NULL;
    }
    for (int column = 0; column < KERNEL_COLUMNS; column++) {
        if (!get_numbers(objects[column], (size_t)n, &views[2 * column], &columns[column])) {
            goto done;
        }
    }
    if (!(sums = borrow(self))) {
        goto done;
    }
    Py_BEGIN_ALLOW_THREADS
    is_added = kernel_sums_add_columns(sums, columns, (size_t)n, below, wants_plain, &found);
    Py_END_ALLOW_THREADS
    give_back(self);
    done = is_added ? tuple_of(&found) : PyErr_NoMemory();
    kernel_found_end(&found);
done:
    release_buffers(views, 2 * KERNEL_COLUMNS);
    return done;
}

static PyObject *sums_cells(PyObject *self, PyObject *nothing) {
    kernel_sums *sums = borrow(self);
    PyObject *bytes;
    (void)nothing;
    if (!sums) {
        return NULL;
    }
    bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(sums->n_cells * sizeof *sums->slots));
    if (bytes) {
        kernel_cell *cells = (kernel_cell *)(void *)PyBytes_AsString(bytes);
        for (size_t i = 0; i < sums->n_slots; i++) {
            if (sums->slots[i].n != 0) {
                memcpy(cells++, &sums->slots[i], sizeof *cells);
            }
        }
    }
    give_back(self);
    return bytes;
}

static PyObject *sums_incomes(PyObject *self, PyObject *nothing) {
    static const Py_ssize_t N_BYTES = (Py_ssize_t)(KERNEL_INCOME_CELLS * sizeof(int64_t));
    kernel_sums *sums = borrow(self);
    PyObject *incomes;
    (void)nothing;
    if (!sums) {
        return NULL;
    }
    incomes = Py_BuildValue("(y#y#)", (const char *)sums->income_counts, N_BYTES, (const char *)sums->income_sums,
                            N_BYTES);
    give_back(self);
    return incomes;
}

static PyMethodDef sums_methods[] = {
    {"add", sums_add, METH_VARARGS,
     "add(ages, incomes, purchases, hashes)\n--\n\n"
     "Fill int64 hashes of usable customers, all float64, and sum up those whose Income is not NaN."},
    {"add_lines", sums_add_lines, METH_VARARGS,
     "add_lines(text, delimiter, width, places, below, most_drawn, wants_plain)\n--\n\n"
     "Read whole lines without quotes and add the plain rows. Return the bytes read, and the rows, plain rows, plain\n"
     "rows without Purchases among these; 0 where it is not worth it to read on. Then, as bytes: of plain rows with a\n"
     "hash below, float64 Age, Income, Purchases and int64 hash, and their lines; the lines of all plain rows, if\n"
     "wanted; float64 Age and Purchases of those without Income; int64 row and kind of rows without Age or Purchases,\n"
     "and their lines; the same of the odd rows. Stops early where about so many are drawn."},
    {"add_columns", sums_add_columns, METH_VARARGS,
     "add_columns(n, ages, incomes, purchases, below, wants_plain)\n--\n\n"
     "Add the plain rows of n, as add_lines does, and return the same; lines are int64 numbers of rows. A column is a\n"
     "tuple: its buffer of values and that of its validity bits, or None, where both begin, and one of KINDS."},
    {"cells", sums_cells, METH_NOARGS,
     "cells()\n--\n\nReturn rows of 8 int64, in any order: cell, n, u, u^2, v, v^2, Income and Purchases."},
    {"incomes", sums_incomes, METH_NOARGS,
     "incomes()\n--\n\nReturn int64 counts, and int64 sums in units, of the customers by steps of Income."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot sums_slots[] = {
    {Py_tp_doc, "Sums()\n--\n\nSum customers up in cells."},
    {Py_tp_new, (void *)sums_new},
    {Py_tp_dealloc, (void *)sums_dealloc},
    {Py_tp_methods, sums_methods},
    {0, NULL},
};

static PyType_Spec sums_spec = {
    .name = "segserve_kernel.Sums",
    .basicsize = sizeof(sums_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = sums_slots,
};

/* ---- k-means -------------------------------------------------------------------------------------------- */

enum { X, Y, WEIGHTS, CX, CY, NEAREST, COUNTS, SUMS_X, SUMS_Y, STEP_BUFFERS };

/* Tell whether the buffers hold so many data sets of n records and k centroids. */
static int are_of_shape(const Py_buffer *views, size_t n_sets, size_t n, size_t k) {
    for (int i = 0; i < STEP_BUFFERS; i++) {
        size_t size = i == X || i == Y || i == WEIGHTS || i == NEAREST ? n : k;
        if (views[i].obj && (size_t)views[i].len != n_sets * size * sizeof(double)) {
            return 0;
        }
    }
    return 1;
}

static PyObject *lloyd_step(PyObject *module, PyObject *args) {
    PyObject *objects[STEP_BUFFERS], *done = NULL;
    Py_buffer views[STEP_BUFFERS] = {{0}};
    Py_ssize_t n_sets;
    size_t n, k;
    (void)module;
    if (!PyArg_ParseTuple(args, "nOOOOOOOOO:lloyd_step", &n_sets, &objects[X], &objects[Y], &objects[WEIGHTS],
                          &objects[CX], &objects[CY], &objects[NEAREST], &objects[COUNTS], &objects[SUMS_X],
                          &objects[SUMS_Y])) {
        return NULL;
    }
    for (int i = 0; i < STEP_BUFFERS; i++) {
        if (i == WEIGHTS && objects[i] == Py_None) {
            continue;
        }
        if (!get_buffer(objects[i], &views[i], i < NEAREST ? PyBUF_SIMPLE : PyBUF_WRITABLE, sizeof(double))) {
            goto done;
        }
    }
    if (n_sets < 1) {
        PyErr_SetString(PyExc_ValueError, "there must be a data set");
        goto done;
    }
    n = (size_t)views[X].len / sizeof(double) / (size_t)n_sets;
    k = (size_t)views[CX].len / sizeof(double) / (size_t)n_sets;
    if (k < 1 || !are_of_shape(views, (size_t)n_sets, n, k)) {
        PyErr_SetString(PyExc_ValueError, "the buffers do not hold as many records and clusters as each other");
        goto done;
    }
    Py_BEGIN_ALLOW_THREADS
    for (size_t set = 0; set < (size_t)n_sets; set++) {
        kernel_step step = {
            .x = (double *)views[X].buf + set * n,
            .y = (double *)views[Y].buf + set * n,
            .weights = views[WEIGHTS].obj ? (double *)views[WEIGHTS].buf + set * n : NULL,
            .cx = (double *)views[CX].buf + set * k,
            .cy = (double *)views[CY].buf + set * k,
            .nearest = (double *)views[NEAREST].buf + set * n,
            .counts = (double *)views[COUNTS].buf + set * k,
            .sums_x = (double *)views[SUMS_X].buf + set * k,
            .sums_y = (double *)views[SUMS_Y].buf + set * k,
        };
        kernel_lloyd_step(&step, n, k);
    }
    Py_END_ALLOW_THREADS
    done = Py_NewRef(Py_None);
done:
    release_buffers(views, STEP_BUFFERS);
    return done;
}

static PyObject *approach(PyObject *module, PyObject *args) {
    enum { TO_X, TO_Y, OF_X, OF_Y, CLOSEST, SQUARED, SUMS, BUFFERS };
    PyObject *objects[BUFFERS], *done = NULL;
    Py_buffer views[BUFFERS] = {{0}};
    size_t n_sets, n;
    (void)module;
    if (!PyArg_ParseTuple(args, "OOOOOOO:approach", &objects[TO_X], &objects[TO_Y], &objects[OF_X], &objects[OF_Y],
                          &objects[CLOSEST], &objects[SQUARED], &objects[SUMS])) {
        return NULL;
    }
    for (int i = 0; i < BUFFERS; i++) {
        if (!get_buffer(objects[i], &views[i], i < SQUARED ? PyBUF_SIMPLE : PyBUF_WRITABLE, sizeof(double))) {
            goto done;
        }
    }
    n_sets = (size_t)views[OF_X].len / sizeof(double);
    n = n_sets ? (size_t)views[TO_X].len / sizeof(double) / n_sets : 0;
    for (int i = 0; i < BUFFERS; i++) {
        int is_of_sets = i == OF_X || i == OF_Y || i == SUMS;
        if ((size_t)views[i].len != n_sets * (is_of_sets ? 1 : n) * sizeof(double)) {
            PyErr_SetString(PyExc_ValueError, "the buffers do not hold as many data sets and records as each other");
            goto done;
        }
    }
    Py_BEGIN_ALLOW_THREADS
    for (size_t set = 0; set < n_sets; set++) {
        const double *x = (double *)views[TO_X].buf + set * n, *y = (double *)views[TO_Y].buf + set * n;
        ((double *)views[SUMS].buf)[set] =
            kernel_approach(x, y, n, ((double *)views[OF_X].buf)[set], ((double *)views[OF_Y].buf)[set],
                            (double *)views[CLOSEST].buf + set * n, (double *)views[SQUARED].buf + set * n);
    }
    Py_END_ALLOW_THREADS
    done = Py_NewRef(Py_None);
done:
    release_buffers(views, BUFFERS);
    return done;
}

/* Tell whether the borders ascend from 0 to n. */
static int are_borders(const Py_buffer *borders, size_t n) {
    const int64_t *places = borders->buf;
    size_t k = (size_t)borders->len / sizeof *places;
    int ascend = k > 1 && places[0] == 0 && (uint64_t)places[k - 1] == n;
    for (size_t cluster = 1; ascend && cluster < k; cluster++) {
        ascend = places[cluster - 1] <= places[cluster];
    }
    return ascend;
}

static PyObject *sum_distances(PyObject *module, PyObject *args) {
    enum { OF_X, OF_Y, BORDERS, SUMS, BUFFERS };
    PyObject *objects[BUFFERS], *done = NULL;
    Py_buffer views[BUFFERS] = {{0}};
    size_t n, k;
    (void)module;
    if (!PyArg_ParseTuple(args, "OOOO:sum_distances", &objects[OF_X], &objects[OF_Y], &objects[BORDERS],
                          &objects[SUMS])) {
        return NULL;
    }
    for (int i = 0; i < BUFFERS; i++) {
        if (!get_buffer(objects[i], &views[i], i < SUMS ? PyBUF_SIMPLE : PyBUF_WRITABLE, sizeof(double))) {
            goto done;
        }
    }
    n = (size_t)views[OF_X].len / sizeof(double);
    if (views[OF_Y].len != views[OF_X].len || !are_borders(&views[BORDERS], n)) {
        PyErr_SetString(PyExc_ValueError, "the borders do not divide the records");
        goto done;
    }
    k = (size_t)views[BORDERS].len / sizeof(int64_t) - 1;
    if ((size_t)views[SUMS].len != n * k * sizeof(double)) {
        PyErr_SetString(PyExc_ValueError, "there must be room for a sum for each record and cluster");
        goto done;
    }
    Py_BEGIN_ALLOW_THREADS
    kernel_sum_distances(views[OF_X].buf, views[OF_Y].buf, n, views[BORDERS].buf, k, views[SUMS].buf);
    Py_END_ALLOW_THREADS
    done = Py_NewRef(Py_None);
done:
    release_buffers(views, BUFFERS);
    return done;
}

/* ---- the module ----------------------------------------------------------------------------------------- */

static PyMethodDef functions[] = {
    {"lloyd_step", lloyd_step, METH_VARARGS,
     "lloyd_step(n_sets, x, y, weights, cx, cy, nearest, counts, sums_x, sums_y)\n--\n\n"
     "Assign the records of many data sets to the centroids of each; all float64.\n"
     "Fills the squared distance of each record to its centroid, and the customers and sums of each cluster.\n"
     "Weights of None mean that each record is one customer."},
    {"approach", approach, METH_VARARGS,
     "approach(x, y, cx, cy, closest, squared, sums)\n--\n\n"
     "Fill in the squared distance of each record to the closest centroid with one more for each data set, and the\n"
     "sum of these for each data set; all float64."},
    {"sum_distances", sum_distances, METH_VARARGS,
     "sum_distances(x, y, borders, sums)\n--\n\n"
     "Fill in the sum of the distances of each record to all of each cluster; all float64 but the borders, int64."},
    {NULL, NULL, 0, NULL},
};

int add_training(PyObject *module) {
    static const char *const KIND_NAMES[] = {"PLAIN", "NO_AGE", "NO_PURCHASES", "ODD"};
    PyObject *type = PyType_FromModuleAndSpec(module, &sums_spec, NULL);
    int failed = !type || PyModule_AddObjectRef(module, "Sums", type) < 0;
    Py_XDECREF(type);
    for (int kind = KERNEL_PLAIN; !failed && kind <= KERNEL_ODD; kind++) {
        failed = PyModule_AddIntConstant(module, KIND_NAMES[kind], kind) < 0;
    }
    return failed || PyModule_AddFunctions(module, functions) < 0 ? -1 : 0;
}
