// Separable resampling with any taps, borders replicated:
//
//     out(j, i) = sum_a sum_b  weights_y(j, a) weights_x(i, b) planes(first_y(j) + a, first_x(i) + b).
//
// Smoothing, decimation and interpolation are choices of taps. An output row is made in two passes: its source rows are
// summed into a row buffer, which is then filtered along x. The buffer is padded with its border values, so that
// neither pass needs to ask where the frame ends. Along x, smoothing, halving and doubling sum shifted copies of the row,
// or of its even and odd pixels. Other taps are applied to several rows at once that stand side by side in the lanes of a
// vector.
#include <algorithm>
#include <utility>
#include <vector>

#include "base/pairs.hpp"
#include "base/platform.hpp"
#include "base/threads.hpp"
#include "image/image.hpp"

namespace variflow {
namespace {

constexpr int64_t most_at_once = 8;

// out(x) = sum_a weights(a) rows(a)(x), added to what it holds if so, of at most 8 rows in one go.
VARIFLOW_CLONES
void sum_few_rows(const float* const* rows, const float* weights, int64_t taps, int64_t width, bool added,
                  float* VARIFLOW_RESTRICT out) {
    const auto sum = [=]<int64_t number, bool add>() VARIFLOW_INLINE_LAMBDA {
        for (int64_t x = 0; x < width; ++x) {
            float total = weights[0] * rows[0][x];
            for (int64_t a = 1; a < number; ++a) total += weights[a] * rows[a][x];
            out[x] = add ? out[x] + total : total;
        }
    };
    const auto choose = [&]<int64_t... numbers>(std::integer_sequence<int64_t, numbers...>) VARIFLOW_INLINE_LAMBDA {
        (void)((taps == numbers + 1 &&
                ((added ? sum.template operator()<numbers + 1, true>() : sum.template operator()<numbers + 1, false>()),
                 true)) ||
               ...);
    };
    choose(std::make_integer_sequence<int64_t, most_at_once>());
}

// out(x) = sum_a weights(a) rows(a)(x). With shifted copies of one row this is a convolution along x.
void sum_rows(const float* const* rows, const float* weights, int64_t taps, int64_t width, float* out) {
    for (int64_t a = 0; a < taps; a += most_at_once) {
        sum_few_rows(rows + a, weights + a, std::min(most_at_once, taps - a), width, a > 0, out);
    }
}

constexpr int64_t lanes = 16;

// out[i] = the sum of taps[i] of columns; a column holds the values of `lanes` rows.
VARIFLOW_CLONES
void sum_columns(const float* VARIFLOW_RESTRICT columns, const int32_t* VARIFLOW_RESTRICT first,
                 const float* VARIFLOW_RESTRICT weights, int64_t taps, int64_t outputs, float* VARIFLOW_RESTRICT out) {
    for (int64_t i = 0; i < outputs; ++i) {
        const float* const column = columns + first[i] * lanes;
        alignas(64) float sum[lanes];
        VARIFLOW_LANES for (int64_t lane = 0; lane < lanes; ++lane) sum[lane] = 0.0f;
        for (int64_t tap = 0; tap < taps; ++tap) {
            const float weight = weights[i * taps + tap];
            VARIFLOW_LANES for (int64_t lane = 0; lane < lanes; ++lane) sum[lane] +=
                weight * column[tap * lanes + lane];
        }
        VARIFLOW_LANES for (int64_t lane = 0; lane < lanes; ++lane) out[i * lanes + lane] = sum[lane];
    }
}

// The taps along x as the row passes want them: positions in the padded row.
struct Horizontal {
    int64_t outputs, taps, padding_left, padded_width;
    int64_t phases, step;  // every so many outputs have the same weights, and positions so far apart; or else 0
    std::vector<int32_t> first;  // per output
    const float* weights;  // (outputs, taps)

    Horizontal(Taps given, int64_t width)
        : outputs(given.outputs), taps(given.taps), first(static_cast<size_t>(outputs)), weights(given.weights) {
        // Taps that lie outside the frame altogether read the border value, however far out they are.
        for (int64_t i = 0; i < outputs; ++i) {
            first[i] = static_cast<int32_t>(std::clamp<int64_t>(given.first[i], -taps, width));
        }
        const auto [lowest, highest] = std::minmax_element(first.begin(), first.end());
        padding_left = std::max<int64_t>(0, -int64_t{*lowest});
        padded_width = padding_left + std::max<int64_t>(width, *highest + taps);
        for (int32_t& position : first) position += static_cast<int32_t>(padding_left);

        phases = step = 0;
        for (const auto& [every, apart] : {std::pair{1, 1}, {1, 2}, {2, 1}}) {
            if (phases == 0 && repeats(every, apart)) phases = every, step = apart;
        }
    }

    bool repeats(int64_t every, int64_t apart) const {
        for (int64_t i = every; i < outputs; ++i) {
            const auto now = static_cast<size_t>(i), before = static_cast<size_t>(i - every);
            if (first[now] != first[before] + apart) return false;
            const float* const same = weights + (i - every) * taps;
            if (!std::equal(same, same + taps, weights + i * taps)) return false;
        }
        return outputs >= every;
    }
};

}  // namespace

void resample(const float* planes, Shape shape, Taps vertical, Taps given, float* out) {
    const int64_t height = shape.height, width = shape.width;
    const Horizontal horizontal(given, width);
    const int64_t grain = rows_per_chunk(std::max(width, horizontal.outputs));
    parallel_for(shape.channels * vertical.outputs, grain, [&](int64_t begin, int64_t end) {
        const int64_t padded_width = horizontal.padded_width + 1;
        std::vector<float> padded(static_cast<size_t>(padded_width * (horizontal.phases > 0 ? 1 : lanes)));
        std::vector<float> columns, summed;
        std::vector<const float*> rows(static_cast<size_t>(std::max(vertical.taps, horizontal.taps)));
        const int64_t half = padded_width / 2, outputs = horizontal.outputs;
        if (horizontal.phases == 0) {
            columns.resize(padded.size());
            summed.resize(static_cast<size_t>(outputs * lanes));
        } else {
            columns.resize(static_cast<size_t>(2 * half));
            summed.resize(static_cast<size_t>(outputs + 1));
        }
        auto sum_vertically = [&](int64_t row, float* target) {
            float* const inside = target + horizontal.padding_left;
            const int64_t channel = row / vertical.outputs, j = row % vertical.outputs;
            for (int64_t a = 0; a < vertical.taps; ++a) {
                const int64_t y = std::clamp<int64_t>(int64_t{vertical.first[j]} + a, 0, height - 1);
                rows[static_cast<size_t>(a)] = planes + (channel * height + y) * width;
            }
            sum_rows(rows.data(), vertical.weights + j * vertical.taps, vertical.taps, width, inside);
            std::fill(target, inside, inside[0]);
            std::fill(inside + width, target + padded_width, inside[width - 1]);
        };
        if (horizontal.phases > 0) {
            for (int64_t row = begin; row < end; ++row) {
                float* const target = out + row * outputs;
                sum_vertically(row, padded.data());
                if (horizontal.step == 2) part_row(padded.data(), half, columns.data(), columns.data() + half);
                for (int64_t phase = 0; phase < horizontal.phases; ++phase) {
                    for (int64_t b = 0; b < horizontal.taps; ++b) {
                        const int64_t at = horizontal.first[static_cast<size_t>(phase)] + b;
                        rows[static_cast<size_t>(b)] =
                            horizontal.step == 1 ? padded.data() + at : columns.data() + at % 2 * half + at / 2;
                    }
                    const int64_t count = (outputs + horizontal.phases - 1 - phase) / horizontal.phases;
                    float* const summed_phase = summed.data() + phase * ((outputs + 1) / 2);
                    sum_rows(rows.data(), horizontal.weights + phase * horizontal.taps, horizontal.taps, count,
                             horizontal.phases == 1 ? target : summed_phase);
                }
                if (horizontal.phases == 2)
                    pair_up_row(summed.data(), summed.data() + (outputs + 1) / 2, outputs, target);
            }
            return;
        }
        for (int64_t first = begin; first < end; first += lanes) {
            const int64_t together = std::min(lanes, end - first);
            for (int64_t lane = 0; lane < together; ++lane) {
                sum_vertically(first + lane, padded.data() + lane * padded_width);
            }
            swap_axes(padded.data(), padded_width, together, padded_width, columns.data(), lanes);
            sum_columns(columns.data(), horizontal.first.data(), horizontal.weights, horizontal.taps, outputs,
                        summed.data());
            swap_axes(summed.data(), lanes, outputs, together, out + first * outputs, outputs);
        }
    });
}

}  // namespace variflow
