// The values of the terms of a robust step, and what they penalise.
//
// Energies are summed per chunk of pixels or rows, and the chunks in order, so that they are the same for any number of
// threads.
#include <algorithm>
#include <numeric>
#include <vector>

#include "base/platform.hpp"
#include "base/sums.hpp"
#include "base/threads.hpp"
#include "system/assembly.hpp"

namespace variflow {
namespace {

constexpr int64_t chunk_size = 32 * block_size;

// total = r + jx du + jy dv
VARIFLOW_CLONES
void add_increment(const float* VARIFLOW_RESTRICT jx, const float* VARIFLOW_RESTRICT jy,
                   const float* VARIFLOW_RESTRICT r, const float* VARIFLOW_RESTRICT du,
                   const float* VARIFLOW_RESTRICT dv, int count, float* VARIFLOW_RESTRICT total) {
    for (int i = 0; i < count; ++i) total[i] = r[i] + jx[i] * du[i] + jy[i] * dv[i];
}

// factor * sum over chunks of body(begin, end).
template <typename Body>
double sum_over_chunks(int64_t count, int64_t grain, float factor, Body&& body) {
    std::vector<double> sums(static_cast<size_t>((count + grain - 1) / grain));
    parallel_for(count, grain,
                 [&](int64_t begin, int64_t end) { sums[static_cast<size_t>(begin / grain)] = body(begin, end); });
    return static_cast<double>(factor) * std::accumulate(sums.begin(), sums.end(), 0.0);
}

// The mean over the residuals of a block of pixels of their normalised squares, after an increment.
void mean_square(const DataTerm& term, int64_t pixels, int64_t first, int count, Field increment, float* squared) {
    Block total;
    std::fill_n(squared, count, 0.0f);
    for (int64_t k = 0; k < term.residuals; ++k) {
        const int64_t at = k * pixels + first;
        add_increment(term.jx + at, term.jy + at, term.r + at, increment.u + first, increment.v + first, count,
                      total.value);
        square({term.jx + at, term.jy + at, total.value}, count, term.penalisation.normalisation, squared);
    }
    if (term.residuals > 1) scale(squared, count, 1.0f / static_cast<float>(term.residuals));
}

// The sum over a block of pixels of the weighted penalties.
double weighted_sum(const Penalty& penalty, const float* weights, int count, const Block& squared) {
    Block values;
    penalise(penalty, squared.value, count, values.value);
    multiply(values.value, weights, count);
    return sum(values.value, count);
}

double smoothness_block(const SmoothnessTerm& term, Differences& edges) {
    Block values;
    if (term.per_pixel) {
        Block squared;
        join(edges, squared.value);
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

// Call visit(first, count) for each block of some pixels.
template <typename Visit>
void visit_blocks(int64_t begin, int64_t end, Visit&& visit) {
    for (int64_t first = begin; first < end; first += block_size) {
        visit(first, static_cast<int>(std::min<int64_t>(block_size, end - first)));
    }
}

}  // namespace

double data_energy(const DataTerm& term, const float* weights, int64_t pixels, Field increment) {
    return sum_over_chunks(pixels, chunk_size, term.penalisation.weight, [&](int64_t begin, int64_t end) {
        double energy = 0.0;
        visit_blocks(begin, end, [&](int64_t first, int count) {
            Block squared;
            mean_square(term, pixels, first, count, increment, squared.value);
            energy += weighted_sum(term.penalisation.penalty, weights + first, count, squared);
        });
        return energy;
    });
}

double smoothness_energy(const SmoothnessTerm& term, int64_t height, int64_t width, Field flow) {
    return sum_over_chunks(height, rows_per_chunk(width), term.weight, [&](int64_t begin, int64_t end) {
        Differences block;
        double energy = 0.0;
        for (int64_t y = begin; y < end; ++y) {
            visit_blocks(0, width, [&](int64_t x, int count) {
                differences(term, {height, width, x, y}, count, flow, block);
                energy += smoothness_block(term, block);
            });
        }
        return energy;
    });
}

void mean_squares(const DataTerm& term, int64_t pixels, Field increment, float* out) {
    parallel_for(pixels, chunk_size, [&](int64_t begin, int64_t end) {
        visit_blocks(begin, end, [&](int64_t first, int count) {
            mean_square(term, pixels, first, count, increment, out + first);
        });
    });
}

void squared_differences(const SmoothnessTerm& term, int64_t height, int64_t width, Field flow, float* out) {
    parallel_for(height, rows_per_chunk(width), [&](int64_t begin, int64_t end) {
        Differences block;
        for (int64_t y = begin; y < end; ++y) {
            visit_blocks(0, width, [&](int64_t x, int count) {
                differences(term, {height, width, x, y}, count, flow, block);
                float* const at = out + y * width + x;
                if (term.per_pixel) return join(block, at);
                for (int axis = 0; axis < 2; ++axis) {
                    float* const plane = at + axis * height * width;
                    std::copy_n(block.along[axis].value, block.counts[axis], plane);
                    std::fill(plane + block.counts[axis], plane + count, 0.0f);
                }
            });
        }
    });
}

}  // namespace variflow
