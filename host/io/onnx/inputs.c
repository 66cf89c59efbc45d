/* What an operator is given: attributes and inputs. */
#include <stdlib.h>
#include <string.h>

#include "io/onnx/convert.h"

#define ATTRIBUTE(name) THAW__ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__##name

/* ---- attributes ------------------------------------------------------------------------------ */

const Thaw__Onnx__AttributeProto *thaw_onnx_attr_find(const struct thaw_onnx_call *call,
                                                      const char *name) {
    for (size_t i = 0; i < call->node->n_attribute; i++)
        if (call->node->attribute[i]->name && !strcmp(call->node->attribute[i]->name, name))
            return call->node->attribute[i];
    return NULL;
}

bool thaw_onnx_attr_is_there(const struct thaw_onnx_call *call, const char *name) {
    return thaw_onnx_attr_find(call, name) != NULL;
}

/* The attribute when it is of `type`, or says no type and has such a value; NULL when absent. */
static thaw_status find_typed(const struct thaw_onnx_call *call, const char *name, int type,
                              const char *kind, const Thaw__Onnx__AttributeProto **ret_attribute) {
    const Thaw__Onnx__AttributeProto *attribute = thaw_onnx_attr_find(call, name);
    *ret_attribute = attribute;
    if (!attribute || !attribute->has_type || (int)attribute->type == type ||
        attribute->type == ATTRIBUTE(UNDEFINED))
        return THAW_OK;
    return thaw_fail(THAW_ERROR_INPUT, "attribute '%s': expected %s", name, kind);
}

thaw_status thaw_onnx_attr_int(const struct thaw_onnx_call *call, const char *name,
                               int64_t *value) {
    const Thaw__Onnx__AttributeProto *attribute;
    THAW_TRY(find_typed(call, name, ATTRIBUTE(INT), "an integer", &attribute));
    if (attribute)
        *value = attribute->i;
    return THAW_OK;
}

thaw_status thaw_onnx_attr_float(const struct thaw_onnx_call *call, const char *name,
                                 float *value) {
    const Thaw__Onnx__AttributeProto *attribute;
    THAW_TRY(find_typed(call, name, ATTRIBUTE(FLOAT), "a number", &attribute));
    if (attribute)
        *value = attribute->f;
    return THAW_OK;
}

thaw_status thaw_onnx_attr_text(const struct thaw_onnx_call *call, const char *name,
                                const char **value) {
    const Thaw__Onnx__AttributeProto *attribute;
    THAW_TRY(find_typed(call, name, ATTRIBUTE(STRING), "a text", &attribute));
    if (!attribute)
        return THAW_OK;
    char *copy =
        thaw_arena_copy_bytes(call->cv->arena, (const char *)attribute->s.data, attribute->s.len);
    if (!copy)
        return THAW_ERROR_MEMORY;
    *value = copy;
    return THAW_OK;
}

thaw_status thaw_onnx_attr_ints(const struct thaw_onnx_call *call, const char *name,
                                int64_t *values, int *count) {
    const Thaw__Onnx__AttributeProto *attribute;
    THAW_TRY(find_typed(call, name, ATTRIBUTE(INTS), "integers", &attribute));
    if (!attribute)
        return THAW_OK;
    if (attribute->n_ints > (size_t)*count)
        return thaw_fail(THAW_ERROR_UNSUPPORTED, "attribute '%s' has %zu numbers, at most %d fit",
                         name, attribute->n_ints, *count);
    *count = (int)attribute->n_ints;
    if (*count)
        memcpy(values, attribute->ints, (size_t)*count * sizeof *values);
    return THAW_OK;
}

thaw_status thaw_onnx_axis(int64_t axis, int rank, int *ret_axis) {
    if (axis < -rank || axis >= rank)
        return thaw_fail(THAW_ERROR_INPUT, "there is no axis %lld in %d dimensions",
                         (long long)axis, rank);
    *ret_axis = (int)(axis < 0 ? axis + rank : axis);
    return THAW_OK;
}

/* ---- inputs ---------------------------------------------------------------------------------- */

bool thaw_onnx_has_input(const struct thaw_onnx_call *call, int index) {
    return index < call->in_count && call->in[index];
}

int thaw_onnx_rank(const struct thaw_onnx_value *value) {
    return value->is_constant ? value->tensor.rank : value->view.rank;
}

static thaw_status need(const struct thaw_onnx_call *call, int index, const char *what) {
    if (thaw_onnx_has_input(call, index))
        return THAW_OK;
    return thaw_fail(THAW_ERROR_INPUT, "input %d%s%s%s is missing", index + 1, what ? " ('" : "",
                     what ? what : "", what ? "')" : "");
}

thaw_status thaw_onnx_constant(const struct thaw_onnx_call *call, int index, const char *what,
                               const struct thaw_onnx_tensor **ret_tensor) {
    THAW_TRY(need(call, index, what));
    if (!call->in[index]->is_constant)
        return thaw_fail(THAW_ERROR_UNSUPPORTED,
                         "input %d ('%s') is computed from the network's input; a constant is "
                         "expected",
                         index + 1, what);
    *ret_tensor = &call->in[index]->tensor;
    return THAW_OK;
}

thaw_status thaw_onnx_constant_ints(const struct thaw_onnx_call *call, int index, const char *what,
                                    int64_t *ret_values, int *count) {
    const struct thaw_onnx_tensor *tensor;
    THAW_TRY(thaw_onnx_constant(call, index, what, &tensor));
    if (!tensor->integers)
        return thaw_fail(THAW_ERROR_INPUT, "input %d ('%s') holds %s, expected integers", index + 1,
                         what, thaw_onnx_elem_name(tensor->elem));
    if (tensor->count > *count)
        return thaw_fail(THAW_ERROR_UNSUPPORTED, "input %d ('%s') has %lld numbers, at most %d fit",
                         index + 1, what, (long long)tensor->count, *count);
    *count = (int)tensor->count;
    for (int i = 0; i < *count; i++)
        ret_values[i] = tensor->integers[i];
    return THAW_OK;
}

thaw_status thaw_onnx_constant_float(const struct thaw_onnx_call *call, int index, const char *what,
                                     float *ret_value) {
    const struct thaw_onnx_tensor *tensor;
    THAW_TRY(thaw_onnx_constant(call, index, what, &tensor));
    if (tensor->count != 1)
        return thaw_fail(THAW_ERROR_INPUT, "input %d ('%s') has %lld values, expected one",
                         index + 1, what, (long long)tensor->count);
    *ret_value = tensor->floats ? tensor->floats[0] : (float)tensor->integers[0];
    return THAW_OK;
}

static int compare_ints(const void *a, const void *b) {
    int first = *(const int *)a, second = *(const int *)b;
    return (first > second) - (first < second);
}

thaw_status thaw_onnx_axes(const struct thaw_onnx_call *call, int index, int rank, int *ret_axes,
                           int *count) {
    int64_t axes[THAW_ONNX_RANK_MAX] = {0};
    int found = THAW_ONNX_RANK_MAX;
    if (thaw_onnx_has_input(call, index))
        THAW_TRY(thaw_onnx_constant_ints(call, index, "axes", axes, &found));
    else if (thaw_onnx_attr_is_there(call, "axes"))
        THAW_TRY(thaw_onnx_attr_ints(call, "axes", axes, &found));
    else
        return THAW_OK;
    for (int i = 0; i < found; i++)
        THAW_TRY(thaw_onnx_axis(axes[i], rank, &ret_axes[i]));
    qsort(ret_axes, (size_t)found, sizeof *ret_axes, compare_ints);
    for (int i = 1; i < found; i++)
        if (ret_axes[i] == ret_axes[i - 1])
            return thaw_fail(THAW_ERROR_INPUT, "axis %d is named twice", ret_axes[i]);
    *count = found;
    return THAW_OK;
}

thaw_status thaw_onnx_data(const struct thaw_onnx_call *call, int index,
                           struct thaw_onnx_value **ret_value) {
    THAW_TRY(need(call, index, NULL));
    if (call->in[index]->is_constant)
        return thaw_fail(THAW_ERROR_UNSUPPORTED,
                         "input %d is a constant where a value computed from the network's input "
                         "is expected",
                         index + 1);
    *ret_value = call->in[index];
    return THAW_OK;
}

/* ---- results --------------------------------------------------------------------------------- */

void thaw_onnx_return_view(struct thaw_onnx_call *call, int index,
                           const struct thaw_onnx_view *view) {
    if (index >= call->out_count || !call->out[index])
        return;
    struct thaw_onnx_value *value = call->out[index];
    value->view = *view;
    value->elem = THAW__ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT;
    value->exclusive = true;
    value->defined = true;
}

void thaw_onnx_return_alias(struct thaw_onnx_call *call, const struct thaw_onnx_view *view) {
    thaw_onnx_return_view(call, 0, view);
    call->out[0]->exclusive = call->in[0]->exclusive && call->in[0]->uses == 1;
}

void thaw_onnx_return_constant(struct thaw_onnx_call *call, int index,
                               const struct thaw_onnx_tensor *tensor) {
    if (index >= call->out_count || !call->out[index])
        return;
    struct thaw_onnx_value *value = call->out[index];
    value->is_constant = true;
    value->tensor = *tensor;
    value->tensor.name = value->name;
    value->elem = tensor->elem;
    value->defined = true;
}

thaw_status thaw_onnx_fold_make(struct thaw_onnx_call *call, int elem, int rank,
                                const int64_t *dims, struct thaw_onnx_tensor *ret_tensor) {
    struct thaw_onnx_converter *cv = call->cv;
    int64_t count = 0;
    if (rank <= THAW_ONNX_RANK_MAX)
        THAW_TRY(thaw_onnx_dims_count(rank, dims, &count));
    size_t room = ((size_t)1 << 22) + cv->model->size_bytes;
    if ((size_t)count > room || cv->folded > room - (size_t)count)
        return thaw_fail(THAW_ERROR_UNSUPPORTED,
                         "%lld values would be computed from constants, and %zu have been: more "
                         "than a file of this size has a use for",
                         (long long)count, cv->folded);
    cv->folded += (size_t)count;
    return thaw_onnx_tensor_make(&cv->scratch, elem, rank, dims, ret_tensor);
}
