// CIE L*a*b* of three sRGB planes under D65 (IEC 61966-2-1, CIE 15). Of any other number C of planes L* alone, divided
// by sqrt(C), so that differences are comparable.
//
// Approximations replace powers: a polynomial for the sRGB curve, Newton's iteration for the cube root. The error is
// below 0.02 for intensities in [0, 1]; outside they are clamped.
#include <bit>
#include <cmath>

#include "base/platform.hpp"
#include "base/threads.hpp"
#include "filter/filters.hpp"

namespace variflow {
namespace {

// The linear intensity of an sRGB value; where it is used the polynomial is within 3e-6 of
// ((value + 0.055) / 1.055)^2.4.
VARIFLOW_INLINE float linear(float value) {
    const float inside = value < 0.0f ? 0.0f : value > 1.0f ? 1.0f : value;
    float power = 0.0560430922f;
    power = power * inside - 0.25523743f;
    power = power * inside + 0.511841297f;
    power = power * inside - 0.639369667f;
    power = power * inside + 0.795216024f;
    power = power * inside + 0.496140212f;
    power = power * inside + 0.0344924778f;
    power = power * inside + 0.000875111495f;
    return inside <= 0.04045f ? inside * (1.0f / 12.92f) : power;
}

VARIFLOW_INLINE float cube_root(float value) {
    // A third of the exponent is within a few percent; Halley's iteration takes the cube of the relative error.
    const float third = static_cast<float>(std::bit_cast<int32_t>(value)) * (1.0f / 3.0f);
    float root = std::bit_cast<float>(static_cast<int32_t>(third) + 709921077);
    const float cube = root * root * root;
    root *= (cube + 2.0f * value) / (2.0f * cube + value);
    return root;
}

// The f of CIE 15: a cube root with a linear start.
VARIFLOW_INLINE float compressed(float value) {
    constexpr float threshold = 216.0f / 24389.0f;
    const float root = cube_root(value > threshold ? value : threshold);
    return value > threshold ? root : value * (841.0f / 108.0f) + 4.0f / 29.0f;
}

VARIFLOW_CLONES
void to_lab(const float* VARIFLOW_RESTRICT red, const float* VARIFLOW_RESTRICT green,
            const float* VARIFLOW_RESTRICT blue, int64_t count, float* VARIFLOW_RESTRICT L, float* VARIFLOW_RESTRICT a,
            float* VARIFLOW_RESTRICT b) {
    for (int64_t i = 0; i < count; ++i) {
        const float r = linear(red[i]), g = linear(green[i]), s = linear(blue[i]);
        // Relative to the white point, so that each row sums to 1.
        const float x = compressed(0.4339499f * r + 0.3762098f * g + 0.1898403f * s);
        const float y = compressed(0.2126729f * r + 0.7151521f * g + 0.0721750f * s);
        const float z = compressed(0.0177566f * r + 0.1094680f * g + 0.8727755f * s);
        L[i] = 116.0f * y - 16.0f;
        a[i] = 500.0f * (x - y);
        b[i] = 200.0f * (y - z);
    }
}

VARIFLOW_CLONES
void to_lightness(const float* VARIFLOW_RESTRICT gray, int64_t count, float scale, float* VARIFLOW_RESTRICT out) {
    for (int64_t i = 0; i < count; ++i) out[i] = scale * (116.0f * compressed(linear(gray[i])) - 16.0f);
}

}  // namespace

void lab(const float* planes, Shape shape, float* out) {
    const int64_t width = shape.width, pixels = shape.height * width;
    const float scale = 1.0f / std::sqrt(static_cast<float>(shape.channels));
    parallel_for(shape.height, rows_per_chunk(width), [=](int64_t begin, int64_t end) {
        const int64_t first = begin * width, count = (end - begin) * width;
        if (shape.channels == 3) {
            const float* const red = planes + first;
            float* const lightness = out + first;
            to_lab(red, red + pixels, red + 2 * pixels, count, lightness, lightness + pixels, lightness + 2 * pixels);
            return;
        }
        for (int64_t channel = 0; channel < shape.channels; ++channel) {
            const int64_t start = channel * pixels + first;
            to_lightness(planes + start, count, scale, out + start);
        }
    });
}

}  // namespace variflow
