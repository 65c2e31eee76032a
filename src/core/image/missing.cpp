// Filling the missing pixels of planes from the others; images/filling.py says how.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "base/pairs.hpp"
#include "base/platform.hpp"
#include "base/threads.hpp"
#include "image/image.hpp"

namespace variflow {
namespace {

// Linear interpolation along one axis, from `size` values to as many or more.
struct Growth {
    std::vector<int32_t> first;
    std::vector<float> weights;
    int64_t outputs, taps;

    Growth(int64_t size, int64_t outputs) : outputs(outputs), taps(size == outputs ? 1 : 2) {
        for (int64_t i = 0; i < outputs; ++i) {
            const double scale = static_cast<double>(size) / static_cast<double>(outputs);
            const double position = (static_cast<double>(i) + 0.5) * scale - 0.5, whole = std::floor(position);
            first.push_back(static_cast<int32_t>(whole));
            if (taps == 2) weights.push_back(static_cast<float>(1.0 - (position - whole)));
            weights.push_back(taps == 2 ? static_cast<float>(position - whole) : 1.0f);
        }
    }

    Taps view() const { return {first.data(), weights.data(), outputs, taps}; }
};

VARIFLOW_CLONES
void add_known(const float* VARIFLOW_RESTRICT values, const uint8_t* VARIFLOW_RESTRICT known, int64_t width,
               float* VARIFLOW_RESTRICT sums, float* VARIFLOW_RESTRICT counts) {
    for (int64_t x = 0; x < width; ++x) {
        sums[x] += known[x] ? values[x] : 0.0f;
        counts[x] += known[x] ? 1.0f : 0.0f;
    }
}

VARIFLOW_CLONES
void average_pairs(const float* VARIFLOW_RESTRICT even, const float* VARIFLOW_RESTRICT odd,
                   const float* VARIFLOW_RESTRICT even_count, const float* VARIFLOW_RESTRICT odd_count, int64_t width,
                   float* VARIFLOW_RESTRICT averages, uint8_t* VARIFLOW_RESTRICT known) {
    for (int64_t x = 0; x < width; ++x) {
        const float count = even_count[x] + odd_count[x];
        averages[x] = (even[x] + odd[x]) / std::max(count, 1.0f);
        known[x] = count > 0.0f;
    }
}

VARIFLOW_CLONES
void restore_known(const float* VARIFLOW_RESTRICT values, const uint8_t* VARIFLOW_RESTRICT known, int64_t width,
                   float* VARIFLOW_RESTRICT out) {
    for (int64_t x = 0; x < width; ++x) out[x] = known[x] ? values[x] : out[x];
}

// The known values of blocks of two rows and two columns, averaged; the last row and column may stand alone.
void average_blocks(const float* planes, Shape shape, const uint8_t* valid, float* averages, uint8_t* known) {
    const int64_t height = (shape.height + 1) / 2, width = (shape.width + 1) / 2;
    parallel_for(shape.channels * height, rows_per_chunk(shape.width), [=](int64_t begin, int64_t end) {
        // Of one column more, which is empty where the width is odd.
        std::vector<float> sums(static_cast<size_t>(2 * width)), counts(sums.size()), parts(2 * sums.size());
        for (int64_t row = begin; row < end; ++row) {
            const int64_t channel = row / height, top = 2 * (row % height);
            std::fill(sums.begin(), sums.end(), 0.0f);
            std::fill(counts.begin(), counts.end(), 0.0f);
            for (int64_t y = top; y < std::min(top + 2, shape.height); ++y) {
                add_known(planes + (channel * shape.height + y) * shape.width, valid + y * shape.width, shape.width,
                          sums.data(), counts.data());
            }
            float* const part = parts.data();
            part_row(sums.data(), width, part, part + width);
            part_row(counts.data(), width, part + 2 * width, part + 3 * width);
            average_pairs(part, part + width, part + 2 * width, part + 3 * width, width, averages + row * width,
                          known + row * width);
        }
    });
}

}  // namespace

void fill_missing(const float* planes, Shape shape, const uint8_t* valid, float* out) {
    const Shape coarse{shape.channels, (shape.height + 1) / 2, (shape.width + 1) / 2};
    const auto size = static_cast<size_t>(coarse.channels * coarse.height * coarse.width);
    std::vector<float> averages(size), filled;
    std::vector<uint8_t> known(size);  // alike in all channels
    average_blocks(planes, shape, valid, averages.data(), known.data());
    const auto last = known.begin() + coarse.height * coarse.width;
    if (std::find(known.begin(), last, 0) != last) {
        filled.resize(size);
        fill_missing(averages.data(), coarse, known.data(), filled.data());
        averages.swap(filled);
    }
    const Growth vertical(coarse.height, shape.height), horizontal(coarse.width, shape.width);
    resample(averages.data(), coarse, vertical.view(), horizontal.view(), out);
    parallel_for(shape.channels * shape.height, rows_per_chunk(shape.width), [=](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row) {
            restore_known(planes + row * shape.width, valid + row % shape.height * shape.width, shape.width,
                          out + row * shape.width);
        }
    });
}

}  // namespace variflow
