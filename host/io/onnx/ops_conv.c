/* Conv and ConvTranspose, over two dimensions or one. */
#include <stdio.h>
#include <string.h>

#include "io/onnx/window.h"

static thaw_status read_weights(struct thaw_onnx_call *call, const struct thaw_onnx_value *value,
                                const struct thaw_onnx_tensor **ret_weights, int64_t *ret_groups) {
    const struct thaw_onnx_tensor *weights;
    *ret_groups = 1;
    THAW_TRY(thaw_onnx_constant(call, 1, "W", &weights));
    THAW_TRY(thaw_onnx_attr_int(call, "group", ret_groups));
    if (!weights->floats || weights->rank != value->view.rank)
        return thaw_fail(THAW_ERROR_INPUT, "input 2 ('W') has %d dimensions of %s, expected %d",
                         weights->rank, thaw_onnx_elem_name(weights->elem), value->view.rank);
    if (*ret_groups < 1 || weights->dims[0] % *ret_groups)
        return thaw_fail(THAW_ERROR_INPUT, "attribute 'group': %lld of %lld channels",
                         (long long)*ret_groups, (long long)weights->dims[0]);
    thaw_onnx_name_after(call, call->in[1]);
    *ret_weights = weights;
    return THAW_OK;
}

static thaw_status read_bias(const struct thaw_onnx_call *call, int64_t channels,
                             const struct thaw_onnx_tensor **ret_bias) {
    *ret_bias = NULL;
    if (!thaw_onnx_has_input(call, 2))
        return THAW_OK;
    THAW_TRY(thaw_onnx_constant(call, 2, "B", ret_bias));
    if (!(*ret_bias)->floats || (*ret_bias)->count != channels)
        return thaw_fail(THAW_ERROR_INPUT, "input 3 ('B') has %lld values, expected %lld",
                         (long long)(*ret_bias)->count, (long long)channels);
    return THAW_OK;
}

/* (O, I, KH, KW), or (O, I, K) as (O, I, 1, K). */
static thaw_status add_params(struct thaw_onnx_call *call, int node,
                              const struct thaw_onnx_tensor *weights,
                              const struct thaw_onnx_tensor *bias) {
    struct thaw_onnx_node *made = &call->cv->nodes[node];
    int64_t dims[4] = {weights->dims[0], weights->dims[1], 1, weights->dims[weights->rank - 1]};
    if (weights->rank == 4)
        dims[2] = weights->dims[2];
    made->may_have_bias = true;
    made->has_bias = bias != NULL;
    THAW_TRY(thaw_onnx_add_param(call, node, "weight", weights->floats, 4, dims));
    if (bias)
        THAW_TRY(thaw_onnx_add_param(call, node, "bias", bias->floats, 1, &bias->count));
    return THAW_OK;
}

static thaw_status convert_conv(struct thaw_onnx_call *call) {
    struct thaw_onnx_value *value;
    const struct thaw_onnx_tensor *weights, *bias;
    struct thaw_onnx_window window;
    char text[THAW_ONNX_WINDOW_TEXT_SIZE], groups_text[40] = "";
    int64_t groups;
    int node;
    THAW_TRY(thaw_onnx_data(call, 0, &value));
    THAW_TRY(thaw_onnx_arrange_image(call, value));
    THAW_TRY(read_weights(call, value, &weights, &groups));
    THAW_TRY(read_bias(call, weights->dims[0], &bias));
    THAW_TRY(thaw_onnx_window_read(call, value, weights->dims + 2, &window));
    int64_t channels = thaw_onnx_shape(call, value).c;
    if (weights->dims[1] * groups != channels)
        return thaw_fail(THAW_ERROR_INPUT, "input 1 has %lld channels, the weights expect %lld",
                         (long long)channels, (long long)(weights->dims[1] * groups));
    thaw_onnx_window_absorb_pad(call, value, &window);
    thaw_onnx_window_text(&window, 1, text);
    if (groups > 1 && groups == channels && weights->dims[0] == channels)
        snprintf(groups_text, sizeof groups_text, ", groups: depthwise");
    else if (groups > 1)
        snprintf(groups_text, sizeof groups_text, ", groups: %lld", (long long)groups);
    THAW_TRY(thaw_onnx_emit(call, NULL, "conv", &value->view.node, 1, &node, "out: %lld, %s%s",
                            (long long)weights->dims[0], text, groups_text));
    THAW_TRY(add_params(call, node, weights, bias));
    struct thaw_onnx_view view = thaw_onnx_window_view(call, &value->view, node);
    thaw_onnx_return_view(call, 0, &view);
    return THAW_OK;
}

/* ---- ConvTranspose -----------------------------------------------------------------------------
 */

/* output_shape and auto_pad say how large the result is, and the pads follow. */
static thaw_status fit_output(const struct thaw_onnx_call *call, const struct thaw_shape *in,
                              struct thaw_onnx_window *window, int64_t output_pad[2]) {
    const char *mode = "NOTSET";
    int64_t shape[4] = {0}, sizes[2] = {in->h, in->w};
    int count = 4;
    THAW_TRY(thaw_onnx_attr_text(call, "auto_pad", &mode));
    bool same = !strncmp(mode, "SAME", 4), said = thaw_onnx_attr_is_there(call, "output_shape");
    if (!same && !said)
        return THAW_OK;
    if (said)
        THAW_TRY(thaw_onnx_attr_ints(call, "output_shape", shape, &count));
    const int64_t *last = shape + (count > 2 ? count - 2 : 0); /* of height and width, or width */
    if (said && count < window->spatial)
        return thaw_fail(THAW_ERROR_INPUT, "attribute 'output_shape' has %d numbers", count);
    for (int axis = window->spatial == 1; axis < 2; axis++) {
        int64_t reach = (window->kernel[axis] - 1) * window->dilation[axis] + 1;
        int64_t full = window->stride[axis] * (sizes[axis] - 1) + output_pad[axis] + reach;
        int64_t wanted = said ? last[count > 1 ? axis : 0] : sizes[axis] * window->stride[axis];
        int64_t total = full - wanted;
        if (total < 0) { /* larger than the taps reach: zeros at the end */
            output_pad[axis] -= total;
            total = 0;
        }
        bool upper = !strcmp(mode, "SAME_UPPER");
        window->pads[axis] = upper ? total / 2 : total - total / 2;
        window->pads[axis + 2] = total - window->pads[axis];
    }
    return THAW_OK;
}

static thaw_status convert_conv_transpose(struct thaw_onnx_call *call) {
    struct thaw_onnx_value *value;
    const struct thaw_onnx_tensor *weights, *bias;
    struct thaw_onnx_window window;
    char text[THAW_ONNX_WINDOW_TEXT_SIZE], more[120] = "";
    int64_t groups, output_pad[2] = {0, 0}, list[2] = {0, 0};
    int node, count = 2;
    THAW_TRY(thaw_onnx_data(call, 0, &value));
    THAW_TRY(thaw_onnx_arrange_image(call, value));
    THAW_TRY(read_weights(call, value, &weights, &groups));
    THAW_TRY(read_bias(call, weights->dims[1] * groups, &bias));
    THAW_TRY(thaw_onnx_window_read(call, value, weights->dims + 2, &window));
    THAW_TRY(thaw_onnx_attr_ints(call, "output_padding", list, &count));
    for (int i = 0; i < count && i < window.spatial; i++)
        output_pad[2 - window.spatial + i] = list[i];
    struct thaw_shape shape = thaw_onnx_shape(call, value);
    if (weights->dims[0] != shape.c)
        return thaw_fail(THAW_ERROR_INPUT, "input 1 has %d channels, the weights expect %lld",
                         shape.c, (long long)weights->dims[0]);
    THAW_TRY(fit_output(call, &shape, &window, output_pad));
    thaw_onnx_window_text(&window, 1, text);
    if (output_pad[0] || output_pad[1])
        snprintf(more, sizeof more, ", output_pad: [%lld, %lld]", (long long)output_pad[0],
                 (long long)output_pad[1]);
    if (groups > 1)
        snprintf(more + strlen(more), sizeof more - strlen(more), ", groups: %lld",
                 (long long)groups);
    THAW_TRY(thaw_onnx_emit(call, NULL, "conv_transpose", &value->view.node, 1, &node,
                            "out: %lld, %s%s", (long long)(weights->dims[1] * groups), text, more));
    THAW_TRY(add_params(call, node, weights, bias));
    struct thaw_onnx_view view = thaw_onnx_window_view(call, &value->view, node);
    thaw_onnx_return_view(call, 0, &view);
    return THAW_OK;
}

const struct thaw_onnx_operator thaw_onnx_family_conv[] = {
    {"Conv", "auto_pad dilations group kernel_shape pads strides", 1, NULL, convert_conv},
    {"ConvTranspose",
     "auto_pad dilations group kernel_shape output_padding output_shape pads strides", 1, NULL,
     convert_conv_transpose},
    {0},
};
