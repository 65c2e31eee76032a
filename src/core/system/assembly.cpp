// Assembling the linear system of one robust step, and the values of its terms.
//
// Pixels are handled in blocks that stay in the first-level cache, each in a few plain loops. Energies are summed per
// chunk of pixels or rows, and the chunks in order, so that they are the same for any number of threads.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "base/platform.hpp"
#include "base/threads.hpp"
#include "system/assembly.hpp"

namespace variflow {
namespace {

constexpr int64_t chunk_size = 32 * block_size;

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

// What one residual contributes, or two that are penalised jointly, in one pass. With the squared lengths n of the
// Jacobians and zeta together, a factor is the penalty's half weight at the mean of r^2 / n, divided by n.
VARIFLOW_CLONES
void add_one(const float* VARIFLOW_RESTRICT jx, const float* VARIFLOW_RESTRICT jy, const float* VARIFLOW_RESTRICT r,
             const float* VARIFLOW_RESTRICT weights, int count, const Constancy& term, float* VARIFLOW_RESTRICT a11,
             float* VARIFLOW_RESTRICT a12, float* VARIFLOW_RESTRICT a22, float* VARIFLOW_RESTRICT b1,
             float* VARIFLOW_RESTRICT b2) {
    const float zeta2 = term.normalisation * term.normalisation, weight = term.weight;
    with_penalty(term.penalty, [&](auto penalty) VARIFLOW_INLINE_LAMBDA {
        for (int i = 0; i < count; ++i) {
            const float n = jx[i] * jx[i] + jy[i] * jy[i] + zeta2;
            const float factor = weights[i] * weight * penalty.half_weight_of_quotient(r[i] * r[i], n);
            const float x = factor * jx[i], y = factor * jy[i];
            a11[i] += x * jx[i];
            a12[i] += x * jy[i];
            a22[i] += y * jy[i];
            b1[i] += x * r[i];
            b2[i] += y * r[i];
        }
    });
}

VARIFLOW_CLONES
void add_two(const float* VARIFLOW_RESTRICT jx, const float* VARIFLOW_RESTRICT jy, const float* VARIFLOW_RESTRICT r,
             const float* VARIFLOW_RESTRICT jx2, const float* VARIFLOW_RESTRICT jy2, const float* VARIFLOW_RESTRICT r2,
             const float* VARIFLOW_RESTRICT weights, int count, const Constancy& term, float* VARIFLOW_RESTRICT a11,
             float* VARIFLOW_RESTRICT a12, float* VARIFLOW_RESTRICT a22, float* VARIFLOW_RESTRICT b1,
             float* VARIFLOW_RESTRICT b2) {
    const float zeta2 = term.normalisation * term.normalisation, weight = 0.5f * term.weight;
    with_penalty(term.penalty, [&](auto penalty) VARIFLOW_INLINE_LAMBDA {
        for (int i = 0; i < count; ++i) {
            const float n = jx[i] * jx[i] + jy[i] * jy[i] + zeta2, n2 = jx2[i] * jx2[i] + jy2[i] * jy2[i] + zeta2;
            const float squared = 0.5f * (r[i] * r[i] * n2 + r2[i] * r2[i] * n);
            const float factor = weights[i] * weight * penalty.half_weight_of_quotient(squared, n * n2);
            const float x = factor * n2 * jx[i], y = factor * n2 * jy[i];
            const float x2 = factor * n * jx2[i], y2 = factor * n * jy2[i];
            a11[i] += x * jx[i] + x2 * jx2[i];
            a12[i] += x * jy[i] + x2 * jy2[i];
            a22[i] += y * jy[i] + y2 * jy2[i];
            b1[i] += x * r[i] + x2 * r2[i];
            b2[i] += y * r[i] + y2 * r2[i];
        }
    });
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
void mean_square(const DataTerm& term, int64_t pixels, int64_t first, int count, Field increment, Block& squared) {
    Block total;
    std::fill_n(squared.value, count, 0.0f);
    for (int64_t k = 0; k < term.residuals; ++k) {
        const int64_t at = k * pixels + first;
        add_increment(term.jx + at, term.jy + at, term.r + at, increment.u + first, increment.v + first, count,
                      total.value);
        square(term.jx + at, term.jy + at, total.value, count, term.constancy.normalisation, squared.value);
    }
    if (term.residuals > 1) scale(squared.value, count, 1.0f / static_cast<float>(term.residuals));
}

// The sum over a block of pixels of the weighted penalties; `squared` is used up.
double weighted_sum(const DataTerm& term, int64_t first, int count, const Block& squared) {
    Block values;
    penalise(term.constancy.penalty, squared.value, count, values.value);
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

// The squared differences over the edges that start in one block of a row, to the right and below, and what they count.
struct Differences {
    Block along[2];
    int count, counts[2];
    const float* guides[2];  // null where they all count 1
};

void differences(const SmoothnessTerm& term, int64_t height, int64_t width, int64_t y, int64_t x, int64_t count,
                 Field flow, Differences& out) {
    const int64_t first = y * width + x;
    const float *u = flow.u + first, *v = flow.v + first;
    out.count = static_cast<int>(count);
    out.counts[0] = x + out.count < width ? out.count : out.count - 1;
    out.counts[1] = y + 1 < height ? out.count : 0;
    out.guides[0] = term.guide_x ? term.guide_x + first : nullptr;
    out.guides[1] = term.guide_y ? term.guide_y + first : nullptr;
    squared_differences(u, u + 1, v, v + 1, out.counts[0], out.along[0].value);
    squared_differences(u, u + width, v, v + width, out.counts[1], out.along[1].value);
}

// The differences of each pixel's two edges together; the guide weighs them inside the penalty.
void join(Differences& edges, Block& squared) {
    std::fill_n(squared.value, edges.count, 0.0f);
    for (int axis = 0; axis < 2; ++axis) {
        float* const along = edges.along[axis].value;
        if (edges.guides[axis]) multiply(along, edges.guides[axis], edges.counts[axis]);
        for (int i = 0; i < edges.counts[axis]; ++i) squared.value[i] += along[i];
    }
}

double smoothness_block(const SmoothnessTerm& term, Differences& edges) {
    Block values;
    if (term.per_pixel) {
        Block squared;
        join(edges, squared);
        penalise(term.penalty, squared.value, edges.count, values.value);
        return sum(values.value, edges.count);
    }
    double energy = 0.0;
    for (int axis = 0; axis < 2; ++axis) {
        penalise(term.penalty, edges.along[axis].value, edges.counts[axis], values.value);
        if (edges.guides[axis]) multiply(values.value, edges.guides[axis], edges.counts[axis]);
        energy += sum(values.value, edges.counts[axis]);
    }
    return energy;
}

void weights_block(const SmoothnessTerm& term, Differences& edges, float* const (&out)[2]) {
    if (term.per_pixel) {
        Block squared, values;
        join(edges, squared);
        half_weights(term.penalty, squared.value, edges.count, term.weight, values.value);
        for (int axis = 0; axis < 2; ++axis) std::copy_n(values.value, edges.counts[axis], out[axis]);
    } else {
        for (int axis = 0; axis < 2; ++axis) {
            half_weights(term.penalty, edges.along[axis].value, edges.counts[axis], term.weight, out[axis]);
        }
    }
    for (int axis = 0; axis < 2; ++axis) {
        if (edges.guides[axis]) multiply(out[axis], edges.guides[axis], edges.counts[axis]);
        std::fill(out[axis] + edges.counts[axis], out[axis] + edges.count, 0.0f);
    }
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

void add_block(const Residual* residuals, int64_t number, int count, const float* weights, const Constancy& term,
               const Tensor& tensor) {
    constexpr float least = 1e-3f;  // from here on products of n do not vanish in single precision
    const auto [a11, a12, a22, b1, b2] = tensor;
    if (term.normalisation >= least && number <= 2) {
        const auto [jx, jy, r] = residuals[0];
        const auto [jx2, jy2, r2] = residuals[number - 1];
        if (number == 1) return add_one(jx, jy, r, weights, count, term, a11, a12, a22, b1, b2);
        return add_two(jx, jy, r, jx2, jy2, r2, weights, count, term, a11, a12, a22, b1, b2);
    }
    Block squared, factors;
    std::fill_n(squared.value, count, 0.0f);
    for (int64_t k = 0; k < number; ++k) {
        square(residuals[k].jx, residuals[k].jy, residuals[k].r, count, term.normalisation, squared.value);
    }
    if (number > 1) scale(squared.value, count, 1.0f / static_cast<float>(number));
    half_weights(term.penalty, squared.value, count, term.weight / static_cast<float>(number), factors.value);
    multiply(factors.value, weights, count);
    for (int64_t k = 0; k < number; ++k) {
        add_tensor(residuals[k].jx, residuals[k].jy, residuals[k].r, factors.value, count, term.normalisation, a11, a12,
                   a22, b1, b2);
    }
}

void add_block(const DataTerm& term, int64_t pixels, int64_t first, int count, const float* weights,
               std::vector<Residual>& residuals, const Tensor& tensor) {
    residuals.clear();
    for (int64_t k = 0; k < term.residuals; ++k) {
        const int64_t at = k * pixels + first;
        residuals.push_back({term.jx + at, term.jy + at, term.r + at});
    }
    add_block(residuals.data(), term.residuals, count, weights, term.constancy, tensor);
}

void add_data(const DataTerm& term, int64_t pixels, float* tensor) {
    parallel_for(pixels, chunk_size, [&](int64_t begin, int64_t end) {
        std::vector<Residual> residuals;
        for (int64_t first = begin; first < end; first += block_size) {
            const int count = static_cast<int>(std::min<int64_t>(block_size, end - first));
            add_block(term, pixels, first, count, term.weights + first, residuals, tensor_at(tensor, pixels, first));
        }
    });
}

double data_energy(const DataTerm& term, int64_t pixels, Field increment) {
    return sum_over_chunks(pixels, chunk_size, term.constancy.weight, [&](int64_t begin, int64_t end) {
        double energy = 0.0;
        for (int64_t first = begin; first < end; first += block_size) {
            const int count = static_cast<int>(std::min<int64_t>(block_size, end - first));
            Block squared;
            mean_square(term, pixels, first, count, increment, squared);
            energy += weighted_sum(term, first, count, squared);
        }
        return energy;
    });
}

void edge_weights_row(const SmoothnessTerm& term, int64_t height, int64_t width, int64_t y, int64_t begin, int64_t end,
                      Field flow, float* right, float* below) {
    Differences block;
    for (int64_t x = begin; x < end; x += block_size) {
        differences(term, height, width, y, x, std::min<int64_t>(block_size, end - x), flow, block);
        weights_block(term, block, {right + x - begin, below + x - begin});
    }
}

void edge_weights(const SmoothnessTerm& term, int64_t height, int64_t width, Field flow, float* edges) {
    parallel_for(height, rows_per_chunk(width), [&](int64_t begin, int64_t end) {
        for (int64_t y = begin; y < end; ++y) {
            float* const right = edges + y * width;
            edge_weights_row(term, height, width, y, 0, width, flow, right, right + height * width);
        }
    });
}

double smoothness_energy(const SmoothnessTerm& term, int64_t height, int64_t width, Field flow) {
    return sum_over_chunks(height, rows_per_chunk(width), term.weight, [&](int64_t begin, int64_t end) {
        Differences block;
        double energy = 0.0;
        for (int64_t y = begin; y < end; ++y) {
            for (int64_t x = 0; x < width; x += block_size) {
                differences(term, height, width, y, x, std::min<int64_t>(block_size, width - x), flow, block);
                energy += smoothness_block(term, block);
            }
        }
        return energy;
    });
}

void image_edges(const float* guide, Shape shape, float contrast, float* edges) {
    const int64_t channels = shape.channels, height = shape.height, width = shape.width;
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
