// The frame at a time between two frames, from the flow of each to the other.
//
// At each pixel, the motions of all points that arrive within `reach` pixels, from either frame, are possible; the nearer,
// the more they count. Motions that differ little are one. A motion leads to a place in each frame, and is weighed in up
// to three ways:
//
//     both frames show the point:  its colour is their blend, (1 - t) : t. Its weight is how much arrives with flows that
//                                  are confirmed, times the likelihood of the difference d of both places,
//                                  (1 + d^2 / scale^2)^-2, which has heavy tails. If a place is missing or outside,
//                                  the other's colour counts alone, times `hidden`;
//     one of the frames shows it:  its colour is that frame's. Its weight is how much arrives from that frame with flows
//                                  that are not confirmed, times `hidden`, times the share of the time for which such a
//                                  point is seen.
//
// The pixel is the weighted mean of all: where motions compete, the mean errs least in the mean square.
#include <algorithm>
#include <cmath>
#include <limits>

#include "base/platform.hpp"
#include "base/threads.hpp"
#include "between/between.hpp"
#include "image/rows.hpp"

namespace variflow {
namespace {

// How likely a flow that is not confirmed is one that a point in the open follows, beside one that both frames confirm
// and that leads to the same colour in both.
constexpr float hidden = 5e-3f;

// Motions within this many pixels are one.
constexpr float alike = 0.25f;

// What a frame's border counts for places beyond it: only where neither frame shows anything.
constexpr float beyond = 1e-6f;

// How far motions are looked for where none arrives nearby: where neither frame shows what is there.
constexpr int64_t farthest = 16;

constexpr int most_motions = 16, most_others = 64;
constexpr int64_t pixels_at_once = 128;
constexpr int64_t most_at_once = most_motions * pixels_at_once;

// The motions at a few pixels of a row, in order; each sum is over what arrives.
struct Motions {
    alignas(64) float u[most_at_once], v[most_at_once];
    alignas(64) float confirmed[most_at_once], only[2][most_at_once];
    alignas(64) int32_t column[most_at_once];
    int64_t count = 0;
};

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

VARIFLOW_CLONES
void gather_row(const Arrivals& first, const Arrivals& second, int64_t begin, int64_t end, int64_t y, Motions& to) {
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

VARIFLOW_CLONES
void scale_by(const float* VARIFLOW_RESTRICT values, float factor, int64_t count, float* VARIFLOW_RESTRICT out) {
    for (int64_t i = 0; i < count; ++i) out[i] = factor * values[i];
}

// How far a frame shows a place: 1, or 0 where it is missing, or hardly beyond its border.
float find_shown(const uint8_t* known, Shape shape, float x, float y) {
    const auto right = static_cast<float>(shape.width - 1), bottom = static_cast<float>(shape.height - 1);
    const auto column = static_cast<int64_t>(std::clamp(x, 0.0f, right) + 0.5f);
    const auto row = static_cast<int64_t>(std::clamp(y, 0.0f, bottom) + 0.5f);
    if (known[row * shape.width + column] == 0) return 0.0f;
    const bool inside = x >= -0.5f && x <= right + 0.5f && y >= -0.5f && y <= bottom + 0.5f;
    return inside ? 1.0f : beyond;
}

// What both frames show along the motions at a few pixels of a row, mixed.
class Mixer {
public:
    Mixer(const Pair& pair, float time, float scale)
        : pair_(pair),
          time_(time),
          narrow_(1.0f / (scale * scale)),
          samples_(2 * (pair.shape.channels + 2) * most_at_once) {
        for (int frame : {0, 1}) {
            way_[frame][0] = samples_.take(most_at_once);
            way_[frame][1] = samples_.take(most_at_once);
            shown_[frame] = samples_.take(pair.shape.channels * most_at_once);
        }
    }

    void mix(const Motions& motions, int64_t y, float* out) {
        for (int frame : {0, 1}) {
            const float share = frame == 0 ? -time_ : 1.0f - time_;
            scale_by(motions.u, share, motions.count, way_[frame][0]);
            scale_by(motions.v, share, motions.count, way_[frame][1]);
            warp_points(pair_.coefficients[frame], pair_.shape, motions.column, y, motions.count, way_[frame][0],
                        way_[frame][1], shown_[frame], most_at_once);
        }
        for (int64_t begin = 0, end; begin < motions.count; begin = end) {
            end = begin + 1;
            while (end < motions.count && motions.column[end] == motions.column[begin]) ++end;
            mix_pixel(motions, y, begin, end, out);
        }
    }

private:
    void mix_pixel(const Motions& motions, int64_t y, int64_t begin, int64_t end, float* out) {
        const Shape shape = pair_.shape;
        const int64_t size = shape.height * shape.width, at = y * shape.width + motions.column[begin];
        float seen = 0.0f, total = 0.0f, u = 0.0f, v = 0.0f;
        for (int64_t channel = 0; channel < shape.channels; ++channel) out[channel * size + at] = 0.0f;
        for (int64_t i = begin; i < end; ++i) {
            float weights[2];
            const float weight = weigh(motions, y, i, weights);
            u += weight * motions.u[i], v += weight * motions.v[i], total += weight;
            seen += weights[0] + weights[1];
            for (int64_t channel = 0; channel < shape.channels; ++channel) {
                const int64_t sample = channel * most_at_once + i;
                out[channel * size + at] += weights[0] * shown_[0][sample] + weights[1] * shown_[1][sample];
            }
        }
        const float share = seen > 0.0f ? 1.0f / seen : std::numeric_limits<float>::quiet_NaN();
        for (int64_t channel = 0; channel < shape.channels; ++channel) out[channel * size + at] *= share;
        out[shape.channels * size + at] = u / total;
        out[(shape.channels + 1) * size + at] = v / total;
    }

    // The weights of both frames' colours along a motion, and the weight of the motion.
    float weigh(const Motions& motions, int64_t y, int64_t i, float* weights) const {
        float shown[2];
        for (int frame : {0, 1}) {
            shown[frame] =
                find_shown(pair_.known[frame], pair_.shape, static_cast<float>(motions.column[i]) + way_[frame][0][i],
                           static_cast<float>(y) + way_[frame][1][i]);
        }
        const bool same = shown[0] == shown[1];
        const float both = motions.confirmed[i] * (same && shown[0] == 1.0f ? find_likelihood(i) : hidden);
        const float parts[] = {1.0f - time_, time_};
        float all = 0.0f;
        for (int frame : {0, 1}) {
            const float alone = hidden * motions.only[frame][i] * parts[frame];
            weights[frame] = shown[frame] * ((same ? both * parts[frame] : both) + alone);
            all += both * parts[frame] + alone;
        }
        return std::max(all, std::numeric_limits<float>::min());
    }

    // How likely a motion leads to colours that differ so much.
    float find_likelihood(int64_t i) const {
        float square = 0.0f;
        for (int64_t channel = 0; channel < pair_.shape.channels; ++channel) {
            const int64_t sample = channel * most_at_once + i;
            const float difference = shown_[0][sample] - shown_[1][sample];
            square += difference * difference;
        }
        const float farther = 1.0f + narrow_ * square / static_cast<float>(pair_.shape.channels);
        return 1.0f / (farther * farther);
    }

    const Pair& pair_;
    const float time_, narrow_;
    Workspace samples_;
    float *way_[2][2], *shown_[2];
};

}  // namespace

void render_between(const Pair& pair, float time, float scale, float* out) {
    const Shape shape = pair.shape;
    const Arrivals first({pair.flow[0], pair.flow[1], shape.height, shape.width}, time, 1.0f);
    const Arrivals second({pair.flow[1], pair.flow[0], shape.height, shape.width}, 1.0f - time, -1.0f);
    std::fill(out, out + (shape.channels + 2) * shape.height * shape.width, std::numeric_limits<float>::quiet_NaN());
    parallel_for(shape.height, 4, [&](int64_t begin, int64_t end) {
        Mixer mixer(pair, time, scale);
        Motions motions;
        for (int64_t y = begin; y < end; ++y) {
            for (int64_t x = 0; x < shape.width; x += pixels_at_once) {
                gather_row(first, second, x, std::min(shape.width, x + pixels_at_once), y, motions);
                mixer.mix(motions, y, out);
            }
        }
    });
}

}  // namespace variflow
