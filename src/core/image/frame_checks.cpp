// What is asked of frames, without new planes: how alike they are, and how much of one is flat.
#include <algorithm>

#include "base/platform.hpp"
#include "base/sums.hpp"
#include "image/image.hpp"

namespace variflow {
namespace {

VARIFLOW_CLONES
double sum_products(const float* a, float mean_a, const float* b, float mean_b, int64_t count) {
    return sum_of(count, [=](int64_t i) VARIFLOW_INLINE_LAMBDA { return (a[i] - mean_a) * (b[i] - mean_b); });
}

constexpr int64_t block_size = 512;

// Mark the pixels of a row that differ from the next one by `least` or more.
VARIFLOW_CLONES
void mark_uneven(const float* row, int64_t count, float least, int32_t* VARIFLOW_RESTRICT marks) {
    for (int64_t x = 0; x < count; ++x) {
        const float step = row[x + 1] - row[x];
        marks[x] |= (step < least) & (step > -least) ? 0 : 1;
    }
}

}  // namespace

Likeness find_likeness(const float* first, const float* second, Shape shape) {
    Likeness total{};
    const int64_t count = shape.height * shape.width;
    for (int64_t channel = 0; channel < shape.channels; ++channel) {
        const float *const a = first + channel * count, *const b = second + channel * count;
        const auto mean_a = static_cast<float>(sum(a, count) / static_cast<double>(count));
        const auto mean_b = static_cast<float>(sum(b, count) / static_cast<double>(count));
        total.first += sum_products(a, mean_a, a, mean_a, count);
        total.second += sum_products(b, mean_b, b, mean_b, count);
        total.both += sum_products(a, mean_a, b, mean_b, count);
    }
    return total;
}

int64_t count_flat(const float* planes, Shape shape, int64_t step, float least) {
    const auto [channels, height, width] = shape;
    int32_t uneven[block_size];
    int64_t flat = 0;
    for (int64_t y = 0; y < height; y += step) {
        for (int64_t x = 0; x < width - 1; x += block_size) {
            const int64_t count = std::min(block_size, width - 1 - x);
            std::fill_n(uneven, count, 0);
            for (int64_t channel = 0; channel < channels; ++channel) {
                mark_uneven(planes + (channel * height + y) * width + x, count, least, uneven);
            }
            flat += std::count(uneven, uneven + count, 0);
        }
    }
    return flat;
}

}  // namespace variflow
