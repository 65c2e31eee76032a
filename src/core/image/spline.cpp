// The coefficients c of the cubic B-spline that passes through the samples s of each plane: along each axis
//
//     (c(k - 1) + 4 c(k) + c(k + 1)) / 6 = s(k),     mirrored at the first and the last sample,
//
// solved by one causal and one anticausal recursion with the pole z = sqrt(3) - 2 (M. Unser, A. Aldroubi, M. Eden,
// "B-spline signal processing: part II", IEEE Transactions on Signal Processing 41(2), 1993).
//
// Many lines are filtered side by side. Along y these are columns of the plane; along x, rows that are first
// transposed.
#include <algorithm>
#include <vector>

#include "base/pairs.hpp"
#include "base/platform.hpp"
#include "base/threads.hpp"
#include "image/image.hpp"

namespace variflow {
namespace {

constexpr float pole = -0.26794919f;
constexpr int64_t horizon = 18;  // pole^18 = 5e-11
constexpr int64_t lanes = 16;

// Filter `lanes` lines side by side, in place: sample k of line i is lines[k * lanes + i].
VARIFLOW_CLONES
void filter(float* lines, int64_t length) {
    if (length == 1) return;
    alignas(64) float value[lanes];
    // Where the causal recursion starts: the sum of pole^k s(k) over the mirrored line, which has this period.
    const int64_t period = 2 * length - 2;
    double power = 1.0;
    VARIFLOW_LANES for (int64_t i = 0; i < lanes; ++i) value[i] = 0.0f;
    for (int64_t k = 0; k < std::min<int64_t>(period, horizon); ++k, power *= pole) {
        const float* const sample = lines + std::min(k, period - k) * lanes;
        const auto factor = static_cast<float>(6.0 * power);
        VARIFLOW_LANES for (int64_t i = 0; i < lanes; ++i) value[i] += factor * sample[i];
    }
    double repeated = 1.0;  // pole^period; the sum over all periods is a geometric series
    for (int64_t k = 0; k < std::min<int64_t>(period, horizon); ++k) repeated *= pole;
    const auto scale = static_cast<float>(1.0 / (1.0 - repeated));
    VARIFLOW_LANES for (int64_t i = 0; i < lanes; ++i) lines[i] = value[i] = scale * value[i];
    for (int64_t k = 1; k < length - 1; ++k) {
        float* const sample = lines + k * lanes;
        VARIFLOW_LANES for (int64_t i = 0; i < lanes; ++i) {
            value[i] = 6.0f * sample[i] + pole * value[i];
            sample[i] = value[i];
        }
    }
    // The last of the causal recursion, 6 s + pole c, and the first of the anticausal one.
    constexpr float factor = pole / (pole * pole - 1.0f);
    float* const last = lines + (length - 1) * lanes;
    VARIFLOW_LANES for (int64_t i = 0; i < lanes; ++i) {
        const float before = value[i];
        value[i] = factor * (6.0f * last[i] + pole * before + pole * before);
        last[i] = value[i];
    }
    for (int64_t k = length - 2; k >= 0; --k) {
        float* const sample = lines + k * lanes;
        VARIFLOW_LANES for (int64_t i = 0; i < lanes; ++i) {
            value[i] = pole * (value[i] - sample[i]);
            sample[i] = value[i];
        }
    }
}

}  // namespace

void spline_coefficients(const float* planes, Shape shape, float* out) {
    const int64_t height = shape.height, width = shape.width;
    parallel_for(shape.channels * height, lanes, [=](int64_t begin, int64_t end) {
        std::vector<float> lines(static_cast<size_t>(width * lanes));
        const int64_t count = end - begin;
        swap_axes(planes + begin * width, width, count, width, lines.data(), lanes);
        filter(lines.data(), width);
        swap_axes(lines.data(), lanes, width, count, out + begin * width, width);
    });
    const int64_t blocks = (width + lanes - 1) / lanes;
    parallel_for(shape.channels * blocks, std::max<int64_t>(1, 4096 / height), [=](int64_t begin, int64_t end) {
        std::vector<float> lines(static_cast<size_t>(height * lanes));
        for (int64_t block = begin; block < end; ++block) {
            const int64_t x = block % blocks * lanes, count = std::min(lanes, width - x);
            float* const top = out + block / blocks * height * width + x;
            for (int64_t y = 0; y < height; ++y) std::copy_n(top + y * width, count, lines.data() + y * lanes);
            filter(lines.data(), height);
            for (int64_t y = 0; y < height; ++y) std::copy_n(lines.data() + y * lanes, count, top + y * width);
        }
    });
}

}  // namespace variflow
