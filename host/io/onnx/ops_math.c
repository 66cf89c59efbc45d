/* Arithmetic on constants, element by element, and what of it the network can do. */
#include <math.h>
#include <string.h>

#include "io/onnx/arithmetic.h"
#include "io/onnx/fold.h"
#include "io/onnx/fuse.h"
#include "io/onnx/text.h"

/* ---- two inputs --------------------------------------------------------------------------------
 */

enum operation { ADD, SUB, MUL, DIV, MIN, MAX, POW, MOD };

static const char *const operation_names[] = {"Add", "Sub", "Mul", "Div",
                                              "Min", "Max", "Pow", "Mod"};

static enum operation find_operation(const struct thaw_onnx_call *call) {
    if (!strcmp(call->node->op_type, "Sum"))
        return ADD;
    int i = 0;
    while (i < MOD && strcmp(call->node->op_type, operation_names[i]) != 0)
        i++;
    return (enum operation)i;
}

static float compute_float(enum operation operation, float a, float b) {
    switch (operation) {
    case ADD:
        return a + b;
    case SUB:
        return a - b;
    case MUL:
        return a * b;
    case DIV:
        return a / b;
    case MIN:
        return fminf(a, b);
    case MAX:
        return fmaxf(a, b);
    case POW:
        return powf(a, b);
    default:
        return fmodf(a, b);
    }
}

/* With the size of the batch only what leaves it alone can be computed. */
static int64_t compute_marked(enum operation operation, int64_t a, int64_t b) {
    bool first = thaw_onnx_is_mark(a);
    if ((operation == ADD && (a == 0 || b == 0)) || (operation == MUL && (a == 1 || b == 1)))
        return first ? a : b;
    if (first && ((operation == SUB && b == 0) || (operation == DIV && b == 1)))
        return a;
    if (operation == DIV && a == THAW_ONNX_BATCH && b == THAW_ONNX_BATCH)
        return 1;
    if (operation == MUL && (a == 0 || b == 0))
        return 0;
    return THAW_ONNX_UNKNOWN;
}

static int64_t integer_power(int64_t a, int64_t b) {
    int64_t result = 1;
    if (b < 0)
        return a == 1 ? 1 : 0;
    if (b > 64 && a != 1 && a != 0 && a != -1)
        return THAW_ONNX_UNKNOWN;
    for (b = b > 64 ? 64 + b % 2 : b; b > 0; b--)
        if (__builtin_mul_overflow(result, a, &result))
            return THAW_ONNX_UNKNOWN;
    return result;
}

static thaw_status compute_integer(enum operation operation, int64_t a, int64_t b,
                                   int64_t *ret_value) {
    bool overflow = false;
    if (thaw_onnx_is_mark(a) || thaw_onnx_is_mark(b)) {
        *ret_value = compute_marked(operation, a, b);
        return THAW_OK;
    }
    if ((operation == DIV || operation == MOD) && b == 0)
        return thaw_fail(THAW_ERROR_INPUT, "a division by zero");
    switch (operation) {
    case ADD:
        overflow = __builtin_add_overflow(a, b, ret_value);
        break;
    case SUB:
        overflow = __builtin_sub_overflow(a, b, ret_value);
        break;
    case MUL:
        overflow = __builtin_mul_overflow(a, b, ret_value);
        break;
    case DIV:
        overflow = b == -1 && a == INT64_MIN;
        *ret_value = overflow ? 0 : a / b;
        break;
    case MIN:
        *ret_value = a < b ? a : b;
        break;
    case MAX:
        *ret_value = a > b ? a : b;
        break;
    case POW:
        *ret_value = integer_power(a, b);
        break;
    default: /* the sign of the divisor, as numpy's */
        *ret_value = b == -1 ? 0 : (a % b != 0 && (a % b < 0) != (b < 0)) ? a % b + b : a % b;
    }
    if (overflow)
        *ret_value = THAW_ONNX_UNKNOWN;
    return THAW_OK;
}

static thaw_status fold_pair(struct thaw_onnx_call *call, enum operation operation,
                             const struct thaw_onnx_tensor *a, const struct thaw_onnx_tensor *b,
                             struct thaw_onnx_tensor *ret_tensor) {
    struct thaw_onnx_tensor to;
    struct thaw_onnx_counter first = {0}, second = {0};
    int64_t dims[THAW_ONNX_RANK_MAX];
    int rank;
    if ((a->floats != NULL) != (b->floats != NULL))
        return thaw_fail(THAW_ERROR_UNSUPPORTED, "%s together with %s",
                         thaw_onnx_elem_name(a->elem), thaw_onnx_elem_name(b->elem));
    THAW_TRY(thaw_onnx_broadcast_dims(a, b, &rank, dims));
    THAW_TRY(thaw_onnx_fold_make(call, a->elem, rank, dims, &to));
    first.rank = second.rank = rank;
    memcpy(first.dims, to.dims, sizeof first.dims);
    memcpy(second.dims, to.dims, sizeof second.dims);
    thaw_onnx_broadcast_strides(a, rank, first.strides);
    thaw_onnx_broadcast_strides(b, rank, second.strides);
    for (int64_t i = 0; i < to.count; i++) {
        if (to.floats && a->floats && b->floats)
            ((float *)to.floats)[i] =
                compute_float(operation, a->floats[first.index], b->floats[second.index]);
        else if (to.integers && a->integers && b->integers)
            THAW_TRY(compute_integer(operation, a->integers[first.index], b->integers[second.index],
                                     (int64_t *)&to.integers[i]));
        thaw_onnx_count_on(&first);
        thaw_onnx_count_on(&second);
    }
    *ret_tensor = to;
    return THAW_OK;
}

/* Two inputs, or as many as there are (Sum, Min, Max). */
static thaw_status fold_binary(struct thaw_onnx_call *call) {
    struct thaw_onnx_tensor sum;
    const struct thaw_onnx_tensor *next;
    THAW_TRY(thaw_onnx_constant(call, 0, "A", &next));
    sum = *next;
    for (int i = 1; i < call->in_count; i++) {
        THAW_TRY(thaw_onnx_constant(call, i, "B", &next));
        THAW_TRY(fold_pair(call, find_operation(call), &sum, next, &sum));
    }
    thaw_onnx_return_constant(call, 0, &sum);
    return THAW_OK;
}

/* ---- one input ---------------------------------------------------------------------------------
 */

static const struct {
    const char *type;
    double (*function)(double);
} functions[] = {
    {"Abs", fabs},  {"Floor", floor}, {"Ceil", ceil}, {"Round", rint},
    {"Sqrt", sqrt}, {"Exp", exp},     {"Log", log},
};

static double compute_function(const char *type, double x) {
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (!strcmp(type, functions[i].type))
            return functions[i].function(x);
    return !strcmp(type, "Neg") ? -x : 1 / x; /* Reciprocal */
}

static thaw_status fold_unary(struct thaw_onnx_call *call) {
    const struct thaw_onnx_tensor *from;
    struct thaw_onnx_tensor to;
    THAW_TRY(thaw_onnx_constant(call, 0, "X", &from));
    THAW_TRY(thaw_onnx_fold_make(call, from->elem, from->rank, from->dims, &to));
    for (int64_t i = 0; i < to.count; i++) {
        double x = thaw_onnx_number(from, i);
        bool marked = from->integers && thaw_onnx_is_mark(from->integers[i]);
        double y = compute_function(call->node->op_type, x);
        if (to.floats)
            ((float *)to.floats)[i] = (float)y;
        else
            ((int64_t *)to.integers)[i] =
                marked || !(fabs(y) < 9e18) ? THAW_ONNX_UNKNOWN : (int64_t)y;
    }
    thaw_onnx_return_constant(call, 0, &to);
    return THAW_OK;
}

/* ---- on values of the network ------------------------------------------------------------------
 */

static thaw_status only_floats(const struct thaw_onnx_call *call, int index) {
    const struct thaw_onnx_value *value = call->in[index];
    if (value && value->is_constant && !value->tensor.floats)
        return thaw_fail(THAW_ERROR_INPUT, "input %d holds %s beside a value of the network",
                         index + 1, thaw_onnx_elem_name(value->elem));
    return THAW_OK;
}

static thaw_status convert_two(struct thaw_onnx_call *call, enum operation operation) {
    static const char *const ops[] = {"add", "sub", "mul", "div"};
    struct thaw_onnx_value *a = call->in[0], *b = call->in[1];
    bool product = operation == MUL || operation == DIV;
    if (!a->is_constant && !b->is_constant) {
        bool fused = false;
        if (operation == MUL)
            THAW_TRY(thaw_onnx_fuse_product(call, a, b, &fused));
        return fused ? THAW_OK : thaw_onnx_combine(call, ops[operation], a, b);
    }
    if (operation == MUL && (a->is_constant ? a : b)->tensor.count == 1) {
        bool fused;
        const struct thaw_onnx_value *number = a->is_constant ? a : b;
        THAW_TRY(
            thaw_onnx_fuse_scaled(call, a->is_constant ? b : a, number->tensor.floats[0], &fused));
        if (fused)
            return THAW_OK;
    }
    if (b->is_constant)
        return thaw_onnx_apply_constant(call, a, &b->tensor,
                                        product ? THAW_ONNX_SCALE : THAW_ONNX_SHIFT,
                                        operation == SUB   ? THAW_ONNX_NEGATED
                                        : operation == DIV ? THAW_ONNX_INVERTED
                                                           : THAW_ONNX_PLAIN);
    if (operation == ADD || operation == MUL)
        return thaw_onnx_apply_constant(
            call, b, &a->tensor, product ? THAW_ONNX_SCALE : THAW_ONNX_SHIFT, THAW_ONNX_PLAIN);
    if (operation == DIV)
        return thaw_fail(THAW_ERROR_UNSUPPORTED, "a constant divided by a value of the network");
    /* c - x = -x + c */
    static const float minus_one = -1;
    const struct thaw_onnx_tensor factor = {
        .elem = THAW__ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, .count = 1, .floats = &minus_one};
    const struct thaw_onnx_tensor constant = a->tensor;
    THAW_TRY(thaw_onnx_apply_constant(call, b, &factor, THAW_ONNX_SCALE, THAW_ONNX_PLAIN));
    struct thaw_onnx_value negated = *call->out[0];
    negated.uses = 1;
    return thaw_onnx_apply_constant(call, &negated, &constant, THAW_ONNX_SHIFT, THAW_ONNX_PLAIN);
}

static thaw_status convert_binary(struct thaw_onnx_call *call) {
    if (call->in_count != 2 || !call->in[0] || !call->in[1])
        return thaw_fail(THAW_ERROR_INPUT, "it takes two inputs, not %d", call->in_count);
    THAW_TRY(only_floats(call, 0));
    THAW_TRY(only_floats(call, 1));
    return convert_two(call, find_operation(call));
}

static thaw_status convert_sum(struct thaw_onnx_call *call) {
    struct thaw_onnx_value *inputs[2], sum;
    struct thaw_onnx_call step = *call;
    for (int i = 0; i < call->in_count; i++) {
        if (!call->in[i])
            return thaw_fail(THAW_ERROR_INPUT, "input %d is missing", i + 1);
        THAW_TRY(only_floats(call, i));
    }
    if (call->in_count == 1) {
        thaw_onnx_return_alias(call, &call->in[0]->view);
        return THAW_OK;
    }
    step.in = inputs;
    step.in_count = 2;
    inputs[0] = call->in[0];
    for (int i = 1; i < call->in_count; i++) {
        inputs[1] = call->in[i];
        THAW_TRY(convert_two(&step, ADD));
        sum = *call->out[0];
        sum.uses = 1;
        inputs[0] = &sum;
    }
    return THAW_OK;
}

/* Against single numbers: a clip. */
static thaw_status convert_extreme(struct thaw_onnx_call *call) {
    float bound;
    bool is_min = find_operation(call) == MIN;
    int constant = thaw_onnx_has_input(call, 0) && call->in[0]->is_constant ? 0 : 1;
    if (call->in_count != 2)
        return thaw_fail(THAW_ERROR_UNSUPPORTED, "of %d inputs; only a value and a number",
                         call->in_count);
    THAW_TRY(thaw_onnx_constant_float(call, constant, "bound", &bound));
    struct thaw_onnx_call swapped = *call;
    struct thaw_onnx_value *value = call->in[1 - constant];
    swapped.in = &value;
    if (!is_min && bound == 0)
        return thaw_onnx_emit_unary(&swapped, "relu", "%s", "");
    return thaw_onnx_emit_unary(&swapped, "clip", "%s: %s", is_min ? "max" : "min",
                                thaw_onnx_short(bound).text);
}

static thaw_status convert_pow(struct thaw_onnx_call *call) {
    float exponent;
    struct thaw_onnx_value *value;
    THAW_TRY(thaw_onnx_data(call, 0, &value));
    THAW_TRY(thaw_onnx_constant_float(call, 1, "Y", &exponent));
    if (exponent == 1) {
        thaw_onnx_return_alias(call, &value->view);
        return THAW_OK;
    }
    if (exponent != 2)
        return thaw_fail(THAW_ERROR_UNSUPPORTED, "a power of %g; on values of the network 2 is",
                         (double)exponent);
    return thaw_onnx_combine(call, "mul", value, value);
}

static thaw_status convert_neg(struct thaw_onnx_call *call) {
    static const float minus_one = -1;
    const struct thaw_onnx_tensor factor = {
        .elem = THAW__ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, .count = 1, .floats = &minus_one};
    struct thaw_onnx_value *value;
    THAW_TRY(thaw_onnx_data(call, 0, &value));
    return thaw_onnx_apply_constant(call, value, &factor, THAW_ONNX_SCALE, THAW_ONNX_PLAIN);
}

const struct thaw_onnx_operator thaw_onnx_family_math[] = {
    {"Add", "", 1, fold_binary, convert_binary},
    {"Sub", "", 1, fold_binary, convert_binary},
    {"Mul", "", 1, fold_binary, convert_binary},
    {"Div", "", 1, fold_binary, convert_binary},
    {"Sum", "", 1, fold_binary, convert_sum},
    {"Min", "", 1, fold_binary, convert_extreme},
    {"Max", "", 1, fold_binary, convert_extreme},
    {"Pow", "", 1, fold_binary, convert_pow},
    {"Mod", "fmod", 1, fold_binary},
    {"Abs", "", 1, fold_unary},
    {"Neg", "", 1, fold_unary, convert_neg},
    {"Floor", "", 1, fold_unary},
    {"Ceil", "", 1, fold_unary},
    {"Round", "", 1, fold_unary},
    {"Sqrt", "", 1, fold_unary},
    {"Exp", "", 1, fold_unary},
    {"Log", "", 1, fold_unary},
    {"Reciprocal", "", 1, fold_unary},
    {0},
};
