/* What the activation ops share: y = f(x) element by element, and dX = dY f'(x), where f' is
 * computed from the output where that is possible (so that the op may work in place) or else from
 * the input. Kernels: cl/activation.cl, built with -DACT=<name>. */
#ifndef THAW_OPS_ACTIVATION_H
#define THAW_OPS_ACTIVATION_H

#include "ops/op.h"

/* The parts of struct thaw_op; `activation` of the op, found by its type, says which function. */
thaw_status thaw_activation_parse_none(const thaw_yaml *node, void *ret_attrs);
thaw_status thaw_activation_infer_from_output(const void *attrs, const struct thaw_layout *in,
                                              int input_count, const struct thaw_device_caps *caps,
                                              struct thaw_op_spec *ret_spec);
thaw_status thaw_activation_infer_from_input(const void *attrs, const struct thaw_layout *in,
                                             int input_count, const struct thaw_device_caps *caps,
                                             struct thaw_op_spec *ret_spec);
thaw_status thaw_activation_prepare(struct thaw_op_call *call, const struct thaw_op *op,
                                    bool from_output);
thaw_status thaw_activation_forward(const struct thaw_op_call *call,
                                    const struct thaw_op_step *step);
thaw_status thaw_activation_backward(const struct thaw_op_call *call,
                                     const struct thaw_op_step *step);
void thaw_activation_release(struct thaw_op_call *call);

#endif
