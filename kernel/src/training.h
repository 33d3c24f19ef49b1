/* What the extension offers to training, beside the Labeller of module.c. */
#ifndef SEGSERVE_KERNEL_TRAINING_H
#define SEGSERVE_KERNEL_TRAINING_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* Add read_rows, Sums, lloyd_step and their constants to the module; -1 where that fails. */
int add_training(PyObject *module);

#endif
