/* Operators that change how a tensor is looked at: no node is made, except where a new shape ends
 * inside what the node holds in another order. */
#include <string.h>

#include "io/onnx/fold.h"
#include "io/onnx/text.h"

/* ---- Reshape --------------------------------------------------------------------------------- */

/* Dimensions of 1 for which a batch of one stands: files exported for one picture say 1. */
static bool is_batch_size(const struct thaw_onnx_call *call, int64_t size) {
    return size == 1 || size == call->cv->static_batch;
}

static int64_t image_count(const struct thaw_onnx_view *view) {
    int64_t count = 1;
    for (int d = 0; d < view->rank; d++)
        count *= d == view->batch ? 1 : view->dims[d];
    return count;
}

/* Where the target has the batch: -1 when nowhere. *open is the dimension to be worked out, or -1.
 */
static int find_batch(const struct thaw_onnx_call *call, const struct thaw_onnx_view *view,
                      int rank, const int64_t *dims, int open) {
    int64_t others = 1;
    for (int d = 0; d < rank; d++) {
        if (dims[d] == THAW_ONNX_BATCH)
            return d;
        others *= d == open ? 1 : dims[d];
    }
    if (view->batch < 0)
        return -1;
    if (open >= 0 && others == image_count(view))
        return open;
    if (view->batch < rank && is_batch_size(call, dims[view->batch]))
        return view->batch;
    return -1;
}

static thaw_status fail_reshape(const struct thaw_onnx_view *view, int rank, const int64_t *dims) {
    char from[THAW_ONNX_DIMS_TEXT_SIZE], to[THAW_ONNX_DIMS_TEXT_SIZE];
    thaw_onnx_dims_text(view->rank, view->dims, from);
    thaw_onnx_dims_text(rank, dims, to);
    return thaw_fail(THAW_ERROR_UNSUPPORTED, "%s cannot be seen as %s, image by image", from, to);
}

/* Fills in zeros (copied dimensions), the batch, and the open dimension. */
static thaw_status resolve(const struct thaw_onnx_call *call, const struct thaw_onnx_view *view,
                           int rank, int64_t *dims, bool zero_copies, int *ret_batch) {
    int open = -1;
    int64_t asked[THAW_ONNX_RANK_MAX], known = 1, count = image_count(view);
    memcpy(asked, dims, sizeof asked);
    for (int d = 0; d < rank; d++) {
        if (dims[d] == 0 && zero_copies && d < view->rank)
            dims[d] = d == view->batch ? THAW_ONNX_BATCH : view->dims[d];
        if (dims[d] == -1 && open < 0)
            open = d;
        else if (dims[d] != THAW_ONNX_BATCH && (dims[d] < 1 || dims[d] > INT32_MAX))
            return fail_reshape(view, rank, asked);
    }
    int batch = find_batch(call, view, rank, dims, open);
    for (int d = 0; d < rank; d++) {
        if (d == batch || d == open)
            continue;
        if (dims[d] < 1 || known > count / dims[d]) /* a second mark of the batch, or too many */
            return fail_reshape(view, rank, asked);
        known *= dims[d];
    }
    if (open >= 0 && open != batch) {
        dims[open] = count / known;
        known *= dims[open];
    }
    if ((batch < 0) != (view->batch < 0) || known != count)
        return fail_reshape(view, rank, asked);
    *ret_batch = batch;
    return THAW_OK;
}

/* All of the value in C, in ONNX order, as one factor: any shape can be dealt out of it. */
static thaw_status flatten(struct thaw_onnx_call *call, struct thaw_onnx_value *value,
                           struct thaw_onnx_view *ret_view) {
    struct thaw_onnx_layout layout = {0}, vector = {.count = {1}};
    for (int d = 0; d < value->view.rank; d++)
        if (d != value->view.batch)
            layout.dims[THAW_SLOT_C][layout.count[THAW_SLOT_C]++] = d;
    THAW_TRY(thaw_onnx_arrange(call, value, &layout));
    int64_t dims[] = {-1, image_count(&value->view)};
    int rank = value->view.batch >= 0 ? 2 : 1;
    vector.dims[THAW_SLOT_C][0] = rank - 1;
    *ret_view = thaw_onnx_view_make(value->view.node, rank, dims + (2 - rank), rank - 2, &vector);
    return THAW_OK;
}

/* The value under dims[], whose batch is dims[batch]. */
static thaw_status look_again(struct thaw_onnx_call *call, int rank, const int64_t *dims,
                              int batch) {
    struct thaw_onnx_value *value = call->in[0];
    struct thaw_onnx_view view = value->view;
    if (thaw_onnx_view_reshape(&view, rank, dims, batch)) {
        thaw_onnx_return_alias(call, &view);
        return THAW_OK;
    }
    if (batch > 0 || value->view.batch > 0)
        return fail_reshape(&value->view, rank, dims);
    THAW_TRY(thaw_onnx_arrange_plain(call, value));
    view = value->view;
    if (!thaw_onnx_view_reshape(&view, rank, dims, batch)) {
        THAW_TRY(flatten(call, value, &view));
        if (!thaw_onnx_view_reshape(&view, rank, dims, batch))
            return fail_reshape(&value->view, rank, dims);
    }
    thaw_onnx_return_alias(call, &view);
    return THAW_OK;
}

static thaw_status read_target(const struct thaw_onnx_call *call, int *ret_rank, int64_t *dims,
                               bool *ret_zero_copies) {
    int64_t allow_zero = 0;
    int rank = THAW_ONNX_RANK_MAX;
    THAW_TRY(thaw_onnx_attr_int(call, "allowzero", &allow_zero));
    THAW_TRY(thaw_onnx_constant_ints(call, 1, "shape", dims, &rank));
    *ret_rank = rank;
    *ret_zero_copies = !allow_zero;
    return THAW_OK;
}

static thaw_status convert_reshape(struct thaw_onnx_call *call) {
    int64_t dims[THAW_ONNX_RANK_MAX] = {0};
    int rank, batch = -1;
    bool zero_copies;
    struct thaw_onnx_value *value;
    THAW_TRY(thaw_onnx_data(call, 0, &value));
    THAW_TRY(read_target(call, &rank, dims, &zero_copies));
    THAW_TRY(resolve(call, &value->view, rank, dims, zero_copies, &batch));
    return look_again(call, rank, dims, batch);
}

static thaw_status fold_reshape(struct thaw_onnx_call *call) {
    int64_t dims[THAW_ONNX_RANK_MAX] = {0}, known = 1;
    const struct thaw_onnx_tensor *tensor;
    int rank, open = -1;
    bool zero_copies;
    THAW_TRY(thaw_onnx_constant(call, 0, "data", &tensor));
    THAW_TRY(read_target(call, &rank, dims, &zero_copies));
    for (int d = 0; d < rank; d++) {
        if (dims[d] == 0 && zero_copies && d < tensor->rank)
            dims[d] = tensor->dims[d];
        if (dims[d] == -1 && open < 0)
            open = d;
        else if (dims[d] < 0 || dims[d] > INT32_MAX || known > INT32_MAX)
            return thaw_fail(THAW_ERROR_INPUT, "the shape has the impossible dimension %lld",
                             (long long)dims[d]);
        else
            known *= dims[d];
    }
    if (open >= 0)
        dims[open] = known ? tensor->count / known : 0;
    return thaw_onnx_fold_view(call, tensor, rank, dims);
}

/* ---- Flatten --------------------------------------------------------------------------------- */

/* The two dimensions that Flatten makes of `dims`, in which the batch counts as 1. */
static thaw_status flat_dims(const struct thaw_onnx_call *call, int rank, const int64_t *dims,
                             int64_t ret_dims[2], int *ret_axis) {
    int64_t axis = 1;
    THAW_TRY(thaw_onnx_attr_int(call, "axis", &axis));
    if (axis < -rank || axis > rank)
        return thaw_fail(THAW_ERROR_INPUT, "attribute 'axis': %lld of %d dimensions",
                         (long long)axis, rank);
    *ret_axis = (int)(axis < 0 ? axis + rank : axis);
    ret_dims[0] = ret_dims[1] = 1;
    for (int d = 0; d < rank; d++)
        ret_dims[d >= *ret_axis] *= dims[d] < 0 ? 1 : dims[d];
    return THAW_OK;
}

static thaw_status convert_flatten(struct thaw_onnx_call *call) {
    struct thaw_onnx_value *value;
    int64_t dims[2];
    int axis;
    THAW_TRY(thaw_onnx_data(call, 0, &value));
    THAW_TRY(flat_dims(call, value->view.rank, value->view.dims, dims, &axis));
    if (value->view.batch < 0)
        return look_again(call, 2, dims, -1);
    int batch = value->view.batch >= axis;
    if (dims[batch] != 1)
        return thaw_fail(THAW_ERROR_UNSUPPORTED,
                         "attribute 'axis': %d would mix the images of a batch", axis);
    return look_again(call, 2, dims, batch);
}

static thaw_status fold_flatten(struct thaw_onnx_call *call) {
    const struct thaw_onnx_tensor *tensor;
    int64_t dims[2];
    int axis;
    THAW_TRY(thaw_onnx_constant(call, 0, "input", &tensor));
    THAW_TRY(flat_dims(call, tensor->rank, tensor->dims, dims, &axis));
    return thaw_onnx_fold_view(call, tensor, 2, dims);
}

/* ---- Squeeze, Unsqueeze ---------------------------------------------------------------------- */

static thaw_status squeezed(const struct thaw_onnx_call *call, int rank, const int64_t *dims,
                            int batch, int64_t *ret_dims, int *ret_rank, int *ret_batch) {
    int axes[THAW_ONNX_RANK_MAX], count = -1, kept = 0;
    THAW_TRY(thaw_onnx_axes(call, 1, rank, axes, &count));
    *ret_batch = -1;
    for (int d = 0, a = 0; d < rank; d++) {
        bool named = a < count && axes[a] == d;
        a += named;
        if (named && (d == batch || dims[d] != 1))
            return thaw_fail(THAW_ERROR_UNSUPPORTED, "axis %d, of size %s, cannot be squeezed", d,
                             d == batch ? "of the batch" : "more than 1");
        if (named || (count < 0 && d != batch && dims[d] == 1))
            continue;
        if (d == batch)
            *ret_batch = kept;
        ret_dims[kept++] = dims[d];
    }
    *ret_rank = kept;
    return THAW_OK;
}

static thaw_status unsqueezed(const struct thaw_onnx_call *call, int rank, const int64_t *dims,
                              int batch, int64_t *ret_dims, int *ret_rank, int *ret_batch) {
    int64_t raw[THAW_ONNX_RANK_MAX];
    int axes[THAW_ONNX_RANK_MAX], count = THAW_ONNX_RANK_MAX, out;
    if (thaw_onnx_has_input(call, 1))
        THAW_TRY(thaw_onnx_constant_ints(call, 1, "axes", raw, &count));
    else if (thaw_onnx_attr_is_there(call, "axes"))
        THAW_TRY(thaw_onnx_attr_ints(call, "axes", raw, &count));
    else
        return thaw_fail(THAW_ERROR_INPUT, "it names no axes");
    out = rank + count;
    if (out > THAW_ONNX_RANK_MAX)
        return thaw_fail(THAW_ERROR_UNSUPPORTED, "%d dimensions, at most %d are supported", out,
                         THAW_ONNX_RANK_MAX);
    THAW_TRY(thaw_onnx_axes(call, 1, out, axes, &count));
    *ret_batch = -1;
    for (int d = 0, a = 0, from = 0; d < out; d++) {
        if (a < count && axes[a] == d) {
            ret_dims[d] = 1;
            a++;
            continue;
        }
        if (from == batch)
            *ret_batch = d;
        ret_dims[d] = dims[from++];
    }
    *ret_rank = out;
    return THAW_OK;
}

typedef thaw_status reshaper(const struct thaw_onnx_call *call, int rank, const int64_t *dims,
                             int batch, int64_t *ret_dims, int *ret_rank, int *ret_batch);

static thaw_status apply(struct thaw_onnx_call *call, reshaper *shape) {
    int64_t dims[THAW_ONNX_RANK_MAX];
    int rank, batch;
    if (thaw_onnx_has_input(call, 0) && call->in[0]->is_constant) {
        const struct thaw_onnx_tensor *tensor = &call->in[0]->tensor;
        THAW_TRY(shape(call, tensor->rank, tensor->dims, -1, dims, &rank, &batch));
        return thaw_onnx_fold_view(call, tensor, rank, dims);
    }
    struct thaw_onnx_value *value;
    THAW_TRY(thaw_onnx_data(call, 0, &value));
    THAW_TRY(
        shape(call, value->view.rank, value->view.dims, value->view.batch, dims, &rank, &batch));
    return look_again(call, rank, dims, batch);
}

static thaw_status run_squeeze(struct thaw_onnx_call *call) {
    return apply(call, squeezed);
}

static thaw_status run_unsqueeze(struct thaw_onnx_call *call) {
    return apply(call, unsqueezed);
}

/* ---- Transpose ------------------------------------------------------------------------------- */

static thaw_status read_perm(const struct thaw_onnx_call *call, int rank, int *ret_perm) {
    int64_t perm[THAW_ONNX_RANK_MAX];
    int count = THAW_ONNX_RANK_MAX;
    bool seen[THAW_ONNX_RANK_MAX] = {0};
    if (!thaw_onnx_attr_is_there(call, "perm"))
        for (int d = 0; d < rank; d++)
            perm[d] = rank - 1 - d;
    else
        THAW_TRY(thaw_onnx_attr_ints(call, "perm", perm, &count));
    if (thaw_onnx_attr_is_there(call, "perm") && count != rank)
        return thaw_fail(THAW_ERROR_INPUT, "attribute 'perm' has %d axes of %d", count, rank);
    for (int d = 0; d < rank; d++) {
        if (perm[d] < 0 || perm[d] >= rank || seen[perm[d]])
            return thaw_fail(THAW_ERROR_INPUT, "attribute 'perm' is no permutation");
        seen[perm[d]] = true;
        ret_perm[d] = (int)perm[d];
    }
    return THAW_OK;
}

static thaw_status convert_transpose(struct thaw_onnx_call *call) {
    struct thaw_onnx_value *value;
    int perm[THAW_ONNX_RANK_MAX];
    THAW_TRY(thaw_onnx_data(call, 0, &value));
    THAW_TRY(read_perm(call, value->view.rank, perm));
    struct thaw_onnx_view view = value->view;
    thaw_onnx_view_transpose(&view, perm);
    thaw_onnx_return_alias(call, &view);
    return THAW_OK;
}

static thaw_status fold_transpose(struct thaw_onnx_call *call) {
    const struct thaw_onnx_tensor *from;
    struct thaw_onnx_tensor to;
    int perm[THAW_ONNX_RANK_MAX];
    int64_t strides[THAW_ONNX_RANK_MAX] = {0}, dims[THAW_ONNX_RANK_MAX] = {0}, stride = 1;
    THAW_TRY(thaw_onnx_constant(call, 0, "data", &from));
    THAW_TRY(read_perm(call, from->rank, perm));
    struct thaw_onnx_counter counter = {.rank = from->rank};
    for (int d = from->rank; d-- > 0; stride *= from->dims[d])
        strides[d] = stride;
    for (int d = 0; d < from->rank; d++) {
        dims[d] = counter.dims[d] = from->dims[perm[d]];
        counter.strides[d] = strides[perm[d]];
    }
    THAW_TRY(thaw_onnx_fold_make(call, from->elem, from->rank, dims, &to));
    for (int64_t i = 0; i < to.count; i++) {
        thaw_onnx_copy(&to, i, from, counter.index);
        thaw_onnx_count_on(&counter);
    }
    thaw_onnx_return_constant(call, 0, &to);
    return THAW_OK;
}

/* ---- Identity, Cast, Dropout ----------------------------------------------------------------- */

static thaw_status run_identity(struct thaw_onnx_call *call) {
    struct thaw_onnx_value *value;
    if (thaw_onnx_has_input(call, 0) && call->in[0]->is_constant) {
        thaw_onnx_return_constant(call, 0, &call->in[0]->tensor);
        return THAW_OK;
    }
    THAW_TRY(thaw_onnx_data(call, 0, &value));
    thaw_onnx_return_alias(call, &value->view);
    return THAW_OK;
}

static thaw_status target_type(const struct thaw_onnx_call *call, int64_t *ret_elem) {
    *ret_elem = 0;
    if (thaw_onnx_has_input(call, 1)) /* CastLike */
        *ret_elem = call->in[1]->elem;
    return thaw_onnx_attr_int(call, "to", ret_elem);
}

static thaw_status convert_cast(struct thaw_onnx_call *call) {
    int64_t elem;
    THAW_TRY(target_type(call, &elem));
    if (elem < 0 || elem > INT32_MAX || !thaw_onnx_is_float((int)elem))
        return thaw_fail(THAW_ERROR_UNSUPPORTED,
                         "attribute 'to': values of the network cannot become %s",
                         thaw_onnx_elem_name(elem < INT32_MAX ? (int)elem : -1));
    return run_identity(call);
}

static int64_t cast_to_integer(int64_t elem, double value) {
    if (elem == THAW__ONNX__TENSOR_PROTO__DATA_TYPE__BOOL)
        return value != 0;
    if (value != value || value >= 9.2e18 || value <= -9.2e18)
        return THAW_ONNX_UNKNOWN;
    return (int64_t)value;
}

static thaw_status fold_cast(struct thaw_onnx_call *call) {
    const struct thaw_onnx_tensor *from;
    struct thaw_onnx_tensor to;
    int64_t elem;
    THAW_TRY(thaw_onnx_constant(call, 0, "input", &from));
    THAW_TRY(target_type(call, &elem));
    if (elem < 0 || elem > INT32_MAX || !strcmp(thaw_onnx_elem_name((int)elem), "string"))
        return thaw_fail(THAW_ERROR_UNSUPPORTED, "attribute 'to': type %lld is not supported",
                         (long long)elem);
    THAW_TRY(thaw_onnx_fold_make(call, (int)elem, from->rank, from->dims, &to));
    for (int64_t i = 0; i < from->count; i++) {
        if (from->integers && to.integers && thaw_onnx_is_mark(from->integers[i]))
            ((int64_t *)to.integers)[i] = from->integers[i];
        else if (from->integers && thaw_onnx_is_mark(from->integers[i]))
            return thaw_fail(THAW_ERROR_UNSUPPORTED,
                             "the size of the batch cannot be made a floating-point number");
        else if (to.floats)
            ((float *)to.floats)[i] = (float)thaw_onnx_number(from, i);
        else if (to.integers && from->integers && elem != THAW__ONNX__TENSOR_PROTO__DATA_TYPE__BOOL)
            ((int64_t *)to.integers)[i] = from->integers[i];
        else if (to.integers)
            ((int64_t *)to.integers)[i] = cast_to_integer(elem, thaw_onnx_number(from, i));
    }
    thaw_onnx_return_constant(call, 0, &to);
    return THAW_OK;
}

/* At inference the identity; in training it drops, as the original did. */
static thaw_status convert_dropout(struct thaw_onnx_call *call) {
    float ratio = 0.5f;
    THAW_TRY(thaw_onnx_attr_float(call, "ratio", &ratio));
    if (thaw_onnx_has_input(call, 1))
        THAW_TRY(thaw_onnx_constant_float(call, 1, "ratio", &ratio));
    if (!(ratio > 0))
        return run_identity(call);
    if (!(ratio < 1))
        return thaw_fail(THAW_ERROR_INPUT, "the ratio %g is not below 1", (double)ratio);
    return thaw_onnx_emit_unary(call, "dropout", "p: %s", thaw_onnx_short(ratio).text);
}

const struct thaw_onnx_operator thaw_onnx_family_view[] = {
    {"Reshape", "allowzero", 1, fold_reshape, convert_reshape},
    {"Flatten", "axis", 1, fold_flatten, convert_flatten},
    {"Squeeze", "axes", 1, run_squeeze, run_squeeze},
    {"Unsqueeze", "axes", 1, run_unsqueeze, run_unsqueeze},
    {"Transpose", "perm", 1, fold_transpose, convert_transpose},
    {"Identity", "", 1, run_identity, run_identity},
    {"Cast", "to saturate", 1, fold_cast, convert_cast},
    {"CastLike", "saturate", 1, fold_cast, convert_cast},
    {"Dropout", "ratio seed", 1, run_identity, convert_dropout},
    {0},
};
