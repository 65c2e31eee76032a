// Assembling the linear system of one robust step.
//
// Pixels are handled in blocks that stay in the first-level cache, each in a few plain loops.
#include <algorithm>
#include <cmath>
#include <vector>

#include "base/platform.hpp"
#include "base/threads.hpp"
#include "system/assembly.hpp"

namespace variflow {
namespace {

constexpr int64_t chunk_size = 32 * block_size;

VARIFLOW_INLINE float normaliser(float jx, float jy, float zeta2) { return 1.0f / (jx * jx + jy * jy + zeta2); }

// Add the products of a scaled Jacobian (x, y), the Jacobian and the residual. What is read is held in registers: the
// compiler cannot know that planes do not overlap.
VARIFLOW_INLINE void add_products(const Tensor& tensor, int i, float x, float y, float jx, float jy, float r) {
    tensor.a11[i] += x * jx;
    tensor.a12[i] += x * jy;
    tensor.a22[i] += y * jy;
    tensor.b1[i] += x * r;
    tensor.b2[i] += y * r;
}

VARIFLOW_CLONES
void add_tensor(const Residual& residual, const float* factors, int count, float normalisation, const Tensor& out) {
    const float zeta2 = normalisation * normalisation;
    const float *const jx = residual.jx, *const jy = residual.jy, *const r = residual.r;
    const Tensor tensor = out;
    auto add = [&](int i, float factor, float along_x, float along_y) VARIFLOW_INLINE_LAMBDA {
        add_products(tensor, i, factor * along_x, factor * along_y, along_x, along_y, r[i]);
    };
    if (normalisation > 0.0f) {
        VARIFLOW_INDEPENDENT
        for (int i = 0; i < count; ++i) {
            const float along_x = jx[i], along_y = jy[i];
            add(i, factors[i] * normaliser(along_x, along_y, zeta2), along_x, along_y);
        }
    } else {
        VARIFLOW_INDEPENDENT
        for (int i = 0; i < count; ++i) add(i, factors[i], jx[i], jy[i]);
    }
}

// What one residual contributes, or two that are penalised jointly, in one pass. With the squared lengths n of the
// Jacobians and zeta together, a factor is the penalty's half weight at the mean of r^2 / n, divided by n.
VARIFLOW_CLONES
void add_one(const Residual& residual, const float* weights, int count, const Penalisation& term, const Tensor& out) {
    const float zeta2 = term.normalisation * term.normalisation, weight = term.weight;
    const float *const jx = residual.jx, *const jy = residual.jy, *const r = residual.r;
    const Tensor tensor = out;
    with_penalty(term.penalty, [&](auto penalty) VARIFLOW_INLINE_LAMBDA {
        VARIFLOW_INDEPENDENT
        for (int i = 0; i < count; ++i) {
            const float along_x = jx[i], along_y = jy[i], value = r[i];
            const float n = along_x * along_x + along_y * along_y + zeta2;
            const float factor = weights[i] * weight * penalty.half_weight_of_quotient(value * value, n);
            add_products(tensor, i, factor * along_x, factor * along_y, along_x, along_y, value);
        }
    });
}

VARIFLOW_CLONES
void add_two(const Residual (&residuals)[2], const float* weights, int count, const Penalisation& term,
             const Tensor& out) {
    const float zeta2 = term.normalisation * term.normalisation, weight = 0.5f * term.weight;
    const float *const jx = residuals[0].jx, *const jy = residuals[0].jy, *const r = residuals[0].r;
    const float *const jx2 = residuals[1].jx, *const jy2 = residuals[1].jy, *const r2 = residuals[1].r;
    const Tensor tensor = out;
    with_penalty(term.penalty, [&](auto penalty) VARIFLOW_INLINE_LAMBDA {
        VARIFLOW_INDEPENDENT
        for (int i = 0; i < count; ++i) {
            const float gx = jx[i], gy = jy[i], value = r[i], gx2 = jx2[i], gy2 = jy2[i], value2 = r2[i];
            const float n = gx * gx + gy * gy + zeta2, n2 = gx2 * gx2 + gy2 * gy2 + zeta2;
            const float squared = 0.5f * (value * value * n2 + value2 * value2 * n);
            const float factor = weights[i] * weight * penalty.half_weight_of_quotient(squared, n * n2);
            const float x = factor * n2 * gx, y = factor * n2 * gy;
            const float x2 = factor * n * gx2, y2 = factor * n * gy2;
            tensor.a11[i] += x * gx + x2 * gx2;
            tensor.a12[i] += x * gy + x2 * gy2;
            tensor.a22[i] += y * gy + y2 * gy2;
            tensor.b1[i] += x * value + x2 * value2;
            tensor.b2[i] += y * value + y2 * value2;
        }
    });
}

VARIFLOW_CLONES
void add_squares(const float* VARIFLOW_RESTRICT jx, const float* VARIFLOW_RESTRICT jy, const float* VARIFLOW_RESTRICT r,
                 int count, float normalisation, float* VARIFLOW_RESTRICT squared) {
    const float zeta2 = normalisation * normalisation;
    if (normalisation > 0.0f) {
        for (int i = 0; i < count; ++i) squared[i] += r[i] * r[i] * normaliser(jx[i], jy[i], zeta2);
    } else {
        for (int i = 0; i < count; ++i) squared[i] += r[i] * r[i];
    }
}

VARIFLOW_CLONES
void multiply_by_number(float* VARIFLOW_RESTRICT values, int count, float factor) {
    for (int i = 0; i < count; ++i) values[i] *= factor;
}

VARIFLOW_CLONES
void multiply_by_plane(float* VARIFLOW_RESTRICT values, const float* VARIFLOW_RESTRICT factors, int count) {
    for (int i = 0; i < count; ++i) values[i] *= factors[i];
}

// The squared differences of a flow over `count` edges, from (u, v) to (u_next, v_next).
VARIFLOW_CLONES
void square_differences(const float* VARIFLOW_RESTRICT u, const float* VARIFLOW_RESTRICT u_next,
                        const float* VARIFLOW_RESTRICT v, const float* VARIFLOW_RESTRICT v_next, int count,
                        float* VARIFLOW_RESTRICT squared) {
    for (int i = 0; i < count; ++i) {
        const float du = u_next[i] - u[i], dv = v_next[i] - v[i];
        squared[i] = du * du + dv * dv;
    }
}

void weights_block(const SmoothnessTerm& term, Differences& edges, float* const (&out)[2]) {
    if (term.per_pixel) {
        Block squared, values;
        join(edges, squared.value);
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

// weights = exp(-sqrt(weights / channels) / contrast), or `least` where that is more
VARIFLOW_CLONES
void edges_from_squares(float* VARIFLOW_RESTRICT weights, int64_t count, float channels, float contrast, float least) {
    const float mean = 1.0f / channels, rate = -1.0f / contrast;
    for (int64_t i = 0; i < count; ++i) weights[i] = std::max(exponential(rate * std::sqrt(mean * weights[i])), least);
}

VARIFLOW_CLONES
void add_squared_difference(const float* VARIFLOW_RESTRICT from, const float* VARIFLOW_RESTRICT to, int64_t count,
                            float* VARIFLOW_RESTRICT total) {
    for (int64_t i = 0; i < count; ++i) total[i] += (to[i] - from[i]) * (to[i] - from[i]);
}

}  // namespace

void square(const Residual& residual, int count, float normalisation, float* squared) {
    add_squares(residual.jx, residual.jy, residual.r, count, normalisation, squared);
}

void scale(float* values, int count, float factor) { multiply_by_number(values, count, factor); }

void multiply(float* values, const float* factors, int count) { multiply_by_plane(values, factors, count); }

void mean_square(const std::vector<Residual>& residuals, int count, float normalisation, float* squared) {
    std::fill_n(squared, count, 0.0f);
    for (const Residual& residual : residuals) square(residual, count, normalisation, squared);
    if (residuals.size() > 1) scale(squared, count, 1.0f / static_cast<float>(residuals.size()));
}

void add_block(const std::vector<Residual>& residuals, int count, const float* weights, const Penalisation& term,
               const Tensor& tensor) {
    constexpr float least = 1e-3f;  // from here on products of n do not vanish in single precision
    const auto number = static_cast<float>(residuals.size());
    const bool at_once = term.normalisation >= least && term.penalty.kind != PenaltyKind::tabulated;
    if (at_once && residuals.size() == 1) return add_one(residuals[0], weights, count, term, tensor);
    if (at_once && residuals.size() == 2) {
        return add_two({residuals[0], residuals[1]}, weights, count, term, tensor);
    }
    Block squared, factors;
    mean_square(residuals, count, term.normalisation, squared.value);
    half_weights(term.penalty, squared.value, count, term.weight / number, factors.value);
    multiply(factors.value, weights, count);
    for (const Residual& residual : residuals) {
        add_tensor(residual, factors.value, count, term.normalisation, tensor);
    }
}

void residuals_of(const DataTerm& term, int64_t pixels, int64_t first, std::vector<Residual>& residuals) {
    residuals.clear();
    for (int64_t k = 0; k < term.residuals; ++k) {
        const int64_t at = k * pixels + first;
        residuals.push_back({term.jx + at, term.jy + at, term.r + at});
    }
}

void add_data(const DataTerm& term, const float* weights, int64_t pixels, float* tensor) {
    parallel_for(pixels, chunk_size, [&](int64_t begin, int64_t end) {
        std::vector<Residual> residuals;
        for (int64_t first = begin; first < end; first += block_size) {
            const int count = static_cast<int>(std::min<int64_t>(block_size, end - first));
            residuals_of(term, pixels, first, residuals);
            add_block(residuals, count, weights + first, term.penalisation, tensor_at(tensor, pixels, first));
        }
    });
}

void differences(const SmoothnessTerm& term, const Place& at, int64_t count, Field flow, Differences& out) {
    const int64_t first = at.y * at.width + at.x;
    const float *u = flow.u + first, *v = flow.v + first;
    out.count = static_cast<int>(count);
    out.counts[0] = at.x + out.count < at.width ? out.count : out.count - 1;
    out.counts[1] = at.y + 1 < at.height ? out.count : 0;
    out.guides[0] = term.guide_x ? term.guide_x + first : nullptr;
    out.guides[1] = term.guide_y ? term.guide_y + first : nullptr;
    square_differences(u, u + 1, v, v + 1, out.counts[0], out.along[0].value);
    square_differences(u, u + at.width, v, v + at.width, out.counts[1], out.along[1].value);
}

void join(Differences& edges, float* squared) {
    std::fill_n(squared, edges.count, 0.0f);
    for (int axis = 0; axis < 2; ++axis) {
        float* const along = edges.along[axis].value;
        if (edges.guides[axis]) multiply(along, edges.guides[axis], edges.counts[axis]);
        for (int i = 0; i < edges.counts[axis]; ++i) squared[i] += along[i];
    }
}

void edge_weights_row(const SmoothnessTerm& term, int64_t height, int64_t width, int64_t y, int64_t begin, int64_t end,
                      Field flow, float* right, float* below) {
    Differences block;
    for (int64_t x = begin; x < end; x += block_size) {
        differences(term, {height, width, x, y}, std::min<int64_t>(block_size, end - x), flow, block);
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

void image_edges(const float* guide, Shape shape, float contrast, float least, float* edges) {
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
            edges_from_squares(edges_x, width - 1, static_cast<float>(channels), contrast, least);
            if (below) edges_from_squares(edges_y, width, static_cast<float>(channels), contrast, least);
        }
    });
}

}  // namespace variflow
