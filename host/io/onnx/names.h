/* Names of Thaw nodes, out of those that exporters give. */
#ifndef THAW_IO_ONNX_NAMES_H
#define THAW_IO_ONNX_NAMES_H

#include "io/onnx/convert.h"

/* Finds the leading parts of paths that all nodes share ("StatefulPartitionedCall/vgg16/"), which
 * names leave out, and sorts the paths to look things up in them. */
thaw_status thaw_onnx_find_common_names(struct thaw_onnx_converter *cv);

/* "layer1.0.conv1" of "/layer1/layer1.0/conv1/Conv", "block1_conv1" of
 * "vgg16/block1_conv1/Conv2D". NULL when out of memory. */
const char *thaw_onnx_base_name(struct thaw_onnx_converter *cv, const Thaw__Onnx__NodeProto *node);

#endif
