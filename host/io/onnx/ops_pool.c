/* Pooling over windows and over whole maps. */
#include <stdio.h>
#include <string.h>

#include "io/onnx/window.h"

static thaw_status convert_maxpool(struct thaw_onnx_call *call) {
    struct thaw_onnx_value *value;
    struct thaw_onnx_window window;
    char text[THAW_ONNX_WINDOW_TEXT_SIZE];
    int64_t order = 0;
    int node;
    THAW_TRY(thaw_onnx_data(call, 0, &value));
    THAW_TRY(thaw_onnx_attr_int(call, "storage_order", &order)); /* only of the indices */
    THAW_TRY(thaw_onnx_arrange_image(call, value));
    THAW_TRY(thaw_onnx_window_read(call, value, NULL, &window));
    thaw_onnx_window_text(&window, 0, text);
    THAW_TRY(thaw_onnx_emit(call, NULL, "maxpool", &value->view.node, 1, &node, "%s", text));
    struct thaw_onnx_view view = thaw_onnx_window_view(call, &value->view, node);
    thaw_onnx_return_view(call, 0, &view);
    return THAW_OK;
}

static thaw_status convert_avgpool(struct thaw_onnx_call *call) {
    struct thaw_onnx_value *value;
    struct thaw_onnx_window window;
    char text[THAW_ONNX_WINDOW_TEXT_SIZE];
    int64_t include = 0;
    int node;
    THAW_TRY(thaw_onnx_data(call, 0, &value));
    THAW_TRY(thaw_onnx_arrange_image(call, value));
    THAW_TRY(thaw_onnx_window_read(call, value, NULL, &window));
    THAW_TRY(thaw_onnx_attr_int(call, "count_include_pad", &include));
    if (window.dilation[0] != 1 || window.dilation[1] != 1)
        return thaw_fail(THAW_ERROR_UNSUPPORTED, "attribute 'dilations' is not supported");
    if (include)
        thaw_onnx_window_absorb_pad(call, value, &window);
    bool padded = window.pads[0] || window.pads[1] || window.pads[2] || window.pads[3];
    thaw_onnx_window_text(&window, 0, text);
    THAW_TRY(thaw_onnx_emit(call, NULL, "avgpool", &value->view.node, 1, &node, "%s%s", text,
                            !include && (padded || window.ceil_mode) ? ", count_include_pad: false"
                                                                     : ""));
    struct thaw_onnx_view view = thaw_onnx_window_view(call, &value->view, node);
    thaw_onnx_return_view(call, 0, &view);
    return THAW_OK;
}

/* In every layout whose channels are a slot, the other two are averaged. */
static thaw_status convert_global(struct thaw_onnx_call *call) {
    struct thaw_onnx_value *value;
    int node;
    THAW_TRY(thaw_onnx_data(call, 0, &value));
    THAW_TRY(thaw_onnx_arrange_image(call, value));
    struct thaw_shape shape = thaw_onnx_shape(call, value);
    if (!strcmp(call->node->op_type, "GlobalAveragePool"))
        THAW_TRY(thaw_onnx_emit(call, NULL, "global", &value->view.node, 1, &node, "%s", ""));
    else
        THAW_TRY(thaw_onnx_emit(call, NULL, "maxpool", &value->view.node, 1, &node,
                                "kernel: [%d, %d]", shape.h, shape.w));
    struct thaw_onnx_view view = thaw_onnx_window_view(call, &value->view, node);
    thaw_onnx_return_view(call, 0, &view);
    return THAW_OK;
}

const struct thaw_onnx_operator thaw_onnx_family_pool[] = {
    {"MaxPool", "auto_pad ceil_mode dilations kernel_shape pads storage_order strides", 1, NULL,
     convert_maxpool},
    {"AveragePool", "auto_pad ceil_mode count_include_pad dilations kernel_shape pads strides", 1,
     NULL, convert_avgpool},
    {"GlobalAveragePool", "", 1, NULL, convert_global},
    {"GlobalMaxPool", "", 1, NULL, convert_global},
    {0},
};
