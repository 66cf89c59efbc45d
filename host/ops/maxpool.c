/* The largest value of each window; padding counts as minus infinity:
 *
 *   y[n,c,oy,ox] = max over ky, kx of x[n,c,oy*s-p+ky*d,ox*s-p+kx*d]
 *   dx = the sum of dy over the windows in which x is the largest; of equal values the first in
 *        reading order takes the gradient, as in PyTorch
 *
 * Saved: which tap won, a byte for each output, two where windows have more than 256 taps.
 *
 * Attributes (pairs: a number or [vertical, horizontal]): kernel (required), stride (kernel), pad
 * (0; or [top, left, bottom, right]), dilation (1), ceil_mode (false). */
#include "ops/export.h"
#include "ops/parse.h"
#include "ops/pool.h"

static thaw_status parse(const thaw_yaml *node, void *ret_attrs) {
    static const char *const keys[] = {"kernel", "stride", "pad", "dilation", "ceil_mode"};
    const thaw_yaml *map = NULL;
    THAW_TRY(thaw_op_parse_map(node, keys, sizeof keys / sizeof *keys, &map));
    return thaw_pool_parse(node, map, ret_attrs);
}

static bool wide_winners(const struct thaw_pool_window *window) {
    return window->kernel[0] * window->kernel[1] > 256;
}

static thaw_status infer(const void *attrs, const struct thaw_layout *in, int input_count,
                         const struct thaw_device_caps *caps, struct thaw_op_spec *ret_spec) {
    (void)input_count;
    THAW_TRY(thaw_pool_infer(attrs, in, caps, ret_spec));
    struct thaw_layout out = thaw_layout_make(ret_spec->out, caps->block, 0);
    size_t bytes = thaw_layout_size(&out) * (wide_winners(attrs) ? 2 : 1);
    ret_spec->saved_bytes = (bytes + sizeof(float) - 1) / sizeof(float) * sizeof(float);
    return THAW_OK;
}

static thaw_status prepare(struct thaw_op_call *call) {
    struct thaw_defines defines = {0};
    thaw_pool_defines(&defines, call->attrs);
    thaw_define_int(&defines, "WINNERS", call->needs_backward);
    thaw_define_text(&defines, "WINNER", wide_winners(call->attrs) ? "ushort" : "uchar");
    return thaw_pool_prepare(call, "maxpool", &defines, true);
}

static thaw_status onnx(struct thaw_export_call *call) {
    thaw_pool_onnx(call, call->attrs, "MaxPool", false);
    return THAW_OK;
}

const struct thaw_op thaw_op_maxpool = {
    .type = "maxpool",
    .summary = "largest value of each window",
    .attrs_size = sizeof(struct thaw_pool_window),
    .inputs_min = 1,
    .inputs_max = 1,
    .parse = parse,
    .infer = infer,
    .prepare = prepare,
    .forward = thaw_pool_forward,
    .backward = thaw_pool_backward,
    .onnx = onnx,
};
