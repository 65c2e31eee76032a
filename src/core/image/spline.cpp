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
constexpr int horizon = 18;  // pole^18 = 5e-11
constexpr int64_t columns_at_once = 64, rows_at_once = 16;

VARIFLOW_CLONES
void add(const float* VARIFLOW_RESTRICT samples, float factor, int64_t count, float* VARIFLOW_RESTRICT sums) {
    for (int64_t i = 0; i < count; ++i) sums[i] += factor * samples[i];
}

VARIFLOW_CLONES
void forward(const float* VARIFLOW_RESTRICT before, int64_t count, float* VARIFLOW_RESTRICT samples) {
    for (int64_t i = 0; i < count; ++i) samples[i] = 6.0f * samples[i] + pole * before[i];
}

VARIFLOW_CLONES
void turn(const float* VARIFLOW_RESTRICT before, int64_t count, float* VARIFLOW_RESTRICT last) {
    constexpr float factor = pole / (pole * pole - 1.0f);
    for (int64_t i = 0; i < count; ++i) last[i] = factor * (last[i] + pole * before[i]);
}

VARIFLOW_CLONES
void backward(const float* VARIFLOW_RESTRICT after, int64_t count, float* VARIFLOW_RESTRICT samples) {
    for (int64_t i = 0; i < count; ++i) samples[i] = pole * (after[i] - samples[i]);
}

// Filter `count` lines side by side, in place: sample k of line i is lines[k * stride + i].
void filter(float* lines, int64_t length, int64_t stride, int64_t count) {
    if (length == 1) return;
    // Where the causal recursion starts: the sum of pole^k s(k) over the mirrored line, which has this period.
    const int64_t period = 2 * length - 2;
    float start[columns_at_once] = {};
    double power = 1.0;
    for (int64_t k = 0; k < std::min<int64_t>(period, horizon); ++k, power *= pole) {
        add(lines + std::min(k, period - k) * stride, static_cast<float>(6.0 * power), count, start);
    }
    double repeated = 1.0;  // pole^period; the sum over all periods is a geometric series
    for (int64_t k = 0; k < std::min<int64_t>(period, horizon); ++k) repeated *= pole;
    const auto scale = static_cast<float>(1.0 / (1.0 - repeated));
    for (int64_t i = 0; i < count; ++i) lines[i] = scale * start[i];
    for (int64_t k = 1; k < length; ++k) forward(lines + (k - 1) * stride, count, lines + k * stride);
    float* const last = lines + (length - 1) * stride;
    turn(last - stride, count, last);
    for (int64_t k = length - 2; k >= 0; --k) backward(lines + (k + 1) * stride, count, lines + k * stride);
}

}  // namespace

void spline_coefficients(const float* planes, Shape shape, float* out) {
    const int64_t height = shape.height, width = shape.width;
    parallel_for(shape.channels * height, rows_at_once, [=](int64_t begin, int64_t end) {
        std::vector<float> lines(static_cast<size_t>(width * rows_at_once));
        const int64_t count = end - begin;
        swap_axes(planes + begin * width, width, count, width, lines.data(), rows_at_once);
        filter(lines.data(), width, rows_at_once, count);
        swap_axes(lines.data(), rows_at_once, width, count, out + begin * width, width);
    });
    const int64_t blocks = (width + columns_at_once - 1) / columns_at_once;
    parallel_for(shape.channels * blocks, 1, [=](int64_t begin, int64_t end) {
        for (int64_t block = begin; block < end; ++block) {
            const int64_t x = block % blocks * columns_at_once;
            filter(out + block / blocks * height * width + x, height, width, std::min(columns_at_once, width - x));
        }
    });
}

}  // namespace variflow
