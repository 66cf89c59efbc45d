/* Averages over windows chosen so that the output has a given size, as PyTorch's AdaptiveAvgPool2d:
 * output o covers the inputs from floor(o in / out) to ceil((o + 1) in / out) - 1. Where input and
 * output have one size it is the input itself, and nothing runs.
 *
 * Attributes: out (required; a number or [vertical, horizontal]). */
#include "ops/export.h"
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

/* Windows of unlike size: y = A x B, each row of A and column of B averaging one window. */
static void onnx_uneven(struct thaw_export_call *call, const int out[2]) {
    const int in[2] = {call->in[0].h, call->in[0].w};
    const char *names[2] = {NULL, NULL};
    for (int axis = 0; axis < 2; axis++) {
        int64_t dims[2] = {axis ? in[1] : out[0], axis ? out[1] : in[0]};
        float *matrix = thaw_arena_array(&call->model->arena, (size_t)in[axis] * (size_t)out[axis],
                                         sizeof *matrix);
        call->model->failed |= !matrix;
        if (!matrix)
            return;
        for (int o = 0; o < out[axis]; o++) {
            int first = o * in[axis] / out[axis];
            int last = ((o + 1) * in[axis] + out[axis] - 1) / out[axis];
            for (int i = first; i < last; i++)
                matrix[axis ? i * out[1] + o : o * in[0] + i] = 1.0f / (float)(last - first);
        }
        names[axis] = thaw_export_constant(call, 2, dims, matrix);
    }
    const char *rows = THAW_EXPORT_NODE(call, "MatMul", names[0], thaw_export_maps(call, 0));
    THAW_EXPORT_NODE(call, "MatMul", rows, names[1]);
}

static thaw_status onnx(struct thaw_export_call *call) {
    const struct attrs *attrs = call->attrs;
    const struct thaw_layout *in = &call->in[0];
    if (in->h == attrs->out[0] && in->w == attrs->out[1]) {
        call->output = call->inputs[0];
        call->flat = call->flat_inputs[0];
        return THAW_OK;
    }
    if (in->h % attrs->out[0] || in->w % attrs->out[1]) {
        onnx_uneven(call, attrs->out);
        return THAW_OK;
    }
    THAW_EXPORT_NODE(call, "AveragePool", thaw_export_maps(call, 0));
    THAW_EXPORT_INTS(call, "kernel_shape", in->h / attrs->out[0], in->w / attrs->out[1]);
    THAW_EXPORT_INTS(call, "strides", in->h / attrs->out[0], in->w / attrs->out[1]);
    return THAW_OK;
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
    .onnx = onnx,
};
