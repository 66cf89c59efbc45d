/* IEEE 754 binary16 and back, as vstore_half and vload_half of OpenCL do it: rounded to nearest,
 * ties to even; what is too large becomes infinity; a NaN stays one. */
#ifndef THAW_CORE_HALF_H
#define THAW_CORE_HALF_H

#include <stdint.h>

/* The smallest magnitude that rounds to infinity: the largest half, 65504, and half a step. */
#define THAW_HALF_OVERFLOW 65520.0f

uint16_t thaw_half_from_float(float value);
float thaw_half_to_float(uint16_t half);

#endif
