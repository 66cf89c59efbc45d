/* Computing with constants on the host, as ONNX (and numpy) define it. Families use these; results
 * that only look at their input's data share it. */
#ifndef THAW_IO_ONNX_FOLD_H
#define THAW_IO_ONNX_FOLD_H

#include "io/onnx/convert.h"

/* Element i as a double; batch markers are refused with THAW_ERROR_UNSUPPORTED by the callers that
 * cannot hold them. */
static inline double thaw_onnx_number(const struct thaw_onnx_tensor *tensor, int64_t i) {
    if (tensor->floats)
        return (double)tensor->floats[i];
    return tensor->integers ? (double)tensor->integers[i] : 0;
}

static inline bool thaw_onnx_is_mark(int64_t value) {
    return value == THAW_ONNX_BATCH || value == THAW_ONNX_UNKNOWN;
}

/* `to`[i] = `from`[index] of the same family of types. */
static inline void thaw_onnx_copy(const struct thaw_onnx_tensor *to, int64_t i,
                                  const struct thaw_onnx_tensor *from, int64_t index) {
    if (to->floats && from->floats)
        ((float *)to->floats)[i] = from->floats[index];
    else if (to->integers && from->integers)
        ((int64_t *)to->integers)[i] = from->integers[index];
}

/* The same elements under other dims, whose product is the same. */
thaw_status thaw_onnx_fold_view(struct thaw_onnx_call *call, const struct thaw_onnx_tensor *tensor,
                                int rank, const int64_t *dims);

/* For each element of `dims`, in order, start + sum of position times stride. */
struct thaw_onnx_counter {
    int rank;
    int64_t dims[THAW_ONNX_RANK_MAX], at[THAW_ONNX_RANK_MAX], strides[THAW_ONNX_RANK_MAX];
    int64_t index;
};
void thaw_onnx_count_on(struct thaw_onnx_counter *counter);

/* Strides of `tensor` broadcast to `rank` dimensions; 0 where it is repeated. */
void thaw_onnx_broadcast_strides(const struct thaw_onnx_tensor *tensor, int rank,
                                 int64_t ret_strides[THAW_ONNX_RANK_MAX]);
/* The shape of tensors broadcast against each other. */
thaw_status thaw_onnx_broadcast_dims(const struct thaw_onnx_tensor *a,
                                     const struct thaw_onnx_tensor *b, int *ret_rank,
                                     int64_t ret_dims[THAW_ONNX_RANK_MAX]);
/* tensor repeated to `dims`. */
thaw_status thaw_onnx_fold_expand(struct thaw_onnx_call *call,
                                  const struct thaw_onnx_tensor *tensor, int rank,
                                  const int64_t *dims, struct thaw_onnx_tensor *ret_tensor);

#endif
