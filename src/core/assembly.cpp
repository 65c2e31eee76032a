// Assembling the linear system of one robust step, and the values of its terms.
//
// Pixels are handled in blocks that stay in the first-level cache, each in a few plain loops. Energies are summed per
// chunk of pixels or rows, and the chunks in order, so that they are the same for any number of threads.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "platform.hpp"
#include "system.hpp"
#include "threads.hpp"

namespace variflow {
namespace {

constexpr int block_size = 512;
constexpr int64_t chunk_size = 32 * block_size;

struct alignas(64) Block {
    float value[block_size];
};

VARIFLOW_INLINE float normaliser(float jx, float jy, float zeta2) { return 1.0f / (jx * jx + jy * jy + zeta2); }

// squared += theta r^2
VARIFLOW_CLONES
void square(const float* VARIFLOW_RESTRICT jx, const float* VARIFLOW_RESTRICT jy, const float* VARIFLOW_RESTRICT r,
            int count, float normalisation, float* VARIFLOW_RESTRICT squared) {
    const float zeta2 = normalisation * normalisation;
    if (normalisation > 0.0f) {
        for (int i = 0; i < count; ++i) squared[i] += r[i] * r[i] * normaliser(jx[i], jy[i], zeta2);
    } else {
        for (int i = 0; i < count; ++i) squared[i] += r[i] * r[i];
    }
}

// total = r + jx du + jy dv
VARIFLOW_CLONES
void add_increment(const float* VARIFLOW_RESTRICT jx, const float* VARIFLOW_RESTRICT jy,
                   const float* VARIFLOW_RESTRICT r, const float* VARIFLOW_RESTRICT du,
                   const float* VARIFLOW_RESTRICT dv, int count, float* VARIFLOW_RESTRICT total) {
    for (int i = 0; i < count; ++i) total[i] = r[i] + jx[i] * du[i] + jy[i] * dv[i];
}

VARIFLOW_CLONES
void add_tensor(const float* VARIFLOW_RESTRICT jx, const float* VARIFLOW_RESTRICT jy, const float* VARIFLOW_RESTRICT r,
                const float* VARIFLOW_RESTRICT factors, int count, float normalisation, float* VARIFLOW_RESTRICT a11,
                float* VARIFLOW_RESTRICT a12, float* VARIFLOW_RESTRICT a22, float* VARIFLOW_RESTRICT b1,
                float* VARIFLOW_RESTRICT b2) {
    const float zeta2 = normalisation * normalisation;
    auto add = [&](int i, float factor) {
        const float x = factor * jx[i], y = factor * jy[i];
        a11[i] += x * jx[i];
        a12[i] += x * jy[i];
        a22[i] += y * jy[i];
        b1[i] += x * r[i];
        b2[i] += y * r[i];
    };
    if (normalisation > 0.0f) {
        for (int i = 0; i < count; ++i) add(i, factors[i] * normaliser(jx[i], jy[i], zeta2));
    } else {
        for (int i = 0; i < count; ++i) add(i, factors[i]);
    }
}

VARIFLOW_CLONES
void scale(float* VARIFLOW_RESTRICT values, int count, float factor) {
    for (int i = 0; i < count; ++i) values[i] *= factor;
}

VARIFLOW_CLONES
void multiply(float* VARIFLOW_RESTRICT values, const float* VARIFLOW_RESTRICT factors, int count) {
    for (int i = 0; i < count; ++i) values[i] *= factors[i];
}

VARIFLOW_CLONES
void half_weights(Penalty penalty, const float* VARIFLOW_RESTRICT squared, int count, float factor,
                  float* VARIFLOW_RESTRICT weights) {
    with_penalty(penalty, [&](auto function) VARIFLOW_INLINE_LAMBDA {
        for (int i = 0; i < count; ++i) weights[i] = factor * function.half_weight(squared[i]);
    });
}

VARIFLOW_CLONES
void penalise(Penalty penalty, const float* VARIFLOW_RESTRICT squared, int count, float* VARIFLOW_RESTRICT values) {
    with_penalty(penalty, [&](auto function) VARIFLOW_INLINE_LAMBDA {
        for (int i = 0; i < count; ++i) values[i] = function.value(squared[i]);
    });
}

// In as many running sums as vector instructions want.
VARIFLOW_CLONES
double sum(const float* VARIFLOW_RESTRICT values, int count) {
    constexpr int lanes = 16;
    double sums[lanes] = {};
    int i = 0;
    for (; i + lanes <= count; i += lanes) {
        for (int lane = 0; lane < lanes; ++lane) sums[lane] += static_cast<double>(values[i + lane]);
    }
    for (; i < count; ++i) sums[0] += static_cast<double>(values[i]);
    double total = 0.0;
    for (const double part : sums) total += part;
    return total;
}

// factor * sum over chunks of body(begin, end).
template <typename Body>
double sum_over_chunks(int64_t count, int64_t grain, float factor, Body&& body) {
    std::vector<double> sums(static_cast<size_t>((count + grain - 1) / grain));
    parallel_for(count, grain,
                 [&](int64_t begin, int64_t end) { sums[static_cast<size_t>(begin / grain)] = body(begin, end); });
    return static_cast<double>(factor) * std::accumulate(sums.begin(), sums.end(), 0.0);
}

// The mean over the residuals of a block of pixels of their normalised squares.
void mean_square(const DataTerm& term, int64_t pixels, int64_t first, int count, const Field* increment,
                 Block& squared) {
    Block total;
    std::fill_n(squared.value, count, 0.0f);
    for (int64_t k = 0; k < term.residuals; ++k) {
        const int64_t at = k * pixels + first;
        const float* r = term.r + at;
        if (increment) {
            add_increment(term.jx + at, term.jy + at, r, increment->u + first, increment->v + first, count,
                          total.value);
            r = total.value;
        }
        square(term.jx + at, term.jy + at, r, count, term.normalisation, squared.value);
    }
    if (term.residuals > 1) scale(squared.value, count, 1.0f / static_cast<float>(term.residuals));
}

// The sum over a block of pixels of the weighted penalties; `squared` is used up.
double weighted_sum(const DataTerm& term, int64_t first, int count, const Block& squared) {
    Block values;
    penalise(term.penalty, squared.value, count, values.value);
    multiply(values.value, term.weights + first, count);
    return sum(values.value, count);
}

// The squared differences of a flow over `count` edges, from (u, v) to (u_next, v_next).
VARIFLOW_CLONES
void squared_differences(const float* VARIFLOW_RESTRICT u, const float* VARIFLOW_RESTRICT u_next,
                         const float* VARIFLOW_RESTRICT v, const float* VARIFLOW_RESTRICT v_next, int count,
                         float* VARIFLOW_RESTRICT squared) {
    for (int i = 0; i < count; ++i) {
        const float du = u_next[i] - u[i], dv = v_next[i] - v[i];
        squared[i] = du * du + dv * dv;
    }
}

// One block of a row: `edges_x` and `edges_y` are where its weights go, or null for the energy alone.
double smoothness_block(const SmoothnessTerm& term, int64_t first, int count, int count_x, int count_y, int64_t width,
                        Field flow, float* edges_x, float* edges_y) {
    const float *u = flow.u + first, *v = flow.v + first;
    Block along[2], values;
    const int counts[2] = {count_x, count_y};
    const float* guides[2] = {term.guide_x ? term.guide_x + first : nullptr,
                              term.guide_y ? term.guide_y + first : nullptr};
    float* const edges[2] = {edges_x, edges_y};
    squared_differences(u, u + 1, v, v + 1, count_x, along[0].value);
    squared_differences(u, u + width, v, v + width, count_y, along[1].value);
    double energy = 0.0;
    if (term.per_pixel) {
        // The guide weighs the squared differences, inside the penalty.
        Block squared;
        std::fill_n(squared.value, count, 0.0f);
        for (int axis = 0; axis < 2; ++axis) {
            if (guides[axis]) multiply(along[axis].value, guides[axis], counts[axis]);
            for (int i = 0; i < counts[axis]; ++i) squared.value[i] += along[axis].value[i];
        }
        penalise(term.penalty, squared.value, count, values.value);
        energy = sum(values.value, count);
        if (edges_x) {
            half_weights(term.penalty, squared.value, count, term.weight, values.value);
            for (int axis = 0; axis < 2; ++axis) std::copy_n(values.value, counts[axis], edges[axis]);
        }
    } else {
        for (int axis = 0; axis < 2; ++axis) {
            penalise(term.penalty, along[axis].value, counts[axis], values.value);
            if (guides[axis]) multiply(values.value, guides[axis], counts[axis]);
            energy += sum(values.value, counts[axis]);
            if (edges_x) half_weights(term.penalty, along[axis].value, counts[axis], term.weight, edges[axis]);
        }
    }
    if (edges_x) {
        for (int axis = 0; axis < 2; ++axis) {
            if (guides[axis]) multiply(edges[axis], guides[axis], counts[axis]);
            std::fill(edges[axis] + counts[axis], edges[axis] + count, 0.0f);
        }
    }
    return energy;
}

double smoothness(const SmoothnessTerm& term, int64_t height, int64_t width, Field flow, float* edges) {
    return sum_over_chunks(height, rows_per_chunk(width), term.weight, [&](int64_t begin, int64_t end) {
        double energy = 0.0;
        for (int64_t y = begin; y < end; ++y) {
            for (int64_t x = 0; x < width; x += block_size) {
                const int count = static_cast<int>(std::min<int64_t>(block_size, width - x));
                const int count_x = x + count < width ? count : count - 1;
                const int count_y = y + 1 < height ? count : 0;
                const int64_t first = y * width + x;
                float* edges_x = edges ? edges + first : nullptr;
                float* edges_y = edges ? edges + height * width + first : nullptr;
                energy += smoothness_block(term, first, count, count_x, count_y, width, flow, edges_x, edges_y);
            }
        }
        return energy;
    });
}

// weights = exp(-sqrt(weights / channels) / contrast)
VARIFLOW_CLONES
void edges_from_squares(float* VARIFLOW_RESTRICT weights, int64_t count, float channels, float contrast) {
    const float mean = 1.0f / channels, rate = -1.0f / contrast;
    for (int64_t i = 0; i < count; ++i) weights[i] = exponential(rate * std::sqrt(mean * weights[i]));
}

VARIFLOW_CLONES
void add_squared_difference(const float* VARIFLOW_RESTRICT from, const float* VARIFLOW_RESTRICT to, int64_t count,
                            float* VARIFLOW_RESTRICT total) {
    for (int64_t i = 0; i < count; ++i) total[i] += (to[i] - from[i]) * (to[i] - from[i]);
}

}  // namespace

double add_data(const DataTerm& term, int64_t pixels, float* tensor) {
    const float factor = term.weight / static_cast<float>(term.residuals);
    return sum_over_chunks(pixels, chunk_size, term.weight, [&](int64_t begin, int64_t end) {
        double energy = 0.0;
        for (int64_t first = begin; first < end; first += block_size) {
            const int count = static_cast<int>(std::min<int64_t>(block_size, end - first));
            Block squared, factors;
            mean_square(term, pixels, first, count, nullptr, squared);
            energy += weighted_sum(term, first, count, squared);
            half_weights(term.penalty, squared.value, count, factor, factors.value);
            multiply(factors.value, term.weights + first, count);
            float* const at = tensor + first;
            for (int64_t k = 0; k < term.residuals; ++k) {
                const int64_t plane = k * pixels + first;
                add_tensor(term.jx + plane, term.jy + plane, term.r + plane, factors.value, count, term.normalisation,
                           at, at + pixels, at + 2 * pixels, at + 3 * pixels, at + 4 * pixels);
            }
        }
        return energy;
    });
}

double data_energy(const DataTerm& term, int64_t pixels, Field increment) {
    return sum_over_chunks(pixels, chunk_size, term.weight, [&](int64_t begin, int64_t end) {
        double energy = 0.0;
        for (int64_t first = begin; first < end; first += block_size) {
            const int count = static_cast<int>(std::min<int64_t>(block_size, end - first));
            Block squared;
            mean_square(term, pixels, first, count, &increment, squared);
            energy += weighted_sum(term, first, count, squared);
        }
        return energy;
    });
}

double edge_weights(const SmoothnessTerm& term, int64_t height, int64_t width, Field flow, float* edges) {
    return smoothness(term, height, width, flow, edges);
}

double smoothness_energy(const SmoothnessTerm& term, int64_t height, int64_t width, Field flow) {
    return smoothness(term, height, width, flow, nullptr);
}

void image_edges(const float* guide, Shape shape, float contrast, float* edges) {
    const auto [channels, height, width] = shape;
    const int64_t pixels = height * width;
    parallel_for(height, rows_per_chunk(width), [=](int64_t begin, int64_t end) {
        for (int64_t y = begin; y < end; ++y) {
            float *edges_x = edges + y * width, *edges_y = edges + pixels + y * width;
            const int64_t below = y + 1 < height ? width : 0;
            std::fill_n(edges_x, width, 0.0f);
            std::fill_n(edges_y, width, 0.0f);
            for (int64_t channel = 0; channel < channels; ++channel) {
                const float* row = guide + channel * pixels + y * width;
                add_squared_difference(row, row + 1, width - 1, edges_x);
                if (below) add_squared_difference(row, row + below, width, edges_y);
            }
            edges_from_squares(edges_x, width - 1, static_cast<float>(channels), contrast);
            if (below) edges_from_squares(edges_y, width, static_cast<float>(channels), contrast);
        }
    });
}

}  // namespace variflow
