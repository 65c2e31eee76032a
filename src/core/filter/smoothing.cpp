// A flow smoothed where no motion edge is near: the mean under a Gaussian of the pixels that are not marked.
#include <cmath>
#include <numeric>
#include <vector>

#include "base/memory.hpp"
#include "base/platform.hpp"
#include "base/threads.hpp"
#include "filter/filters.hpp"

namespace variflow {
namespace {

// A Gaussian ends this many standard deviations from its middle.
constexpr float ends_at = 3.0f;

// A Gaussian's taps around each of so many pixels.
struct Gaussian {
    std::vector<int32_t> first;
    std::vector<float> weights;

    Gaussian(float deviation, int64_t outputs) {
        const auto reach = static_cast<int32_t>(std::ceil(ends_at * deviation));
        std::vector<float> alike;
        for (int32_t tap = -reach; tap <= reach; ++tap) {
            const float distance = static_cast<float>(tap) / deviation;
            alike.push_back(std::exp(-0.5f * distance * distance));
        }
        first.resize(static_cast<size_t>(outputs));
        std::iota(first.begin(), first.end(), -reach);
        weights.reserve(first.size() * alike.size());
        for (int64_t i = 0; i < outputs; ++i) weights.insert(weights.end(), alike.begin(), alike.end());
    }
    Taps taps() const {
        const auto outputs = static_cast<int64_t>(first.size());
        return {first.data(), weights.data(), outputs, static_cast<int64_t>(weights.size()) / outputs};
    }
};

// u and v where there is no mark, else 0; and 1 and 0 likewise.
VARIFLOW_CLONES
void leave_out_marked(const float* VARIFLOW_RESTRICT u, const float* VARIFLOW_RESTRICT v,
                      const float* VARIFLOW_RESTRICT marks, int64_t count, float* VARIFLOW_RESTRICT left_u,
                      float* VARIFLOW_RESTRICT left_v, float* VARIFLOW_RESTRICT left) {
    for (int64_t i = 0; i < count; ++i) {
        const float weight = marks[i] == 0.0f ? 1.0f : 0.0f;
        left_u[i] = weight * u[i], left_v[i] = weight * v[i], left[i] = weight;
    }
}

VARIFLOW_CLONES
void divide_unmarked(const float* VARIFLOW_RESTRICT sum, const float* VARIFLOW_RESTRICT weight,
                     const float* VARIFLOW_RESTRICT flow, const float* VARIFLOW_RESTRICT marks, int64_t count,
                     float* VARIFLOW_RESTRICT out) {
    for (int64_t i = 0; i < count; ++i) out[i] = marks[i] == 0.0f ? sum[i] / weight[i] : flow[i];
}

}  // namespace

void smooth_apart(const float* flow, const float* marks, Shape shape, float deviation, float* out) {
    const int64_t height = shape.height, width = shape.width, pixels = height * width;
    const int64_t grain = rows_per_chunk(width) * width;
    const Workspace memory(6 * pixels);
    float *const left = memory.data(), *const sums = left + 3 * pixels;  // of u, v and their weights
    parallel_for(pixels, grain, [=](int64_t begin, int64_t end) {
        leave_out_marked(flow + begin, flow + pixels + begin, marks + begin, end - begin, left + begin,
                         left + pixels + begin, left + 2 * pixels + begin);
    });
    const Gaussian along_y(deviation, height), along_x(deviation, width);
    resample(left, {3, height, width}, along_y.taps(), along_x.taps(), sums);
    parallel_for(pixels, grain, [=](int64_t begin, int64_t end) {
        for (const int64_t at : {begin, pixels + begin}) {
            divide_unmarked(sums + at, sums + 2 * pixels + begin, flow + at, marks + begin, end - begin, out + at);
        }
    });
}

}  // namespace variflow
