/* Averages over windows chosen so that the output has a given size, as PyTorch's AdaptiveAvgPool2d:
 * output o covers the inputs from floor(o in / out) to ceil((o + 1) in / out) - 1. Where input and
 * output have one size it is the input itself, and nothing runs.
 *
 * Attributes: out (required; a number or [vertical, horizontal]). */
#include "ops/parse.h"
#include "ops/pool.h"
#include "ops/walk.h"

struct attrs {
    int out[2];
};

static thaw_status parse(const thaw_yaml *node, void *ret_attrs) {
    static const char *const keys[] = {"out"};
    struct attrs attrs = {{0, 0}};
    const thaw_yaml *map = NULL;
    THAW_TRY(thaw_op_parse_map(node, keys, 1, &map));
    THAW_TRY(thaw_op_parse_require(node, map, "out"));
    THAW_TRY(thaw_op_parse_pair(map, "out", 1, 4096, attrs.out));
    *(struct attrs *)ret_attrs = attrs;
    return THAW_OK;
}

static thaw_status infer(const void *attrs_, const struct thaw_layout *in, int input_count,
                         const struct thaw_device_caps *caps, struct thaw_op_spec *ret_spec) {
    const struct attrs *attrs = attrs_;
    THAW_TRY(thaw_walk_check_blocks(in, input_count, caps));
    ret_spec->out = (struct thaw_shape){in->n, in->c, attrs->out[0], attrs->out[1]};
    ret_spec->alias = in->h == attrs->out[0] && in->w == attrs->out[1];
    return THAW_OK;
}

static thaw_status prepare(struct thaw_op_call *call) {
    struct thaw_defines defines = {0};
    thaw_define_int(&defines, "ADAPTIVE", 1);
    return thaw_pool_prepare(call, "avgpool", &defines, false);
}

const struct thaw_op thaw_op_adaptive_avgpool = {
    .type = "adaptive_avgpool",
    .summary = "averages down to a given size",
    .attrs_size = sizeof(struct attrs),
    .inputs_min = 1,
    .inputs_max = 1,
    .parse = parse,
    .infer = infer,
    .prepare = prepare,
    .forward = thaw_pool_forward,
    .backward = thaw_pool_backward,
    .release = thaw_pool_release,
};
