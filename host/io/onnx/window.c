#include "io/onnx/window.h"

#include <stdio.h>
#include <string.h>

#define EXTENT_MAX 65535

static thaw_status read_list(const struct thaw_onnx_call *call, const char *name, int spatial,
                             int64_t low, int64_t *values) {
    int64_t list[4];
    int count = 4, wanted = low ? spatial : 2 * spatial;
    if (!thaw_onnx_attr_is_there(call, name))
        return THAW_OK;
    THAW_TRY(thaw_onnx_attr_ints(call, name, list, &count));
    if (count != wanted)
        return thaw_fail(THAW_ERROR_INPUT, "attribute '%s' has %d numbers, expected %d", name,
                         count, wanted);
    for (int i = 0; i < count; i++) {
        if (list[i] < low || list[i] > EXTENT_MAX)
            return thaw_fail(low || list[i] > 0 ? THAW_ERROR_INPUT : THAW_ERROR_UNSUPPORTED,
                             "attribute '%s': %lld, expected %lld to %d", name, (long long)list[i],
                             (long long)low, EXTENT_MAX);
        /* A row is the last of two dimensions. */
        values[spatial == 2 ? i : 2 * i + 1] = list[i];
    }
    return THAW_OK;
}

static int64_t reach(const struct thaw_onnx_window *window, int axis) {
    return (window->kernel[axis] - 1) * window->dilation[axis] + 1;
}

/* SAME: ceil(size / stride) outputs. */
static void pad_same(struct thaw_onnx_window *window, int axis, int64_t size, bool upper) {
    int64_t outputs = (size + window->stride[axis] - 1) / window->stride[axis];
    int64_t total = (outputs - 1) * window->stride[axis] + reach(window, axis) - size;
    total = total < 0 ? 0 : total;
    window->pads[axis] = upper ? total / 2 : total - total / 2;
    window->pads[axis + 2] = total - window->pads[axis];
}

static thaw_status read_auto_pad(const struct thaw_onnx_call *call,
                                 const struct thaw_onnx_value *value,
                                 struct thaw_onnx_window *window) {
    const char *mode = "NOTSET";
    struct thaw_shape shape = thaw_onnx_shape(call, value);
    THAW_TRY(thaw_onnx_attr_text(call, "auto_pad", &mode));
    if (!strcmp(mode, "NOTSET") || !*mode)
        return THAW_OK;
    bool upper = !strcmp(mode, "SAME_UPPER");
    if (!upper && strcmp(mode, "SAME_LOWER") != 0 && strcmp(mode, "VALID") != 0)
        return thaw_fail(THAW_ERROR_INPUT,
                         "attribute 'auto_pad': '%.20s', expected NOTSET, SAME_UPPER, SAME_LOWER "
                         "or VALID",
                         mode);
    memset(window->pads, 0, sizeof window->pads);
    if (!strcmp(mode, "VALID"))
        return THAW_OK;
    pad_same(window, 0, shape.h, upper);
    pad_same(window, 1, shape.w, upper);
    return THAW_OK;
}

thaw_status thaw_onnx_window_read(const struct thaw_onnx_call *call,
                                  const struct thaw_onnx_value *value, const int64_t *kernel,
                                  struct thaw_onnx_window *ret_window) {
    struct thaw_onnx_window window = {
        .spatial = value->view.rank - 2, .kernel = {1, 1}, .stride = {1, 1}, .dilation = {1, 1}};
    int64_t ceil_mode = 0;
    if (!kernel && !thaw_onnx_attr_is_there(call, "kernel_shape"))
        return thaw_fail(THAW_ERROR_INPUT, "attribute 'kernel_shape' is missing");
    for (int i = 0; kernel && i < window.spatial; i++)
        window.kernel[2 - window.spatial + i] = kernel[i];
    int64_t said[2] = {window.kernel[0], window.kernel[1]};
    THAW_TRY(read_list(call, "kernel_shape", window.spatial, 1, said));
    if (kernel && (said[0] != window.kernel[0] || said[1] != window.kernel[1]))
        return thaw_fail(THAW_ERROR_INPUT, "attribute 'kernel_shape' is not the weights' extent");
    memcpy(window.kernel, said, sizeof said);
    THAW_TRY(read_list(call, "strides", window.spatial, 1, window.stride));
    THAW_TRY(read_list(call, "dilations", window.spatial, 1, window.dilation));
    THAW_TRY(read_list(call, "pads", window.spatial, 0, window.pads));
    THAW_TRY(thaw_onnx_attr_int(call, "ceil_mode", &ceil_mode));
    window.ceil_mode = ceil_mode != 0;
    THAW_TRY(read_auto_pad(call, value, &window));
    *ret_window = window;
    return THAW_OK;
}

void thaw_onnx_window_absorb_pad(struct thaw_onnx_call *call, struct thaw_onnx_value *value,
                                 struct thaw_onnx_window *window) {
    int node = value->view.node;
    const struct thaw_onnx_node *pad = &call->cv->nodes[node];
    if (!pad->is_zero_pad || !thaw_onnx_is_only_use(call->cv, value))
        return;
    for (int i = 0; i < 4; i++)
        window->pads[i] += pad->window_pads[i];
    value->view.node = pad->inputs[0];
    thaw_onnx_drop(call->cv, node);
}

static void append_pair(char *text, const char *key, const int64_t pair[2]) {
    size_t used = strlen(text), room = THAW_ONNX_WINDOW_TEXT_SIZE - used;
    if (pair[0] == pair[1])
        snprintf(text + used, room, "%s%s: %lld", used ? ", " : "", key, (long long)pair[0]);
    else
        snprintf(text + used, room, "%s%s: [%lld, %lld]", used ? ", " : "", key, (long long)pair[0],
                 (long long)pair[1]);
}

void thaw_onnx_window_text(const struct thaw_onnx_window *window, int64_t stride,
                           char ret_text[THAW_ONNX_WINDOW_TEXT_SIZE]) {
    const int64_t *p = window->pads;
    ret_text[0] = '\0';
    append_pair(ret_text, "kernel", window->kernel);
    if (!stride || window->stride[0] != stride || window->stride[1] != stride)
        append_pair(ret_text, "stride", window->stride);
    if (p[0] == p[2] && p[1] == p[3]) {
        if (p[0] || p[1])
            append_pair(ret_text, "pad", p);
    } else {
        snprintf(ret_text + strlen(ret_text), THAW_ONNX_WINDOW_TEXT_SIZE - strlen(ret_text),
                 ", pad: [%lld, %lld, %lld, %lld]", (long long)p[0], (long long)p[1],
                 (long long)p[2], (long long)p[3]);
    }
    if (window->dilation[0] != 1 || window->dilation[1] != 1)
        append_pair(ret_text, "dilation", window->dilation);
    if (window->ceil_mode)
        snprintf(ret_text + strlen(ret_text), THAW_ONNX_WINDOW_TEXT_SIZE - strlen(ret_text),
                 ", ceil_mode: true");
}

struct thaw_onnx_view thaw_onnx_window_view(const struct thaw_onnx_call *call,
                                            const struct thaw_onnx_view *in, int node) {
    struct thaw_shape shape = call->cv->nodes[node].out;
    int64_t dims[4] = {1, shape.c, in->rank == 4 ? shape.h : shape.w, shape.w};
    struct thaw_onnx_layout layout = {.count = {1, in->rank == 4, 1}};
    layout.dims[THAW_SLOT_C][0] = 1;
    layout.dims[THAW_SLOT_H][0] = 2;
    layout.dims[THAW_SLOT_W][0] = in->rank - 1;
    return thaw_onnx_view_make(node, in->rank, dims, in->batch, &layout);
}
