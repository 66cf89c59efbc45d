/* What conv, conv_transpose and linear share: attributes, three directions of one convolution, the
 * gradient of the bias, and the parameters. */
#ifndef THAW_OPS_CONV_COMMON_H
#define THAW_OPS_CONV_COMMON_H

#include "ops/export.h"
#include "ops/op.h"

#define THAW_CONV_EXTENT_MAX 65535 /* of kernels, strides, paddings and maps */

struct thaw_conv_attrs {
    int out; /* 0: as many as the input has */
    int kernel[2], stride[2], dilation[2];
    int pad[4]; /* as thaw_op_parse_pads orders it */
    bool same;  /* pad: same */
    int groups; /* 0: depthwise */
    bool bias;
};

/* Reads out (required but for groups: depthwise), kernel (required), stride (1), dilation (1), pad
 * (0; also `same` if `same` is set), groups (1) and bias (true) from a mapping whose keys have been
 * checked. */
thaw_status thaw_conv_op_parse(const thaw_yaml *node, const thaw_yaml *map, bool same,
                               struct thaw_conv_attrs *ret_attrs);

/* Groups and output channels for an input of so many channels; fails if they do not divide. */
thaw_status thaw_conv_op_channels(const struct thaw_conv_attrs *attrs, int in_channels,
                                  int *ret_groups, int *ret_out);

/* A transposed convolution maps y of `geometry` to its x: it is a convolution that runs backwards,
 * with input and output exchanged.
 *
 * Fills parameters (weight, and bias if `bias`), output shape, halos and flops of the convolution
 * `geometry` (whose layouts have no halo yet) into ret_spec. */
void thaw_conv_op_infer(const struct thaw_conv_geometry *geometry, bool transposed, bool bias,
                        struct thaw_op_spec *ret_spec);

/* `geometry` needs w and what follows it; the layouts are taken from the call. Only the directions
 * that the call asks for are created. */
thaw_status thaw_conv_op_prepare(struct thaw_op_call *call,
                                 const struct thaw_conv_geometry *geometry, bool transposed);
thaw_status thaw_conv_op_forward(const struct thaw_op_call *call, const struct thaw_op_step *step);
thaw_status thaw_conv_op_backward(const struct thaw_op_call *call, const struct thaw_op_step *step);
void thaw_conv_op_release(struct thaw_op_call *call);
bool thaw_conv_op_problem(const struct thaw_op_call *call, enum thaw_conv_direction direction,
                          struct thaw_conv_problem *ret_problem);

/* ONNX's Conv or ConvTranspose with its weights and attributes; `pad` as thaw_op_parse_pads orders
 * it. */
void thaw_conv_op_onnx(struct thaw_export_call *call, const char *type,
                       const struct thaw_conv_attrs *attrs, const int pad[4]);

#endif
