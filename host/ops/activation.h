/* What the activation ops share: y = f(x) element by element, and dX = dY f'(x), where f' is
 * computed from the output where that is possible (so that the op may work in place) or else from
 * the input. An op is a description of its function, which stands in cl/activation.cl, or in
 * cl/common.cl if epilogues of convolutions compute it, too. */
#ifndef THAW_OPS_ACTIVATION_H
#define THAW_OPS_ACTIVATION_H

#include "ops/export.h"
#include "ops/op.h"

#define THAW_ACTIVATION_PARAMETERS_MAX 2

struct thaw_activation_parameter {
    const char *key;           /* in YAML */
    double low, high, initial; /* its range, and its value where the YAML gives none */
    const char *onnx;          /* the attribute's name in ONNX; NULL: the key */
};

struct thaw_activation_kind {
    const char *function; /* act_<function> and slope_<function> */
    bool fused;           /* an epilogue may compute it: the op's `activation`, parameter 0 */
    bool from_output;     /* f' is computed from y */
    struct thaw_activation_parameter parameters[THAW_ACTIVATION_PARAMETERS_MAX];
    const char *onnx; /* the operator; NULL when it is not one */
};

struct thaw_activation_attrs {
    const struct thaw_activation_kind *kind;
    float parameters[THAW_ACTIVATION_PARAMETERS_MAX];
};

/* Reads the parameters of `kind`, which must be static. */
thaw_status thaw_activation_parse(const thaw_yaml *node, const struct thaw_activation_kind *kind,
                                  void *ret_attrs);

/* The parts of struct thaw_op; attrs are struct thaw_activation_attrs. */
thaw_status thaw_activation_infer(const void *attrs, const struct thaw_layout *in, int input_count,
                                  const struct thaw_device_caps *caps,
                                  struct thaw_op_spec *ret_spec);
thaw_status thaw_activation_prepare(struct thaw_op_call *call);
thaw_status thaw_activation_forward(const struct thaw_op_call *call,
                                    const struct thaw_op_step *step);
thaw_status thaw_activation_backward(const struct thaw_op_call *call,
                                     const struct thaw_op_step *step);
bool thaw_activation_fusable(const void *attrs);
float thaw_activation_parameter(const void *attrs);

#define THAW_ACTIVATION_PARTS                                                                      \
    .attrs_size = sizeof(struct thaw_activation_attrs), .inputs_min = 1, .inputs_max = 1,          \
    .infer = thaw_activation_infer, .prepare = thaw_activation_prepare,                            \
    .forward = thaw_activation_forward, .backward = thaw_activation_backward,                      \
    .fusable = thaw_activation_fusable, .activation_parameter = thaw_activation_parameter

/* The hook `onnx` of kinds that are an operator of ONNX with the same parameters. */
thaw_status thaw_activation_onnx(struct thaw_export_call *call);

#endif
