/* The product of two inputs, of matrices in each channel of each image:
 *
 *   y = a b,  a (C, M, K), b (C, K, N), y (C, M, N);  the channels of a or b may be 1, for all
 *   da = dy b',  db = a' dy, summed over the channels where a or b has 1
 *
 * Attributes: none. */
#include <stdlib.h>

#include "ops/export.h"
#include "ops/op.h"
#include "ops/parse.h"
#include "ops/walk.h"

#define TILE 4 /* of cl/matmul.cl */

enum product { FORWARD, BACKWARD_A, BACKWARD_B, PRODUCT_COUNT };

struct state {
    thaw_kernel *kernels[PRODUCT_COUNT];
};

static thaw_status parse(const thaw_yaml *node, void *ret_attrs) {
    const thaw_yaml *map;
    (void)ret_attrs;
    return thaw_op_parse_map(node, NULL, 0, &map);
}

static thaw_status infer(const void *attrs, const struct thaw_layout *in, int input_count,
                         const struct thaw_device_caps *caps, struct thaw_op_spec *ret_spec) {
    (void)attrs;
    const struct thaw_layout *a = &in[0], *b = &in[1];
    if (a->w != b->h || (a->c != b->c && a->c != 1 && b->c != 1))
        return thaw_fail(THAW_ERROR_INPUT,
                         "can't multiply %d x %d x %d by %d x %d x %d (channels, height, width): "
                         "the width of the first is the height of the second, and their channels "
                         "are the same or 1",
                         a->c, a->h, a->w, b->c, b->h, b->w);
    THAW_TRY(thaw_walk_check_blocks(in, input_count, caps));
    ret_spec->out = (struct thaw_shape){a->n, a->c == 1 ? b->c : a->c, a->h, b->w};
    THAW_TRY(thaw_walk_check_size(ret_spec->out.c, ret_spec->out.h, ret_spec->out.w));
    ret_spec->backward_needs_input[0] = ret_spec->backward_needs_input[1] = true;
    ret_spec->flops = 2.0 * ret_spec->out.c * a->h * a->w * b->w;
    return THAW_OK;
}

/* A factor or the result: a matrix or its transpose. */
struct matrix {
    struct thaw_operand map;
    bool transposed;
};

/* out (+)= l r */
struct factors {
    struct matrix l, r;
    struct thaw_operand out;
    int rows, columns, inner;
    bool accumulate;
};

static struct factors make_factors(const struct thaw_op_call *call, enum product product) {
    struct thaw_operand a = thaw_operand_make(&call->in[0], false),
                        b = thaw_operand_make(&call->in[1], false);
    int m = a.layout.h, k = a.layout.w, n = b.layout.w;
    if (product == FORWARD)
        return (struct factors){{a, false}, {b, false}, thaw_operand_make(&call->out, false), m, n,
                                k,          false};
    struct thaw_operand dy = thaw_operand_make(&call->grad_out, false);
    if (product == BACKWARD_A)
        return (struct factors){
            {dy, false},           {b, true}, thaw_operand_make(&call->grad_in[0], false), m, k, n,
            call->accumulate_in[0]};
    return (struct factors){
        {a, true}, {dy, false},           thaw_operand_make(&call->grad_in[1], false), k, n,
        m,         call->accumulate_in[1]};
}

static bool is_wanted(const struct thaw_op_call *call, enum product product) {
    return product == FORWARD ||
           (call->needs_backward && call->want_grad_in[product == BACKWARD_A ? 0 : 1]);
}

static thaw_status prepare(struct thaw_op_call *call) {
    struct state *state = call->state = calloc(1, sizeof *state);
    if (!state)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    for (int p = 0; p < PRODUCT_COUNT; p++) {
        if (!is_wanted(call, (enum product)p))
            continue;
        struct factors f = make_factors(call, (enum product)p);
        struct thaw_defines defines = {0};
        thaw_walk_defines(&defines, thaw_device_get_caps(call->device), call->out.layout.block,
                          false);
        thaw_define_int(&defines, "L_SPLAT", f.l.map.splat);
        thaw_define_int(&defines, "R_SPLAT", f.r.map.splat);
        thaw_define_int(&defines, "T_SPLAT", f.out.splat && call->out.layout.c > 1);
        THAW_TRY(
            thaw_kernel_get(call->device, "matmul.cl", "matmul", defines.text, &state->kernels[p]));
    }
    return THAW_OK;
}

#define MATRIX_ARGS(m, across, down)                                                               \
    THAW_ARG_INT((m)->origin), THAW_ARG_INT((m)->image), THAW_ARG_LONG((m)->block),                \
        THAW_ARG_INT(across), THAW_ARG_INT(down)

static thaw_status multiply(const struct thaw_op_call *call, enum product product, int batch) {
    const struct state *state = call->state;
    struct factors f = make_factors(call, product);
    const struct thaw_operand *l = &f.l.map, *r = &f.r.map, *out = &f.out;
    int channels = call->out.layout.c;
    size_t tiles = (size_t)((f.rows + TILE - 1) / TILE);
    struct thaw_range range =
        THAW_RANGE3((size_t)((f.columns + TILE - 1) / TILE), tiles * (size_t)batch,
                    (size_t)thaw_layout_blocks(&out->layout));
    return thaw_launch(
        call->device, state->kernels[product], &range, THAW_ARG_BUFFER(l->buffer),
        THAW_ARG_BUFFER(r->buffer), THAW_ARG_BUFFER(out->buffer), THAW_ARG_INT(f.accumulate),
        THAW_ARG_INT(channels), THAW_ARG_INT(batch), THAW_ARG_INT(f.rows), THAW_ARG_INT(f.columns),
        THAW_ARG_INT(f.inner),
        MATRIX_ARGS(l, f.l.transposed ? l->step : l->row, f.l.transposed ? l->row : l->step),
        MATRIX_ARGS(r, f.r.transposed ? r->step : r->row, f.r.transposed ? r->row : r->step),
        MATRIX_ARGS(out, out->row, out->step));
}

static thaw_status forward(const struct thaw_op_call *call, const struct thaw_op_step *step) {
    return multiply(call, FORWARD, step->batch);
}

static thaw_status backward(const struct thaw_op_call *call, const struct thaw_op_step *step) {
    if (call->want_grad_in[0])
        THAW_TRY(multiply(call, BACKWARD_A, step->batch));
    return call->want_grad_in[1] ? multiply(call, BACKWARD_B, step->batch) : THAW_OK;
}

static thaw_status onnx(struct thaw_export_call *call) {
    THAW_EXPORT_NODE(call, "MatMul", thaw_export_maps(call, 0), thaw_export_maps(call, 1));
    return THAW_OK;
}

const struct thaw_op thaw_op_matmul = {
    .type = "matmul",
    .summary = "matrix product of two inputs",
    .inputs_min = 2,
    .inputs_max = 2,
    .parse = parse,
    .infer = infer,
    .prepare = prepare,
    .forward = forward,
    .backward = backward,
    .onnx = onnx,
};
