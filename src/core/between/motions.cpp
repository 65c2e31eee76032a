// Gather the motions that are possible at each pixel of a row. Almost everywhere they are one, and arrivals are summed four
// at a time; the others are set aside and sorted afterwards.
#include "between/motions.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/platform.hpp"

namespace variflow {
namespace {

// Motions within this many pixels are one.
constexpr float alike = 0.25f;

// How far motions are looked for where none arrives nearby: where neither frame shows what is there.
constexpr int64_t farthest = 16;

constexpr int most_others = 64;

struct Motion {
    float first_u, first_v;
    float u, v;  // sums over what arrives, by weight
    float weight[2], trusted[2];  // from either frame
};

VARIFLOW_INLINE bool is_alike(float first_u, float first_v, float u, float v) {
    return (std::abs(first_u - u) < alike) & (std::abs(first_v - v) < alike);
}

// The sums of one motion over every fourth arrival.
struct Sums {
    float u[4] = {}, v[4] = {}, weight[2][4] = {}, trusted[2][4] = {};
};

VARIFLOW_INLINE void add_to(Motion& motion, const Sums& sums) {
    for (int k = 0; k < 4; ++k) {
        motion.u += sums.u[k], motion.v += sums.v[k];
        for (int frame : {0, 1}) {
            motion.weight[frame] += sums.weight[frame][k];
            motion.trusted[frame] += sums.trusted[frame][k];
        }
    }
}

// What arrives near a pixel and does not belong to its first motion. Its weight is for one frame, and 0 for the other.
struct Others {
    float u[most_others], v[most_others], trust[most_others], weight[2][most_others];
    int count = 0;
};

// Add the others to their motions, from the second on, and empty them; return how many motions there are then.
VARIFLOW_INLINE int sort_others(Others& others, Motion* motions, int count) {
    for (int i = others.count; i % 4 != 0; ++i) {
        others.u[i] = others.v[i] = others.trust[i] = others.weight[0][i] = others.weight[1][i] = 0.0f;
    }
    int next = 0;
    for (int number = 1; number < most_motions; ++number) {
        while (next < others.count && others.weight[0][next] + others.weight[1][next] == 0.0f) ++next;
        if (next == others.count) break;
        Motion& motion = motions[number];
        if (number == count) motions[count++] = {others.u[next], others.v[next], 0, 0, {0, 0}, {0, 0}};
        Sums sums;
        const float u0 = motion.first_u, v0 = motion.first_v;
        for (int i = 0; i < others.count; i += 4) {
            float *u = others.u + i, *v = others.v + i, *trust = others.trust + i;
            float *weight0 = others.weight[0] + i, *weight1 = others.weight[1] + i;
            VARIFLOW_LANES
            for (int k = 0; k < 4; ++k) {
                const bool same = is_alike(u0, v0, u[k], v[k]);
                const float first = same ? weight0[k] : 0.0f, second = same ? weight1[k] : 0.0f;
                weight0[k] -= first;
                weight1[k] -= second;
                sums.u[k] += (first + second) * u[k];
                sums.v[k] += (first + second) * v[k];
                sums.weight[0][k] += first;
                sums.weight[1][k] += second;
                sums.trusted[0][k] += first * trust[k];
                sums.trusted[1][k] += second * trust[k];
            }
        }
        add_to(motion, sums);
    }
    others.count = 0;
    return count;
}

// Add what arrives within `radius` of a pixel from one frame to the motions there; return how many these are then. Four
// arrivals are looked at together, and almost always all belong to the first motion.
VARIFLOW_INLINE int gather(const Arrivals& arrivals, int frame, int64_t x, int64_t y, int64_t radius, Motion* motions,
                           int count, Others& others) {
    // Nothing in the square weighs nothing.
    const float narrow = 0.49f / static_cast<float>(radius * radius);
    const auto here_x = static_cast<float>(x), here_y = static_cast<float>(y);
    Sums sums;
    const int64_t left = std::max<int64_t>(x - radius, -reach),
                  right = std::min(x + radius, arrivals.width + reach - 1);
    const int64_t top = std::max<int64_t>(y - radius, -reach),
                  bottom = std::min(y + radius, arrivals.height + reach - 1);
    for (int64_t row = top; row < bottom; ++row) {
        const int32_t end = arrivals.first(row, right);
        for (int32_t i = arrivals.first(row, left); i < end; i += 4) {
            const float *to_x = arrivals.x + i, *to_y = arrivals.y + i, *u = arrivals.u + i, *v = arrivals.v + i;
            const float* trust = arrivals.trust + i;
            if (count == 0) motions[count++] = {u[0], v[0], 0, 0, {0, 0}, {0, 0}};
            const float u0 = motions[0].first_u, v0 = motions[0].first_v;
            float left_over[4], total = 0.0f;
            VARIFLOW_LANES
            for (int k = 0; k < 4; ++k) {
                const float dx = to_x[k] - here_x, dy = to_y[k] - here_y;
                const float weight = k < end - i ? 1.0f - narrow * (dx * dx + dy * dy) : 0.0f;
                const float first = is_alike(u0, v0, u[k], v[k]) ? weight : 0.0f;
                sums.weight[0][k] += first;
                sums.u[k] += first * u[k];
                sums.v[k] += first * v[k];
                sums.trusted[0][k] += first * trust[k];
                left_over[k] = weight - first;
                total += left_over[k];
            }
            if (total == 0.0f) continue;
            if (others.count > most_others - 8) count = sort_others(others, motions, count);
            for (int k = 0; k < 4; ++k) {
                const int at = others.count;
                others.u[at] = u[k], others.v[at] = v[k], others.trust[at] = trust[k];
                others.weight[frame][at] = left_over[k], others.weight[1 - frame][at] = 0.0f;
                others.count += left_over[k] > 0.0f;
            }
        }
    }
    if (frame == 1) std::swap(sums.weight[0], sums.weight[1]), std::swap(sums.trusted[0], sums.trusted[1]);
    add_to(motions[0], sums);
    return count;
}

}  // namespace

VARIFLOW_CLONES
void gather_motions(const Arrivals& first, const Arrivals& second, int64_t begin, int64_t end, int64_t y, Motions& to) {
    to.count = 0;
    for (int64_t x = begin; x < end; ++x) {
        Motion motions[most_motions];
        motions[0] = {0, 0, 0, 0, {0, 0}, {0, 0}};
        Others others;
        int count = 0;
        for (int64_t radius = reach; count == 0 && radius <= farthest; radius *= 2) {
            count = gather(first, 0, x, y, radius, motions, count, others);
            count = gather(second, 1, x, y, radius, motions, count, others);
        }
        if (others.count > 0) count = sort_others(others, motions, count);
        for (int i = 0; i < count; ++i) {
            const Motion& motion = motions[i];
            const int64_t at = to.count++;
            const float share = 1.0f / (motion.weight[0] + motion.weight[1]);
            to.u[at] = share * motion.u;
            to.v[at] = share * motion.v;
            to.confirmed[at] = motion.trusted[0] + motion.trusted[1];
            for (int frame : {0, 1}) to.only[frame][at] = std::max(motion.weight[frame] - motion.trusted[frame], 0.0f);
            to.column[at] = static_cast<int32_t>(x);
        }
    }
}

}  // namespace variflow
