/* Make a model of what Python says of it, and say what holds one. */
#ifndef SEGSERVE_KERNEL_MODEL_H
#define SEGSERVE_KERNEL_MODEL_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "core.h"

typedef struct {
    PyObject_HEAD
    kernel_model model;
} labeller_object;

typedef struct {
    PyObject *labeller_type;
} module_state;

/* Fill a model from (mean, scale, is_log1p, centroids, ids, ages, powers); 0 where that fails. */
int begin_model(kernel_model *model, PyObject *args);
void end_model(kernel_model *model);

#endif
