/* (N, C, H, W) -> (N, C H W, 1, 1), numbered as in PyTorch: k = (c H + y) W + x. Maps of one pixel
 * are flat already, and nothing runs; a linear layer needs no flatten before it.
 *
 * Attributes: none. */
#include "ops/export.h"
#include "ops/parse.h"
#include "ops/rearrange.h"
#include "ops/walk.h"

static thaw_status parse(const thaw_yaml *node, void *ret_attrs) {
    const thaw_yaml *map;
    (void)ret_attrs;
    return thaw_op_parse_map(node, NULL, 0, &map);
}

static thaw_status infer(const void *attrs, const struct thaw_layout *in, int input_count,
                         const struct thaw_device_caps *caps, struct thaw_op_spec *ret_spec) {
    (void)attrs, (void)input_count;
    THAW_TRY(thaw_walk_check_size(in->c, in->h, in->w));
    ret_spec->out = (struct thaw_shape){in->n, in->c * in->h * in->w, 1, 1};
    ret_spec->alias = in->h == 1 && in->w == 1 && in->block == caps->block;
    return THAW_OK;
}

static thaw_status prepare(struct thaw_op_call *call) {
    const struct thaw_rearrange_plan same = {1, {call->out.layout.c}, {1}};
    return thaw_rearrange_prepare(call, &same);
}

static thaw_status onnx(struct thaw_export_call *call) {
    call->output = thaw_export_flat(call, 0);
    call->flat = true;
    return THAW_OK;
}

const struct thaw_op thaw_op_flatten = {
    .type = "flatten",
    .summary = "a map as a vector",
    .inputs_min = 1,
    .inputs_max = 1,
    .parse = parse,
    .infer = infer,
    .prepare = prepare,
    .forward = thaw_rearrange_forward,
    .backward = thaw_rearrange_backward,
    .onnx = onnx,
};
