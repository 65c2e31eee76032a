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

#include "base/memory.hpp"
#include "base/pairs.hpp"
#include "base/platform.hpp"
#include "base/threads.hpp"
#include "image/image.hpp"

namespace variflow {
namespace {

// Rows are summed in groups of so many, and at most so many in one go: what halves has ten taps.
constexpr int64_t group = 8, most_at_once = 12;

// out(x) = sum_a weights(a) rows(a)(x), added to what it holds if so, of at most 12 rows.
VARIFLOW_CLONES
void sum_few_rows(const float* const* rows, const float* weights, int64_t taps, int64_t width, bool added,
                  float* VARIFLOW_RESTRICT out) {
    const auto sum = [=]<int64_t number, bool add>() VARIFLOW_INLINE_LAMBDA {
        constexpr int64_t first = number < group ? number : group;
        for (int64_t x = 0; x < width; ++x) {
            float total = weights[0] * rows[0][x];
            for (int64_t a = 1; a < first; ++a) total += weights[a] * rows[a][x];
            if constexpr (number > group) {
                float further = weights[group] * rows[group][x];
                for (int64_t a = group + 1; a < number; ++a) further += weights[a] * rows[a][x];
                total += further;
            }
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
    const int64_t at_once = taps <= most_at_once ? most_at_once : group;
    for (int64_t a = 0; a < taps; a += at_once) {
        sum_few_rows(rows + a, weights + a, std::min(at_once, taps - a), width, a > 0, out);
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

// A plane and its weights along y; the positions of the taps are the same for all planes.
struct Source {
    const float* plane;
    const float* weights;
};

// Makes rows of the output, in buffers of its own.
class RowResampler {
public:
    RowResampler(Shape shape, const Taps& vertical, const Horizontal& horizontal)
        : height_(shape.height),
          width_(shape.width),
          vertical_(vertical),
          horizontal_(horizontal),
          padded_width_(horizontal.padded_width + 1),
          half_(padded_width_ / 2),
          memory_(together() * (2 * padded_width_ + horizontal.outputs + 1)),
          padded_(memory_.take(together() * padded_width_)),
          columns_(memory_.take(together() * padded_width_)),
          summed_(memory_.take(together() * (horizontal.outputs + 1))),
          rows_(size(std::max(vertical.taps, horizontal.taps))) {}

    // How many rows are made at once.
    int64_t together() const { return horizontal_.phases > 0 ? 1 : lanes; }

    // The rows from `begin` on and before `end`.
    void make(const Source& source, int64_t begin, int64_t end, float* out) {
        for (int64_t first = begin; first < end; first += together()) {
            float* const target = out + (first - begin) * horizontal_.outputs;
            if (horizontal_.phases > 0) {
                sum_vertically(source, first, padded_);
                filter_row(target);
            } else {
                make_together(source, first, std::min(lanes, end - first), target);
            }
        }
    }

private:
    static size_t size(int64_t count) { return static_cast<size_t>(count); }

    void sum_vertically(const Source& source, int64_t row, float* target) {
        float* const inside = target + horizontal_.padding_left;
        for (int64_t a = 0; a < vertical_.taps; ++a) {
            const int64_t y = std::clamp<int64_t>(int64_t{vertical_.first[row]} + a, 0, height_ - 1);
            rows_[size(a)] = source.plane + y * width_;
        }
        sum_rows(rows_.data(), source.weights + row * vertical_.taps, vertical_.taps, width_, inside);
        std::fill(target, inside, inside[0]);
        std::fill(inside + width_, target + padded_width_, inside[width_ - 1]);
    }

    void filter_row(float* target) {
        const int64_t phases = horizontal_.phases, outputs = horizontal_.outputs, per_phase = (outputs + 1) / 2;
        if (horizontal_.step == 2) part_row(padded_, half_, columns_, columns_ + half_);
        for (int64_t phase = 0; phase < phases; ++phase) {
            for (int64_t b = 0; b < horizontal_.taps; ++b) {
                const int64_t at = horizontal_.first[size(phase)] + b;
                rows_[size(b)] = horizontal_.step == 1 ? padded_ + at : columns_ + at % 2 * half_ + at / 2;
            }
            sum_rows(rows_.data(), horizontal_.weights + phase * horizontal_.taps, horizontal_.taps,
                     (outputs + phases - 1 - phase) / phases, phases == 1 ? target : summed_ + phase * per_phase);
        }
        if (phases == 2) pair_up_row(summed_, summed_ + per_phase, outputs, target);
    }

    void make_together(const Source& source, int64_t first, int64_t number, float* target) {
        const int64_t outputs = horizontal_.outputs;
        for (int64_t lane = 0; lane < number; ++lane) {
            sum_vertically(source, first + lane, padded_ + lane * padded_width_);
        }
        swap_axes(padded_, padded_width_, number, padded_width_, columns_, lanes);
        sum_columns(columns_, horizontal_.first.data(), horizontal_.weights, horizontal_.taps, outputs, summed_);
        swap_axes(summed_, lanes, outputs, number, target, outputs);
    }

    int64_t height_, width_;
    const Taps& vertical_;
    const Horizontal& horizontal_;
    int64_t padded_width_, half_;
    Workspace memory_;
    float *padded_, *columns_, *summed_;
    std::vector<const float*> rows_;
};

}  // namespace

void resample(const float* planes, Shape shape, Taps vertical, Taps given, float* out) {
    const Horizontal horizontal(given, shape.width);
    const int64_t grain = rows_per_chunk(std::max(shape.width, given.outputs)), outputs = vertical.outputs;
    parallel_for(shape.channels * outputs, grain, [&](int64_t begin, int64_t end) {
        RowResampler rows(shape, vertical, horizontal);
        for (int64_t first = begin; first < end;) {
            const int64_t channel = first / outputs, last = std::min(end, (channel + 1) * outputs);
            const Source source{planes + channel * shape.height * shape.width, vertical.weights};
            rows.make(source, first % outputs, last - channel * outputs, out + first * given.outputs);
            first = last;
        }
    });
}

void resample_flow(const float* u, const float* v, Shape shape, Taps vertical, Taps given, float factor_u,
                   float factor_v, bool in_pairs, float* out) {
    const Horizontal horizontal(given, shape.width);
    const int64_t grain = rows_per_chunk(2 * std::max(shape.width, given.outputs)), width = given.outputs;
    std::vector<float> weights[2];
    for (const auto& [of_component, factor] : {std::pair{&weights[0], factor_u}, {&weights[1], factor_v}}) {
        of_component->assign(vertical.weights, vertical.weights + vertical.outputs * vertical.taps);
        for (float& weight : *of_component) weight *= factor;
    }
    const Source sources[] = {{u, weights[0].data()}, {v, weights[1].data()}};
    parallel_for(vertical.outputs, grain, [&](int64_t begin, int64_t end) {
        RowResampler rows(shape, vertical, horizontal);
        if (!in_pairs) {
            for (int64_t component = 0; component < 2; ++component) {
                rows.make(sources[component], begin, end, out + (component * vertical.outputs + begin) * width);
            }
            return;
        }
        Workspace made(2 * rows.together() * width);
        for (int64_t first = begin; first < end; first += rows.together()) {
            const int64_t last = std::min(first + rows.together(), end), count = (last - first) * width;
            rows.make(sources[0], first, last, made.data());
            rows.make(sources[1], first, last, made.data() + count);
            pair_up_row(made.data(), made.data() + count, 2 * count, out + 2 * first * width);
        }
    });
}

}  // namespace variflow
