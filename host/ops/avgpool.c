/* The average of each window:
 *
 *   y = (sum of the window's values inside the map) / size;  dx = sum of dy / size over the windows
 *       that contain x
 *
 * `size` is the window's, clipped to the padded map, or with count_include_pad: false only its part
 * inside the map; a window that ceil_mode lets reach past the padding is clipped first, as in
 * PyTorch.
 *
 * Attributes (pairs: a number or [vertical, horizontal]): kernel (required), stride (kernel), pad
 * (0; or [top, left, bottom, right]), ceil_mode (false), count_include_pad (true). */
#include "ops/export.h"
#include "ops/parse.h"
#include "ops/pool.h"

struct attrs {
    struct thaw_pool_window window;
    bool count_include_pad;
};

static thaw_status parse(const thaw_yaml *node, void *ret_attrs) {
    static const char *const keys[] = {"kernel", "stride", "pad", "ceil_mode", "count_include_pad"};
    struct attrs attrs = {.count_include_pad = true};
    const thaw_yaml *map = NULL;
    THAW_TRY(thaw_op_parse_map(node, keys, sizeof keys / sizeof *keys, &map));
    THAW_TRY(thaw_pool_parse(node, map, &attrs.window));
    THAW_TRY(thaw_yaml_get_bool(map, "count_include_pad", &attrs.count_include_pad));
    *(struct attrs *)ret_attrs = attrs;
    return THAW_OK;
}

static thaw_status infer(const void *attrs, const struct thaw_layout *in, int input_count,
                         const struct thaw_device_caps *caps, struct thaw_op_spec *ret_spec) {
    (void)input_count;
    return thaw_pool_infer(&((const struct attrs *)attrs)->window, in, caps, ret_spec);
}

static thaw_status prepare(struct thaw_op_call *call) {
    const struct attrs *attrs = call->attrs;
    struct thaw_defines defines = {0};
    thaw_pool_defines(&defines, &attrs->window);
    thaw_define_int(&defines, "COUNT_PAD", attrs->count_include_pad);
    return thaw_pool_prepare(call, "avgpool", &defines, false);
}

static thaw_status onnx(struct thaw_export_call *call) {
    const struct attrs *attrs = call->attrs;
    thaw_pool_onnx(call, &attrs->window, "AveragePool", attrs->count_include_pad);
    return THAW_OK;
}

const struct thaw_op thaw_op_avgpool = {
    .type = "avgpool",
    .summary = "average of each window",
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
