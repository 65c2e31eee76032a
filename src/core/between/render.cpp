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

// Farther than any motion that arrives.
constexpr float far_away = 1e30f;

// What a frame's border counts for places beyond it: only where neither frame shows anything.
constexpr float beyond = 1e-6f;

// How far motions are looked for where none arrives nearby: where neither frame shows what is there.
constexpr int64_t farthest = 16;

constexpr int most_motions = 16;
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

VARIFLOW_INLINE bool is_alike(const Motion& motion, float u, float v) {
    return std::abs(motion.first_u - u) < alike && std::abs(motion.first_v - v) < alike;
}

// Four arrivals at a time. Almost always all belong to the first motion.
struct Lanes4 {
    float weight[4] = {}, u[4] = {}, v[4] = {}, trusted[4] = {};
};

// Add what arrives within `radius` of a pixel from one frame to the motions there; return how many these are then.
VARIFLOW_INLINE int gather(const Arrivals& arrivals, int frame, int64_t x, int64_t y, int64_t radius, Motion* motions,
                           int count) {
    const float narrow = 0.5f / static_cast<float>(radius * radius);
    const auto here_x = static_cast<float>(x), here_y = static_cast<float>(y);
    Lanes4 sums;
    const int64_t left = std::max<int64_t>(x - radius, -reach),
                  right = std::min(x + radius, arrivals.width + reach - 1);
    const int64_t top = std::max<int64_t>(y - radius, -reach),
                  bottom = std::min(y + radius, arrivals.height + reach - 1);
    for (int64_t row = top; row < bottom; ++row) {
        const int32_t end = arrivals.first(row, right);
        for (int32_t i = arrivals.first(row, left); i < end; i += 4) {
            const float *to_x = arrivals.x + i, *to_y = arrivals.y + i, *u = arrivals.u + i, *v = arrivals.v + i;
            const float* trust = arrivals.trust + i;
            float others[4], other = 0.0f;
            const float u0 = count ? motions[0].first_u : far_away, v0 = motions[0].first_v;
            VARIFLOW_LANES
            for (int k = 0; k < 4; ++k) {
                const float dx = to_x[k] - here_x, dy = to_y[k] - here_y;
                const float weight = k < end - i ? 1.0f - narrow * (dx * dx + dy * dy) : 0.0f;
                const bool same = (std::abs(u0 - u[k]) < alike) & (std::abs(v0 - v[k]) < alike);
                const float first = same ? weight : 0.0f;
                sums.weight[k] += first;
                sums.u[k] += first * u[k];
                sums.v[k] += first * v[k];
                sums.trusted[k] += first * trust[k];
                others[k] = weight - first;
                other += others[k];
            }
            if (other == 0.0f) continue;
            for (int k = 0; k < 4; ++k) {
                if (others[k] == 0.0f) continue;
                int found = 0;
                while (found < count && !is_alike(motions[found], u[k], v[k])) ++found;
                if (found == most_motions) continue;
                if (found == count) motions[count++] = {u[k], v[k], 0, 0, {0, 0}, {0, 0}};
                Motion& motion = motions[found];
                motion.u += others[k] * u[k];
                motion.v += others[k] * v[k];
                motion.weight[frame] += others[k];
                motion.trusted[frame] += others[k] * trust[k];
            }
        }
    }
    for (int k = 0; k < 4; ++k) {
        motions[0].u += sums.u[k];
        motions[0].v += sums.v[k];
        motions[0].weight[frame] += sums.weight[k];
        motions[0].trusted[frame] += sums.trusted[k];
    }
    return count;
}

VARIFLOW_CLONES
void gather_row(const Arrivals& first, const Arrivals& second, int64_t begin, int64_t end, int64_t y, Motions& to) {
    to.count = 0;
    for (int64_t x = begin; x < end; ++x) {
        Motion motions[most_motions];
        motions[0] = {far_away, 0, 0, 0, {0, 0}, {0, 0}};
        int count = 0;
        for (int64_t radius = reach; count == 0 && radius <= farthest; radius *= 2) {
            count = gather(first, 0, x, y, radius, motions, 0);
            count = gather(second, 1, x, y, radius, motions, count);
        }
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
    const auto column = std::lround(std::clamp(x, 0.0f, right)), row = std::lround(std::clamp(y, 0.0f, bottom));
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
