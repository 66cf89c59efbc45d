#include "io/weights.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"
#include "io/importer.h"
#include "io/safetensors.h"

/* Every file format here is little-endian, and tensors are borrowed as they stand. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "a little-endian host is needed");

/* Longer names are damage, and would let a small file ask for much memory. */
#define NAME_LENGTH_MAX 512

#define X(name) extern const struct thaw_importer thaw_importer_##name;
#include "importers.inc"
#undef X

static const struct thaw_importer *const importers[] = {
#define X(name) &thaw_importer_##name,
#include "importers.inc"
#undef X
};

static const struct {
    const char *name;
    size_t size_bytes;
} dtypes[THAW_DTYPE_COUNT] = {
    [THAW_DTYPE_F64] = {"F64", 8},   [THAW_DTYPE_I64] = {"I64", 8},   [THAW_DTYPE_U64] = {"U64", 8},
    [THAW_DTYPE_F32] = {"F32", 4},   [THAW_DTYPE_I32] = {"I32", 4},   [THAW_DTYPE_U32] = {"U32", 4},
    [THAW_DTYPE_F16] = {"F16", 2},   [THAW_DTYPE_BF16] = {"BF16", 2}, [THAW_DTYPE_I16] = {"I16", 2},
    [THAW_DTYPE_U16] = {"U16", 2},   [THAW_DTYPE_I8] = {"I8", 1},     [THAW_DTYPE_U8] = {"U8", 1},
    [THAW_DTYPE_BOOL] = {"BOOL", 1},
};

const char *thaw_dtype_name(enum thaw_dtype dtype) {
    return dtypes[dtype].name;
}

size_t thaw_dtype_size_bytes(enum thaw_dtype dtype) {
    return dtypes[dtype].size_bytes;
}

bool thaw_dtype_from_name(const char *name, enum thaw_dtype *ret_dtype) {
    for (int i = 0; i < THAW_DTYPE_COUNT; i++) {
        if (strcmp(name, dtypes[i].name) == 0) {
            *ret_dtype = (enum thaw_dtype)i;
            return true;
        }
    }
    return false;
}

static thaw_status fail_unknown_format(void) {
    struct thaw_text list = {0};
    for (size_t i = 0; i < sizeof importers / sizeof *importers; i++)
        thaw_text_append(&list, "%s%s (%s)", i ? ", " : "", importers[i]->name,
                         importers[i]->description);
    thaw_status status = thaw_fail(THAW_ERROR_INPUT, "not a weights file that Thaw reads: %s",
                                   list.text ? list.text : "");
    thaw_text_finish(&list);
    return status;
}

static thaw_status open_map(const struct thaw_map *file, struct thaw_weights *weights) {
    if (file->size_bytes == 0)
        return thaw_fail(THAW_ERROR_INPUT, "the file is empty");
    for (size_t i = 0; i < sizeof importers / sizeof *importers; i++) {
        if (!importers[i]->matches(file->bytes, file->size_bytes))
            continue;
        THAW_TRY(importers[i]->open(file, weights));
        weights->format = importers[i]->name;
        return thaw_weights_index(weights);
    }
    return fail_unknown_format();
}

thaw_status thaw_weights_open(const char *path, struct thaw_weights *ret_weights) {
    struct thaw_weights weights = {0};
    THAW_TRY(thaw_map_open(path, &weights.file));
    thaw_status status = open_map(&weights.file, &weights);
    if (status != THAW_OK) {
        thaw_weights_finish(&weights);
        return thaw_context(status, "%s", path);
    }
    *ret_weights = weights;
    return THAW_OK;
}

thaw_status thaw_weights_open_bytes(const void *bytes, size_t size_bytes, const char *name,
                                    struct thaw_weights *ret_weights) {
    struct thaw_weights weights = {0};
    thaw_status status = open_map(&(struct thaw_map){bytes, size_bytes}, &weights);
    if (status != THAW_OK) {
        thaw_weights_finish(&weights);
        return thaw_context(status, "%s", name);
    }
    *ret_weights = weights;
    return THAW_OK;
}

void thaw_weights_finish(struct thaw_weights *weights) {
    thaw_arena_finish(&weights->arena);
    thaw_map_close(&weights->file);
    *weights = (struct thaw_weights){0};
}

static thaw_status check_name(const char *name) {
    size_t length = strlen(name);
    if (length == 0 || length > NAME_LENGTH_MAX)
        return thaw_fail(THAW_ERROR_INPUT, "a tensor's name has %zu bytes, expected 1 to %d",
                         length, NAME_LENGTH_MAX);
    for (const char *c = name; *c; c++) {
        if ((unsigned char)*c < 0x20)
            return thaw_fail(THAW_ERROR_INPUT, "a tensor's name holds the control character 0x%02x",
                             (unsigned char)*c);
    }
    json_t *checked = json_string(name); /* only to have the encoding checked */
    if (!checked)
        return thaw_fail(THAW_ERROR_INPUT, "a tensor's name is not UTF-8 text");
    json_decref(checked);
    return THAW_OK;
}

thaw_status thaw_weights_add(struct thaw_weights *weights, const char *name, enum thaw_dtype dtype,
                             int rank, const int64_t *dims, const void *data) {
    THAW_TRY(check_name(name));
    if (rank < 0 || rank > THAW_WEIGHT_RANK_MAX)
        return thaw_fail(THAW_ERROR_UNSUPPORTED,
                         "tensor '%s' has %d dimensions, at most %d are read", name, rank,
                         THAW_WEIGHT_RANK_MAX);
    struct thaw_weight weight = {.dtype = dtype, .rank = rank, .data = data};
    weight.size_bytes = dtypes[dtype].size_bytes;
    for (int i = 0; i < rank; i++) {
        /* A zero elsewhere does not excuse dimensions whose product overflows on the way. */
        if (dims[i] < 0 || (dims[i] && weight.size_bytes > SIZE_MAX / 2 / (uint64_t)dims[i]))
            return thaw_fail(THAW_ERROR_INPUT, "tensor '%s' has the impossible dimension %lld",
                             name, (long long)dims[i]);
        weight.dims[i] = dims[i];
        weight.size_bytes *= (size_t)dims[i];
    }
    struct thaw_weight *items = thaw_arena_grow(&weights->arena, weights->items, weights->count,
                                                &weights->capacity, sizeof *items);
    if (!items)
        return THAW_ERROR_MEMORY;
    weights->items = items;
    weight.name = thaw_arena_copy(&weights->arena, name);
    if (!weight.name)
        return THAW_ERROR_MEMORY;
    items[weights->count++] = weight;
    weights->sorted_count = 0; /* stale now */
    return THAW_OK;
}

thaw_status thaw_weights_set_metadata(struct thaw_weights *weights, const char *key,
                                      const char *value) {
    char *value_copy = thaw_arena_copy(&weights->arena, value);
    if (!value_copy)
        return THAW_ERROR_MEMORY;
    for (size_t i = 0; i < weights->metadata_count; i++) {
        if (strcmp(weights->metadata[i].key, key) == 0) {
            weights->metadata[i].value = value_copy;
            return THAW_OK;
        }
    }
    struct thaw_weights_metadata *metadata =
        thaw_arena_grow(&weights->arena, weights->metadata, weights->metadata_count,
                        &weights->metadata_capacity, sizeof *metadata);
    char *key_copy = metadata ? thaw_arena_copy(&weights->arena, key) : NULL;
    if (!key_copy)
        return THAW_ERROR_MEMORY;
    weights->metadata = metadata;
    metadata[weights->metadata_count++] = (struct thaw_weights_metadata){key_copy, value_copy};
    return THAW_OK;
}

const char *thaw_weights_get_metadata(const struct thaw_weights *weights, const char *key) {
    for (size_t i = 0; i < weights->metadata_count; i++) {
        if (strcmp(weights->metadata[i].key, key) == 0)
            return weights->metadata[i].value;
    }
    return NULL;
}

static int compare_names(const void *a, const void *b) {
    const struct thaw_weight *const *first = a, *const *second = b;
    return strcmp((*first)->name, (*second)->name);
}

thaw_status thaw_weights_index(struct thaw_weights *weights) {
    const struct thaw_weight **sorted =
        thaw_arena_array(&weights->arena, weights->count, sizeof *sorted);
    if (!sorted)
        return THAW_ERROR_MEMORY;
    for (size_t i = 0; i < weights->count; i++)
        sorted[i] = &weights->items[i];
    qsort(sorted, weights->count, sizeof *sorted, compare_names);
    for (size_t i = 1; i < weights->count; i++) {
        if (strcmp(sorted[i - 1]->name, sorted[i]->name) == 0)
            return thaw_fail(THAW_ERROR_INPUT, "two tensors have the name '%s'", sorted[i]->name);
    }
    weights->sorted = sorted;
    weights->sorted_count = weights->count;
    return THAW_OK;
}

const struct thaw_weight *thaw_weights_find(const struct thaw_weights *weights, const char *name) {
    if (weights->sorted_count == weights->count && weights->count) {
        const struct thaw_weight key = {.name = name}, *key_pointer = &key;
        const struct thaw_weight **found = bsearch(&key_pointer, weights->sorted, weights->count,
                                                   sizeof *weights->sorted, compare_names);
        return found ? *found : NULL;
    }
    for (size_t i = 0; i < weights->count; i++) {
        if (strcmp(weights->items[i].name, name) == 0)
            return &weights->items[i];
    }
    return NULL;
}

size_t thaw_weight_count(const struct thaw_weight *weight) {
    return weight->size_bytes / dtypes[weight->dtype].size_bytes;
}

void thaw_shape_text(int rank, const int64_t *dims, char ret_text[THAW_SHAPE_TEXT_SIZE]) {
    if (rank == 0) {
        snprintf(ret_text, THAW_SHAPE_TEXT_SIZE, "scalar");
        return;
    }
    size_t used = 0;
    for (int i = 0; i < rank; i++)
        used += (size_t)snprintf(ret_text + used, THAW_SHAPE_TEXT_SIZE - used, "%s%lld",
                                 i ? "x" : "", (long long)dims[i]);
}

thaw_status thaw_weights_import(const char *in, const char *out, struct thaw_weights *ret_weights) {
    struct thaw_weights weights = {0};
    THAW_TRY(thaw_weights_open(in, &weights));
    thaw_status status = THAW_OK;
    if (!thaw_weights_get_metadata(&weights, "format")) /* other programs look for PyTorch's mark */
        status = thaw_weights_set_metadata(&weights, "format", "pt");
    if (status == THAW_OK)
        status = thaw_safetensors_write(out, &weights, NULL, NULL);
    if (status != THAW_OK) {
        thaw_weights_finish(&weights);
        return status;
    }
    *ret_weights = weights;
    return THAW_OK;
}
