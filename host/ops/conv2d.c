/* Two-dimensional convolution (cross-correlation), with bias:
 *
 *   y[n,o,oy,ox] = b[o] + sum over i, ky, kx of x[n,i,oy*s-p+ky*d,ox*s-p+kx*d] w[o,i,ky,kx]
 *   dx, dw: the transposed sums (kernels/conv.h);  db[o] = sum over n, oy, ox of dy[n,o,oy,ox]
 *
 * Attributes (pairs: a number or [vertical, horizontal]):
 *   out       output channels (required, except with groups: depthwise: as many as the input has)
 *   kernel    pair (required)
 *   stride    pair (1);  dilation: pair (1)
 *   pad       a number, [v, h], [top, left, bottom, right], or `same`: TensorFlow's SAME,
 *             ceil(n/s) outputs, with the larger half of an odd padding below and to the right (0)
 *   groups    a number, or `depthwise`: one for each input channel (1)
 *   bias      true or false (true) */
#include "ops/conv_common.h"
#include "ops/export.h"
#include "ops/parse.h"

static thaw_status parse(const thaw_yaml *node, void *ret_attrs) {
    static const char *const keys[] = {"out",      "kernel", "stride", "pad",
                                       "dilation", "groups", "bias"};
    const thaw_yaml *map = NULL;
    THAW_TRY(thaw_op_parse_map(node, keys, sizeof keys / sizeof *keys, &map));
    return thaw_conv_op_parse(node, map, true, ret_attrs);
}

/* Output size and padding before of one axis (0 vertical, 1 horizontal); 0: the kernel does not
 * fit. */
static int out_size(const struct thaw_conv_attrs *attrs, int axis, int size, int *ret_before) {
    int64_t reach = (int64_t)(attrs->kernel[axis] - 1) * attrs->dilation[axis] + 1;
    int stride = attrs->stride[axis];
    if (attrs->same) {
        int out = (size + stride - 1) / stride;
        int64_t total = (int64_t)(out - 1) * stride + reach - size;
        *ret_before = total > 0 ? (int)(total / 2) : 0;
        return out;
    }
    *ret_before = attrs->pad[axis];
    int64_t room = (int64_t)size + attrs->pad[axis] + attrs->pad[axis + 2] - reach;
    return room < 0 ? 0 : (int)(room / stride) + 1;
}

static thaw_status make_geometry(const struct thaw_conv_attrs *attrs, const struct thaw_layout *in,
                                 const struct thaw_device_caps *caps,
                                 struct thaw_conv_geometry *ret_geometry) {
    int groups = 0, out = 0;
    THAW_TRY(thaw_conv_op_channels(attrs, in->c, &groups, &out));
    struct thaw_conv_geometry g = {.x = *in, .groups = groups};
    struct thaw_shape shape = {.n = in->n, .c = out};
    shape.h = out_size(attrs, 0, in->h, &g.pad_top);
    shape.w = out_size(attrs, 1, in->w, &g.pad_left);
    if (shape.h < 1 || shape.w < 1)
        return thaw_fail(THAW_ERROR_INPUT,
                         "a kernel of %d x %d (dilation %d x %d) does not fit into the padded map "
                         "of %d x %d",
                         attrs->kernel[0], attrs->kernel[1], attrs->dilation[0], attrs->dilation[1],
                         in->h + attrs->pad[0] + attrs->pad[2],
                         in->w + attrs->pad[1] + attrs->pad[3]);
    g.y = thaw_layout_make(shape, caps->block, 0);
    g.w = thaw_conv_filter(out, in->c, attrs->kernel[0], attrs->kernel[1], groups, in->block, caps);
    g.stride_h = attrs->stride[0];
    g.stride_w = attrs->stride[1];
    g.dilation_h = attrs->dilation[0];
    g.dilation_w = attrs->dilation[1];
    *ret_geometry = g;
    return THAW_OK;
}

static thaw_status infer(const void *attrs_, const struct thaw_layout *in, int input_count,
                         const struct thaw_device_caps *caps, struct thaw_op_spec *ret_spec) {
    (void)input_count;
    const struct thaw_conv_attrs *attrs = attrs_;
    struct thaw_conv_geometry geometry;
    THAW_TRY(make_geometry(attrs, in, caps, &geometry));
    thaw_conv_op_infer(&geometry, false, attrs->bias, ret_spec);
    return THAW_OK;
}

static thaw_status prepare(struct thaw_op_call *call) {
    struct thaw_conv_geometry geometry;
    THAW_TRY(make_geometry(call->attrs, &call->in[0].layout, thaw_device_get_caps(call->device),
                           &geometry));
    return thaw_conv_op_prepare(call, &geometry, false);
}

static thaw_status onnx(struct thaw_export_call *call) {
    const struct thaw_conv_attrs *a = call->attrs;
    int pad[4]; /* [top, left, bottom, right] */
    for (int axis = 0; axis < 2; axis++) {
        int in = axis ? call->in[0].w : call->in[0].h,
            reach = (a->kernel[axis] - 1) * a->dilation[axis] + 1;
        int out = out_size(a, axis, in, &pad[axis]);
        int needed = (out - 1) * a->stride[axis] + reach - in - pad[axis];
        pad[axis + 2] = a->same ? (needed > 0 ? needed : 0) : a->pad[axis + 2];
    }
    thaw_conv_op_onnx(call, "Conv", a, pad);
    return THAW_OK;
}

const struct thaw_op thaw_op_conv2d = {
    .type = "conv",
    .summary = "two-dimensional convolution",
    .attrs_size = sizeof(struct thaw_conv_attrs),
    .inputs_min = 1,
    .inputs_max = 1,
    .folds_norm = true,
    .fuses_activation = true,
    .parse = parse,
    .infer = infer,
    .prepare = prepare,
    .forward = thaw_conv_op_forward,
    .backward = thaw_conv_op_backward,
    .release = thaw_conv_op_release,
    .conv_problem = thaw_conv_op_problem,
    .onnx = onnx,
};
