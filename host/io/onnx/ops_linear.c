/* Gemm and MatMul. A product with constant weights is a linear layer, of a vector or of every pixel
 * of a map; one of two values of the network is a `matmul`. */
#include <string.h>

#include "io/onnx/arithmetic.h"
#include "io/onnx/window.h"

/* ---- with constant weights ---------------------------------------------------------------------
 */

/* Weights as (outputs, inputs), whatever way the file has them. */
struct weights {
    const float *data;
    int64_t inputs, outputs;
    int64_t input_stride, output_stride;
    float factor;
};

/* Row o, column i: the weight of the input that stands at place i of the node. */
static float *order_weights(struct thaw_onnx_call *call, const struct weights *weights,
                            const int64_t *places) {
    float *data = thaw_onnx_floats(call, weights->inputs * weights->outputs);
    for (int64_t o = 0; data && o < weights->outputs; o++)
        for (int64_t i = 0; i < weights->inputs; i++)
            data[o * weights->inputs + i] =
                weights->factor * weights->data[o * weights->output_stride +
                                                (places ? places[i] : i) * weights->input_stride];
    return data;
}

static bool is_vector(const struct thaw_onnx_view *view) {
    for (int d = 0; d < view->rank - 1; d++)
        if (d != view->batch && view->dims[d] != 1)
            return false;
    return view->batch != view->rank - 1;
}

/* [N, K] -> [N, O]; the node's content may be in any order: the weights are put into it. */
static thaw_status emit_linear(struct thaw_onnx_call *call, struct thaw_onnx_value *value,
                               const struct weights *weights, struct thaw_onnx_view *ret_view) {
    int node;
    int64_t *places = thaw_onnx_view_places(&value->view, &call->cv->scratch);
    float *data = places ? order_weights(call, weights, places) : NULL;
    if (!data)
        return THAW_ERROR_MEMORY;
    THAW_TRY(thaw_onnx_emit(call, NULL, "linear", &value->view.node, 1, &node, "out: %lld",
                            (long long)weights->outputs));
    THAW_TRY(thaw_onnx_add_param(call, node, "weight", data, 2,
                                 (int64_t[]){weights->outputs, weights->inputs}));
    struct thaw_onnx_layout layout = {.count = {1}};
    layout.dims[THAW_SLOT_C][0] = value->view.rank - 1;
    int64_t dims[THAW_ONNX_RANK_MAX];
    memcpy(dims, value->view.dims, sizeof dims);
    dims[value->view.rank - 1] = weights->outputs;
    *ret_view = thaw_onnx_view_make(node, value->view.rank, dims, value->view.batch, &layout);
    return THAW_OK;
}

/* [..., K] -> [..., O] at every position of a map whose channels are K. */
static thaw_status emit_per_pixel(struct thaw_onnx_call *call, struct thaw_onnx_value *value,
                                  const struct weights *weights, struct thaw_onnx_view *ret_view) {
    int node, slot, last = value->view.rank - 1;
    THAW_TRY(thaw_onnx_arrange_dim(call, value, last, true, &slot));
    float *data = order_weights(call, weights, NULL);
    if (!data)
        return THAW_ERROR_MEMORY;
    THAW_TRY(thaw_onnx_emit(call, NULL, "conv", &value->view.node, 1, &node, "out: %lld, kernel: 1",
                            (long long)weights->outputs));
    THAW_TRY(thaw_onnx_add_param(call, node, "weight", data, 4,
                                 (int64_t[]){weights->outputs, weights->inputs, 1, 1}));
    *ret_view = value->view;
    ret_view->node = node;
    thaw_onnx_view_resize(ret_view, last, slot, weights->outputs);
    return THAW_OK;
}

static thaw_status emit_product(struct thaw_onnx_call *call, struct thaw_onnx_value *value,
                                const struct weights *weights, struct thaw_onnx_view *ret_view) {
    const struct thaw_onnx_view *view = &value->view;
    if (view->rank && view->batch == view->rank - 1)
        return thaw_fail(THAW_ERROR_UNSUPPORTED, "the batch is multiplied by weights");
    if (!view->rank || view->dims[view->rank - 1] != weights->inputs) {
        char text[THAW_ONNX_DIMS_TEXT_SIZE];
        thaw_onnx_dims_text(view->rank, view->dims, text);
        return thaw_fail(THAW_ERROR_INPUT, "%s does not go with weights for %lld inputs", text,
                         (long long)weights->inputs);
    }
    thaw_onnx_name_after(call, call->in[1]);
    THAW_TRY(is_vector(view) ? emit_linear(call, value, weights, ret_view)
                             : emit_per_pixel(call, value, weights, ret_view));
    call->cv->nodes[ret_view->node].may_have_bias = true;
    return THAW_OK;
}

static thaw_status check_matrix(const struct thaw_onnx_tensor *tensor, const char *what) {
    if (tensor->rank == 2 && tensor->floats)
        return THAW_OK;
    return thaw_fail(THAW_ERROR_UNSUPPORTED,
                     "input '%s' has %d dimensions of %s, expected a matrix", what, tensor->rank,
                     thaw_onnx_elem_name(tensor->elem));
}

/* ---- of two values -----------------------------------------------------------------------------
 */

/* The last two dimensions as H and W, those before, of the batch not, as C. */
static thaw_status arrange_matrices(struct thaw_onnx_call *call, struct thaw_onnx_value *value) {
    const struct thaw_onnx_view *view = &value->view;
    struct thaw_onnx_layout layout = {.count = {0, 1, 1}};
    if (view->rank < 2 || view->batch >= view->rank - 2)
        return thaw_fail(THAW_ERROR_UNSUPPORTED, "its inputs are no matrices, image by image");
    for (int d = 0; d < view->rank - 2; d++)
        if (d != view->batch)
            layout.dims[THAW_SLOT_C][layout.count[THAW_SLOT_C]++] = d;
    layout.dims[THAW_SLOT_H][0] = view->rank - 2;
    layout.dims[THAW_SLOT_W][0] = view->rank - 1;
    return thaw_onnx_arrange(call, value, &layout);
}

/* The dimensions in front: those of the operand that has the most; the other's are the same, or all
 * 1. */
static thaw_status front_dims(const struct thaw_onnx_view *a, const struct thaw_onnx_view *b,
                              int *ret_rank, int64_t *ret_dims, int *ret_batch) {
    const struct thaw_onnx_view *views[] = {a, b};
    int64_t counts[2] = {1, 1};
    for (int i = 0; i < 2; i++)
        for (int d = 0; d < views[i]->rank - 2; d++)
            counts[i] *= d == views[i]->batch ? 1 : views[i]->dims[d];
    int first = counts[0] < counts[1] || (counts[0] == counts[1] && a->rank < b->rank);
    const struct thaw_onnx_view *more = views[first], *less = views[1 - first];
    bool fits = (a->batch < 0) == (b->batch < 0) &&
                (a->batch < 0 || a->rank - a->batch == b->rank - b->batch);
    for (int d = 0; counts[1 - first] != 1 && d < less->rank - 2; d++) {
        int other = d + more->rank - less->rank;
        fits = fits && other >= 0 && less->dims[d] == more->dims[other];
    }
    if (!fits || (counts[1 - first] != 1 && counts[0] != counts[1]))
        return thaw_fail(THAW_ERROR_UNSUPPORTED,
                         "the dimensions in front of its matrices are neither the same nor 1");
    *ret_rank = more->rank;
    memcpy(ret_dims, more->dims, sizeof more->dims);
    *ret_batch = more->batch;
    return THAW_OK;
}

static thaw_status emit_matmul(struct thaw_onnx_call *call, struct thaw_onnx_value *a,
                               struct thaw_onnx_value *b, struct thaw_onnx_view *ret_view) {
    int rank = 0, batch = -1, node;
    int64_t dims[THAW_ONNX_RANK_MAX] = {0};
    THAW_TRY(arrange_matrices(call, a));
    THAW_TRY(arrange_matrices(call, b));
    THAW_TRY(front_dims(&a->view, &b->view, &rank, dims, &batch));
    dims[rank - 2] = a->view.dims[a->view.rank - 2];
    dims[rank - 1] = b->view.dims[b->view.rank - 1];
    struct thaw_onnx_layout layout = {.count = {0, 1, 1}};
    for (int d = 0; d < rank - 2; d++)
        if (d != batch)
            layout.dims[THAW_SLOT_C][layout.count[THAW_SLOT_C]++] = d;
    layout.dims[THAW_SLOT_H][0] = rank - 2;
    layout.dims[THAW_SLOT_W][0] = rank - 1;
    THAW_TRY(thaw_onnx_emit(call, NULL, "matmul", (int[]){a->view.node, b->view.node}, 2, &node,
                            "%s", ""));
    *ret_view = thaw_onnx_view_make(node, rank, dims, batch, &layout);
    return THAW_OK;
}

/* ---- MatMul ------------------------------------------------------------------------------------
 */

static thaw_status convert_matmul(struct thaw_onnx_call *call) {
    struct thaw_onnx_value *a, *b;
    struct thaw_onnx_view view;
    THAW_TRY(thaw_onnx_data(call, 0, &a));
    if (thaw_onnx_has_input(call, 1) && call->in[1]->is_constant) {
        const struct thaw_onnx_tensor *tensor = &call->in[1]->tensor;
        THAW_TRY(check_matrix(tensor, "B"));
        struct weights weights = {
            tensor->floats, tensor->dims[0], tensor->dims[1], tensor->dims[1], 1, 1};
        THAW_TRY(emit_product(call, a, &weights, &view));
    } else {
        THAW_TRY(thaw_onnx_data(call, 1, &b));
        THAW_TRY(emit_matmul(call, a, b, &view));
    }
    thaw_onnx_return_view(call, 0, &view);
    return THAW_OK;
}

/* ---- Gemm --------------------------------------------------------------------------------------
 */

struct gemm {
    float alpha, beta;
    int64_t transpose_a, transpose_b;
};

static thaw_status read_gemm(const struct thaw_onnx_call *call, struct gemm *ret_gemm) {
    struct gemm gemm = {.alpha = 1, .beta = 1};
    THAW_TRY(thaw_onnx_attr_float(call, "alpha", &gemm.alpha));
    THAW_TRY(thaw_onnx_attr_float(call, "beta", &gemm.beta));
    THAW_TRY(thaw_onnx_attr_int(call, "transA", &gemm.transpose_a));
    THAW_TRY(thaw_onnx_attr_int(call, "transB", &gemm.transpose_b));
    *ret_gemm = gemm;
    return THAW_OK;
}

static thaw_status scale_by(struct thaw_onnx_call *call, struct thaw_onnx_value *value,
                            float factor) {
    const struct thaw_onnx_tensor tensor = {
        .elem = THAW__ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, .count = 1, .floats = &factor};
    if (factor == 1)
        return THAW_OK;
    THAW_TRY(thaw_onnx_apply_constant(call, value, &tensor, THAW_ONNX_SCALE, THAW_ONNX_PLAIN));
    value->view = call->out[0]->view;
    return THAW_OK;
}

/* beta C to the product, which is the call's result already. */
static thaw_status add_c(struct thaw_onnx_call *call, const struct gemm *gemm) {
    if (!thaw_onnx_has_input(call, 2) || gemm->beta == 0)
        return THAW_OK;
    struct thaw_onnx_value product = *call->out[0];
    product.uses = 1;
    if (!call->in[2]->is_constant) {
        struct thaw_onnx_value c = *call->in[2];
        THAW_TRY(scale_by(call, &c, gemm->beta));
        return thaw_onnx_combine(call, "add", &product, &c);
    }
    struct thaw_onnx_tensor c = call->in[2]->tensor;
    if (!c.floats)
        return thaw_fail(THAW_ERROR_INPUT, "input 3 ('C') holds %s", thaw_onnx_elem_name(c.elem));
    if (gemm->beta != 1) {
        float *scaled = thaw_onnx_floats(call, c.count);
        if (!scaled)
            return THAW_ERROR_MEMORY;
        for (int64_t i = 0; i < c.count; i++)
            scaled[i] = gemm->beta * c.floats[i];
        c.floats = scaled;
    }
    return thaw_onnx_apply_constant(call, &product, &c, THAW_ONNX_SHIFT, THAW_ONNX_PLAIN);
}

static void transpose(struct thaw_onnx_value *value) {
    thaw_onnx_view_transpose(&value->view, (int[]){1, 0});
}

static thaw_status convert_gemm(struct thaw_onnx_call *call) {
    struct thaw_onnx_value *input, *other;
    struct thaw_onnx_view view;
    struct gemm gemm;
    THAW_TRY(thaw_onnx_data(call, 0, &input));
    THAW_TRY(read_gemm(call, &gemm));
    if (!thaw_onnx_has_input(call, 1) || input->view.rank != 2 || thaw_onnx_rank(call->in[1]) != 2)
        return thaw_fail(THAW_ERROR_INPUT, "its inputs are no matrices");
    struct thaw_onnx_value a = *input; /* a look of our own */
    if (gemm.transpose_a)
        transpose(&a);
    if (call->in[1]->is_constant) {
        const struct thaw_onnx_tensor *tensor = &call->in[1]->tensor;
        THAW_TRY(check_matrix(tensor, "B"));
        int k = gemm.transpose_b ? 1 : 0;
        struct weights weights = {tensor->floats,          tensor->dims[k],
                                  tensor->dims[1 - k],     k ? 1 : tensor->dims[1],
                                  k ? tensor->dims[1] : 1, gemm.alpha};
        THAW_TRY(emit_product(call, &a, &weights, &view));
    } else {
        THAW_TRY(thaw_onnx_data(call, 1, &other));
        struct thaw_onnx_value b = *other;
        if (gemm.transpose_b)
            transpose(&b);
        THAW_TRY(scale_by(call, &a, gemm.alpha));
        THAW_TRY(emit_matmul(call, &a, &b, &view));
    }
    thaw_onnx_return_view(call, 0, &view);
    return add_c(call, &gemm);
}

const struct thaw_onnx_operator thaw_onnx_family_linear[] = {
    {"MatMul", "", 1, NULL, convert_matmul},
    {"Gemm", "alpha beta transA transB broadcast", 1, NULL, convert_gemm},
    {0},
};
