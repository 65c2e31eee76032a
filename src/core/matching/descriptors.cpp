// Descriptors of oriented gradients, after those of dense SIFT and DAISY (Tola, Lepetit and Fua, 2010). The gradient of
// each pixel is split into 8 half-rectified orientations, each is blurred, and a descriptor takes them at its pixel and
// at points on a ring. It is scaled to a common length, so that a change of contrast leaves it as it is.
#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "base/memory.hpp"
#include "base/platform.hpp"
#include "base/threads.hpp"
#include "matching/matching.hpp"

namespace variflow {
namespace {

constexpr int orientations = 8;
constexpr int blur_radius = 5;
constexpr float blur_sigma = 2.0f;
constexpr float ring_radius = 5.0f;
constexpr int positions = static_cast<int>(descriptor_bytes) / orientations;

// A descriptor is scaled to this length; the few larger numbers are cut off.
constexpr float length = 500.0f;

struct Offset {
    int64_t x, y;
};

std::array<Offset, positions> sampling() {
    std::array<Offset, positions> offsets{};
    for (int k = 1; k < positions; ++k) {
        const double angle = 2.0 * 3.14159265358979 * (k - 1) / (positions - 1);
        offsets[k] = {std::lround(ring_radius * std::cos(angle)), std::lround(ring_radius * std::sin(angle))};
    }
    return offsets;
}

std::array<float, 2 * blur_radius + 1> blur_weights() {
    std::array<float, 2 * blur_radius + 1> weights{};
    float sum = 0.0f;
    for (int k = -blur_radius; k <= blur_radius; ++k) {
        const float t = static_cast<float>(k) / blur_sigma;
        sum += weights[k + blur_radius] = std::exp(-0.5f * t * t);
    }
    for (float& weight : weights) weight /= sum;
    return weights;
}

// The gradient of a row by central differences, split into orientations: [column][orientation].
VARIFLOW_CLONES
void orient(const float* VARIFLOW_RESTRICT above, const float* VARIFLOW_RESTRICT row,
            const float* VARIFLOW_RESTRICT below, int64_t width, const float* VARIFLOW_RESTRICT directions,
            float* VARIFLOW_RESTRICT out) {
    for (int64_t x = 0; x < width; ++x) {
        const float gx = 0.5f * (row[x + 1 < width ? x + 1 : x] - row[x > 0 ? x - 1 : x]);
        const float gy = 0.5f * (below[x] - above[x]);
        for (int k = 0; k < orientations; ++k) {
            const float along = gx * directions[k] + gy * directions[orientations + k];
            out[x * orientations + k] = along > 0.0f ? along : 0.0f;
        }
    }
}

VARIFLOW_CLONES
void weighted_sum(const float* const* rows, const float* weights, int64_t count, float* VARIFLOW_RESTRICT out) {
    constexpr int taps = 2 * blur_radius + 1;
    for (int64_t i = 0; i < count; ++i) {
        float sum = 0.0f;
        for (int k = 0; k < taps; ++k) sum += weights[k] * rows[k][i];
        out[i] = sum;
    }
}

VARIFLOW_CLONES
void squared_lengths(const float* VARIFLOW_RESTRICT row, int64_t width, float* VARIFLOW_RESTRICT out) {
    for (int64_t x = 0; x < width; ++x) {
        float sum = 0.0f;
        for (int k = 0; k < orientations; ++k) sum += row[x * orientations + k] * row[x * orientations + k];
        out[x] = sum;
    }
}

VARIFLOW_CLONES
void assemble(const float* const* samples, int64_t width, const float* VARIFLOW_RESTRICT scale,
              uint8_t* VARIFLOW_RESTRICT out) {
    for (int64_t x = 0; x < width; ++x) {
        const float factor = scale[x];
        int32_t whole[descriptor_bytes];
        for (int p = 0; p < positions; ++p) {
            const float* const from = samples[p] + x * orientations;
            for (int k = 0; k < orientations; ++k) {
                const float value = from[k] * factor + 0.5f;
                whole[p * orientations + k] = static_cast<int32_t>(value < 255.0f ? value : 255.0f);
            }
        }
        for (int k = 0; k < static_cast<int>(descriptor_bytes); ++k) {
            out[x * descriptor_bytes + k] = static_cast<uint8_t>(whole[k]);
        }
    }
}

// All orientations of a plane, blurred: [row][column + ring][orientation], rows padded by the ring with their ends.
class Orientations {
public:
    Orientations(const float* plane, int64_t height, int64_t width)
        : height_(height),
          padding_(static_cast<int64_t>(ring_radius)),
          stride_((width + 2 * padding_) * orientations),
          data_(height * stride_),
          squares_(height * (width + 2 * padding_)) {
        float directions[2 * orientations];
        for (int k = 0; k < orientations; ++k) {
            const double angle = 2.0 * 3.14159265358979 * k / orientations;
            directions[k] = static_cast<float>(std::cos(angle));
            directions[orientations + k] = static_cast<float>(std::sin(angle));
        }
        const auto weights = blur_weights();
        constexpr int taps = 2 * blur_radius + 1;
        const int64_t margin = blur_radius * orientations, row_floats = width * orientations;
        parallel_for(height, std::max<int64_t>(32, rows_per_chunk(width)), [&](int64_t begin, int64_t end) {
            const int64_t first = std::max<int64_t>(begin - blur_radius, 0);
            const int64_t last = std::min<int64_t>(end + blur_radius, height);
            const Workspace oriented((last - first) * row_floats), blurred(row_floats + 2 * margin);
            for (int64_t y = first; y < last; ++y) {
                orient(plane + std::max<int64_t>(y - 1, 0) * width, plane + y * width,
                       plane + std::min(y + 1, height - 1) * width, width, directions,
                       oriented.data() + (y - first) * row_floats);
            }
            for (int64_t y = begin; y < end; ++y) {
                const float* rows[taps];
                for (int k = 0; k < taps; ++k) {
                    const int64_t from = std::clamp<int64_t>(y + k - blur_radius, 0, height - 1);
                    rows[k] = oriented.data() + (from - first) * row_floats;
                }
                weighted_sum(rows, weights.data(), row_floats, blurred.data() + margin);
                repeat_ends(blurred.data() + margin, width, blur_radius);
                for (int k = 0; k < taps; ++k) rows[k] = blurred.data() + k * orientations;
                float* const out = data_.data() + y * stride_ + padding_ * orientations;
                weighted_sum(rows, weights.data(), row_floats, out);
                repeat_ends(out, width, padding_);
                squared_lengths(data_.data() + y * stride_, width + 2 * padding_,
                                squares_.data() + y * (width + 2 * padding_));
            }
        });
    }

    const float* at(int64_t y, Offset offset) const {
        return data_.data() + row(y + offset.y) * stride_ + (padding_ + offset.x) * orientations;
    }
    const float* squares(int64_t y, Offset offset) const {
        return squares_.data() + row(y + offset.y) * (stride_ / orientations) + padding_ + offset.x;
    }

private:
    static void repeat_ends(float* row, int64_t width, int64_t count) {
        for (int64_t k = 1; k <= count; ++k) {
            std::copy_n(row, orientations, row - k * orientations);
            std::copy_n(row + (width - 1) * orientations, orientations, row + (width - 1 + k) * orientations);
        }
    }
    int64_t row(int64_t y) const { return std::clamp<int64_t>(y, 0, height_ - 1); }

    int64_t height_, padding_, stride_;
    Workspace data_, squares_;
};

VARIFLOW_CLONES
void to_scales(const float* const* squares, float floor, int64_t width, float* VARIFLOW_RESTRICT out) {
    for (int64_t x = 0; x < width; ++x) {
        float sum = floor;
        for (int p = 0; p < positions; ++p) sum += squares[p][x];
        out[x] = length / std::sqrt(sum);
    }
}

}  // namespace

void descriptors(const float* plane, int64_t height, int64_t width, float noise, uint8_t* out) {
    const Orientations blurred(plane, height, width);
    const auto offsets = sampling();
    parallel_for(height, rows_per_chunk(width), [&](int64_t begin, int64_t end) {
        const Workspace scale(width);
        for (int64_t y = begin; y < end; ++y) {
            const float *samples[positions], *squares[positions];
            for (int p = 0; p < positions; ++p) {
                samples[p] = blurred.at(y, offsets[p]);
                squares[p] = blurred.squares(y, offsets[p]);
            }
            to_scales(squares, noise * noise, width, scale.data());
            assemble(samples, width, scale.data(), out + y * width * descriptor_bytes);
        }
    });
}

}  // namespace variflow
