// A flow as colours.
#include <algorithm>
#include <cmath>
#include <limits>

#include "base/platform.hpp"
#include "base/threads.hpp"
#include "base/vector_math.hpp"
#include "image/image.hpp"

namespace variflow {
namespace {

constexpr int64_t block = 256;  // pixels, whose directions and speeds stay in the fastest cache
constexpr float darker = 0.75f;
constexpr float largest = std::numeric_limits<float>::max();

struct Block {
    alignas(64) float shares[block], speeds[block];  // how far between two hues; speeds as shares of the scale
    alignas(64) int32_t before[block], after[block];  // the two hues
    alignas(64) int32_t known[block];                 // 1 or 0
    alignas(64) uint8_t ink[3][block];
};

VARIFLOW_CLONES
void find_directions(const float* VARIFLOW_RESTRICT flow, int64_t count, float scale, int32_t hues, Block& to) {
    const auto turns = static_cast<float>(hues);
    for (int64_t i = 0; i < count; ++i) {
        const float u = flow[2 * i] / scale, v = flow[2 * i + 1] / scale;
        const float place = turn(u, v) * turns;
        const int32_t before = place < turns ? static_cast<int32_t>(place) : hues - 1;  // also where it is NaN
        to.before[i] = before;
        to.after[i] = before + 1 < hues ? before + 1 : 0;
        to.shares[i] = place - static_cast<float>(before);
        to.speeds[i] = std::sqrt(u * u + v * v);
        to.known[i] = std::fabs(flow[2 * i]) <= largest && std::fabs(flow[2 * i + 1]) <= largest;
    }
}

VARIFLOW_CLONES
void mix(const Block& from, const float* VARIFLOW_RESTRICT hues, int64_t count, uint8_t* VARIFLOW_RESTRICT ink) {
    for (int64_t i = 0; i < count; ++i) {
        const float share = from.shares[i], speed = from.speeds[i];
        const float hue = (1.0f - share) * hues[from.before[i]] + share * hues[from.after[i]];
        const float mixed = speed <= 1.0f ? 1.0f - speed * (1.0f - hue) : darker * hue;
        const bool inked = mixed > 0.0f && from.known[i] != 0;
        ink[i] = static_cast<uint8_t>(inked ? static_cast<int32_t>(mixed * 255.0f + 0.5f) : 0);
    }
}

VARIFLOW_CLONES
void write_pixels(const Block& from, int64_t count, uint8_t* VARIFLOW_RESTRICT out) {
    for (int64_t i = 0; i < count; ++i) {
        out[3 * i] = from.ink[0][i];
        out[3 * i + 1] = from.ink[1][i];
        out[3 * i + 2] = from.ink[2][i];
    }
}

void paint_block(const float* flow, int64_t count, float scale, const float* hues, int64_t number, uint8_t* out) {
    Block now;
    find_directions(flow, count, scale, static_cast<int32_t>(number), now);
    for (int64_t c = 0; c < 3; ++c) mix(now, hues + c * number, count, now.ink[c]);
    write_pixels(now, count, out);
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
