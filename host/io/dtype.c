#include <string.h>

#include "io/weights.h"

#include "core/half.h"

static float bits_to_float(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static float bfloat_to_float(uint16_t value) {
    return bits_to_float((uint32_t)value << 16);
}

static float byte_to_bool(uint8_t value) {
    return value ? 1.0f : 0.0f;
}

/* Elements may be unaligned, so each is copied out before it is converted. */
#define CONVERT(type, convert)                                                                     \
    do {                                                                                           \
        for (size_t i = 0; i < count; i++) {                                                       \
            type element;                                                                          \
            memcpy(&element, source + i * sizeof element, sizeof element);                         \
            ret_data[i] = (float)convert(element);                                                 \
        }                                                                                          \
    } while (0)

void thaw_weight_to_float(const struct thaw_weight *weight, float *ret_data) {
    const unsigned char *source = weight->data;
    size_t count = thaw_weight_count(weight);
    switch (weight->dtype) {
    case THAW_DTYPE_F64:
        CONVERT(double, );
        break;
    case THAW_DTYPE_I64:
        CONVERT(int64_t, );
        break;
    case THAW_DTYPE_U64:
        CONVERT(uint64_t, );
        break;
    case THAW_DTYPE_F32:
        if (count)
            memcpy(ret_data, source, count * sizeof *ret_data);
        break;
    case THAW_DTYPE_I32:
        CONVERT(int32_t, );
        break;
    case THAW_DTYPE_U32:
        CONVERT(uint32_t, );
        break;
    case THAW_DTYPE_F16:
        CONVERT(uint16_t, thaw_half_to_float);
        break;
    case THAW_DTYPE_BF16:
        CONVERT(uint16_t, bfloat_to_float);
        break;
    case THAW_DTYPE_I16:
        CONVERT(int16_t, );
        break;
    case THAW_DTYPE_U16:
        CONVERT(uint16_t, );
        break;
    case THAW_DTYPE_I8:
        CONVERT(int8_t, );
        break;
    case THAW_DTYPE_U8:
        CONVERT(uint8_t, );
        break;
    case THAW_DTYPE_BOOL:
        CONVERT(uint8_t, byte_to_bool);
        break;
    case THAW_DTYPE_COUNT:
        break;
    }
}
