/* Operators that make constants, and those that only ever see constants: what exporters compute
 * shapes with. */
#include <math.h>
#include <string.h>

#include "io/onnx/fold.h"

#define TYPE(name) THAW__ONNX__TENSOR_PROTO__DATA_TYPE__##name

/* ---- Constant, ConstantOfShape, Range ---------------------------------------------------------
 */

static thaw_status list_constant(struct thaw_onnx_call *call, int elem, int rank, size_t count,
                                 const float *floats, const int64_t *integers) {
    struct thaw_onnx_tensor tensor;
    THAW_TRY(thaw_onnx_fold_make(call, elem, rank, &(int64_t){(int64_t)count}, &tensor));
    for (size_t i = 0; i < count; i++) {
        if (floats)
            ((float *)tensor.floats)[i] = floats[i];
        else
            ((int64_t *)tensor.integers)[i] = integers[i];
    }
    thaw_onnx_return_constant(call, 0, &tensor);
    return THAW_OK;
}

static thaw_status fold_constant(struct thaw_onnx_call *call) {
    const Thaw__Onnx__AttributeProto *a;
    if ((a = thaw_onnx_attr_find(call, "value"))) {
        struct thaw_onnx_tensor tensor;
        if (!a->t)
            return thaw_fail(THAW_ERROR_INPUT, "attribute 'value': expected a tensor");
        THAW_TRY(thaw_onnx_model_tensor(call->cv->model, a->t, &tensor));
        thaw_onnx_return_constant(call, 0, &tensor);
        return THAW_OK;
    }
    if ((a = thaw_onnx_attr_find(call, "value_float")))
        return list_constant(call, TYPE(FLOAT), 0, 1, &a->f, NULL);
    if ((a = thaw_onnx_attr_find(call, "value_int")))
        return list_constant(call, TYPE(INT64), 0, 1, NULL, &a->i);
    if ((a = thaw_onnx_attr_find(call, "value_floats")))
        return list_constant(call, TYPE(FLOAT), 1, a->n_floats, a->floats, NULL);
    if ((a = thaw_onnx_attr_find(call, "value_ints")))
        return list_constant(call, TYPE(INT64), 1, a->n_ints, NULL, a->ints);
    return thaw_fail(THAW_ERROR_INPUT, "it has no value");
}

/* Dimensions out of a list of integers: the batch's size is none. */
static thaw_status read_dims(const struct thaw_onnx_call *call, int index, const char *what,
                             int *ret_rank, int64_t dims[THAW_ONNX_RANK_MAX]) {
    *ret_rank = THAW_ONNX_RANK_MAX;
    THAW_TRY(thaw_onnx_constant_ints(call, index, what, dims, ret_rank));
    for (int d = 0; d < *ret_rank; d++)
        if (thaw_onnx_is_mark(dims[d]))
            return thaw_fail(THAW_ERROR_UNSUPPORTED,
                             "a constant whose size depends on that of the batch");
    return THAW_OK;
}

static thaw_status fold_constant_of_shape(struct thaw_onnx_call *call) {
    static const float zero = 0;
    struct thaw_onnx_tensor value = {.elem = TYPE(FLOAT), .count = 1, .floats = &zero}, tensor;
    const Thaw__Onnx__AttributeProto *a = thaw_onnx_attr_find(call, "value");
    int64_t dims[THAW_ONNX_RANK_MAX];
    int rank;
    THAW_TRY(read_dims(call, 0, "input", &rank, dims));
    if (a && a->t)
        THAW_TRY(thaw_onnx_model_tensor(call->cv->model, a->t, &value));
    if (value.count != 1)
        return thaw_fail(THAW_ERROR_INPUT, "attribute 'value' has %lld elements, expected one",
                         (long long)value.count);
    THAW_TRY(thaw_onnx_fold_make(call, value.elem, rank, dims, &tensor));
    for (int64_t i = 0; i < tensor.count; i++)
        thaw_onnx_copy(&tensor, i, &value, 0);
    thaw_onnx_return_constant(call, 0, &tensor);
    return THAW_OK;
}

static thaw_status fold_range(struct thaw_onnx_call *call) {
    double range[3];
    int elem = 0;
    for (int i = 0; i < 3; i++) {
        const struct thaw_onnx_tensor *tensor;
        THAW_TRY(thaw_onnx_constant(call, i,
                                    i == 0   ? "start"
                                    : i == 1 ? "limit"
                                             : "delta",
                                    &tensor));
        if (tensor->count != 1 || (tensor->integers && thaw_onnx_is_mark(tensor->integers[0])))
            return thaw_fail(THAW_ERROR_UNSUPPORTED, "its bounds are no single known numbers");
        range[i] = thaw_onnx_number(tensor, 0);
        elem = tensor->elem;
    }
    double count = ceil((range[1] - range[0]) / range[2]);
    if (!(count < 1e9))
        return thaw_fail(THAW_ERROR_INPUT, "it has no end");
    struct thaw_onnx_tensor tensor;
    THAW_TRY(
        thaw_onnx_fold_make(call, elem, 1, &(int64_t){count > 0 ? (int64_t)count : 0}, &tensor));
    for (int64_t i = 0; i < tensor.count; i++) {
        double value = range[0] + (double)i * range[2];
        if (tensor.floats)
            ((float *)tensor.floats)[i] = (float)value;
        else
            ((int64_t *)tensor.integers)[i] = (int64_t)value;
    }
    thaw_onnx_return_constant(call, 0, &tensor);
    return THAW_OK;
}

/* ---- Shape, Size ------------------------------------------------------------------------------
 */

static void dims_of(const struct thaw_onnx_value *value, int64_t ret_dims[THAW_ONNX_RANK_MAX]) {
    const int64_t *dims = value->is_constant ? value->tensor.dims : value->view.dims;
    for (int d = 0; d < thaw_onnx_rank(value); d++)
        ret_dims[d] = dims[d] < 0 ? THAW_ONNX_BATCH : dims[d];
}

static int clamp_axis(int64_t axis, int rank) {
    axis += axis < 0 ? rank : 0;
    return (int)(axis < 0 ? 0 : axis > rank ? rank : axis);
}

static thaw_status fold_shape(struct thaw_onnx_call *call) {
    if (!thaw_onnx_has_input(call, 0))
        return thaw_fail(THAW_ERROR_INPUT, "it has no input");
    int64_t dims[THAW_ONNX_RANK_MAX] = {0};
    int rank = thaw_onnx_rank(call->in[0]);
    int64_t start = 0, end = rank;
    dims_of(call->in[0], dims);
    THAW_TRY(thaw_onnx_attr_int(call, "start", &start));
    THAW_TRY(thaw_onnx_attr_int(call, "end", &end));
    int first = clamp_axis(start, rank), last = clamp_axis(end, rank);
    return list_constant(call, TYPE(INT64), 1, last > first ? (size_t)(last - first) : 0, NULL,
                         dims + first);
}

static thaw_status fold_size(struct thaw_onnx_call *call) {
    if (!thaw_onnx_has_input(call, 0))
        return thaw_fail(THAW_ERROR_INPUT, "it has no input");
    int64_t dims[THAW_ONNX_RANK_MAX] = {0}, size = 1;
    dims_of(call->in[0], dims);
    for (int d = 0; d < thaw_onnx_rank(call->in[0]); d++)
        size = dims[d] == THAW_ONNX_BATCH || size == THAW_ONNX_UNKNOWN ? THAW_ONNX_UNKNOWN
                                                                       : size * dims[d];
    return list_constant(call, TYPE(INT64), 0, 1, NULL, &size);
}

/* ---- Gather, Expand, Tile ---------------------------------------------------------------------
 */

static thaw_status fold_gather(struct thaw_onnx_call *call) {
    const struct thaw_onnx_tensor *from, *indices;
    struct thaw_onnx_tensor to;
    int64_t at = 0, dims[2 * THAW_ONNX_RANK_MAX], outer = 1, inner = 1;
    int axis, rank = 0;
    THAW_TRY(thaw_onnx_constant(call, 0, "data", &from));
    THAW_TRY(thaw_onnx_constant(call, 1, "indices", &indices));
    THAW_TRY(thaw_onnx_attr_int(call, "axis", &at));
    THAW_TRY(thaw_onnx_axis(at, from->rank, &axis));
    if (!indices->integers)
        return thaw_fail(THAW_ERROR_INPUT, "input 2 ('indices') holds no integers");
    for (int d = 0; d < from->rank; d++) {
        outer *= d < axis ? from->dims[d] : 1;
        inner *= d > axis ? from->dims[d] : 1;
        if (d != axis)
            dims[rank++] = from->dims[d];
        for (int i = 0; d == axis && i < indices->rank; i++)
            dims[rank++] = indices->dims[i];
    }
    if (rank > THAW_ONNX_RANK_MAX)
        return thaw_fail(THAW_ERROR_UNSUPPORTED, "%d dimensions, at most %d are supported", rank,
                         THAW_ONNX_RANK_MAX);
    THAW_TRY(thaw_onnx_fold_make(call, from->elem, rank, dims, &to));
    int64_t size = from->dims[axis], next = 0;
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < indices->count; i++) {
            int64_t index = indices->integers[i];
            if (index < -size || index >= size)
                return thaw_fail(THAW_ERROR_INPUT, "there is no element %lld of %lld",
                                 (long long)index, (long long)size);
            index += index < 0 ? size : 0;
            for (int64_t k = 0; k < inner; k++)
                thaw_onnx_copy(&to, next++, from, (o * size + index) * inner + k);
        }
    thaw_onnx_return_constant(call, 0, &to);
    return THAW_OK;
}

static thaw_status fold_expand(struct thaw_onnx_call *call) {
    const struct thaw_onnx_tensor *from;
    struct thaw_onnx_tensor shape = {0}, to;
    int64_t dims[THAW_ONNX_RANK_MAX];
    int rank;
    THAW_TRY(thaw_onnx_constant(call, 0, "input", &from));
    THAW_TRY(read_dims(call, 1, "shape", &shape.rank, shape.dims));
    THAW_TRY(thaw_onnx_broadcast_dims(from, &shape, &rank, dims));
    THAW_TRY(thaw_onnx_fold_expand(call, from, rank, dims, &to));
    thaw_onnx_return_constant(call, 0, &to);
    return THAW_OK;
}

static thaw_status fold_tile(struct thaw_onnx_call *call) {
    const struct thaw_onnx_tensor *from;
    struct thaw_onnx_tensor to;
    int64_t repeats[THAW_ONNX_RANK_MAX], dims[THAW_ONNX_RANK_MAX];
    int rank;
    THAW_TRY(thaw_onnx_constant(call, 0, "input", &from));
    THAW_TRY(read_dims(call, 1, "repeats", &rank, repeats));
    if (rank != from->rank)
        return thaw_fail(THAW_ERROR_INPUT, "%d repeats for %d dimensions", rank, from->rank);
    for (int d = 0; d < rank; d++) {
        if (repeats[d] < 0 || repeats[d] > INT32_MAX || from->dims[d] > INT32_MAX)
            return thaw_fail(THAW_ERROR_INPUT, "%lld repeats", (long long)repeats[d]);
        dims[d] = from->dims[d] * repeats[d];
    }
    THAW_TRY(thaw_onnx_fold_make(call, from->elem, rank, dims, &to));
    for (int64_t i = 0; i < to.count; i++) {
        int64_t rest = i, index = 0, stride = 1;
        for (int d = rank; d-- > 0;) {
            index += rest % dims[d] % from->dims[d] * stride;
            stride *= from->dims[d];
            rest /= dims[d];
        }
        thaw_onnx_copy(&to, i, from, index);
    }
    thaw_onnx_return_constant(call, 0, &to);
    return THAW_OK;
}

/* ---- comparing and choosing -------------------------------------------------------------------
 */

static thaw_status fold_compare(struct thaw_onnx_call *call) {
    const struct thaw_onnx_tensor *a, *b;
    struct thaw_onnx_tensor to;
    struct thaw_onnx_counter first = {0}, second = {0};
    int64_t dims[THAW_ONNX_RANK_MAX];
    int rank;
    THAW_TRY(thaw_onnx_constant(call, 0, "A", &a));
    THAW_TRY(thaw_onnx_constant(call, 1, "B", &b));
    THAW_TRY(thaw_onnx_broadcast_dims(a, b, &rank, dims));
    THAW_TRY(thaw_onnx_fold_make(call, TYPE(BOOL), rank, dims, &to));
    first.rank = second.rank = rank;
    memcpy(first.dims, to.dims, sizeof first.dims);
    memcpy(second.dims, to.dims, sizeof second.dims);
    thaw_onnx_broadcast_strides(a, rank, first.strides);
    thaw_onnx_broadcast_strides(b, rank, second.strides);
    for (int64_t i = 0; i < to.count; i++) {
        double x = thaw_onnx_number(a, first.index), y = thaw_onnx_number(b, second.index);
        const char *type = call->node->op_type;
        bool result = !strcmp(type, "Equal")     ? x == y
                      : !strcmp(type, "Less")    ? x < y
                      : !strcmp(type, "Greater") ? x > y
                      : !strcmp(type, "And")     ? x != 0 && y != 0
                                                 : x != 0 || y != 0;
        ((int64_t *)to.integers)[i] = result;
        thaw_onnx_count_on(&first);
        thaw_onnx_count_on(&second);
    }
    thaw_onnx_return_constant(call, 0, &to);
    return THAW_OK;
}

static thaw_status fold_not(struct thaw_onnx_call *call) {
    const struct thaw_onnx_tensor *from;
    struct thaw_onnx_tensor to;
    THAW_TRY(thaw_onnx_constant(call, 0, "X", &from));
    THAW_TRY(thaw_onnx_fold_make(call, TYPE(BOOL), from->rank, from->dims, &to));
    for (int64_t i = 0; i < to.count; i++)
        ((int64_t *)to.integers)[i] = thaw_onnx_number(from, i) == 0;
    thaw_onnx_return_constant(call, 0, &to);
    return THAW_OK;
}

static thaw_status fold_where(struct thaw_onnx_call *call) {
    const struct thaw_onnx_tensor *from[3];
    struct thaw_onnx_tensor wide[3], shape;
    int64_t dims[THAW_ONNX_RANK_MAX];
    int rank;
    for (int i = 0; i < 3; i++)
        THAW_TRY(thaw_onnx_constant(call, i, i == 0 ? "condition" : i == 1 ? "X" : "Y", &from[i]));
    if ((from[1]->floats != NULL) != (from[2]->floats != NULL) || !from[0]->integers)
        return thaw_fail(THAW_ERROR_INPUT, "its inputs have types that do not go together");
    THAW_TRY(thaw_onnx_broadcast_dims(from[0], from[1], &rank, dims));
    shape = (struct thaw_onnx_tensor){.rank = rank};
    memcpy(shape.dims, dims, sizeof dims);
    THAW_TRY(thaw_onnx_broadcast_dims(&shape, from[2], &rank, dims));
    for (int i = 0; i < 3; i++)
        THAW_TRY(thaw_onnx_fold_expand(call, from[i], rank, dims, &wide[i]));
    for (int64_t i = 0; i < wide[1].count; i++)
        if (!wide[0].integers[i])
            thaw_onnx_copy(&wide[1], i, &wide[2], i);
    thaw_onnx_return_constant(call, 0, &wide[1]);
    return THAW_OK;
}

const struct thaw_onnx_operator thaw_onnx_family_constant[] = {
    {"Constant", "value value_float value_int value_floats value_ints", 1, fold_constant},
    {"ConstantOfShape", "value", 1, fold_constant_of_shape},
    {"Range", "", 1, fold_range},
    {"Shape", "start end", 1, fold_shape, .folds_shape = true},
    {"Size", "", 1, fold_size, .folds_shape = true},
    {"Gather", "axis", 1, fold_gather},
    {"Expand", "", 1, fold_expand},
    {"Tile", "", 1, fold_tile},
    {"Equal", "", 1, fold_compare},
    {"Less", "", 1, fold_compare},
    {"Greater", "", 1, fold_compare},
    {"And", "", 1, fold_compare},
    {"Or", "", 1, fold_compare},
    {"Not", "", 1, fold_not},
    {"Where", "", 1, fold_where},
    {0},
};
