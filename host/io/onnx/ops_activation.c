/* Functions of each element alone. */
#include <math.h>
#include <string.h>

#include "io/onnx/convert.h"
#include "io/onnx/text.h"

/* ---- without attributes ------------------------------------------------------------------------
 */

static const struct {
    const char *type, *op;
} plain[] = {
    {"Relu", "relu"},         {"Sigmoid", "sigmoid"},   {"Tanh", "tanh"},
    {"Softplus", "softplus"}, {"Softsign", "softsign"}, {"HardSwish", "hardswish"},
    {"Mish", "mish"},         {"Erf", "erf"},
};

static thaw_status convert_plain(struct thaw_onnx_call *call) {
    size_t i = 0;
    while (strcmp(plain[i].type, call->node->op_type) != 0)
        i++;
    return thaw_onnx_emit_unary(call, plain[i].op, "%s", "");
}

/* ---- with numbers ------------------------------------------------------------------------------
 */

static const struct {
    const char *type, *op;
    struct {
        const char *attribute, *key;
        float value; /* where the file has none */
    } numbers[2];
} numbered[] = {
    {"Elu", "elu", {{"alpha", "alpha", 1}}},
    {"Celu", "celu", {{"alpha", "alpha", 1}}},
    {"ThresholdedRelu", "thresholded_relu", {{"alpha", "alpha", 1}}},
    {"Selu",
     "selu",
     {{"alpha", "alpha", 1.67326319217681884765625f},
      {"gamma", "gamma", 1.05070102214813232421875f}}},
};

static thaw_status convert_numbered(struct thaw_onnx_call *call) {
    size_t i = 0;
    while (strcmp(numbered[i].type, call->node->op_type) != 0)
        i++;
    float values[2];
    for (int n = 0; n < 2; n++) {
        values[n] = numbered[i].numbers[n].value;
        if (numbered[i].numbers[n].attribute)
            THAW_TRY(thaw_onnx_attr_float(call, numbered[i].numbers[n].attribute, &values[n]));
    }
    if (!numbered[i].numbers[1].key)
        return thaw_onnx_emit_unary(call, numbered[i].op, "%s: %s", numbered[i].numbers[0].key,
                                    thaw_onnx_short(values[0]).text);
    return thaw_onnx_emit_unary(call, numbered[i].op, "%s: %s, %s: %s", numbered[i].numbers[0].key,
                                thaw_onnx_short(values[0]).text, numbered[i].numbers[1].key,
                                thaw_onnx_short(values[1]).text);
}

/* With the slope of 1/6 it is the hardsigmoid of MobileNetV3. */
static thaw_status convert_hardsigmoid(struct thaw_onnx_call *call) {
    float alpha = 0.2f, beta = 0.5f;
    THAW_TRY(thaw_onnx_attr_float(call, "alpha", &alpha));
    THAW_TRY(thaw_onnx_attr_float(call, "beta", &beta));
    if (fabsf(alpha - 1.0f / 6) < 1e-6f && beta == 0.5f)
        return thaw_onnx_emit_unary(call, "hardsigmoid", "%s", "");
    return thaw_onnx_emit_unary(call, "hardsigmoid", "alpha: %s, beta: %s",
                                thaw_onnx_short(alpha).text, thaw_onnx_short(beta).text);
}

static thaw_status convert_leaky_relu(struct thaw_onnx_call *call) {
    float slope = 0.01f;
    THAW_TRY(thaw_onnx_attr_float(call, "alpha", &slope));
    return thaw_onnx_emit_unary(call, "leaky_relu", "slope: %s", thaw_onnx_short(slope).text);
}

static thaw_status convert_gelu(struct thaw_onnx_call *call) {
    const char *approximate = "none";
    THAW_TRY(thaw_onnx_attr_text(call, "approximate", &approximate));
    if (strcmp(approximate, "none") != 0 && strcmp(approximate, "tanh") != 0)
        return thaw_fail(THAW_ERROR_UNSUPPORTED,
                         "attribute 'approximate': '%.20s'; none and tanh are supported",
                         approximate);
    if (!strcmp(approximate, "none"))
        return thaw_onnx_emit_unary(call, "gelu", "%s", "");
    return thaw_onnx_emit_unary(call, "gelu", "approximate: tanh");
}

/* ---- Clip --------------------------------------------------------------------------------------
 */

static thaw_status read_bound(const struct thaw_onnx_call *call, int index, const char *name,
                              float *value) {
    THAW_TRY(thaw_onnx_attr_float(call, name, value));
    if (thaw_onnx_has_input(call, index))
        THAW_TRY(thaw_onnx_constant_float(call, index, name, value));
    return THAW_OK;
}

static thaw_status convert_clip(struct thaw_onnx_call *call) {
    float low = -INFINITY, high = INFINITY;
    THAW_TRY(read_bound(call, 1, "min", &low));
    THAW_TRY(read_bound(call, 2, "max", &high));
    bool has_low = low > -3.4e38f,
         has_high = high < 3.4e38f; /* exporters write the largest float */
    if (has_low && low == 0 && has_high && high == 6)
        return thaw_onnx_emit_unary(call, "relu6", "%s", "");
    if (has_low && low == 0 && !has_high)
        return thaw_onnx_emit_unary(call, "relu", "%s", "");
    if (has_low && has_high)
        return thaw_onnx_emit_unary(call, "clip", "min: %s, max: %s", thaw_onnx_short(low).text,
                                    thaw_onnx_short(high).text);
    if (has_low)
        return thaw_onnx_emit_unary(call, "clip", "min: %s", thaw_onnx_short(low).text);
    if (has_high)
        return thaw_onnx_emit_unary(call, "clip", "max: %s", thaw_onnx_short(high).text);
    struct thaw_onnx_value *value;
    THAW_TRY(thaw_onnx_data(call, 0, &value));
    thaw_onnx_return_alias(call, &value->view);
    return THAW_OK;
}

/* ---- PRelu -------------------------------------------------------------------------------------
 */

/* Before opset 7 a vector is of slopes for the channels, dimension 1; later it broadcasts. */
static void slope_of_channels(const struct thaw_onnx_call *call, int rank,
                              struct thaw_onnx_tensor *slope) {
    if (call->cv->model->opset >= 7 || slope->rank != 1 || rank < 2)
        return;
    slope->rank = rank - 1;
    for (int d = 1; d < slope->rank; d++)
        slope->dims[d] = 1;
}

static thaw_status convert_prelu(struct thaw_onnx_call *call) {
    struct thaw_onnx_value *value;
    const struct thaw_onnx_tensor *slope;
    int64_t sizes[THAW_SLOT_COUNT], *indices;
    THAW_TRY(thaw_onnx_data(call, 0, &value));
    THAW_TRY(thaw_onnx_constant(call, 1, "slope", &slope));
    thaw_onnx_name_after(call, call->in[1]);
    if (!slope->floats)
        return thaw_fail(THAW_ERROR_INPUT, "input 2 ('slope') holds no floating-point numbers");
    struct thaw_onnx_tensor shaped = *slope;
    slope_of_channels(call, value->view.rank, &shaped);
    THAW_TRY(thaw_onnx_view_broadcast(&value->view, &call->cv->scratch, &shaped, sizes, &indices));
    if (sizes[THAW_SLOT_H] != 1 || sizes[THAW_SLOT_W] != 1)
        return thaw_fail(THAW_ERROR_UNSUPPORTED,
                         "input 2 ('slope') has more than one number a channel");
    int64_t count = sizes[THAW_SLOT_C];
    float *data = thaw_onnx_floats(call, count);
    if (!data)
        return THAW_ERROR_MEMORY;
    for (int64_t i = 0; i < count; i++)
        data[i] = slope->floats[indices[i]];
    bool shared = count == 1 && thaw_onnx_shape(call, value).c != 1;
    THAW_TRY(thaw_onnx_emit_unary(call, "prelu", "%s", shared ? "shared: true" : ""));
    return thaw_onnx_add_param(call, call->out[0]->view.node, "weight", data, 1, &count);
}

const struct thaw_onnx_operator thaw_onnx_family_activation[] = {
    {"Relu", "", 1, NULL, convert_plain},
    {"Sigmoid", "", 1, NULL, convert_plain},
    {"Tanh", "", 1, NULL, convert_plain},
    {"Softplus", "", 1, NULL, convert_plain},
    {"Softsign", "", 1, NULL, convert_plain},
    {"HardSwish", "", 1, NULL, convert_plain},
    {"Mish", "", 1, NULL, convert_plain},
    {"Erf", "", 1, NULL, convert_plain},
    {"Elu", "alpha", 1, NULL, convert_numbered},
    {"Celu", "alpha", 1, NULL, convert_numbered},
    {"ThresholdedRelu", "alpha", 1, NULL, convert_numbered},
    {"HardSigmoid", "alpha beta", 1, NULL, convert_hardsigmoid},
    {"Selu", "alpha gamma", 1, NULL, convert_numbered},
    {"LeakyRelu", "alpha", 1, NULL, convert_leaky_relu},
    {"Gelu", "approximate", 1, NULL, convert_gelu},
    {"Clip", "min max", 1, NULL, convert_clip},
    {"PRelu", "", 1, NULL, convert_prelu},
    {0},
};
