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
#include "between/motions.hpp"
#include "image/rows.hpp"

namespace variflow {
namespace {

// How likely a flow that is not confirmed is one that a point in the open follows, beside one that both frames confirm
// and that leads to the same colour in both.
constexpr float hidden = 5e-3f;

// What a frame's border counts for places beyond it: only where neither frame shows anything.
constexpr float beyond = 1e-6f;

// The least likelihood, so that the mean is defined however much frames differ.
constexpr float least_likelihood = 1e-12f;

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
        return std::max(1.0f / (farther * farther), least_likelihood);
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
                gather_motions(first, second, x, std::min(shape.width, x + pixels_at_once), y, motions);
                mixer.mix(motions, y, out);
            }
        }
    });
}

}  // namespace variflow
