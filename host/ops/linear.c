/* A fully connected layer over the whole map:
 *
 *   y[n,o] = b[o] + sum over c, y, x of x[n,c,y,x] w[o, (c * H + y) * W + x]
 *
 * computed as the convolution whose kernel covers the map, so that nothing is rearranged. Or over
 * the channels of each pixel, a 1 x 1 convolution whose weight is (O, C) in files: what PyTorch
 * calls a linear layer on (N, H, W, C).
 *
 * Attributes: out (required), bias (true), per_pixel (false). */
#include "ops/conv_common.h"
#include "ops/export.h"
#include "ops/parse.h"

#define FEATURES_MAX (1 << 28)

struct attrs {
    int out;
    bool bias, per_pixel;
};

static thaw_status parse(const thaw_yaml *node, void *ret_attrs) {
    static const char *const keys[] = {"out", "bias", "per_pixel"};
    struct attrs attrs = {.bias = true};
    const thaw_yaml *map = NULL;
    THAW_TRY(thaw_op_parse_map(node, keys, 3, &map));
    THAW_TRY(thaw_op_parse_require(node, map, "out"));
    THAW_TRY(thaw_yaml_get_int(map, "out", 1, 1 << 20, &attrs.out));
    THAW_TRY(thaw_yaml_get_bool(map, "bias", &attrs.bias));
    THAW_TRY(thaw_yaml_get_bool(map, "per_pixel", &attrs.per_pixel));
    *(struct attrs *)ret_attrs = attrs;
    return THAW_OK;
}

static struct thaw_conv_geometry make_geometry(const struct attrs *attrs,
                                               const struct thaw_layout *in,
                                               const struct thaw_device_caps *caps) {
    bool pixel = attrs->per_pixel;
    struct thaw_shape shape = {in->n, attrs->out, pixel ? in->h : 1, pixel ? in->w : 1};
    int kh = pixel ? 1 : in->h, kw = pixel ? 1 : in->w;
    return (struct thaw_conv_geometry){
        .x = *in,
        .y = thaw_layout_make(shape, caps->block, 0),
        .w = thaw_conv_filter(attrs->out, in->c, kh, kw, 1, in->block, caps),
        .groups = 1,
        .stride_h = 1,
        .stride_w = 1,
        .dilation_h = 1,
        .dilation_w = 1,
    };
}

static thaw_status infer(const void *attrs_, const struct thaw_layout *in, int input_count,
                         const struct thaw_device_caps *caps, struct thaw_op_spec *ret_spec) {
    (void)input_count;
    const struct attrs *attrs = attrs_;
    if ((int64_t)in->c * in->h * in->w > FEATURES_MAX)
        return thaw_fail(THAW_ERROR_UNSUPPORTED, "%d x %d x %d inputs are more than %d", in->c,
                         in->h, in->w, FEATURES_MAX);
    struct thaw_conv_geometry geometry = make_geometry(attrs, in, caps);
    thaw_conv_op_infer(&geometry, false, attrs->bias, ret_spec);
    int fan_in = geometry.w.i * geometry.w.kh * geometry.w.kw;
    for (int i = 0; i < 2; i++) {
        ret_spec->params[i].init = THAW_INIT_LINEAR;
        ret_spec->params[i].fan = fan_in;
    }
    ret_spec->params[0].rank = 2;
    return THAW_OK;
}

static thaw_status prepare(struct thaw_op_call *call) {
    struct thaw_conv_geometry geometry =
        make_geometry(call->attrs, &call->in[0].layout, thaw_device_get_caps(call->device));
    return thaw_conv_op_prepare(call, &geometry, false);
}

static thaw_status onnx(struct thaw_export_call *call) {
    const struct attrs *attrs = call->attrs;
    const char *bias = call->param_count > 1 ? thaw_export_param(call, 1) : NULL;
    if (attrs->per_pixel) {
        const int64_t dims[4] = {attrs->out, call->in[0].c, 1, 1};
        THAW_EXPORT_NODE(call, "Conv", thaw_export_maps(call, 0),
                         thaw_export_param_as(call, 0, 4, dims), bias);
        return THAW_OK;
    }
    THAW_EXPORT_NODE(call, "Gemm", thaw_export_flat(call, 0), thaw_export_param(call, 0), bias);
    thaw_export_int(call, "transB", 1);
    call->flat = true;
    return THAW_OK;
}

const struct thaw_op thaw_op_linear = {
    .type = "linear",
    .summary = "fully connected layer",
    .attrs_size = sizeof(struct attrs),
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
