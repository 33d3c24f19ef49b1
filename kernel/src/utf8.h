/* Step over text that nobody needs, and make sure that it is text. */
#ifndef SEGSERVE_KERNEL_UTF8_H
#define SEGSERVE_KERNEL_UTF8_H

#include <stdint.h>

/* Return what follows a JSON string, of which `at` is behind the opening quote; NULL where it is not plain: no UTF-8,
 * a control character, half a surrogate pair or a whole one in escapes. */
const uint8_t *kernel_string(const uint8_t *at);

/* Return where a cell of CSV ends, at a comma, a line's end or a 0; NULL where it is not plain: no UTF-8, a quote, a
 * control character, or more bytes than Python's csv module takes. */
const uint8_t *kernel_cell(const uint8_t *at);

#endif
