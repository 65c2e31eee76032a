// Exponential, logarithm, power and arctangent without branches, so that loops over them become vector instructions. They are
// inlined into the loop that uses them.
#pragma once

#include <bit>
#include <cstdint>

#include "base/platform.hpp"

namespace variflow {

// e^x to a relative error below 2e-7; 0 below -87.3, the largest power of 2 times e^(x mod log 2) above 88; NaN of NaN.
VARIFLOW_INLINE float exponential(float x) {
    constexpr float lowest = -87.3f, highest = 88.0f;
    constexpr float round_to_whole = 12582912.0f;  // 1.5 * 2^23: adding it leaves no fractional bits
    const float clamped = x < lowest ? lowest : (x > highest ? highest : x);
    const float shifted = clamped * 1.44269504f + round_to_whole;
    const float power = shifted - round_to_whole;
    // log 2 in two parts, the first with few enough bits that its product with `power` is exact.
    const float rest = (clamped - power * 0.693359375f) + power * 2.12194440e-4f;
    // Taylor's series about 0 with its last coefficients moved a little, for |rest| <= log(2) / 2.
    float series = 1.3981999e-3f;
    series = series * rest + 8.3334519e-3f;
    series = series * rest + 4.1665795e-2f;
    series = series * rest + 1.6666665e-1f;
    series = series * rest + 0.5f;
    series = series * (rest * rest) + rest + 1.0f;
    const int32_t exponent = std::bit_cast<int32_t>(shifted) - std::bit_cast<int32_t>(round_to_whole);
    const float scale = std::bit_cast<float>((exponent + 127) << 23);
    return x < lowest ? 0.0f : series * scale;
}

// e^-x for 0 <= x <= 87 to a relative error below 1e-4, falling throughout, in half the operations: for weights.
VARIFLOW_INLINE float decay(float x) {
    constexpr float round_to_whole = 12582912.0f;
    const float power = -1.44269504f * x, shifted = power + round_to_whole;
    const float rest = power - (shifted - round_to_whole);
    // 2^rest for |rest| <= 1/2, twice as large at one end as at the other.
    const float series = 0.99992807f + rest * (0.69326098f + rest * (0.24261112f + rest * 0.05517167f));
    // The low bits of `shifted` are the whole number that is to be added to the exponent.
    const uint32_t exponent = std::bit_cast<uint32_t>(shifted) << 23;
    return std::bit_cast<float>(std::bit_cast<uint32_t>(series) + exponent);
}

// log(x) of a normal x > 0, to a relative error of about 2e-7, absolute near 1.
VARIFLOW_INLINE float logarithm(float x) {
    // x = 2^exponent * mantissa with mantissa in [sqrt(1/2), sqrt(2)).
    const int32_t bits = std::bit_cast<int32_t>(x);
    const int32_t exponent = (bits - 0x3f3504f3) >> 23;
    const float mantissa = std::bit_cast<float>(bits - static_cast<int32_t>(static_cast<uint32_t>(exponent) << 23));
    // log(mantissa) = 2 artanh(z) = 2 (z + z^3/3 + z^5/5 + ...), |z| < 0.1716
    const float z = (mantissa - 1.0f) / (mantissa + 1.0f), z2 = z * z;
    float series = 2.0f / 9.0f;
    series = series * z2 + 2.0f / 7.0f;
    series = series * z2 + 2.0f / 5.0f;
    series = series * z2 + 2.0f / 3.0f;
    const float log_mantissa = z * z2 * series + 2.0f * z;
    const float whole = static_cast<float>(exponent);
    return whole * 0.693359375f + (log_mantissa - whole * 2.12194440e-4f);
}

// log(1 + x) of x >= 0, to a small relative error also near 0.
VARIFLOW_INLINE float logarithm_of_one_plus(float x) {
    const float sum = 1.0f + x, lost = x - (sum - 1.0f);
    return logarithm(sum) + (sum > 3.0e7f ? 0.0f : lost / sum);
}

// base^exponent of a normal base > 0.
VARIFLOW_INLINE float power(float base, float exponent) { return exponential(exponent * logarithm(base)); }

// Which share of a full turn, from 0 to below 1, leads from the direction (1, 0) to (x, y), y growing as the angle does,
// to 1e-7; 0 for (0, 0).
VARIFLOW_INLINE float turn(float x, float y) {
    const float across = x < 0.0f ? -x : x, along = y < 0.0f ? -y : y;
    const float larger = across > along ? across : along, smaller = across > along ? along : across;
    const float z = larger > 0.0f ? smaller / larger : 0.0f, z2 = z * z;
    // The arctangent on [0, 1], of least largest error.
    float series = -4.0545287e-3f;
    series = series * z2 + 2.1862818e-2f;
    series = series * z2 - 5.5912122e-2f;
    series = series * z2 + 9.6421823e-2f;
    series = series * z2 - 1.3908623e-1f;
    series = series * z2 + 1.9946565e-1f;
    series = series * z2 - 3.3329859e-1f;
    const float eighth = (z + z * z2 * series) * 0.15915494f;  // over 2 pi
    const float quarter = across > along ? eighth : 0.25f - eighth;
    const float half = x < 0.0f ? 0.5f - quarter : quarter;
    const float whole = y < 0.0f ? 1.0f - half : half;
    return whole < 1.0f ? whole : 0.0f;
}

}  // namespace variflow
