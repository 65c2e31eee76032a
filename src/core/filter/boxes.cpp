// Means over squares of pixels.
#include <algorithm>
#include <vector>

#include "filter/filters.hpp"

namespace variflow {

void box_mean(const float* plane, Shape shape, int64_t reach, float* out) {
    const int64_t taps = 2 * reach + 1;
    auto first = [=](int64_t outputs) {
        std::vector<int32_t> positions(static_cast<size_t>(outputs));
        for (int64_t i = 0; i < outputs; ++i) positions[i] = static_cast<int32_t>(i - reach);
        return positions;
    };
    const std::vector<float> weights(static_cast<size_t>(taps * std::max(shape.height, shape.width)),
                                     1.0f / static_cast<float>(taps));
    const std::vector<int32_t> rows = first(shape.height), columns = first(shape.width);
    resample(plane, shape, {rows.data(), weights.data(), shape.height, taps},
             {columns.data(), weights.data(), shape.width, taps}, out);
}

}  // namespace variflow
