#include "io/onnx/fuse.h"

#include <math.h>
#include <string.h>

/* The node at `index` when it is an `op` with one input that nobody but the pattern reads; else
 * NULL. `readers`: how many of the pattern's nodes do. */
static const struct thaw_onnx_node *match(const struct thaw_onnx_call *call, int index,
                                          const char *op, int readers) {
    const struct thaw_onnx_node *node = &call->cv->nodes[index];
    if (!node->op || node->dropped || strcmp(node->op->type, op) != 0 || node->readers != readers)
        return NULL;
    return node;
}

/* `scale` or `shift` by one number. */
static const struct thaw_onnx_node *match_number(const struct thaw_onnx_call *call, int index,
                                                 const char *op, int readers, float number) {
    const struct thaw_onnx_node *node = match(call, index, op, readers);
    if (!node || node->param_count != 1 || node->params[0].rank != 3)
        return NULL;
    const struct thaw_onnx_param *param = &node->params[0];
    bool single = param->dims[0] * param->dims[1] * param->dims[2] == 1;
    return single && fabsf(param->data[0] - number) < 1e-5f ? node : NULL;
}

/* Whether node `index` is 1 + erf(x / sqrt(2)); its three nodes, last first. */
static bool match_erf(const struct thaw_onnx_call *call, int index, int readers, int ret_nodes[3],
                      int *ret_x) {
    const struct thaw_onnx_node *shift = match_number(call, index, "shift", readers, 1);
    const struct thaw_onnx_node *erf = shift ? match(call, shift->inputs[0], "erf", 1) : NULL;
    const struct thaw_onnx_node *scale =
        erf ? match_number(call, erf->inputs[0], "scale", 1, 0.70710678f) : NULL;
    if (!scale)
        return false;
    ret_nodes[0] = index;
    ret_nodes[1] = shift->inputs[0];
    ret_nodes[2] = erf->inputs[0];
    *ret_x = scale->inputs[0];
    return true;
}

/* The nodes leave, last first, and `op` of node x comes. */
static thaw_status replace(struct thaw_onnx_call *call, const int *nodes, int count, const char *op,
                           int x, const struct thaw_onnx_view *like) {
    struct thaw_onnx_view view = *like;
    for (int i = 0; i < count; i++) {
        const struct thaw_onnx_node *node = &call->cv->nodes[nodes[i]];
        bool number = node->param_count == 1;
        call->cv->numbers_made_parameters -= number;
        thaw_onnx_drop(call->cv, nodes[i]);
    }
    THAW_TRY(thaw_onnx_emit(call, NULL, op, &x, 1, &view.node, "%s", ""));
    thaw_onnx_return_view(call, 0, &view);
    return THAW_OK;
}

static bool same_content(const struct thaw_onnx_view *a, const struct thaw_onnx_view *b) {
    return a->rank == b->rank && a->factor_count == b->factor_count &&
           !memcmp(a->dims, b->dims, (size_t)a->rank * sizeof *a->dims) &&
           !memcmp(a->factors, b->factors, (size_t)a->factor_count * sizeof *a->factors);
}

/* x times a function of x, `gate`. */
static thaw_status fuse_gate(struct thaw_onnx_call *call, const struct thaw_onnx_value *x,
                             const struct thaw_onnx_value *gate, bool *ret_fused) {
    static const char *const gates[][2] = {{"sigmoid", "silu"}, {"hardsigmoid", "hardswish"}};
    int nodes[4], from, node = gate->view.node;
    if (!thaw_onnx_is_only_use(call->cv, gate) || !same_content(&x->view, &gate->view))
        return THAW_OK;
    for (size_t i = 0; i < sizeof gates / sizeof *gates; i++) {
        const struct thaw_onnx_node *made = match(call, node, gates[i][0], 0);
        if (made && !*made->attrs && made->inputs[0] == x->view.node) {
            *ret_fused = true;
            return replace(call, &node, 1, gates[i][1], x->view.node, &gate->view);
        }
    }
    /* (x / 2) (1 + erf(x / sqrt(2))) */
    if (match_erf(call, node, 0, nodes, &from) && thaw_onnx_is_only_use(call->cv, x) &&
        match_number(call, x->view.node, "scale", 0, 0.5f) &&
        call->cv->nodes[x->view.node].inputs[0] == from) {
        nodes[3] = x->view.node;
        *ret_fused = true;
        return replace(call, nodes, 4, "gelu", from, &gate->view);
    }
    return THAW_OK;
}

thaw_status thaw_onnx_fuse_product(struct thaw_onnx_call *call, const struct thaw_onnx_value *a,
                                   const struct thaw_onnx_value *b, bool *ret_fused) {
    *ret_fused = false;
    if (a == b)
        return THAW_OK;
    THAW_TRY(fuse_gate(call, a, b, ret_fused));
    return *ret_fused ? THAW_OK : fuse_gate(call, b, a, ret_fused);
}

/* (x (1 + erf(x / sqrt(2)))) / 2 */
thaw_status thaw_onnx_fuse_scaled(struct thaw_onnx_call *call, const struct thaw_onnx_value *value,
                                  float number, bool *ret_fused) {
    int nodes[4] = {value->view.node}, x;
    *ret_fused = false;
    const struct thaw_onnx_node *product = match(call, value->view.node, "mul", 0);
    if (!product || fabsf(number - 0.5f) > 1e-6f || !thaw_onnx_is_only_use(call->cv, value))
        return THAW_OK;
    for (int side = 0; side < 2; side++)
        if (match_erf(call, product->inputs[1 - side], 1, nodes + 1, &x) &&
            product->inputs[side] == x) {
            *ret_fused = true;
            return replace(call, nodes, 4, "gelu", x, &value->view);
        }
    return THAW_OK;
}
