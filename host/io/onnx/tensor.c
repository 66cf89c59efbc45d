#include "io/onnx/tensor.h"

#include <string.h>

#include "core/half.h"
#include "io/onnx/text.h"

#define TYPE(name) THAW__ONNX__TENSOR_PROTO__DATA_TYPE__##name
#define COUNT_MAX (INT64_C(1) << 31)

/* Where a type's values stand when they are not raw bytes. */
enum field { FIELD_NONE, FIELD_FLOAT, FIELD_INT32, FIELD_INT64, FIELD_DOUBLE, FIELD_UINT64 };

static const struct {
    const char *name;
    size_t size_bytes; /* of an element in raw data; 0: not read */
    bool is_float;
    enum field field;
} types[] = {
    [TYPE(UNDEFINED)] = {"undefined", 0, false, FIELD_NONE},
    [TYPE(FLOAT)] = {"float32", 4, true, FIELD_FLOAT},
    [TYPE(UINT8)] = {"uint8", 1, false, FIELD_INT32},
    [TYPE(INT8)] = {"int8", 1, false, FIELD_INT32},
    [TYPE(UINT16)] = {"uint16", 2, false, FIELD_INT32},
    [TYPE(INT16)] = {"int16", 2, false, FIELD_INT32},
    [TYPE(INT32)] = {"int32", 4, false, FIELD_INT32},
    [TYPE(INT64)] = {"int64", 8, false, FIELD_INT64},
    [TYPE(STRING)] = {"string", 0, false, FIELD_NONE},
    [TYPE(BOOL)] = {"bool", 1, false, FIELD_INT32},
    [TYPE(FLOAT16)] = {"float16", 2, true, FIELD_INT32},
    [TYPE(DOUBLE)] = {"float64", 8, true, FIELD_DOUBLE},
    [TYPE(UINT32)] = {"uint32", 4, false, FIELD_UINT64},
    [TYPE(UINT64)] = {"uint64", 8, false, FIELD_UINT64},
    [TYPE(COMPLEX64)] = {"complex64", 0, false, FIELD_NONE},
    [TYPE(COMPLEX128)] = {"complex128", 0, false, FIELD_NONE},
    [TYPE(BFLOAT16)] = {"bfloat16", 2, true, FIELD_INT32},
};
#define TYPE_COUNT ((int)(sizeof types / sizeof *types))

static bool is_known(int elem) {
    return elem >= 0 && elem < TYPE_COUNT;
}

bool thaw_onnx_is_float(int elem) {
    return is_known(elem) && types[elem].is_float;
}

const char *thaw_onnx_elem_name(int elem) {
    return is_known(elem) ? types[elem].name : "of an unknown type";
}

thaw_status thaw_onnx_dims_count(int rank, const int64_t *dims, int64_t *ret_count) {
    int64_t count = 1;
    bool empty = false;
    for (int i = 0; i < rank; i++) {
        if (dims[i] < 0 || dims[i] > COUNT_MAX || count * (dims[i] ? dims[i] : 1) > COUNT_MAX)
            return thaw_fail(THAW_ERROR_INPUT, "the dimension %lld is impossible or too large",
                             (long long)dims[i]);
        empty = empty || dims[i] == 0;
        count *= dims[i] ? dims[i] : 1; /* a zero elsewhere does not excuse the others */
    }
    *ret_count = empty ? 0 : count;
    return THAW_OK;
}

thaw_status thaw_onnx_tensor_make(struct thaw_arena *arena, int elem, int rank, const int64_t *dims,
                                  struct thaw_onnx_tensor *ret_tensor) {
    struct thaw_onnx_tensor tensor = {.elem = elem, .rank = rank};
    if (rank < 0 || rank > THAW_ONNX_RANK_MAX)
        return thaw_fail(THAW_ERROR_UNSUPPORTED, "%d dimensions, at most %d are read", rank,
                         THAW_ONNX_RANK_MAX);
    THAW_TRY(thaw_onnx_dims_count(rank, dims, &tensor.count));
    if (rank)
        memcpy(tensor.dims, dims, (size_t)rank * sizeof *dims);
    bool is_float = thaw_onnx_is_float(elem);
    void *data = thaw_arena_array(arena, (size_t)tensor.count + 1,
                                  is_float ? sizeof(float) : sizeof(int64_t));
    if (!data)
        return THAW_ERROR_MEMORY;
    tensor.floats = is_float ? data : NULL;
    tensor.integers = is_float ? NULL : data;
    *ret_tensor = tensor;
    return THAW_OK;
}

/* ---- decoding ------------------------------------------------------------------------------- */

static float bfloat_to_float(uint16_t bits) {
    uint32_t wide = (uint32_t)bits << 16;
    float value;
    memcpy(&value, &wide, sizeof value);
    return value;
}

static float half_of_kind(int elem, uint16_t bits) {
    return elem == TYPE(BFLOAT16) ? bfloat_to_float(bits) : thaw_half_to_float(bits);
}

static float raw_float(int elem, const unsigned char *bytes) {
    uint16_t half;
    double wide;
    float value;
    switch (elem) {
    case TYPE(FLOAT):
        memcpy(&value, bytes, sizeof value);
        return value;
    case TYPE(DOUBLE):
        memcpy(&wide, bytes, sizeof wide);
        return (float)wide;
    default:
        memcpy(&half, bytes, sizeof half);
        return half_of_kind(elem, half);
    }
}

/* Little-endian; sign-extended for the signed types. */
static int64_t raw_integer(int elem, const unsigned char *bytes) {
    size_t size = types[elem].size_bytes;
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++)
        value |= (uint64_t)bytes[i] << (8 * i);
    bool is_signed = elem == TYPE(INT8) || elem == TYPE(INT16) || elem == TYPE(INT32);
    if (is_signed && size && value >> (8 * size - 1))
        value |= UINT64_MAX << (8 * size);
    return (int64_t)value;
}

static thaw_status decode_raw(struct thaw_onnx_tensor *tensor, const unsigned char *bytes,
                              size_t size_bytes) {
    size_t size = types[tensor->elem].size_bytes;
    if (size_bytes != (size_t)tensor->count * size)
        return thaw_fail(THAW_ERROR_INPUT, "holds %zu bytes, its shape and type need %zu",
                         size_bytes, (size_t)tensor->count * size);
    float *floats = (float *)tensor->floats;
    int64_t *integers = (int64_t *)tensor->integers;
    for (int64_t i = 0; i < tensor->count; i++) {
        const unsigned char *at = bytes + (size_t)i * size;
        if (floats)
            floats[i] = raw_float(tensor->elem, at);
        else
            integers[i] = raw_integer(tensor->elem, at);
    }
    return THAW_OK;
}

static size_t field_count(const Thaw__Onnx__TensorProto *proto, enum field field) {
    switch (field) {
    case FIELD_FLOAT:
        return proto->n_float_data;
    case FIELD_INT32:
        return proto->n_int32_data;
    case FIELD_INT64:
        return proto->n_int64_data;
    case FIELD_DOUBLE:
        return proto->n_double_data;
    case FIELD_UINT64:
        return proto->n_uint64_data;
    default:
        return 0;
    }
}

static thaw_status decode_fields(struct thaw_onnx_tensor *tensor,
                                 const Thaw__Onnx__TensorProto *proto) {
    enum field field = types[tensor->elem].field;
    size_t count = field_count(proto, field);
    if (count != (size_t)tensor->count)
        return thaw_fail(THAW_ERROR_INPUT, "holds %zu values, its shape needs %lld", count,
                         (long long)tensor->count);
    float *floats = (float *)tensor->floats;
    int64_t *integers = (int64_t *)tensor->integers;
    for (size_t i = 0; floats && i < count; i++)
        floats[i] = field == FIELD_FLOAT ? proto->float_data[i]
                    : field == FIELD_DOUBLE
                        ? (float)proto->double_data[i]
                        : half_of_kind(tensor->elem, (uint16_t)proto->int32_data[i]);
    for (size_t i = 0; integers && i < count; i++)
        integers[i] = field == FIELD_INT32   ? proto->int32_data[i]
                      : field == FIELD_INT64 ? proto->int64_data[i]
                                             : (int64_t)proto->uint64_data[i];
    return THAW_OK;
}

static thaw_status decode(struct thaw_arena *arena, const Thaw__Onnx__TensorProto *proto,
                          const unsigned char *bytes, size_t size_bytes,
                          struct thaw_onnx_tensor *ret_tensor) {
    int elem = proto->data_type;
    if (!is_known(elem) || !types[elem].size_bytes)
        return thaw_fail(THAW_ERROR_UNSUPPORTED, "is %s (type %d), which Thaw does not read",
                         thaw_onnx_elem_name(elem), elem);
    if (proto->n_dims > THAW_ONNX_RANK_MAX)
        return thaw_fail(THAW_ERROR_UNSUPPORTED, "has %zu dimensions, at most %d are read",
                         proto->n_dims, THAW_ONNX_RANK_MAX);
    int64_t count;
    THAW_TRY(thaw_onnx_dims_count((int)proto->n_dims, proto->dims, &count));
    /* Before room for the values is made: a small file must not ask for much of it. */
    size_t present =
        bytes ? size_bytes / types[elem].size_bytes : field_count(proto, types[elem].field);
    if ((uint64_t)count > present)
        return thaw_fail(THAW_ERROR_INPUT, "holds %zu values, its shape needs %lld", present,
                         (long long)count);
    struct thaw_onnx_tensor tensor;
    if (elem == TYPE(FLOAT) && bytes && (uintptr_t)bytes % sizeof(float) == 0 &&
        size_bytes == (size_t)count * sizeof(float)) {
        tensor = (struct thaw_onnx_tensor){.elem = elem, .rank = (int)proto->n_dims};
        tensor.count = count;
        tensor.floats = (const float *)bytes;
        if (proto->n_dims)
            memcpy(tensor.dims, proto->dims, proto->n_dims * sizeof *proto->dims);
    } else {
        THAW_TRY(thaw_onnx_tensor_make(arena, elem, (int)proto->n_dims, proto->dims, &tensor));
        THAW_TRY(bytes ? decode_raw(&tensor, bytes, size_bytes) : decode_fields(&tensor, proto));
    }
    *ret_tensor = tensor;
    return THAW_OK;
}

thaw_status thaw_onnx_tensor_decode_bytes(struct thaw_arena *arena,
                                          const Thaw__Onnx__TensorProto *proto, const void *bytes,
                                          size_t size_bytes, struct thaw_onnx_tensor *ret_tensor) {
    const char *name = thaw_onnx_printable(arena, proto->name ? proto->name : "");
    if (!name)
        return THAW_ERROR_MEMORY;
    struct thaw_onnx_tensor tensor = {0};
    thaw_status status = decode(arena, proto, bytes, size_bytes, &tensor);
    if (status != THAW_OK)
        return thaw_context(status, "tensor '%s'", name);
    tensor.name = proto->name;
    *ret_tensor = tensor;
    return THAW_OK;
}

thaw_status thaw_onnx_tensor_decode(struct thaw_arena *arena, const Thaw__Onnx__TensorProto *proto,
                                    struct thaw_onnx_tensor *ret_tensor) {
    const unsigned char *raw = proto->has_raw_data ? proto->raw_data.data : NULL;
    if (proto->has_raw_data && !raw) /* of no bytes */
        raw = (const unsigned char *)"";
    return thaw_onnx_tensor_decode_bytes(arena, proto, raw, proto->raw_data.len, ret_tensor);
}
