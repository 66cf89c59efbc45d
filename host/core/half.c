#include "core/half.h"

#include <string.h>

uint16_t thaw_half_from_float(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint32_t sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) /* NaN: quiet, with what fits of its payload */
        return (uint16_t)(sign | 0x7e00u | (magnitude >> 13 & 0x1ffu));
    if (magnitude >= 0x477ff000u) /* 65520 and up */
        return (uint16_t)(sign | 0x7c00u);
    uint32_t shift = 13, mantissa = magnitude,
             base = 0x1c000u;      /* exponent 112, of a half's first */
    if (magnitude < 0x38800000u) { /* subnormal: multiples of 2^-24 */
        uint32_t exponent = magnitude >> 23;
        if (exponent < 102) /* below half of 2^-24 */
            return (uint16_t)sign;
        shift = 126 - exponent;
        mantissa = (magnitude & 0x7fffffu) | 0x800000u;
        base = 0;
    }
    uint32_t kept = (mantissa >> shift) - base, rest = mantissa & ((1u << shift) - 1);
    uint32_t tie = 1u << (shift - 1);
    kept += rest > tie || (rest == tie && kept & 1); /* a carry moves into the exponent, rightly */
    return (uint16_t)(sign | kept);
}

float thaw_half_to_float(uint16_t half) {
    uint32_t sign = (uint32_t)(half & 0x8000u) << 16, exponent = half >> 10 & 31u;
    uint32_t mantissa = half & 0x3ffu, bits;
    if (exponent == 31) {
        bits = sign | 0x7f800000u | mantissa << 13;
    } else if (exponent) {
        bits = sign | (exponent + 112) << 23 | mantissa << 13;
    } else { /* 2^-24 x mantissa is exact */
        float value = (float)mantissa * 0x1p-24f;
        memcpy(&bits, &value, sizeof bits);
        bits |= sign;
    }
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
