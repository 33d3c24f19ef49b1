/* Read a number as JSON spells it, rounded correctly: to the double that is nearest, ties to even. */
#ifndef SEGSERVE_KERNEL_NUMBER_H
#define SEGSERVE_KERNEL_NUMBER_H

#include <stdint.h>

/* Return what follows the number, NULL where it is not plain: signs, more than 19 digits, far exponents. */
const uint8_t *kernel_number(const uint8_t *text, double *value);

#endif
