/* Transposed convolution: what backward-data of a convolution computes, with bias:
 *
 *   y[n,o,oy,ox] = b[o] + sum over i, ky, kx with oy = iy*s-p+ky*d (and ox alike) of
 *                  x[n,i,iy,ix] w[i,o,ky,kx]
 *   dx[n,i,iy,ix] = sum over o, ky, kx of dy[n,o,iy*s-p+ky*d,ix*s-p+kx*d] w[i,o,ky,kx]
 *   dw = the convolution's weight gradient with dy for its input and x for its output's gradient
 *
 * and db as in conv. An output has (in - 1) * s + (kernel - 1) * d + 1 - pads + output_pad pixels.
 * The weight is (I, O/groups, KH, KW), as PyTorch and ONNX store it.
 *
 * Attributes (pairs: a number or [vertical, horizontal]): those of conv but for `pad: same`, and
 *   output_pad   pair: pixels added below and to the right, less than stride or dilation (0) */
#include "ops/conv_common.h"
#include "ops/export.h"
#include "ops/parse.h"
#include "ops/walk.h"

struct attrs {
    struct thaw_conv_attrs conv;
    int output_pad[2];
};

static thaw_status parse(const thaw_yaml *node, void *ret_attrs) {
    static const char *const keys[] = {"out",      "kernel", "stride", "pad",
                                       "dilation", "groups", "bias",   "output_pad"};
    struct attrs attrs = {{0}};
    const thaw_yaml *map = NULL;
    THAW_TRY(thaw_op_parse_map(node, keys, sizeof keys / sizeof *keys, &map));
    THAW_TRY(thaw_conv_op_parse(node, map, false, &attrs.conv));
    THAW_TRY(thaw_op_parse_pair(map, "output_pad", 0, THAW_CONV_EXTENT_MAX, attrs.output_pad));
    for (int axis = 0; axis < 2; axis++)
        if (attrs.output_pad[axis] >= attrs.conv.stride[axis] &&
            attrs.output_pad[axis] >= attrs.conv.dilation[axis])
            return thaw_yaml_fail(thaw_yaml_get(map, "output_pad"),
                                  "'output_pad': expected less than the stride, %d, or the "
                                  "dilation, %d, found %d",
                                  attrs.conv.stride[axis], attrs.conv.dilation[axis],
                                  attrs.output_pad[axis]);
    *(struct attrs *)ret_attrs = attrs;
    return THAW_OK;
}

static int64_t out_size(const struct attrs *attrs, int axis, int size) {
    const struct thaw_conv_attrs *a = &attrs->conv;
    return (int64_t)(size - 1) * a->stride[axis] +
           (int64_t)(a->kernel[axis] - 1) * a->dilation[axis] + 1 - a->pad[axis] -
           a->pad[axis + 2] + attrs->output_pad[axis];
}

/* The convolution that leads from the output to the input. */
static thaw_status make_geometry(const struct attrs *attrs, const struct thaw_layout *in,
                                 const struct thaw_device_caps *caps,
                                 struct thaw_conv_geometry *ret_geometry) {
    const struct thaw_conv_attrs *a = &attrs->conv;
    int groups = 0, out = 0;
    THAW_TRY(thaw_walk_check_blocks(in, 1, caps));
    THAW_TRY(thaw_conv_op_channels(a, in->c, &groups, &out));
    int64_t h = out_size(attrs, 0, in->h), w = out_size(attrs, 1, in->w);
    if (h < 1 || w < 1 || h > THAW_CONV_EXTENT_MAX || w > THAW_CONV_EXTENT_MAX)
        return thaw_fail(THAW_ERROR_INPUT,
                         "a map of %d x %d would become one of %lld x %lld (expected 1 to %d)",
                         in->h, in->w, (long long)h, (long long)w, THAW_CONV_EXTENT_MAX);
    struct thaw_shape shape = {in->n, out, (int)h, (int)w};
    *ret_geometry = (struct thaw_conv_geometry){
        .x = thaw_layout_make(shape, caps->block, 0),
        .y = *in,
        .w = thaw_conv_filter(in->c, out, a->kernel[0], a->kernel[1], groups, caps->block, caps),
        .groups = groups,
        .stride_h = a->stride[0],
        .stride_w = a->stride[1],
        .dilation_h = a->dilation[0],
        .dilation_w = a->dilation[1],
        .pad_top = a->pad[THAW_PAD_TOP],
        .pad_left = a->pad[THAW_PAD_LEFT],
    };
    return THAW_OK;
}

static thaw_status infer(const void *attrs_, const struct thaw_layout *in, int input_count,
                         const struct thaw_device_caps *caps, struct thaw_op_spec *ret_spec) {
    (void)input_count;
    const struct attrs *attrs = attrs_;
    struct thaw_conv_geometry geometry;
    THAW_TRY(make_geometry(attrs, in, caps, &geometry));
    thaw_conv_op_infer(&geometry, true, attrs->conv.bias, ret_spec);
    return THAW_OK;
}

static thaw_status prepare(struct thaw_op_call *call) {
    struct thaw_conv_geometry geometry;
    THAW_TRY(make_geometry(call->attrs, &call->in[0].layout, thaw_device_get_caps(call->device),
                           &geometry));
    return thaw_conv_op_prepare(call, &geometry, true);
}

static thaw_status onnx(struct thaw_export_call *call) {
    const struct attrs *attrs = call->attrs;
    thaw_conv_op_onnx(call, "ConvTranspose", &attrs->conv, attrs->conv.pad);
    THAW_EXPORT_INTS(call, "output_padding", attrs->output_pad[0], attrs->output_pad[1]);
    return THAW_OK;
}

const struct thaw_op thaw_op_conv_transpose = {
    .type = "conv_transpose",
    .summary = "transposed convolution",
    .attrs_size = sizeof(struct attrs),
    .inputs_min = 1,
    .inputs_max = 1,
    .parse = parse,
    .infer = infer,
    .prepare = prepare,
    .forward = thaw_conv_op_forward,
    .backward = thaw_conv_op_backward,
    .release = thaw_conv_op_release,
    .conv_problem = thaw_conv_op_problem,
    .onnx = onnx,
};
