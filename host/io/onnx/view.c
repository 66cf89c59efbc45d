#include "io/onnx/view.h"

#include <stdio.h>
#include <string.h>

struct thaw_onnx_view thaw_onnx_view_make(int node, int rank, const int64_t *dims, int batch,
                                          const struct thaw_onnx_layout *layout) {
    struct thaw_onnx_view view = {.node = node, .rank = rank, .batch = batch};
    int slots[THAW_ONNX_RANK_MAX] = {0}, places[THAW_ONNX_RANK_MAX] = {0};
    for (int slot = 0; slot < THAW_SLOT_COUNT; slot++)
        for (int i = 0, place = 0; i < layout->count[slot]; i++) {
            int dim = layout->dims[slot][i];
            slots[dim] = slot;
            places[dim] = place;
            place += dims[dim] != 1;
        }
    for (int d = 0; d < rank; d++) {
        view.dims[d] = d == batch ? -1 : dims[d];
        if (d != batch && dims[d] != 1)
            view.factors[view.factor_count++] =
                (struct thaw_onnx_factor){dims[d], d, slots[d], places[d]};
    }
    return view;
}

/* Places within slots as 0, 1, 2, ... again. */
static void renumber(struct thaw_onnx_view *view) {
    int places[THAW_ONNX_FACTORS_MAX];
    for (int i = 0; i < view->factor_count; i++) {
        places[i] = 0;
        for (int j = 0; j < view->factor_count; j++)
            places[i] += view->factors[j].slot == view->factors[i].slot &&
                         view->factors[j].place < view->factors[i].place;
    }
    for (int i = 0; i < view->factor_count; i++)
        view->factors[i].place = places[i];
}

static int64_t before_batch(int batch, const int64_t *dims) {
    int64_t product = 1;
    for (int d = 0; d < batch; d++)
        product *= dims[d];
    return product;
}

bool thaw_onnx_view_reshape(struct thaw_onnx_view *view, int rank, const int64_t *dims, int batch) {
    struct thaw_onnx_view to = {.node = view->node, .rank = rank, .batch = batch};
    if ((batch < 0) != (view->batch < 0) ||
        before_batch(batch, dims) != before_batch(view->batch, view->dims))
        return false;
    int next = 0;
    struct thaw_onnx_factor rest = {.size = 1};
    for (int d = 0; d < rank; d++) {
        int64_t need = to.dims[d] = d == batch ? -1 : dims[d];
        while (need > 1) {
            if (rest.size == 1) {
                if (next == view->factor_count)
                    return false;
                rest = view->factors[next++];
                rest.place *= THAW_ONNX_FACTORS_MAX; /* room for its parts */
            }
            int64_t take = rest.size < need ? rest.size : need;
            if (need % take || rest.size % take || to.factor_count == THAW_ONNX_FACTORS_MAX)
                return false;
            to.factors[to.factor_count++] =
                (struct thaw_onnx_factor){take, d, rest.slot, rest.place++};
            rest.size /= take;
            need /= take;
        }
    }
    if (rest.size != 1 || next != view->factor_count)
        return false;
    renumber(&to);
    *view = to;
    return true;
}

void thaw_onnx_view_transpose(struct thaw_onnx_view *view, const int *perm) {
    struct thaw_onnx_view to = {.node = view->node, .rank = view->rank, .batch = -1};
    for (int d = 0; d < view->rank; d++) {
        to.dims[d] = view->dims[perm[d]];
        if (perm[d] == view->batch)
            to.batch = d;
        for (int i = 0; i < view->factor_count; i++)
            if (view->factors[i].dim == perm[d]) {
                to.factors[to.factor_count] = view->factors[i];
                to.factors[to.factor_count++].dim = d;
            }
    }
    *view = to;
}

static bool slot_is_free(const struct thaw_onnx_view *view, int slot) {
    for (int i = 0; i < view->factor_count; i++)
        if (view->factors[i].slot == slot)
            return false;
    return true;
}

/* A slot of size 1, preferably the one that the dimension would be in an image. */
static bool find_free_slot(const struct thaw_onnx_view *view, int dim, int *ret_slot) {
    int wanted = dim - (view->batch >= 0 && view->batch < dim);
    int images = view->rank - (view->batch >= 0);
    if (images == THAW_SLOT_COUNT && slot_is_free(view, wanted)) {
        *ret_slot = wanted;
        return true;
    }
    for (int slot = THAW_SLOT_COUNT; slot-- > 0;)
        if (slot_is_free(view, slot)) {
            *ret_slot = slot;
            return true;
        }
    return false;
}

bool thaw_onnx_view_slot(const struct thaw_onnx_view *view, int dim, int *ret_slot) {
    int slot = -1, place = 0, total = 0;
    for (int i = 0; i < view->factor_count; i++) {
        if (view->factors[i].dim != dim)
            continue;
        if (place && view->factors[i].slot != slot)
            return false;
        slot = view->factors[i].slot;
        if (view->factors[i].place != place++)
            return false;
    }
    if (!place)
        return find_free_slot(view, dim, ret_slot);
    for (int i = 0; i < view->factor_count; i++)
        total += view->factors[i].slot == slot;
    if (total != place)
        return false;
    *ret_slot = slot;
    return true;
}

void thaw_onnx_view_resize(struct thaw_onnx_view *view, int dim, int slot, int64_t size) {
    int kept = 0;
    bool placed = size == 1;
    struct thaw_onnx_view from = *view;
    for (int i = 0; i <= from.factor_count; i++) {
        if (!placed && (i == from.factor_count || from.factors[i].dim >= dim)) {
            view->factors[kept++] = (struct thaw_onnx_factor){size, dim, slot, 0};
            placed = true;
        }
        if (i < from.factor_count && from.factors[i].dim != dim)
            view->factors[kept++] = from.factors[i];
    }
    view->factor_count = kept;
    view->dims[dim] = size;
}

bool thaw_onnx_view_layout(const struct thaw_onnx_view *view, struct thaw_onnx_layout *ret_layout) {
    struct thaw_onnx_layout layout = {0};
    for (int slot = 0; slot < THAW_SLOT_COUNT; slot++)
        for (int place = 0, last = -1;; place++) {
            int found = -1;
            for (int i = 0; i < view->factor_count; i++)
                if (view->factors[i].slot == slot && view->factors[i].place == place)
                    found = i;
            if (found < 0)
                break;
            int dim = view->factors[found].dim;
            if (last >= 0 && view->factors[last].dim == dim) {
                if (found != last + 1)
                    return false;
            } else {
                if (found > 0 && view->factors[found - 1].dim == dim)
                    return false;
                layout.dims[slot][layout.count[slot]++] = dim;
            }
            last = found;
            if (found + 1 < view->factor_count && view->factors[found + 1].dim == dim &&
                (view->factors[found + 1].slot != slot ||
                 view->factors[found + 1].place != place + 1))
                return false;
        }
    *ret_layout = layout;
    return true;
}

bool thaw_onnx_view_is_plain(const struct thaw_onnx_view *view) {
    for (int i = 1; i < view->factor_count; i++) {
        const struct thaw_onnx_factor *a = &view->factors[i - 1], *b = &view->factors[i];
        if (b->slot < a->slot || (b->slot == a->slot && b->place < a->place))
            return false;
    }
    return true;
}

/* ---- indices -------------------------------------------------------------------------------- */

/* The factors in the node's order; strides[i]: what a step along the i-th of them adds to an index
 * that `dim_strides` describe (one number for each dimension). */
struct walk {
    int count;
    int64_t sizes[THAW_ONNX_FACTORS_MAX], strides[THAW_ONNX_FACTORS_MAX];
    int slots[THAW_ONNX_FACTORS_MAX];
};

static struct walk walk_make(const struct thaw_onnx_view *view, const int64_t *dim_strides) {
    struct walk walk = {0};
    for (int slot = 0; slot < THAW_SLOT_COUNT; slot++)
        for (int place = 0; place < view->factor_count; place++)
            for (int i = 0; i < view->factor_count; i++) {
                const struct thaw_onnx_factor *f = &view->factors[i];
                if (f->slot != slot || f->place != place)
                    continue;
                int64_t inner = 1; /* of the same dimension */
                for (int j = i + 1; j < view->factor_count && view->factors[j].dim == f->dim; j++)
                    inner *= view->factors[j].size;
                walk.sizes[walk.count] = f->size;
                walk.slots[walk.count] = slot;
                walk.strides[walk.count++] = dim_strides[f->dim] * inner;
            }
    return walk;
}

static int64_t walk_size(const struct walk *walk) {
    int64_t size = 1;
    for (int i = 0; i < walk->count; i++)
        size *= walk->sizes[i];
    return size;
}

static void walk_fill(const struct walk *walk, int64_t *ret_indices) {
    int64_t size = walk_size(walk), at[THAW_ONNX_FACTORS_MAX] = {0}, index = 0;
    for (int64_t i = 0; i < size; i++) {
        ret_indices[i] = index;
        for (int f = walk->count; f-- > 0;) {
            index += walk->strides[f];
            if (++at[f] < walk->sizes[f])
                break;
            index -= walk->strides[f] * walk->sizes[f];
            at[f] = 0;
        }
    }
}

/* Drops the slots along which nothing changes, and says the size of each slot. */
static void drop_still_slots(struct walk *walk, int64_t ret_sizes[THAW_SLOT_COUNT]) {
    bool moves[THAW_SLOT_COUNT] = {0};
    for (int i = 0; i < walk->count; i++)
        moves[walk->slots[i]] |= walk->strides[i] != 0;
    int kept = 0;
    for (int slot = 0; slot < THAW_SLOT_COUNT; slot++)
        ret_sizes[slot] = 1;
    for (int i = 0; i < walk->count; i++) {
        if (!moves[walk->slots[i]])
            continue;
        ret_sizes[walk->slots[i]] *= walk->sizes[i];
        walk->sizes[kept] = walk->sizes[i];
        walk->slots[kept] = walk->slots[i];
        walk->strides[kept++] = walk->strides[i];
    }
    walk->count = kept;
}

thaw_status thaw_onnx_view_broadcast(const struct thaw_onnx_view *view, struct thaw_arena *arena,
                                     const struct thaw_onnx_tensor *tensor,
                                     int64_t ret_sizes[THAW_SLOT_COUNT], int64_t **ret_indices) {
    int64_t strides[THAW_ONNX_RANK_MAX] = {0}, stride = 1;
    for (int i = tensor->rank; i-- > 0;) {
        int dim = view->rank - tensor->rank + i;
        int64_t size = tensor->dims[i];
        if (size != 1 && (dim < 0 || dim == view->batch || view->dims[dim] != size)) {
            char have[THAW_ONNX_DIMS_TEXT_SIZE], want[THAW_ONNX_DIMS_TEXT_SIZE];
            thaw_onnx_dims_text(tensor->rank, tensor->dims, have);
            thaw_onnx_dims_text(view->rank, view->dims, want);
            return thaw_fail(THAW_ERROR_UNSUPPORTED,
                             "a constant of shape %s does not go with a value of shape %s", have,
                             want);
        }
        if (size != 1)
            strides[dim] = stride;
        stride *= size;
    }
    struct walk walk = walk_make(view, strides);
    int64_t sizes[THAW_SLOT_COUNT];
    drop_still_slots(&walk, sizes);
    int64_t *indices = thaw_arena_array(arena, (size_t)walk_size(&walk), sizeof *indices);
    if (!indices)
        return THAW_ERROR_MEMORY;
    walk_fill(&walk, indices);
    memcpy(ret_sizes, sizes, sizeof sizes);
    *ret_indices = indices;
    return THAW_OK;
}

int64_t *thaw_onnx_view_places(const struct thaw_onnx_view *view, struct thaw_arena *arena) {
    int64_t strides[THAW_ONNX_RANK_MAX] = {0};
    for (int d = 0; d < view->rank; d++)
        strides[d] = 1; /* only one has more than one element */
    struct walk walk = walk_make(view, strides);
    int64_t size = walk_size(&walk);
    int64_t *elements = thaw_arena_array(arena, (size_t)size, sizeof *elements);
    if (elements)
        walk_fill(&walk, elements);
    return elements;
}

void thaw_onnx_dims_text(int rank, const int64_t *dims, char ret_text[THAW_ONNX_DIMS_TEXT_SIZE]) {
    size_t used = (size_t)snprintf(ret_text, THAW_ONNX_DIMS_TEXT_SIZE, "[");
    for (int i = 0; i < rank; i++) {
        const char *comma = i ? ", " : "";
        if (dims[i] == -1 || dims[i] == THAW_ONNX_BATCH)
            used +=
                (size_t)snprintf(ret_text + used, THAW_ONNX_DIMS_TEXT_SIZE - used, "%sN", comma);
        else
            used += (size_t)snprintf(ret_text + used, THAW_ONNX_DIMS_TEXT_SIZE - used, "%s%lld",
                                     comma, (long long)dims[i]);
    }
    snprintf(ret_text + used, THAW_ONNX_DIMS_TEXT_SIZE - used, "]");
}
