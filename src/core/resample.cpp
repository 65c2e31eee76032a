// Separable resampling with any taps, borders replicated:
//
//     out(j, i) = sum_a sum_b  weights_y(j, a) weights_x(i, b) planes(first_y(j) + a, first_x(i) + b).
//
// Smoothing, decimation and interpolation are choices of taps. An output row is made in two passes: its source rows are
// summed into a row buffer, which is then filtered along x. The buffer is padded with its border values, so that
// neither pass needs to ask where the frame ends.
#include <algorithm>
#include <vector>

#include "kernels.hpp"
#include "platform.hpp"
#include "threads.hpp"

namespace variflow {
namespace {

VARIFLOW_CLONES
void add_row(const float* row, float weight, int64_t width, float* VARIFLOW_RESTRICT out) {
    for (int64_t x = 0; x < width; ++x) out[x] += weight * row[x];
}

VARIFLOW_CLONES
void add_four_rows(const float* row0, const float* row1, const float* row2, const float* row3, const float* weights,
                   int64_t width, float* VARIFLOW_RESTRICT out) {
    const float w0 = weights[0], w1 = weights[1], w2 = weights[2], w3 = weights[3];
    for (int64_t x = 0; x < width; ++x) out[x] += (w0 * row0[x] + w1 * row1[x]) + (w2 * row2[x] + w3 * row3[x]);
}

// out(x) = sum_a weights(a) rows(a)(x). With shifted copies of one row this is a convolution along x.
void sum_rows(const float* const* rows, const float* weights, int64_t taps, int64_t width, float* out) {
    std::fill_n(out, width, 0.0f);
    int64_t a = 0;
    for (; a + 4 <= taps; a += 4)
        add_four_rows(rows[a], rows[a + 1], rows[a + 2], rows[a + 3], weights + a, width, out);
    for (; a < taps; ++a) add_row(rows[a], weights[a], width, out);
}

// One tap of every output, each with its own position and weight.
VARIFLOW_CLONES
void add_gathered(const float* VARIFLOW_RESTRICT row, const int32_t* VARIFLOW_RESTRICT positions,
                  const float* VARIFLOW_RESTRICT weights, int64_t outputs, float* VARIFLOW_RESTRICT out) {
    for (int64_t i = 0; i < outputs; ++i) out[i] += weights[i] * row[positions[i]];
}

// The taps along x as the row passes want them: positions in the padded row, weights tap by tap.
struct Horizontal {
    int64_t outputs, taps, padding_left, padded_width;
    bool convolution;            // the same weights for every output, positions one apart
    std::vector<int32_t> first;  // per output
    std::vector<float> weights;  // (taps), or (taps, outputs) if not a convolution

    Horizontal(Taps given, int64_t width)
        : outputs(given.outputs), taps(given.taps), first(static_cast<size_t>(outputs)) {
        // Taps that lie outside the frame altogether read the border value, however far out they are.
        for (int64_t i = 0; i < outputs; ++i) {
            first[i] = static_cast<int32_t>(std::clamp<int64_t>(given.first[i], -taps, width));
        }
        const auto [lowest, highest] = std::minmax_element(first.begin(), first.end());
        padding_left = std::max<int64_t>(0, -int64_t{*lowest});
        padded_width = padding_left + std::max<int64_t>(width, *highest + taps);
        for (int32_t& position : first) position += static_cast<int32_t>(padding_left);

        convolution = true;
        for (int64_t i = 1; i < outputs && convolution; ++i) {
            convolution =
                first[i] == first[0] + i && std::equal(given.weights, given.weights + taps, given.weights + i * taps);
        }
        const int64_t kept = convolution ? 1 : outputs;
        weights.resize(static_cast<size_t>(taps * kept));
        for (int64_t b = 0; b < taps; ++b) {
            for (int64_t i = 0; i < kept; ++i) weights[b * kept + i] = given.weights[i * taps + b];
        }
    }

    void apply(const float* row, const float** shifted, float* out) const {
        for (int64_t b = 0; b < taps; ++b) shifted[b] = row + b + (convolution ? first[0] : 0);
        if (convolution) {
            sum_rows(shifted, weights.data(), taps, outputs, out);
            return;
        }
        std::fill_n(out, outputs, 0.0f);
        for (int64_t b = 0; b < taps; ++b)
            add_gathered(shifted[b], first.data(), weights.data() + b * outputs, outputs, out);
    }
};

}  // namespace

void resample(const float* planes, Shape shape, Taps vertical, Taps given, float* out) {
    const int64_t height = shape.height, width = shape.width;
    const Horizontal horizontal(given, width);
    const int64_t grain = rows_per_chunk(std::max(width, horizontal.outputs));
    parallel_for(shape.channels * vertical.outputs, grain, [&](int64_t begin, int64_t end) {
        std::vector<float> padded(static_cast<size_t>(horizontal.padded_width));
        std::vector<const float*> rows(static_cast<size_t>(std::max(vertical.taps, horizontal.taps)));
        float* const inside = padded.data() + horizontal.padding_left;
        for (int64_t row = begin; row < end; ++row) {
            const int64_t channel = row / vertical.outputs, j = row % vertical.outputs;
            for (int64_t a = 0; a < vertical.taps; ++a) {
                const int64_t y = std::clamp<int64_t>(int64_t{vertical.first[j]} + a, 0, height - 1);
                rows[a] = planes + (channel * height + y) * width;
            }
            sum_rows(rows.data(), vertical.weights + j * vertical.taps, vertical.taps, width, inside);
            std::fill(padded.data(), inside, inside[0]);
            std::fill(inside + width, padded.data() + padded.size(), inside[width - 1]);
            horizontal.apply(padded.data(), rows.data(), out + row * horizontal.outputs);
        }
    });
}

}  // namespace variflow
