// A flow as colours.
#include <algorithm>
#include <array>
#include <cmath>

#include "base/platform.hpp"
#include "base/threads.hpp"
#include "base/vector_math.hpp"
#include "image/image.hpp"

namespace variflow {
namespace {

constexpr int64_t block = 256;  // pixels, whose directions and speeds stay in the fastest cache
constexpr float darker = 0.75f;

// The directions as places among the hues, and the speeds as shares of the scale.
VARIFLOW_CLONES
void find_directions(const float* VARIFLOW_RESTRICT flow, int64_t count, float scale, float hues,
                     float* VARIFLOW_RESTRICT places, float* VARIFLOW_RESTRICT speeds) {
    for (int64_t i = 0; i < count; ++i) {
        const float u = flow[2 * i] / scale, v = flow[2 * i + 1] / scale;
        places[i] = turn(u, v) * hues;
        speeds[i] = std::sqrt(u * u + v * v);
    }
}

void paint_block(const float* flow, int64_t count, float scale, const float* hues, int64_t number, uint8_t* out) {
    std::array<float, block> places, speeds;
    find_directions(flow, count, scale, static_cast<float>(number), places.data(), speeds.data());
    for (int64_t i = 0; i < count; ++i) {
        uint8_t* const pixel = out + 3 * i;
        if (!std::isfinite(flow[2 * i]) || !std::isfinite(flow[2 * i + 1])) {
            std::fill(pixel, pixel + 3, uint8_t{0});
            continue;
        }
        const float place = places[static_cast<size_t>(i)], speed = speeds[static_cast<size_t>(i)];
        const int64_t before = std::min(static_cast<int64_t>(place), number - 1);
        const int64_t after = before + 1 < number ? before + 1 : 0;
        const float share = place - static_cast<float>(before);
        for (int64_t c = 0; c < 3; ++c) {
            const float hue = (1.0f - share) * hues[3 * before + c] + share * hues[3 * after + c];
            const float ink = speed <= 1.0f ? 1.0f - speed * (1.0f - hue) : darker * hue;
            pixel[c] = static_cast<uint8_t>(ink * 255.0f + 0.5f);
        }
    }
}

}  // namespace

void paint_flow(const float* flow, int64_t count, float scale, const float* hues, int64_t number, uint8_t* out) {
    parallel_for(count, rows_per_chunk(1), [=](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i += block) {
            paint_block(flow + 2 * i, std::min(block, end - i), scale, hues, number, out + 3 * i);
        }
    });
}

}  // namespace variflow
