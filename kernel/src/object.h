/* Read a record that is a JSON object. */
#ifndef SEGSERVE_KERNEL_OBJECT_H
#define SEGSERVE_KERNEL_OBJECT_H

#include <stdint.h>

/* Return what follows an object, NULL where it is not plain. `at` is behind its opening brace.
 *
 * Beside what makes up a record it may hold strings, numbers, booleans and nulls by other names, but nothing that has
 * parts of its own. Where it stands in a line, a line feed is no blank. */
const uint8_t *kernel_object(const uint8_t *at, int is_in_line, double *age, double *power);

/* Return what follows a name and its colon, NULL where another name stands there. */
const uint8_t *kernel_name(const uint8_t *at, const char *name);

#endif
