/* Where an imported network can be cut: its bottleneck and its stages. */
#ifndef THAW_IO_ONNX_STAGES_H
#define THAW_IO_ONNX_STAGES_H

#include "core/text.h"
#include "io/onnx/convert.h"

/* The node that the classifier reads: what goes into the last linear layer (or, without one, the
 * last convolution), before its dropout. */
int thaw_onnx_find_features(const struct thaw_onnx_converter *cv, int output);

/* Appends `stages: [...]`: a stage ends where the network is a single map and the next such map is
 * smaller. */
thaw_status thaw_onnx_write_stages(struct thaw_onnx_converter *cv, int features,
                                   struct thaw_text *text);

#endif
