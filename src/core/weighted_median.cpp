// Weighted median of a flow's planes over the window around each marked pixel: the value below which half of the weight
// lies. The weight of a neighbour q of the pixel p is
//
//     reliability(q) exp(-|q - p|^2 / (2 spatial^2) - |guide(q) - guide(p)|^2 / (2 color^2)).
//
// Pixels are handled in blocks along a row, with all neighbours and weights of a block in the first-level cache, one
// pixel a vector lane. The median is found by bisection of the weight at or below a value, and is then moved to the
// next neighbour's value below: it is always the value of a neighbour, in particular where all of them are equal.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "filters.hpp"
#include "platform.hpp"
#include "threads.hpp"
#include "vector_math.hpp"

namespace variflow {
namespace {

constexpr int lanes = 16;
// Neighbours are summed in groups, in registers; their number is padded to whole groups with weights of 0.
constexpr int group = 8;

constexpr float tolerance = 1.0f / 512.0f;  // pixels of displacement
constexpr int most_steps = 40;
// No weight becomes 0, however different the colour: some neighbour always counts.
constexpr float largest_exponent = 60.0f;

// Marked pixels gather in few places: small pieces of work keep all threads busy.
constexpr int64_t rows_at_once = 4;

// The neighbours of the pixels of a block, [neighbour][lane], and the bisection's state, [plane of the flow][lane].
struct Block {
    int64_t neighbours, padded;
    std::vector<float> values[2], weights, columns;
    alignas(64) float centre[lanes], half[lanes];
    alignas(64) float low[2][lanes], high[2][lanes], middle[2][lanes], below[2][lanes], median[2][lanes];

    Block(int64_t count, int64_t window)
        : neighbours(count),
          padded((count + group - 1) / group * group),
          weights(static_cast<size_t>(padded * lanes)),
          columns(static_cast<size_t>(window + lanes)) {
        for (std::vector<float>& plane : values) plane.resize(weights.size());
    }
};

// `count` columns of a row from column `first` on: the row itself, or a copy with its borders replicated.
const float* columns_of(const float* row, int64_t first, int64_t count, int64_t width, float* copy) {
    if (first >= 0 && first + count <= width) return row + first;
    for (int64_t i = 0; i < count; ++i) copy[i] = row[std::clamp<int64_t>(first + i, 0, width - 1)];
    return copy;
}

// Each lane's neighbours: those of lane 0, moved along by one for each lane.
void copy_neighbours(const float* VARIFLOW_RESTRICT columns, int64_t size, float* VARIFLOW_RESTRICT out) {
    for (int64_t column = 0; column < size; ++column) {
        std::memcpy(out + column * lanes, columns + column, lanes * sizeof(float));
    }
}

VARIFLOW_CLONES
void fill_lanes(const float* VARIFLOW_RESTRICT values, int64_t size, float* VARIFLOW_RESTRICT out) {
    for (int64_t k = 0; k < size; ++k) {
        VARIFLOW_LANES for (int i = 0; i < lanes; ++i) out[k * lanes + i] = values[k];
    }
}

VARIFLOW_CLONES
void add_squared_differences(const float* VARIFLOW_RESTRICT columns, const float* VARIFLOW_RESTRICT centre,
                             float factor, int64_t size, float* VARIFLOW_RESTRICT sums) {
    for (int64_t column = 0; column < size; ++column) {
        VARIFLOW_LANES for (int i = 0; i < lanes; ++i) {
            const float difference = columns[column + i] - centre[i];
            sums[column * lanes + i] += factor * difference * difference;
        }
    }
}

VARIFLOW_CLONES
void to_weights(const float* VARIFLOW_RESTRICT columns, int64_t size, float* VARIFLOW_RESTRICT exponents) {
    for (int64_t column = 0; column < size; ++column) {
        for (int i = 0; i < lanes; ++i) {
            const float given = exponents[column * lanes + i];
            const float exponent = given < largest_exponent ? given : largest_exponent;
            exponents[column * lanes + i] = columns[column + i] * exponential(-exponent);
        }
    }
}

VARIFLOW_INLINE float smaller(float a, float b) { return a < b ? a : b; }
VARIFLOW_INLINE float larger(float a, float b) { return a > b ? a : b; }

VARIFLOW_CLONES
void bounds(const float* VARIFLOW_RESTRICT values, int64_t padded, float* VARIFLOW_RESTRICT low,
            float* VARIFLOW_RESTRICT high) {
    for (int i = 0; i < lanes; ++i) low[i] = high[i] = values[i];
    for (int64_t k = 0; k < padded; k += group) {
        const float* const z = values + k * lanes;
        for (int i = 0; i < lanes; ++i) {
            float least = low[i], most = high[i];
            for (int j = 0; j < group; ++j) {
                least = smaller(least, z[j * lanes + i]);
                most = larger(most, z[j * lanes + i]);
            }
            low[i] = least, high[i] = most;
        }
    }
}

// The weight of the neighbours whose value is at most a bound, for both planes of the flow.
VARIFLOW_CLONES
void weight_below(const float* VARIFLOW_RESTRICT u, const float* VARIFLOW_RESTRICT v,
                  const float* VARIFLOW_RESTRICT weights, int64_t padded, const float* VARIFLOW_RESTRICT bound_u,
                  const float* VARIFLOW_RESTRICT bound_v, float* VARIFLOW_RESTRICT below_u,
                  float* VARIFLOW_RESTRICT below_v) {
    for (int i = 0; i < lanes; ++i) below_u[i] = below_v[i] = 0.0f;
    for (int64_t k = 0; k < padded; k += group) {
        const float *const p = u + k * lanes, *const q = v + k * lanes, *const w = weights + k * lanes;
        for (int i = 0; i < lanes; ++i) {
            float of_u = 0.0f, of_v = 0.0f;
            for (int j = 0; j < group; ++j) {
                of_u += p[j * lanes + i] <= bound_u[i] ? w[j * lanes + i] : 0.0f;
                of_v += q[j * lanes + i] <= bound_v[i] ? w[j * lanes + i] : 0.0f;
            }
            below_u[i] += of_u, below_v[i] += of_v;
        }
    }
}

// Put the middle of each bracket between its ends; return how many brackets are longer than wanted.
VARIFLOW_CLONES
int halve(const float* VARIFLOW_RESTRICT low, const float* VARIFLOW_RESTRICT high, float* VARIFLOW_RESTRICT middle) {
    int longer = 0;
    for (int i = 0; i < 2 * lanes; ++i) {
        const float length = high[i] - low[i];
        middle[i] = low[i] + 0.5f * length;
        longer += length > tolerance ? 1 : 0;
    }
    return longer;
}

VARIFLOW_CLONES
void shrink(const float* VARIFLOW_RESTRICT middle, const float* VARIFLOW_RESTRICT below,
            const float* VARIFLOW_RESTRICT half, float* VARIFLOW_RESTRICT low, float* VARIFLOW_RESTRICT high) {
    for (int i = 0; i < lanes; ++i) {
        const bool enough = below[i] >= half[i];
        low[i] = enough ? low[i] : middle[i];
        high[i] = enough ? middle[i] : high[i];
    }
}

// The largest value that is not above the bound; some value is.
VARIFLOW_CLONES
void largest_below(const float* VARIFLOW_RESTRICT values, int64_t padded, const float* VARIFLOW_RESTRICT bound,
                   float* VARIFLOW_RESTRICT out) {
    constexpr float lowest = std::numeric_limits<float>::lowest();
    for (int i = 0; i < lanes; ++i) out[i] = lowest;
    for (int64_t k = 0; k < padded; k += group) {
        const float* const z = values + k * lanes;
        for (int i = 0; i < lanes; ++i) {
            float most = out[i];
            for (int j = 0; j < group; ++j) {
                const float value = z[j * lanes + i];
                most = larger(most, value <= bound[i] ? value : lowest);
            }
            out[i] = most;
        }
    }
}

// The block of pixels from column `x` of row `y` on: gather neighbours and their weights.
void gather(const MedianPlanes& planes, Shape shape, const MedianWindow& window, const float* spatial, int64_t x,
            int64_t y, Block& block) {
    const int64_t height = shape.height, width = shape.width, pixels = height * width;
    const int64_t size = window.size, reach = size / 2;
    const float color_factor = 0.5f / (window.color * window.color);
    fill_lanes(spatial, block.neighbours, block.weights.data());
    for (int64_t row = 0; row * window.row_step < size; ++row) {
        const int64_t start = std::clamp<int64_t>(y - reach + row * window.row_step, 0, height - 1) * width;
        const int64_t first = row * size * lanes;
        auto around = [&](const float* plane) {
            return columns_of(plane + start, x - reach, size + lanes - 1, width, block.columns.data());
        };
        for (int plane : {0, 1}) {
            copy_neighbours(around(planes.flow + plane * pixels), size, block.values[plane].data() + first);
        }
        for (int64_t channel = 0; channel < planes.guide_channels; ++channel) {
            const float* const guide = planes.guide + channel * pixels;
            for (int i = 0; i < lanes; ++i) block.centre[i] = guide[y * width + std::min(x + i, width - 1)];
            add_squared_differences(around(guide), block.centre, color_factor, size, block.weights.data() + first);
        }
        to_weights(around(planes.reliability), size, block.weights.data() + first);
    }
    // The last group is filled up with copies of a neighbour that weigh nothing.
    for (int64_t k = block.neighbours * lanes; k < block.padded * lanes; ++k) {
        block.weights[k] = 0.0f;
        for (std::vector<float>& plane : block.values) plane[k] = plane[k - lanes];
    }
}

void find_medians(const float* mask, int64_t count, Block& block) {
    auto weigh = [&](float(&bound)[2][lanes]) {
        weight_below(block.values[0].data(), block.values[1].data(), block.weights.data(), block.padded, bound[0],
                     bound[1], block.below[0], block.below[1]);
    };
    for (int plane : {0, 1}) bounds(block.values[plane].data(), block.padded, block.low[plane], block.high[plane]);
    weigh(block.high);
    for (int i = 0; i < lanes; ++i) {
        block.half[i] = 0.5f * block.below[0][i];
        if (i < count && mask[i] != 0.0f) continue;
        for (int plane : {0, 1}) block.low[plane][i] = block.high[plane][i];  // nobody waits for this lane
    }
    for (int step = 0; step < most_steps; ++step) {
        if (halve(block.low[0], block.high[0], block.middle[0]) == 0) break;
        weigh(block.middle);
        for (int plane : {0, 1}) {
            shrink(block.middle[plane], block.below[plane], block.half, block.low[plane], block.high[plane]);
        }
    }
    for (int plane : {0, 1}) {
        largest_below(block.values[plane].data(), block.padded, block.high[plane], block.median[plane]);
    }
}

// The part of each neighbour's exponent that does not depend on the images.
std::vector<float> spatial_exponents(const MedianWindow& window) {
    std::vector<float> exponents;
    for (int64_t row = 0; row < window.size; row += window.row_step) {
        for (int64_t column = 0; column < window.size; ++column) {
            const auto dx = static_cast<float>(column - window.size / 2);
            const auto dy = static_cast<float>(row - window.size / 2);
            exponents.push_back((dx * dx + dy * dy) / (2.0f * window.spatial * window.spatial));
        }
    }
    return exponents;
}

}  // namespace

void weighted_median(MedianPlanes planes, Shape shape, MedianWindow window, float* out) {
    const int64_t width = shape.width, pixels = shape.height * width;
    const std::vector<float> spatial = spatial_exponents(window);
    parallel_for(shape.height, rows_at_once, [&](int64_t begin, int64_t end) {
        Block block(static_cast<int64_t>(spatial.size()), window.size);
        for (int64_t y = begin; y < end; ++y) {
            for (int plane : {0, 1}) {
                std::copy_n(planes.otherwise + plane * pixels + y * width, width, out + plane * pixels + y * width);
            }
            const float* const mask = planes.mask + y * width;
            for (int64_t x = 0; x < width;) {
                if (mask[x] == 0.0f) {
                    ++x;
                    continue;
                }
                const int64_t count = std::min<int64_t>(lanes, width - x);
                gather(planes, shape, window, spatial.data(), x, y, block);
                find_medians(mask + x, count, block);
                for (int64_t i = 0; i < count; ++i) {
                    if (mask[x + i] == 0.0f) continue;
                    for (int plane : {0, 1}) out[plane * pixels + y * width + x + i] = block.median[plane][i];
                }
                x += count;
            }
        }
    });
}

}  // namespace variflow
