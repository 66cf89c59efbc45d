/* Lazy views: an ONNX tensor as the content of a Thaw node.
 *
 * A node's image has three slots: C, H and W, row major. Each is a product of factors, and so is
 * each dimension of the ONNX tensor; a view says which factor belongs where. The batch, one of the
 * ONNX dimensions or none, stays outside. Transposing reorders the factors, reshaping deals them
 * out anew, splitting one where a new dimension ends inside it; neither touches the node. Factors
 * of size 1 are left out.
 *
 *     NCHW image                 dims [N, 3, 8, 9]   factors 3 (C) 8 (H) 9 (W)
 *     transposed to NHWC         dims [N, 8, 9, 3]   factors 8 (H) 9 (W) 3 (C)
 *     and flattened              dims [N, 216]       factors 8 (H) 9 (W) 3 (C), all of dimension 1
 */
#ifndef THAW_IO_ONNX_VIEW_H
#define THAW_IO_ONNX_VIEW_H

#include "io/onnx/tensor.h"
#include "tensor/tensor.h"

#define THAW_ONNX_FACTORS_MAX 16

enum { THAW_SLOT_C, THAW_SLOT_H, THAW_SLOT_W, THAW_SLOT_COUNT };

struct thaw_onnx_factor {
    int64_t size;
    int dim;         /* of the ONNX tensor */
    int slot, place; /* of the node: its place within the slot, outermost 0 */
};

struct thaw_onnx_view {
    int node;
    int rank;
    int batch;                        /* the dimension that is the batch; -1: none */
    int64_t dims[THAW_ONNX_RANK_MAX]; /* the batch's is -1 */
    int factor_count;
    struct thaw_onnx_factor factors[THAW_ONNX_FACTORS_MAX]; /* in ONNX order: by dim, outermost
                                                             * first */
};

/* Which dimensions make up each slot, outermost first. */
struct thaw_onnx_layout {
    int count[THAW_SLOT_COUNT];
    int dims[THAW_SLOT_COUNT][THAW_ONNX_RANK_MAX];
};

/* A view of `node` in which each slot is made of whole dimensions as `layout` says. */
struct thaw_onnx_view thaw_onnx_view_make(int node, int rank, const int64_t *dims, int batch,
                                          const struct thaw_onnx_layout *layout);

/* Same elements in the same order under other dimensions. False when the batch would move or a
 * factor cannot be split so: the values have to be put into ONNX order first. */
bool thaw_onnx_view_reshape(struct thaw_onnx_view *view, int rank, const int64_t *dims, int batch);

/* Dimension i of the result is perm[i] of the view; perm is a permutation. */
void thaw_onnx_view_transpose(struct thaw_onnx_view *view, const int *perm);

/* Whether dimension `dim` is exactly one slot of the node, in order. One of size 1 is any slot of
 * size 1. */
bool thaw_onnx_view_slot(const struct thaw_onnx_view *view, int dim, int *ret_slot);

/* The view after its node was replaced by one in which `slot`, which dimension `dim` is, has
 * another size. */
void thaw_onnx_view_resize(struct thaw_onnx_view *view, int dim, int slot, int64_t size);

/* False when a dimension is spread over several places of the node. */
bool thaw_onnx_view_layout(const struct thaw_onnx_view *view, struct thaw_onnx_layout *ret_layout);

/* Whether the node's content in C, H, W order is the tensor in ONNX order. */
bool thaw_onnx_view_is_plain(const struct thaw_onnx_view *view);

/* For every element of the slots (C, H, W), in the node's order, the index in `tensor` of the one
 * that it meets under ONNX's broadcasting: `tensor`'s dimensions against the last ones of the
 * view, each equal or 1. Slots along which the index never changes become 1. *ret_indices is of
 * `arena`. THAW_ERROR_UNSUPPORTED when the tensor has a batch of its own or makes the view larger.
 */
thaw_status thaw_onnx_view_broadcast(const struct thaw_onnx_view *view, struct thaw_arena *arena,
                                     const struct thaw_onnx_tensor *tensor,
                                     int64_t ret_sizes[THAW_SLOT_COUNT], int64_t **ret_indices);

/* Of a tensor with one dimension of more than one element: which of them stands at each place of
 * the node. Of `arena`; NULL when out of memory. */
int64_t *thaw_onnx_view_places(const struct thaw_onnx_view *view, struct thaw_arena *arena);

/* "[N, 3, 224, 224]" */
#define THAW_ONNX_DIMS_TEXT_SIZE 200
void thaw_onnx_dims_text(int rank, const int64_t *dims, char ret_text[THAW_ONNX_DIMS_TEXT_SIZE]);

#endif
