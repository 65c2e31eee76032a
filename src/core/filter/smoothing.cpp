// A flow smoothed where no motion edge is near: the mean under a Gaussian of the pixels that are not marked.
#include <algorithm>
#include <cmath>
#include <vector>

#include "base/platform.hpp"
#include "base/threads.hpp"
#include "filter/filters.hpp"

namespace variflow {
namespace {

// A Gaussian ends this many standard deviations from its middle.
constexpr float ends_at = 3.0f;

std::vector<float> half_gaussian(float deviation) {
    std::vector<float> weights(static_cast<size_t>(std::ceil(ends_at * deviation)) + 1);
    for (size_t i = 0; i < weights.size(); ++i) {
        const float distance = static_cast<float>(i) / deviation;
        weights[i] = std::exp(-0.5f * distance * distance);
    }
    return weights;
}

// Over the pixels that are not marked the sums of u, of v and of their weights, with `reach` more columns at each end.
struct Sums {
    int64_t reach, width;
    std::vector<float> planes[3];

    Sums(int64_t reach, int64_t width) : reach(reach), width(width) {
        for (std::vector<float>& plane : planes) plane.resize(static_cast<size_t>(width + 2 * reach));
    }
    float* first(int plane) { return planes[plane].data() + reach; }

    void clear() {
        for (std::vector<float>& plane : planes) std::fill(plane.begin(), plane.end(), 0.0f);
    }
    // Replicate the first and the last column.
    void extend() {
        for (int plane : {0, 1, 2}) {
            float* const columns = first(plane);
            std::fill_n(columns - reach, reach, columns[0]);
            std::fill_n(columns + width, reach, columns[width - 1]);
        }
    }
};

VARIFLOW_CLONES
void add_row(const float* VARIFLOW_RESTRICT u, const float* VARIFLOW_RESTRICT v, const float* VARIFLOW_RESTRICT marks,
             float factor, int64_t width, float* VARIFLOW_RESTRICT sum_u, float* VARIFLOW_RESTRICT sum_v,
             float* VARIFLOW_RESTRICT sum_weight) {
    for (int64_t x = 0; x < width; ++x) {
        const float weight = marks[x] == 0.0f ? factor : 0.0f;
        sum_u[x] += weight * u[x], sum_v[x] += weight * v[x], sum_weight[x] += weight;
    }
}

// out += factor times both columns at one distance of each.
VARIFLOW_CLONES
void add_columns(const float* VARIFLOW_RESTRICT before, const float* VARIFLOW_RESTRICT after, float factor,
                 int64_t width, float* VARIFLOW_RESTRICT out) {
    for (int64_t x = 0; x < width; ++x) out[x] += factor * (before[x] + after[x]);
}

// Sums over columns that lie symmetrically around each.
void sum_columns(const float* columns, const std::vector<float>& gaussian, int64_t width, float* out) {
    std::copy_n(columns, width, out);  // the Gaussian's middle is 1
    for (size_t i = 1; i < gaussian.size(); ++i) add_columns(columns - i, columns + i, gaussian[i], width, out);
}

VARIFLOW_CLONES
void divide_unmarked(const float* VARIFLOW_RESTRICT weight, const float* VARIFLOW_RESTRICT flow,
                     const float* VARIFLOW_RESTRICT marks, int64_t width, float* VARIFLOW_RESTRICT out) {
    for (int64_t x = 0; x < width; ++x) out[x] = marks[x] == 0.0f ? out[x] / weight[x] : flow[x];
}

}  // namespace

void smooth_apart(const float* flow, const float* marks, Shape shape, float deviation, float* out) {
    const int64_t height = shape.height, width = shape.width, pixels = height * width;
    const std::vector<float> gaussian = half_gaussian(deviation);
    const int64_t reach = static_cast<int64_t>(gaussian.size()) - 1;
    parallel_for(height, rows_per_chunk(width), [&](int64_t begin, int64_t end) {
        Sums sums(reach, width);
        std::vector<float> weight(static_cast<size_t>(width));
        for (int64_t y = begin; y < end; ++y) {
            sums.clear();
            for (int64_t row = -reach; row <= reach; ++row) {
                const int64_t start = std::clamp<int64_t>(y + row, 0, height - 1) * width;
                const float factor = gaussian[static_cast<size_t>(std::abs(row))];
                add_row(flow + start, flow + pixels + start, marks + start, factor, width, sums.first(0), sums.first(1),
                        sums.first(2));
            }
            sums.extend();
            sum_columns(sums.first(2), gaussian, width, weight.data());
            for (int plane : {0, 1}) {
                const int64_t at = plane * pixels + y * width;
                sum_columns(sums.first(plane), gaussian, width, out + at);
                divide_unmarked(weight.data(), flow + at, marks + y * width, width, out + at);
            }
        }
    });
}

}  // namespace variflow
