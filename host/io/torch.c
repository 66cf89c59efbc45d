#include "io/torch.h"

#include <stdlib.h>
#include <string.h>

/* The only calls that stay in the tree of values. OrderedDict is made by the pickle reader. */
static const char *const callables[] = {
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_tensor",
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_parameter_with_state",
    "torch.Size",
    "torch.device",
};

void thaw_torch_init(struct thaw_torch *torch, const unsigned char *bytes, size_t size_bytes,
                     size_t file_size_bytes) {
    *torch = (struct thaw_torch){.file_size_bytes = file_size_bytes};
    torch->reader = (struct thaw_pickle_reader){
        .arena = &torch->arena,
        .bytes = bytes,
        .size_bytes = size_bytes,
        .callables = callables,
        .callable_count = sizeof callables / sizeof *callables,
    };
}

void thaw_torch_finish(struct thaw_torch *torch) {
    thaw_arena_finish(&torch->arena);
}

/* --- Storages --------------------------------------------------------------------------------- */

static thaw_status storage_dtype(const struct thaw_pickle *type, enum thaw_dtype *ret_dtype) {
    static const struct {
        const char *name;
        enum thaw_dtype dtype;
    } types[] = {
        {"FloatStorage", THAW_DTYPE_F32},  {"DoubleStorage", THAW_DTYPE_F64},
        {"HalfStorage", THAW_DTYPE_F16},   {"BFloat16Storage", THAW_DTYPE_BF16},
        {"LongStorage", THAW_DTYPE_I64},   {"IntStorage", THAW_DTYPE_I32},
        {"ShortStorage", THAW_DTYPE_I16},  {"CharStorage", THAW_DTYPE_I8},
        {"ByteStorage", THAW_DTYPE_U8},    {"BoolStorage", THAW_DTYPE_BOOL},
        {"UntypedStorage", THAW_DTYPE_U8},
    };
    if (type->kind != THAW_PICKLE_GLOBAL || strncmp(type->text, "torch.", 6) != 0)
        return thaw_fail(THAW_ERROR_INPUT, "a storage has no type");
    const char *name = strrchr(type->text, '.') + 1; /* also torch.cuda.FloatStorage */
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (strcmp(name, types[i].name) == 0) {
            *ret_dtype = types[i].dtype;
            return THAW_OK;
        }
    }
    return thaw_fail(THAW_ERROR_UNSUPPORTED,
                     "a tensor has its data in a '%.64s', which Thaw does "
                     "not read",
                     type->text);
}

static bool is_text(const struct thaw_pickle *value) { /* without NUL in it */
    return value->kind == THAW_PICKLE_TEXT && strlen(value->text) == value->length;
}

/* ('storage', type, key, location, element count[, view]) */
static thaw_status read_storage(const struct thaw_pickle *persistent,
                                struct thaw_torch_storage *ret_storage) {
    const struct thaw_pickle *id = persistent->items[0];
    if (id->kind != THAW_PICKLE_TUPLE || id->count < 5 || id->count > 6 ||
        !thaw_pickle_is_text(id->items[0], "storage") || !is_text(id->items[2]) ||
        id->items[4]->kind != THAW_PICKLE_INT || id->items[4]->integer < 0)
        return thaw_fail(THAW_ERROR_INPUT,
                         "the pickle refers to an object outside it that is no storage");
    struct thaw_torch_storage storage = {.key = id->items[2]->text,
                                         .count = (uint64_t)id->items[4]->integer};
    THAW_TRY(storage_dtype(id->items[1], &storage.dtype));
    *ret_storage = storage;
    return THAW_OK;
}

static int compare_keys(const void *a, const void *b) {
    const struct thaw_torch_storage *first = a, *second = b;
    return strcmp(first->key, second->key);
}

static thaw_status list_storages(struct thaw_torch *torch) {
    size_t count = torch->reader.persistent_count, used = 0;
    struct thaw_torch_storage *storages = thaw_arena_array(&torch->arena, count, sizeof *storages);
    if (!storages)
        return THAW_ERROR_MEMORY;
    for (size_t i = 0; i < count; i++)
        THAW_TRY(read_storage(torch->reader.persistent[i], &storages[i]));
    qsort(storages, count, sizeof *storages, compare_keys);
    for (size_t i = 0; i < count; i++) {
        const struct thaw_torch_storage *last = used ? &storages[used - 1] : NULL;
        if (!last || strcmp(last->key, storages[i].key) != 0)
            storages[used++] = storages[i];
        else if (last->count != storages[i].count || last->dtype != storages[i].dtype)
            return thaw_fail(THAW_ERROR_INPUT, "storage '%.64s' has two types or sizes", last->key);
    }
    torch->storages = storages;
    torch->storage_count = used;
    return THAW_OK;
}

thaw_status thaw_torch_read(struct thaw_torch *torch, struct thaw_pickle **ret_root) {
    struct thaw_pickle *root;
    THAW_TRY(thaw_pickle_read(&torch->reader, &root));
    THAW_TRY(list_storages(torch));
    *ret_root = root;
    return THAW_OK;
}

struct thaw_torch_storage *thaw_torch_find_storage(const struct thaw_torch *torch,
                                                   const char *key) {
    const struct thaw_torch_storage wanted = {.key = key};
    if (!torch->storage_count)
        return NULL;
    return bsearch(&wanted, torch->storages, torch->storage_count, sizeof wanted, compare_keys);
}

/* The elements that a persistent id gives access to: a storage, or a view of a part of it. */
struct extent {
    const unsigned char *bytes;
    uint64_t count;
    enum thaw_dtype dtype;
};

static thaw_status open_extent(const struct thaw_torch *torch, const struct thaw_pickle *persistent,
                               struct extent *ret_extent) {
    struct thaw_torch_storage asked = {.key = ""};
    THAW_TRY(read_storage(persistent, &asked));
    struct thaw_torch_storage *storage = thaw_torch_find_storage(torch, asked.key);
    if (!storage->bytes && torch->load)
        THAW_TRY(torch->load(torch->user, storage));
    size_t element = thaw_dtype_size_bytes(asked.dtype);
    if (!storage->bytes || storage->size_bytes / element < storage->count)
        return thaw_fail(THAW_ERROR_INPUT,
                         "the file does not hold the %llu elements of storage '%s'",
                         (unsigned long long)storage->count, storage->key);
    struct extent extent = {storage->bytes, storage->count, storage->dtype};
    const struct thaw_pickle *id = persistent->items[0];
    const struct thaw_pickle *view = id->count == 6 ? id->items[5] : NULL;
    if (view && view->kind != THAW_PICKLE_NONE) { /* (key, offset, count): old legacy files */
        if (view->kind != THAW_PICKLE_TUPLE || view->count != 3 ||
            view->items[1]->kind != THAW_PICKLE_INT || view->items[2]->kind != THAW_PICKLE_INT)
            return thaw_fail(THAW_ERROR_INPUT, "storage '%s' has a damaged view", storage->key);
        uint64_t offset = (uint64_t)view->items[1]->integer;
        uint64_t count = (uint64_t)view->items[2]->integer; /* negative ones are too large */
        if (offset > extent.count || count > extent.count - offset)
            return thaw_fail(THAW_ERROR_INPUT, "a view lies outside its storage '%s'",
                             storage->key);
        extent.bytes += offset * element;
        extent.count = count;
    }
    *ret_extent = extent;
    return THAW_OK;
}

/* --- Tensors ---------------------------------------------------------------------------------- */

struct view {
    int rank;
    int64_t dims[THAW_WEIGHT_RANK_MAX], strides[THAW_WEIGHT_RANK_MAX]; /* strides in elements */
    uint64_t offset, count;
    bool contiguous;
};

static bool is_call(const struct thaw_pickle *value, const char *name) {
    return value->kind == THAW_PICKLE_CALL && strcmp(value->items[0]->text, name) == 0;
}

/* The call that rebuilds the tensor itself, inside those of nn.Parameter; NULL for other values. */
static const struct thaw_pickle *rebuild_call(const struct thaw_pickle *value) {
    for (int depth = 0; depth < 8; depth++) {
        if (is_call(value, "torch._utils._rebuild_tensor_v2") ||
            is_call(value, "torch._utils._rebuild_tensor"))
            return value;
        if ((!is_call(value, "torch._utils._rebuild_parameter") &&
             !is_call(value, "torch._utils._rebuild_parameter_with_state")) ||
            value->items[1]->count == 0)
            return NULL;
        value = value->items[1]->items[0];
    }
    return NULL;
}

bool thaw_torch_is_tensor(const struct thaw_pickle *value) {
    return rebuild_call(value) != NULL;
}

/* A tuple of non-negative integers, or torch.Size of one. */
static thaw_status read_sizes(const char *name, const struct thaw_pickle *value,
                              int64_t ret_sizes[THAW_WEIGHT_RANK_MAX], int *ret_rank) {
    if (is_call(value, "torch.Size") && value->items[1]->count == 1)
        value = value->items[1]->items[0];
    if (value->kind != THAW_PICKLE_TUPLE && value->kind != THAW_PICKLE_LIST)
        return thaw_fail(THAW_ERROR_INPUT, "tensor '%s' has no size or stride", name);
    if (value->count > THAW_WEIGHT_RANK_MAX)
        return thaw_fail(THAW_ERROR_UNSUPPORTED,
                         "tensor '%s' has %zu dimensions, at most %d are read", name, value->count,
                         THAW_WEIGHT_RANK_MAX);
    for (size_t i = 0; i < value->count; i++) {
        if (value->items[i]->kind != THAW_PICKLE_INT || value->items[i]->integer < 0)
            return thaw_fail(THAW_ERROR_INPUT,
                             "tensor '%s' has a size or stride that is no non-negative integer",
                             name);
        ret_sizes[i] = value->items[i]->integer;
    }
    *ret_rank = (int)value->count;
    return THAW_OK;
}

/* Counts the elements and checks that the last one lies within `available`. */
static thaw_status check_view(const char *name, struct view *view, uint64_t available) {
    uint64_t count = 1, last = view->offset, expected_stride = 1;
    bool overflow = false;
    view->contiguous = true;
    for (int i = view->rank; i-- > 0;) {
        uint64_t dim = (uint64_t)view->dims[i], stride = (uint64_t)view->strides[i], reach = 0;
        overflow |= __builtin_mul_overflow(count, dim, &count);
        if (dim > 1) {
            overflow |= __builtin_mul_overflow(dim - 1, stride, &reach);
            overflow |= __builtin_add_overflow(last, reach, &last);
            view->contiguous &= stride == expected_stride;
            expected_stride *= dim;
        }
    }
    view->count = count;
    if (overflow || (count && last >= available))
        return thaw_fail(THAW_ERROR_INPUT, "tensor '%s' lies outside its storage of %llu elements",
                         name, (unsigned long long)available);
    if (count == 0)
        view->offset = 0;
    return THAW_OK;
}

static thaw_status read_view(const char *name, const struct thaw_pickle *arguments,
                             uint64_t available, struct view *ret_view) {
    struct view view = {0};
    int stride_rank = -1;
    if (arguments->items[1]->kind != THAW_PICKLE_INT || arguments->items[1]->integer < 0)
        return thaw_fail(THAW_ERROR_INPUT, "tensor '%s' has no offset", name);
    view.offset = (uint64_t)arguments->items[1]->integer;
    THAW_TRY(read_sizes(name, arguments->items[2], view.dims, &view.rank));
    THAW_TRY(read_sizes(name, arguments->items[3], view.strides, &stride_rank));
    if (stride_rank != view.rank)
        return thaw_fail(THAW_ERROR_INPUT, "tensor '%s' has %d sizes but %d strides", name,
                         view.rank, stride_rank);
    /* The seventh argument marks lazily conjugated or negated data. */
    if (arguments->count > 6 && arguments->items[6]->kind == THAW_PICKLE_DICT &&
        arguments->items[6]->count)
        return thaw_fail(THAW_ERROR_UNSUPPORTED, "tensor '%s' is stored negated or conjugated",
                         name);
    THAW_TRY(check_view(name, &view, available));
    *ret_view = view;
    return THAW_OK;
}

/* Copies the elements of a view into row-major order, odometer fashion. */
static void gather(const struct view *view, const unsigned char *source, size_t element,
                   unsigned char *target) {
    int64_t index[THAW_WEIGHT_RANK_MAX] = {0};
    uint64_t place = view->offset;
    for (uint64_t i = 0; i < view->count; i++) {
        memcpy(target + i * element, source + place * element, element);
        for (int d = view->rank; d-- > 0;) {
            place += (uint64_t)view->strides[d];
            if (++index[d] < view->dims[d])
                break;
            place -= (uint64_t)view->dims[d] * (uint64_t)view->strides[d];
            index[d] = 0;
        }
    }
}

thaw_status thaw_torch_add_tensor(const struct thaw_torch *torch, const struct thaw_pickle *value,
                                  const char *name, size_t *budget_bytes,
                                  struct thaw_weights *weights) {
    const struct thaw_pickle *arguments = rebuild_call(value)->items[1];
    struct extent extent = {0};
    struct view view = {0};
    if (arguments->count < 4 || arguments->items[0]->kind != THAW_PICKLE_PERSISTENT)
        return thaw_fail(THAW_ERROR_INPUT, "tensor '%s' has no storage", name);
    thaw_status status = open_extent(torch, arguments->items[0], &extent);
    if (status != THAW_OK)
        return thaw_context(status, "tensor '%s'", name);
    THAW_TRY(read_view(name, arguments, extent.count, &view));
    size_t element = thaw_dtype_size_bytes(extent.dtype);
    const unsigned char *data = extent.bytes + view.offset * element;
    if (!view.contiguous && view.count) {
        if (view.count > *budget_bytes / element)
            return thaw_fail(THAW_ERROR_INPUT,
                             "tensor '%s' would unpack to far more bytes than the file has", name);
        *budget_bytes -= (size_t)view.count * element;
        unsigned char *copy = thaw_arena_array(&weights->arena, (size_t)view.count, element);
        if (!copy)
            return THAW_ERROR_MEMORY;
        gather(&view, extent.bytes, element, copy);
        data = copy;
    }
    return thaw_weights_add(weights, name, extent.dtype, view.rank, view.dims, data);
}
