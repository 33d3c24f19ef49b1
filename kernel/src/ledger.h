/* What the extension offers to the protocol, beside the Labeller of module.c. */
#ifndef SEGSERVE_KERNEL_LEDGER_H
#define SEGSERVE_KERNEL_LEDGER_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* Add Ledger and the fields of its log lines to the module; -1 where that fails. */
int add_ledger(PyObject *module);

#endif
