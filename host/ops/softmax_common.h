/* What softmax and log_softmax share. Along one axis (its places j, k), for every place of the
 * others:
 *
 *   softmax      y[k] = exp(x[k] - max x) / sum over j of exp(x[j] - max x)
 *                dx[k] = y[k] (dy[k] - sum over j of dy[j] y[j])
 *   log_softmax  y[k] = x[k] - max x - log sum over j of exp(x[j] - max x)
 *                dx[k] = dy[k] - exp(y[k]) sum over j of dy[j]
 *
 * Attributes: axis (channels). For training, softmax_cross_entropy takes logits. */
#ifndef THAW_OPS_SOFTMAX_COMMON_H
#define THAW_OPS_SOFTMAX_COMMON_H

#include "ops/export.h"
#include "ops/op.h"
#include "ops/parse.h"

struct thaw_softmax_attrs {
    enum thaw_axis axis;
    bool log;
};

thaw_status thaw_softmax_parse(const thaw_yaml *node, bool log, void *ret_attrs);
thaw_status thaw_softmax_infer(const void *attrs, const struct thaw_layout *in, int input_count,
                               const struct thaw_device_caps *caps, struct thaw_op_spec *ret_spec);
thaw_status thaw_softmax_prepare(struct thaw_op_call *call);
thaw_status thaw_softmax_forward(const struct thaw_op_call *call, const struct thaw_op_step *step);
thaw_status thaw_softmax_backward(const struct thaw_op_call *call, const struct thaw_op_step *step);
thaw_status thaw_softmax_onnx(struct thaw_export_call *call);

#define THAW_SOFTMAX_PARTS                                                                         \
    .attrs_size = sizeof(struct thaw_softmax_attrs), .inputs_min = 1, .inputs_max = 1,             \
    .infer = thaw_softmax_infer, .prepare = thaw_softmax_prepare, .forward = thaw_softmax_forward, \
    .backward = thaw_softmax_backward, .onnx = thaw_softmax_onnx

#endif
