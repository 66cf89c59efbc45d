/* The graph's inputs and outputs. */
#ifndef THAW_IO_ONNX_PORTS_H
#define THAW_IO_ONNX_PORTS_H

#include "io/onnx/convert.h"

/* Counts the outputs that are kept as uses of their values. */
thaw_status thaw_onnx_want_outputs(struct thaw_onnx_converter *cv);
/* Makes node 0, and the values of the graph's inputs. */
thaw_status thaw_onnx_make_inputs(struct thaw_onnx_converter *cv);
/* After the last operator: the result's ports, document and weights. */
thaw_status thaw_onnx_make_outputs(struct thaw_onnx_converter *cv);

#endif
