#include "io/onnx/fold.h"

#include <string.h>

thaw_status thaw_onnx_fold_view(struct thaw_onnx_call *call, const struct thaw_onnx_tensor *tensor,
                                int rank, const int64_t *dims) {
    struct thaw_onnx_tensor view = *tensor;
    int64_t count;
    THAW_TRY(thaw_onnx_dims_count(rank, dims, &count));
    if (count != tensor->count) {
        char from[THAW_ONNX_DIMS_TEXT_SIZE], to[THAW_ONNX_DIMS_TEXT_SIZE];
        thaw_onnx_dims_text(tensor->rank, tensor->dims, from);
        thaw_onnx_dims_text(rank, dims, to);
        return thaw_fail(THAW_ERROR_INPUT, "%s cannot be seen as %s", from, to);
    }
    view.rank = rank;
    memset(view.dims, 0, sizeof view.dims);
    for (int d = 0; d < rank; d++)
        view.dims[d] = dims[d];
    thaw_onnx_return_constant(call, 0, &view);
    return THAW_OK;
}

void thaw_onnx_count_on(struct thaw_onnx_counter *counter) {
    for (int d = counter->rank; d-- > 0;) {
        counter->index += counter->strides[d];
        if (++counter->at[d] < counter->dims[d])
            return;
        counter->index -= counter->strides[d] * counter->dims[d];
        counter->at[d] = 0;
    }
}

void thaw_onnx_broadcast_strides(const struct thaw_onnx_tensor *tensor, int rank,
                                 int64_t ret_strides[THAW_ONNX_RANK_MAX]) {
    int64_t stride = 1;
    for (int d = 0; d < rank; d++)
        ret_strides[d] = 0;
    for (int i = tensor->rank; i-- > 0;) {
        if (tensor->dims[i] != 1)
            ret_strides[rank - tensor->rank + i] = stride;
        stride *= tensor->dims[i];
    }
}

thaw_status thaw_onnx_broadcast_dims(const struct thaw_onnx_tensor *a,
                                     const struct thaw_onnx_tensor *b, int *ret_rank,
                                     int64_t ret_dims[THAW_ONNX_RANK_MAX]) {
    int rank = a->rank > b->rank ? a->rank : b->rank;
    for (int d = 0; d < rank; d++) {
        int i = d - (rank - a->rank), j = d - (rank - b->rank);
        int64_t first = i < 0 ? 1 : a->dims[i], second = j < 0 ? 1 : b->dims[j];
        if (first != second && first != 1 && second != 1) {
            char one[THAW_ONNX_DIMS_TEXT_SIZE], other[THAW_ONNX_DIMS_TEXT_SIZE];
            thaw_onnx_dims_text(a->rank, a->dims, one);
            thaw_onnx_dims_text(b->rank, b->dims, other);
            return thaw_fail(THAW_ERROR_INPUT, "%s does not go with %s", one, other);
        }
        ret_dims[d] = first == 1 ? second : first;
    }
    *ret_rank = rank;
    return THAW_OK;
}

thaw_status thaw_onnx_fold_expand(struct thaw_onnx_call *call,
                                  const struct thaw_onnx_tensor *tensor, int rank,
                                  const int64_t *dims, struct thaw_onnx_tensor *ret_tensor) {
    struct thaw_onnx_counter counter = {.rank = rank};
    THAW_TRY(thaw_onnx_fold_make(call, tensor->elem, rank, dims, ret_tensor));
    memcpy(counter.dims, ret_tensor->dims, sizeof counter.dims);
    thaw_onnx_broadcast_strides(tensor, rank, counter.strides);
    for (int64_t i = 0; i < ret_tensor->count; i++) {
        thaw_onnx_copy(ret_tensor, i, tensor, counter.index);
        thaw_onnx_count_on(&counter);
    }
    return THAW_OK;
}
