/* What the options, or the file, say of the model's name and of how pictures are normalised. */
#ifndef THAW_IO_ONNX_NORMALISATION_H
#define THAW_IO_ONNX_NORMALISATION_H

#include "io/onnx/convert.h"

/* Sets name, mean, std and knows_input. mean and std come from the options, else from the metadata
 * of a file that Thaw wrote, else they are 0 and 1. */
thaw_status thaw_onnx_read_options(struct thaw_onnx_converter *cv);

#endif
