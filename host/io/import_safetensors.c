/* Reading safetensors: u64 header length, JSON header {name: {dtype, shape, data_offsets}}, data.
 * The rules are those of https://huggingface.co/docs/safetensors and its reference reader: a header
 * of at most 100 MB that starts with '{', no duplicate names, tensors that fill the data exactly,
 * without holes or overlap, and string-to-string metadata. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"
#include "io/importer.h"

#define LENGTH_BYTES 8
#define HEADER_BYTES_MAX 100000000u

static uint64_t header_length(const unsigned char *bytes) {
    uint64_t length;
    memcpy(&length, bytes, sizeof length);
    return length;
}

static bool matches(const unsigned char *bytes, size_t size_bytes) {
    return size_bytes > LENGTH_BYTES && header_length(bytes) <= HEADER_BYTES_MAX &&
           bytes[LENGTH_BYTES] == '{';
}

static thaw_status read_metadata(const json_t *object, struct thaw_weights *weights) {
    if (!json_is_object(object))
        return thaw_fail(THAW_ERROR_INPUT, "__metadata__ is not a JSON object");
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value) {
        if (!json_is_string(value))
            return thaw_fail(THAW_ERROR_INPUT, "__metadata__ entry '%s' is not a string", key);
        THAW_TRY(thaw_weights_set_metadata(weights, key, json_string_value(value)));
    }
    return THAW_OK;
}

static thaw_status read_dtype(const char *name, const json_t *value, enum thaw_dtype *ret_dtype) {
    const char *text = json_string_value(value);
    if (!text)
        return thaw_fail(THAW_ERROR_INPUT, "tensor '%s' has no dtype", name);
    if (!thaw_dtype_from_name(text, ret_dtype))
        return thaw_fail(THAW_ERROR_UNSUPPORTED,
                         "tensor '%s' has dtype '%.32s'; read are F64, F32, F16, BF16, I64, I32, "
                         "I16, I8, U64, U32, U16, U8 and BOOL",
                         name, text);
    return THAW_OK;
}

/* A list of non-negative integers; `what` is for messages. */
static thaw_status read_integers(const char *name, const char *what, const json_t *value,
                                 size_t max, int64_t *ret_items, size_t *ret_count) {
    if (!json_is_array(value))
        return thaw_fail(THAW_ERROR_INPUT, "tensor '%s' has no %s list", name, what);
    size_t count = json_array_size(value);
    if (count > max)
        return thaw_fail(THAW_ERROR_UNSUPPORTED, "tensor '%s' has a %s of %zu numbers, at most %zu",
                         name, what, count, max);
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_array_get(value, i);
        if (!json_is_integer(item) || json_integer_value(item) < 0)
            return thaw_fail(THAW_ERROR_INPUT,
                             "tensor '%s' has a %s that is not a list of non-negative integers",
                             name, what);
        ret_items[i] = json_integer_value(item);
    }
    *ret_count = count;
    return THAW_OK;
}

static thaw_status read_tensor(const char *name, const json_t *object, const struct thaw_map *data,
                               struct thaw_weights *weights) {
    enum thaw_dtype dtype = THAW_DTYPE_F32;
    int64_t dims[THAW_WEIGHT_RANK_MAX] = {0}, offsets[2] = {0};
    size_t rank = 0, offset_count = 0;
    if (!json_is_object(object))
        return thaw_fail(THAW_ERROR_INPUT, "the header's entry '%s' is not an object", name);
    THAW_TRY(read_dtype(name, json_object_get(object, "dtype"), &dtype));
    THAW_TRY(read_integers(name, "shape", json_object_get(object, "shape"), THAW_WEIGHT_RANK_MAX,
                           dims, &rank));
    THAW_TRY(read_integers(name, "data_offsets", json_object_get(object, "data_offsets"), 2,
                           offsets, &offset_count));
    if (offset_count != 2 || offsets[0] > offsets[1] || (uint64_t)offsets[1] > data->size_bytes)
        return thaw_fail(THAW_ERROR_INPUT,
                         "tensor '%s' lies outside the %zu bytes of data that the file holds", name,
                         data->size_bytes);
    THAW_TRY(thaw_weights_add(weights, name, dtype, (int)rank, dims, data->bytes + offsets[0]));
    size_t size_bytes = weights->items[weights->count - 1].size_bytes;
    if (size_bytes != (size_t)(offsets[1] - offsets[0]))
        return thaw_fail(THAW_ERROR_INPUT,
                         "tensor '%s' has %lld bytes of data, its shape and dtype need %zu", name,
                         (long long)(offsets[1] - offsets[0]), size_bytes);
    return THAW_OK;
}

static int compare_places(const void *a, const void *b) {
    const struct thaw_weight *first = *(const struct thaw_weight *const *)a;
    const struct thaw_weight *second = *(const struct thaw_weight *const *)b;
    const unsigned char *first_data = first->data, *second_data = second->data;
    if (first_data != second_data)
        return first_data < second_data ? -1 : 1;
    return (first->size_bytes > second->size_bytes) - (first->size_bytes < second->size_bytes);
}

/* Tensors fill the data from its first to its last byte. */
static thaw_status check_places(const struct thaw_weights *weights, const struct thaw_map *data) {
    const struct thaw_weight **places = malloc((weights->count + 1) * sizeof *places);
    if (!places)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory for %zu tensors", weights->count);
    for (size_t i = 0; i < weights->count; i++)
        places[i] = &weights->items[i];
    qsort(places, weights->count, sizeof *places, compare_places);
    const unsigned char *end = data->bytes;
    thaw_status status = THAW_OK;
    for (size_t i = 0; status == THAW_OK && i < weights->count; i++) {
        const unsigned char *start = places[i]->data;
        if (start != end)
            status = thaw_fail(THAW_ERROR_INPUT, "the data of tensor '%s' %s", places[i]->name,
                               start < end ? "overlaps another tensor's"
                                           : "does not follow on the tensor before it");
        end = start + places[i]->size_bytes;
    }
    if (status == THAW_OK && end != data->bytes + data->size_bytes)
        status = thaw_fail(THAW_ERROR_INPUT, "%zu bytes after the last tensor belong to none",
                           (size_t)(data->bytes + data->size_bytes - end));
    free(places);
    return status;
}

static thaw_status read_header(const json_t *header, const struct thaw_map *data,
                               struct thaw_weights *weights) {
    if (!json_is_object(header))
        return thaw_fail(THAW_ERROR_INPUT, "the header is not a JSON object");
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)header, name, value) {
        if (strcmp(name, "__metadata__") == 0)
            THAW_TRY(read_metadata(value, weights));
        else
            THAW_TRY(read_tensor(name, value, data, weights));
    }
    return check_places(weights, data);
}

static thaw_status open_safetensors(const struct thaw_map *file, struct thaw_weights *weights) {
    uint64_t length = header_length(file->bytes);
    size_t rest = file->size_bytes - LENGTH_BYTES;
    if (length > rest)
        return thaw_fail(THAW_ERROR_INPUT,
                         "truncated: the header should have %llu bytes, the file has %zu more",
                         (unsigned long long)length, rest);
    const char *text = (const char *)file->bytes + LENGTH_BYTES;
    json_error_t error;
    json_t *header = json_loadb(text, (size_t)length, JSON_REJECT_DUPLICATES, &error);
    if (!header)
        return thaw_fail(THAW_ERROR_INPUT, "the header is not valid JSON at byte %d: %s",
                         error.position, error.text);
    struct thaw_map data = {file->bytes + LENGTH_BYTES + length, rest - (size_t)length};
    thaw_status status = read_header(header, &data, weights);
    json_decref(header);
    return status;
}

const struct thaw_importer thaw_importer_safetensors = {
    .name = "safetensors",
    .description = "the safetensors format",
    .matches = matches,
    .open = open_safetensors,
};
