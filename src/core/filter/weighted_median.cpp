// Weighted median of a flow's planes over the window around each marked pixel: the value below which half of the weight
// lies. The weight of a neighbour q of the pixel p is
//
//     reliability(q) exp(-|q - p|^2 / (2 spatial^2) - |L(q) - L(p)|^2 / (2 lightness^2)
//                        - |ab(q) - ab(p)|^2 / (2 color^2)),
//
// where the guide is L and ab, lightness and colour.
//
// Pixels are handled in blocks of two pieces of a row each, with all neighbours and weights of a block in the first-level
// cache, one pixel a vector lane. Bisection of the weight at or below a value finds a bracket of 1/16 pixel that holds the median;
// the weighted mean of the neighbours within it is taken. It hardly depends on the last digits of the flow, and is the
// neighbours' value where they are equal.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "base/platform.hpp"
#include "base/threads.hpp"
#include "base/vector_math.hpp"
#include "filter/filters.hpp"

namespace variflow {
namespace {

constexpr int lanes = 16, pieces = 2, piece_size = lanes / pieces;
// Neighbours are summed in groups, in registers; their number is padded to whole groups with such that weigh nothing.
constexpr int group = 8;

constexpr float tolerance = 1.0f / 16.0f;  // pixels of displacement
constexpr int most_steps = 40;
// No weight becomes 0, however different the colour: some neighbour always counts.
constexpr float largest_exponent = 60.0f;

// Marked pixels gather in few places: small pieces of work keep all threads busy.
constexpr int64_t rows_at_once = 4;

// A part of the window: every `step`-th column of a row.
struct Part {
    int64_t row, column;  // from the centre
    int64_t count, step;
    const float* spatial;  // the part of each neighbour's exponent that does not depend on the images
};

using Lanes = float[lanes];

// The neighbours of the pixels of a block, [neighbour][lane], and the bisection's state, [plane of the flow][lane].
struct Block {
    int64_t padded;
    std::vector<float> values[2], weights, columns, centre;
    alignas(64) Lanes half, low[2], high[2], middle[2], weight[2], median[2];

    Block(int64_t neighbours, int64_t window, int64_t guide_channels)
        : padded((neighbours + group - 1) / group * group),
          weights(static_cast<size_t>(padded * lanes)),
          columns(static_cast<size_t>(4 * (window + piece_size))),
          centre(static_cast<size_t>(guide_channels * lanes)) {
        for (std::vector<float>& plane : values) plane.resize(weights.size());
    }
};

// `count` columns of a row from column `first` on: the row itself, or a copy with its borders replicated.
const float* columns_of(const float* row, int64_t first, int64_t count, int64_t width, float* copy) {
    if (first >= 0 && first + count <= width) return row + first;
    for (int64_t i = 0; i < count; ++i) copy[i] = row[std::clamp<int64_t>(first + i, 0, width - 1)];
    return copy;
}

VARIFLOW_CLONES
void add_squared_differences(const float* VARIFLOW_RESTRICT columns, const float* VARIFLOW_RESTRICT centre,
                             float factor, const Part& part, float* VARIFLOW_RESTRICT sums) {
    for (int64_t k = 0; k < part.count; ++k) {
        VARIFLOW_LANES for (int i = 0; i < piece_size; ++i) {
            const float difference = columns[k * part.step + i] - centre[i];
            sums[k * lanes + i] += factor * difference * difference;
        }
    }
}

VARIFLOW_INLINE float smaller(float a, float b) { return a < b ? a : b; }
VARIFLOW_INLINE float larger(float a, float b) { return a > b ? a : b; }

VARIFLOW_INLINE float weight_of(float exponent, float reliability) {
    return reliability * decay(exponent < largest_exponent ? exponent : largest_exponent);
}

// weights = reliability exp(-spatial - weights); `total` grows by them.
VARIFLOW_CLONES
void weigh(const float* VARIFLOW_RESTRICT reliability, const Part& part, float* VARIFLOW_RESTRICT weights,
           float* VARIFLOW_RESTRICT total) {
    for (int64_t k = 0; k < part.count; ++k) {
        VARIFLOW_LANES for (int i = 0; i < piece_size; ++i) {
            const float weight = weight_of(part.spatial[k] + weights[k * lanes + i], reliability[k * part.step + i]);
            weights[k * lanes + i] = weight;
            total[i] += weight;
        }
    }
}

// The same for a guide of three channels, in one go.
VARIFLOW_CLONES
void weigh_by_color(const float* VARIFLOW_RESTRICT reliability, const float* VARIFLOW_RESTRICT first,
                    const float* VARIFLOW_RESTRICT second, const float* VARIFLOW_RESTRICT third,
                    const float* VARIFLOW_RESTRICT centre, float of_lightness, float of_color, const Part& part,
                    float* VARIFLOW_RESTRICT weights, float* VARIFLOW_RESTRICT total) {
    for (int64_t k = 0; k < part.count; ++k) {
        const int64_t at = k * part.step;
        VARIFLOW_LANES for (int i = 0; i < piece_size; ++i) {
            const float d0 = first[at + i] - centre[i], d1 = second[at + i] - centre[lanes + i];
            const float d2 = third[at + i] - centre[2 * lanes + i];
            const float weight = weight_of(part.spatial[k] + of_lightness * d0 * d0 + of_color * (d1 * d1 + d2 * d2),
                                           reliability[at + i]);
            weights[k * lanes + i] = weight;
            total[i] += weight;
        }
    }
}

// Copy each lane's neighbours, and extend the bounds of their values.
VARIFLOW_CLONES
void copy_neighbours(const float* VARIFLOW_RESTRICT columns, const Part& part, float* VARIFLOW_RESTRICT values,
                     float* VARIFLOW_RESTRICT low, float* VARIFLOW_RESTRICT high) {
    for (int64_t k = 0; k < part.count; ++k) {
        VARIFLOW_LANES for (int i = 0; i < piece_size; ++i) {
            const float value = columns[k * part.step + i];
            values[k * lanes + i] = value;
            low[i] = smaller(low[i], value);
            high[i] = larger(high[i], value);
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
                const float weight = w[j * lanes + i];
                of_u += p[j * lanes + i] <= bound_u[i] ? weight : 0.0f;
                of_v += q[j * lanes + i] <= bound_v[i] ? weight : 0.0f;
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

// Keep the half of each bracket in which the weight crosses `half`.
VARIFLOW_CLONES
void shrink(const float* VARIFLOW_RESTRICT middle, const float* VARIFLOW_RESTRICT weight,
            const float* VARIFLOW_RESTRICT half, float* VARIFLOW_RESTRICT low, float* VARIFLOW_RESTRICT high) {
    for (int i = 0; i < lanes; ++i) {
        const bool enough = weight[i] >= half[i];
        low[i] = enough ? low[i] : middle[i];
        high[i] = enough ? middle[i] : high[i];
    }
}

// The weighted mean of the values in a bracket.
VARIFLOW_CLONES
void mean_between(const float* VARIFLOW_RESTRICT values, const float* VARIFLOW_RESTRICT weights, int64_t padded,
                  const float* VARIFLOW_RESTRICT low, const float* VARIFLOW_RESTRICT high,
                  float* VARIFLOW_RESTRICT out) {
    alignas(64) float total[lanes], sum[lanes];
    for (int i = 0; i < lanes; ++i) total[i] = 0.0f, sum[i] = 0.0f;
    for (int64_t k = 0; k < padded; k += group) {
        const float *const z = values + k * lanes, *const w = weights + k * lanes;
        for (int i = 0; i < lanes; ++i) {
            float of_weight = 0.0f, of_value = 0.0f;
            for (int j = 0; j < group; ++j) {
                const float above = z[j * lanes + i] - low[i];
                const float all = w[j * lanes + i];
                const float weight = ((above >= 0.0f) & (z[j * lanes + i] <= high[i])) ? all : 0.0f;
                of_weight += weight;
                of_value += weight * above;
            }
            total[i] += of_weight, sum[i] += of_value;
        }
    }
    for (int i = 0; i < lanes; ++i) out[i] = low[i] + (total[i] > 0.0f ? sum[i] / total[i] : 0.0f);
}

// Pixels of a row from column `x` on: gather neighbours and their weights in the lanes from `lane` on.
void gather(const MedianPlanes& planes, Shape shape, const MedianWindow& window, const std::vector<Part>& parts,
            int64_t x, int64_t y, int64_t lane, Block& block) {
    const int64_t height = shape.height, width = shape.width, pixels = height * width;
    const float of_color = 0.5f / (window.color * window.color);
    const float of_lightness = 0.5f / (window.lightness * window.lightness);
    std::fill_n(block.half + lane, piece_size, 0.0f);
    for (int plane : {0, 1}) {
        std::fill_n(block.low[plane] + lane, piece_size, std::numeric_limits<float>::max());
        std::fill_n(block.high[plane] + lane, piece_size, std::numeric_limits<float>::lowest());
    }
    float* const centre = block.centre.data() + lane;
    for (int64_t channel = 0; channel < planes.guide_channels; ++channel) {
        const float* const row = planes.guide + channel * pixels + y * width;
        for (int i = 0; i < piece_size; ++i) centre[channel * lanes + i] = row[std::min(x + i, width - 1)];
    }
    int64_t first = lane;
    for (const Part& part : parts) {
        const int64_t start = std::clamp<int64_t>(y + part.row, 0, height - 1) * width;
        const int64_t length = (part.count - 1) * part.step + piece_size;
        auto around = [&](const float* plane, int64_t copy = 0) {
            return columns_of(plane + start, x + part.column, length, width,
                              block.columns.data() + copy * (window.size + piece_size));
        };
        float* const weights = block.weights.data() + first;
        if (planes.guide_channels == 3) {
            weigh_by_color(around(planes.reliability), around(planes.guide, 1), around(planes.guide + pixels, 2),
                           around(planes.guide + 2 * pixels, 3), centre, of_lightness, of_color, part, weights,
                           block.half + lane);
        } else {
            for (int64_t k = 0; k < part.count; ++k) std::fill_n(weights + k * lanes, piece_size, 0.0f);
            for (int64_t channel = 0; channel < planes.guide_channels; ++channel) {
                add_squared_differences(around(planes.guide + channel * pixels), centre + channel * lanes, of_lightness,
                                        part, weights);
            }
            weigh(around(planes.reliability), part, weights, block.half + lane);
        }
        for (int plane : {0, 1}) {
            copy_neighbours(around(planes.flow + plane * pixels), part, block.values[plane].data() + first,
                            block.low[plane] + lane, block.high[plane] + lane);
        }
        first += part.count * lanes;
    }
}

void find_medians(Block& block) {
    for (float& half : block.half) half *= 0.5f;
    for (int step = 0; step < most_steps; ++step) {
        if (halve(block.low[0], block.high[0], block.middle[0]) == 0) break;
        weight_below(block.values[0].data(), block.values[1].data(), block.weights.data(), block.padded,
                     block.middle[0], block.middle[1], block.weight[0], block.weight[1]);
        for (int plane : {0, 1}) {
            shrink(block.middle[plane], block.weight[plane], block.half, block.low[plane], block.high[plane]);
        }
    }
    for (int plane : {0, 1}) {
        mean_between(block.values[plane].data(), block.weights.data(), block.padded, block.low[plane],
                     block.high[plane], block.median[plane]);
    }
}

// The parts of a window: its rows. With a step of 2, say, they are every other row, with every other of its columns, moved by
// one from one such row to the next.
std::vector<Part> window_parts(const MedianWindow& window, std::vector<float>& spatial) {
    const int64_t reach = window.size / 2, step = window.step;
    std::vector<Part> parts;
    for (int64_t row = -reach; row <= reach; row += step) {
        const int64_t moved = static_cast<int64_t>(parts.size()) % step;
        parts.push_back({row, moved - reach, (2 * reach - moved) / step + 1, step, nullptr});
        for (int64_t k = 0; k < parts.back().count; ++k) {
            const int64_t column = parts.back().column + k * step;
            spatial.push_back(static_cast<float>(row * row + column * column) /
                              (2.0f * window.spatial * window.spatial));
        }
    }
    const float* next = spatial.data();
    for (Part& part : parts) {
        part.spatial = next;
        next += part.count;
    }
    return parts;
}

// The first column from x on with at least this mark, or the width.
int64_t find_mark(const float* marks, int64_t x, int64_t width, float least) {
    constexpr int64_t at_once = 16;
    for (; x + at_once <= width; x += at_once) {
        int found = 0;
        for (int64_t i = 0; i < at_once; ++i) found |= marks[x + i] >= least ? 1 : 0;
        if (found) break;
    }
    return std::find_if(marks + x, marks + width, [=](float mark) { return mark >= least; }) - marks;
}

// Put the medians of the pixels with at least this mark into `out`.
void take_medians(const MedianPlanes& planes, Shape shape, const MedianWindow& window, float least, float* out) {
    const int64_t width = shape.width, pixels = shape.height * width;
    std::vector<float> spatial;
    const std::vector<Part> parts = window_parts(window, spatial);
    parallel_for(shape.height, rows_at_once, [&](int64_t begin, int64_t end) {
        auto next = [&](int64_t x, int64_t y) { return find_mark(planes.mask + y * width, x, width, least); };
        int64_t y = begin;
        while (y < end && next(0, y) == width) ++y;
        if (y == end) return;
        Block block(static_cast<int64_t>(spatial.size()), window.size, planes.guide_channels);
        int64_t pixel_of[lanes], number = 0;  // of each lane the pixel, or -1 if nobody waits for it; pieces gathered
        auto finish = [&] {
            for (int lane = 0; lane < lanes; ++lane) {
                if (lane >= number * piece_size) pixel_of[lane] = -1;
                if (pixel_of[lane] >= 0) continue;
                for (int plane : {0, 1}) block.low[plane][lane] = block.high[plane][lane] = 0.0f;
            }
            find_medians(block);
            for (int lane = 0; lane < lanes; ++lane) {
                if (pixel_of[lane] < 0) continue;
                for (int plane : {0, 1}) out[plane * pixels + pixel_of[lane]] = block.median[plane][lane];
            }
            number = 0;
        };
        for (; y < end; ++y) {
            const float* const mask = planes.mask + y * width;
            for (int64_t x = next(0, y); x < width; x = next(std::min(x + piece_size, width), y)) {
                gather(planes, shape, window, parts, x, y, number * piece_size, block);
                for (int64_t i = 0; i < piece_size; ++i) {
                    const bool wanted = x + i < width && mask[x + i] >= least;
                    pixel_of[number * piece_size + i] = wanted ? y * width + x + i : -1;
                }
                if (++number == pieces) finish();
            }
        }
        if (number > 0) finish();
    });
}

}  // namespace

void weighted_median(MedianPlanes planes, Shape shape, MedianWindow window, float* out) {
    const int64_t values = 2 * shape.height * shape.width;
    parallel_for(values, rows_per_chunk(1), [=](int64_t begin, int64_t end) {
        std::copy(planes.otherwise + begin, planes.otherwise + end, out + begin);
    });
    take_medians(planes, shape, window, 1.0f, out);
    const auto times = static_cast<float>(window.widening);
    const MedianWindow wide{window.widening * window.size / 2 * 2 + 1,
                            window.widening * window.step,
                            times * window.spatial,
                            window.color,
                            window.lightness,
                            1};
    take_medians(planes, shape, wide, 2.0f, out);
}

}  // namespace variflow
