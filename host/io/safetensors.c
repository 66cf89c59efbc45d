#include "io/safetensors.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_ALIGN 8 /* the data starts at a multiple of it */

/* Item numbers in the order of their data in the file. The dtypes' order is widest first. */
static size_t *data_order(const struct thaw_weights *weights) {
    size_t *order = malloc((weights->count + 1) * sizeof *order), used = 0;
    for (int dtype = 0; order && dtype < THAW_DTYPE_COUNT; dtype++) {
        for (size_t i = 0; i < weights->count; i++) {
            if ((int)weights->items[i].dtype == dtype)
                order[used++] = i;
        }
    }
    return order;
}

/* Sets `key`, which must be new; takes over `value`, NULL included. */
static thaw_status put(json_t *object, const char *key, json_t *value) {
    if (json_object_get(object, key)) {
        json_decref(value);
        return thaw_fail(THAW_ERROR_INPUT, "two tensors have the name '%s'", key);
    }
    if (!value || json_object_set_new(object, key, value) != 0)
        return thaw_fail(THAW_ERROR_INPUT, "'%s' or its value is not UTF-8 text (or out of memory)",
                         key);
    return THAW_OK;
}

static json_t *describe(const struct thaw_weight *weight, size_t offset_bytes) {
    json_t *shape = json_array();
    for (int i = 0; i < weight->rank; i++)
        json_array_append_new(shape, json_integer(weight->dims[i]));
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", thaw_dtype_name(weight->dtype), "shape",
                     shape, "data_offsets", (json_int_t)offset_bytes,
                     (json_int_t)offset_bytes + (json_int_t)weight->size_bytes);
}

static thaw_status fill_header(const struct thaw_weights *weights, const size_t *offsets,
                               json_t *header) {
    if (weights->metadata_count) {
        json_t *metadata = json_object();
        THAW_TRY(put(header, "__metadata__", metadata));
        for (size_t i = 0; i < weights->metadata_count; i++)
            THAW_TRY(
                put(metadata, weights->metadata[i].key, json_string(weights->metadata[i].value)));
    }
    for (size_t i = 0; i < weights->count; i++) {
        const struct thaw_weight *weight = &weights->items[i];
        if (strcmp(weight->name, "__metadata__") == 0)
            return thaw_fail(THAW_ERROR_INPUT, "a tensor cannot have the name '__metadata__'");
        THAW_TRY(put(header, weight->name, describe(weight, offsets[i])));
    }
    return THAW_OK;
}

/* The header's text, padded with spaces; freed by the caller. */
static thaw_status make_header(const struct thaw_weights *weights, const size_t *order,
                               char **ret_text, size_t *ret_length) {
    size_t *offsets = calloc(weights->count + 1, sizeof *offsets), end = 0;
    json_t *header = json_object();
    thaw_status status = THAW_OK;
    char *text = NULL;
    for (size_t i = 0; offsets && i < weights->count; i++) {
        offsets[order[i]] = end;
        end += weights->items[order[i]].size_bytes;
    }
    if (offsets && header)
        status = fill_header(weights, offsets, header);
    else
        status = thaw_fail(THAW_ERROR_MEMORY, "out of memory for a header of %zu tensors",
                           weights->count);
    if (status == THAW_OK) {
        size_t length = json_dumpb(header, NULL, 0, JSON_COMPACT);
        size_t padded = (length + HEADER_ALIGN - 1) / HEADER_ALIGN * HEADER_ALIGN;
        text = length ? malloc(padded) : NULL;
        if (text) {
            json_dumpb(header, text, length, JSON_COMPACT);
            memset(text + length, ' ', padded - length);
            *ret_text = text;
            *ret_length = padded;
        } else {
            status = thaw_fail(THAW_ERROR_MEMORY, "out of memory for a header of %zu tensors",
                               weights->count);
        }
    }
    json_decref(header);
    free(offsets);
    return status;
}

static thaw_status write_data(struct thaw_atomic_file *file, const struct thaw_weights *weights,
                              const size_t *order, thaw_weight_supply *supply, void *user) {
    for (size_t i = 0; i < weights->count; i++) {
        const struct thaw_weight *weight = &weights->items[order[i]];
        const void *data = weight->data;
        if (supply)
            THAW_TRY(supply(user, order[i], &data));
        if (weight->size_bytes)
            THAW_TRY(thaw_atomic_write(file, data, weight->size_bytes));
    }
    return THAW_OK;
}

thaw_status thaw_safetensors_write(const char *path, const struct thaw_weights *weights,
                                   thaw_weight_supply *supply, void *user) {
    char *header = NULL;
    size_t header_length = 0;
    struct thaw_atomic_file file = {.fd = -1};
    thaw_status status = THAW_OK;
    size_t *order = data_order(weights);
    if (!order)
        return thaw_fail(THAW_ERROR_MEMORY, "%s: out of memory", path);
    status = make_header(weights, order, &header, &header_length);
    if (status != THAW_OK) {
        status = thaw_context(status, "%s", path);
        goto done;
    }
    THAW_TRY_GOTO(status, done, thaw_atomic_open(path, &file));
    uint64_t length = header_length;
    THAW_TRY_GOTO(status, done, thaw_atomic_write(&file, &length, sizeof length));
    THAW_TRY_GOTO(status, done, thaw_atomic_write(&file, header, header_length));
    THAW_TRY_GOTO(status, done, write_data(&file, weights, order, supply, user));
    status = thaw_atomic_commit(&file);
done:
    thaw_atomic_abandon(&file);
    free(header);
    free(order);
    return status;
}
