// Conjugate gradients for the linear system of a step, preconditioned by a multigrid cycle.
//
// The coarser system has one pixel for every 2x2 pixels, whose increments are equal. So its motion tensor is the sum of
// theirs, and an edge would be the sum of the two edges it stands for: but the difference between coarse neighbours would
// all be at those edges, where it costs twice what it costs when spread over the distance, so the edge is half the sum
// (Braess, Towards algebraic multigrid for elliptic problems of second order, Computing 55, 1995). With two red-black
// sweeps before and two after, in the opposite order so that the cycle is symmetric, and conjugate gradients to make up
// for what the constant interpolation misses, each cycle of a Poisson-like system reduces the residual about 20 times.
//
// In a grid's split storage the 2x2 pixels of coarse column j are number j of both colours in both rows: restriction and
// interpolation add whole rows.
#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <vector>

#include "base/pairs.hpp"
#include "base/platform.hpp"
#include "base/threads.hpp"
#include "system/relaxation.hpp"

namespace variflow {
namespace {

constexpr int64_t half_sweeps = 4;  // before, and after, the coarser level's correction
constexpr int64_t vector_size = 16;

// Further fields of the finest grid: the solution, the search direction and its product with the matrix.
enum : int64_t {
    solution = Grid::relaxation_fields,
    direction = solution + 2,
    product = direction + 2,
    finest_fields = product + 2
};

// Kernels on rows

// out[j] = a[2j] + a[2j + 1] + b[2j] + b[2j + 1]
VARIFLOW_CLONES
void sum_squares(const float* VARIFLOW_RESTRICT a, const float* VARIFLOW_RESTRICT b, int64_t count,
                 float* VARIFLOW_RESTRICT out) {
    for (int64_t j = 0; j < count; ++j) out[j] = a[2 * j] + a[2 * j + 1] + b[2 * j] + b[2 * j + 1];
}

// out[j] -= a[2j] + a[2j + 1]
VARIFLOW_CLONES
void subtract_pairs(const float* VARIFLOW_RESTRICT a, int64_t width, float* VARIFLOW_RESTRICT out) {
    for (int64_t j = 0; j < width / 2; ++j) out[j] -= a[2 * j] + a[2 * j + 1];
    if (width % 2) out[width / 2] -= a[width - 1];
}

// out[i] = a[i] + b[i / 2]
VARIFLOW_CLONES
void add_to_pairs(const float* VARIFLOW_RESTRICT a, const float* VARIFLOW_RESTRICT b, int64_t width,
                  float* VARIFLOW_RESTRICT out) {
    for (int64_t j = 0; j < width / 2; ++j) {
        out[2 * j] = a[2 * j] + b[j];
        out[2 * j + 1] = a[2 * j + 1] + b[j];
    }
    if (width % 2) out[width - 1] = a[width - 1] + b[width / 2];
}

// out[j] = (a[2j + 1] + b[2j + 1]) / 2
VARIFLOW_CLONES
void halve_right(const float* VARIFLOW_RESTRICT a, const float* VARIFLOW_RESTRICT b, int64_t count,
                 float* VARIFLOW_RESTRICT out) {
    for (int64_t j = 0; j < count; ++j) out[j] = 0.5f * (a[2 * j + 1] + b[2 * j + 1]);
}

// out[j] = (a[2j] + a[2j + 1]) / 2
VARIFLOW_CLONES
void halve_pair(const float* VARIFLOW_RESTRICT a, int64_t count, float* VARIFLOW_RESTRICT out) {
    for (int64_t j = 0; j < count; ++j) out[j] = 0.5f * (a[2 * j] + a[2 * j + 1]);
}

// The product of the matrix with two fields, `field` and the next one, at the pixels of one colour of a row.
VARIFLOW_CLONES
void multiply_row(const float* VARIFLOW_RESTRICT own, const float* VARIFLOW_RESTRICT other,
                  const float* VARIFLOW_RESTRICT above, const float* VARIFLOW_RESTRICT below, int64_t field,
                  int64_t stride, int64_t count, int64_t odd, float* VARIFLOW_RESTRICT out1,
                  float* VARIFLOW_RESTRICT out2) {
    const float *x = own + field * stride, *y = x + stride;
    const float *x_left = other + field * stride - 1 + odd, *y_left = x_left + stride;
    const float *x_above = above + field * stride, *y_above = x_above + stride;
    const float *x_below = below + field * stride, *y_below = x_below + stride;
    const float* ratio = own + Grid::ratio * stride;
    const float *inverse1 = own + Grid::inverse1 * stride, *inverse2 = own + Grid::inverse2 * stride;
    const float *edge_right = own + Grid::edge_x * stride, *edge_below = own + Grid::edge_y * stride;
    const float *edge_left = other + Grid::edge_x * stride - 1 + odd, *edge_above = above + Grid::edge_y * stride;
    for (int64_t i = 0; i < count; ++i) {
        // Behind the pixels, where the inverses are zero, everything is.
        const float a11 = inverse1[i] > 0.0f ? 1.0f / inverse1[i] : 0.0f, a12 = ratio[i] * a11;
        const float a22 = (inverse2[i] > 0.0f ? 1.0f / inverse2[i] : 0.0f) + ratio[i] * a12;
        out1[i] = a11 * x[i] + a12 * y[i] - edge_left[i] * x_left[i] - edge_right[i] * x_left[i + 1] -
                  edge_above[i] * x_above[i] - edge_below[i] * x_below[i];
        out2[i] = a12 * x[i] + a22 * y[i] - edge_left[i] * y_left[i] - edge_right[i] * y_left[i + 1] -
                  edge_above[i] * y_above[i] - edge_below[i] * y_below[i];
    }
}

VARIFLOW_CLONES
void subtract(const float* VARIFLOW_RESTRICT a, const float* VARIFLOW_RESTRICT b, int64_t count,
              float* VARIFLOW_RESTRICT total) {
    for (int64_t i = 0; i < count; ++i) total[i] += a[i] - b[i];
}

// to += factor * from
VARIFLOW_CLONES
void add(const float* VARIFLOW_RESTRICT from, float factor, int64_t count, float* VARIFLOW_RESTRICT to) {
    for (int64_t i = 0; i < count; ++i) to[i] += factor * from[i];
}

// to = from + factor * to
VARIFLOW_CLONES
void add_to_scaled(const float* VARIFLOW_RESTRICT from, float factor, int64_t count, float* VARIFLOW_RESTRICT to) {
    for (int64_t i = 0; i < count; ++i) to[i] = from[i] + factor * to[i];
}

// `count` is a multiple of the lanes.
VARIFLOW_CLONES
double dot(const float* VARIFLOW_RESTRICT a, const float* VARIFLOW_RESTRICT b, int64_t count) {
    constexpr int64_t lanes = vector_size;
    double sums[lanes] = {};
    for (int64_t i = 0; i < count; i += lanes) {
        for (int64_t lane = 0; lane < lanes; ++lane) {
            sums[lane] += static_cast<double>(a[i + lane]) * static_cast<double>(b[i + lane]);
        }
    }
    return std::accumulate(sums, sums + lanes, 0.0);
}

// Call function(row, color, fields) for all rows and both colours.
template <typename Function>
void for_fields(const Grid& grid, Function&& function) {
    parallel_for(grid.height(), rows_per_chunk(grid.width()), [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row) {
            for (int64_t color = 0; color < 2; ++color) function(row, color, grid.row(row, color));
        }
    });
}

// The sum of function(row, color, fields). Rows are summed in order, so that it is the same for any number of threads.
template <typename Function>
double sum_fields(const Grid& grid, Function&& function) {
    std::vector<double> sums(static_cast<size_t>(2 * grid.height()));
    for_fields(grid, [&](int64_t row, int64_t color, float* fields) {
        sums[static_cast<size_t>(2 * row + color)] = function(row, color, fields);
    });
    return std::accumulate(sums.begin(), sums.end(), 0.0);
}

// The scalar product of two pairs of fields in one row and colour.
double dot(const Grid& grid, const float* fields, int64_t field, int64_t other) {
    const int64_t stride = grid.stride();
    const float *a = fields + field * stride, *b = fields + other * stride;
    return dot(a, b, grid.count()) + dot(a + stride, b + stride, grid.count());
}

void multiply(const Grid& grid, int64_t field, int64_t row, int64_t color, float* out1, float* out2) {
    multiply_row(grid.row(row, color), grid.row(row, 1 - color), grid.row(row - 1, 1 - color),
                 grid.row(row + 1, 1 - color), field, grid.stride(), grid.count(), parity(row, color), out1, out2);
}

// The planes of a coarser system. The flow around it is zero, and so is its right side until it takes another.
class CoarseSystem {
public:
    explicit CoarseSystem(const System& fine)
        : height_((fine.height + 1) / 2), width_((fine.width + 1) / 2), planes_(8 * height_ * width_) {
        const int64_t pixels = height_ * width_, fine_pixels = fine.height * fine.width;
        float* const tensor = planes_.data();
        float* const edges = tensor + 5 * pixels;
        parallel_for(height_, rows_per_chunk(2 * fine.width), [&](int64_t begin, int64_t end) {
            const std::vector<float> nothing(static_cast<size_t>(fine.width), 0.0f);
            // Pairs of columns; a last column that is alone is a pair with a zero beside it.
            const int64_t pairs = fine.width / 2, alone = fine.width % 2, last = fine.width - 1;
            for (int64_t row = begin; row < end; ++row) {
                const int64_t upper = 2 * row * fine.width, at = row * width_;
                const bool has_lower = 2 * row + 1 < fine.height, has_below = 2 * row + 2 < fine.height;
                auto rows = [&](const float* plane, const float*& a, const float*& b) {
                    a = plane + upper;
                    b = has_lower ? a + fine.width : nothing.data();
                };
                const float *a, *b;
                for (int64_t plane = 0; plane < 3; ++plane) {
                    rows(fine.tensor + plane * fine_pixels, a, b);
                    float* const out = tensor + plane * pixels + at;
                    sum_squares(a, b, pairs, out);
                    if (alone) out[pairs] = a[last] + b[last];
                }
                std::fill_n(tensor + 3 * pixels + at, width_, 0.0f);
                std::fill_n(tensor + 4 * pixels + at, width_, 0.0f);
                std::fill_n(tensor + 7 * pixels + at, width_, 0.0f);
                rows(fine.edges, a, b);
                halve_right(a, b, pairs, edges + at);
                if (!alone && pairs > 0) edges[at + pairs - 1] = 0.0f;
                if (alone) edges[at + pairs] = 0.0f;
                rows(fine.edges + fine_pixels, a, b);
                float* const edges_y = edges + pixels + at;
                if (!has_below) b = nothing.data();
                halve_pair(b, pairs, edges_y);
                if (alone) edges_y[pairs] = 0.5f * b[last];
            }
        });
    }

    // Let the right side be the sums of what is missing on the fine grid, two planes.
    void take_residual(const float* missing, int64_t fine_height, int64_t fine_width) {
        parallel_for(height_, rows_per_chunk(2 * fine_width), [&](int64_t begin, int64_t end) {
            for (int64_t row = begin; row < end; ++row) {
                for (int64_t component = 0; component < 2; ++component) {
                    float* const out = planes_.data() + ((3 + component) * height_ + row) * width_;
                    for (int64_t y = 2 * row; y < std::min(2 * row + 2, fine_height); ++y) {
                        subtract_pairs(missing + (component * fine_height + y) * fine_width, fine_width, out);
                    }
                }
            }
        });
    }

    int64_t pixels() const { return height_ * width_; }
    System system() const {
        const int64_t pixels = height_ * width_;
        const float *tensor = planes_.data(), *zero = tensor + 7 * pixels;
        return {tensor, tensor + 5 * pixels, {zero, zero}, height_, width_};
    }

private:
    int64_t height_, width_;
    Workspace planes_;
};

// One level's grid and all coarser ones.
class Level {
public:
    // The grid's right side is that of the increments on `start`.
    Level(const System& system, Field start, int64_t fields) : grid_(system.height, system.width, 1.0f, fields) {
        pack(system, start, grid_);
        if (system.height == 1 && system.width == 1) return;
        const CoarseSystem coarse(system);
        const System coarse_system = coarse.system();
        coarser_ = std::make_unique<Level>(coarse_system, coarse_system.around, Grid::relaxation_fields);
    }

    const Grid& grid() const { return grid_; }

    // x and y become about the solution for the right side c1 and c2.
    void cycle() const {
        const int64_t stride = grid_.stride();
        for_fields(grid_, [&](int64_t, int64_t, float* fields) { std::fill_n(fields, 2 * stride, 0.0f); });
        relax(grid_, half_sweeps, 0);
        if (!coarser_) return;
        restrict_residual();
        coarser_->cycle();
        interpolate();
        relax(grid_, half_sweeps, 1);
    }

private:
    // The coarser right side is the sum of the residuals of its pixels. Those of black pixels are zero: they were the
    // last to be updated.
    void restrict_residual() const {
        const Grid& coarse = coarser_->grid_;
        const int64_t stride = grid_.stride(), count = grid_.count();
        parallel_for(coarse.height(), rows_per_chunk(2 * grid_.width()), [&](int64_t begin, int64_t end) {
            const auto size = static_cast<size_t>(std::max(count, 2 * coarse.count()));
            std::vector<float> product1(size), product2(size), sum1(size), sum2(size);
            for (int64_t row = begin; row < end; ++row) {
                std::fill(sum1.begin(), sum1.end(), 0.0f);
                std::fill(sum2.begin(), sum2.end(), 0.0f);
                for (int64_t fine = 2 * row; fine < std::min(2 * row + 2, grid_.height()); ++fine) {
                    multiply(grid_, Grid::x, fine, 0, product1.data(), product2.data());
                    const float* const right = grid_.row(fine, 0) + Grid::c1 * stride;
                    subtract(right, product1.data(), count, sum1.data());
                    subtract(right + stride, product2.data(), count, sum2.data());
                }
                float* const even = coarse.row(row, row & 1) + Grid::c1 * coarse.stride();
                float* const odd = coarse.row(row, 1 - (row & 1)) + Grid::c1 * coarse.stride();
                part_row(sum1.data(), coarse.count(), even, odd);
                part_row(sum2.data(), coarse.count(), even + coarse.stride(), odd + coarse.stride());
            }
        });
    }

    void interpolate() const {
        const Grid& coarse = coarser_->grid_;
        const int64_t stride = grid_.stride(), pairs = coarse.width();
        parallel_for(coarse.height(), rows_per_chunk(2 * grid_.width()), [&](int64_t begin, int64_t end) {
            std::vector<float> values(static_cast<size_t>(2 * coarse.count()));
            for (int64_t row = begin; row < end; ++row) {
                for (int64_t component = 0; component < 2; ++component) {
                    pair_up_row(coarse.row(row, row & 1) + component * coarse.stride(),
                                coarse.row(row, 1 - (row & 1)) + component * coarse.stride(), 2 * coarse.count(),
                                values.data());
                    for (int64_t fine = 2 * row; fine < std::min(2 * row + 2, grid_.height()); ++fine) {
                        for (int64_t color = 0; color < 2; ++color) {
                            // In a frame of odd width the last pair's second pixel does not exist.
                            const bool cut = grid_.width() % 2 == 1 && parity(fine, color) == 1;
                            add(values.data(), 1.0f, cut ? pairs - 1 : pairs,
                                grid_.row(fine, color) + component * stride);
                        }
                    }
                }
            }
        });
    }

    Grid grid_;
    std::unique_ptr<Level> coarser_;
};

}  // namespace

void multigrid(const System& system, Field start, int cycles, float tolerance, float* out) {
    const Level finest(system, start, finest_fields);
    const Grid& grid = finest.grid();
    const int64_t stride = grid.stride(), count = grid.count();
    // The scalar product of residual and preconditioned residual: about the square of the error's energy.
    double before = 0.0, target = 0.0;
    for (int step = 0; step < cycles; ++step) {
        finest.cycle();
        const double now = sum_fields(
            grid, [&](int64_t, int64_t, const float* fields) { return dot(grid, fields, Grid::c1, Grid::x); });
        if (step == 0) target = now * static_cast<double>(tolerance) * static_cast<double>(tolerance);
        if (!(now > 0.0 && (step == 0 || now > target))) break;
        const float turn = step == 0 ? 0.0f : static_cast<float>(now / before);
        before = now;
        for_fields(grid, [&](int64_t, int64_t, float* fields) {
            for (int64_t component = 0; component < 2; ++component) {
                add_to_scaled(fields + (Grid::x + component) * stride, turn, count,
                              fields + (direction + component) * stride);
            }
        });
        const double curvature = sum_fields(grid, [&](int64_t row, int64_t color, float* fields) {
            multiply(grid, direction, row, color, fields + product * stride, fields + (product + 1) * stride);
            return dot(grid, fields, direction, product);
        });
        if (!(curvature > 0.0)) break;
        const auto length = static_cast<float>(now / curvature);
        for_fields(grid, [&](int64_t, int64_t, float* fields) {
            for (int64_t component = 0; component < 2; ++component) {
                add(fields + (direction + component) * stride, length, count, fields + (solution + component) * stride);
                add(fields + (product + component) * stride, -length, count, fields + (Grid::c1 + component) * stride);
            }
        });
    }
    unpack(grid, solution, start, out);
}

void relax_from_coarser(const System& system, Field start, int cycles, int sweeps, float* out) {
    const int64_t height = system.height, width = system.width, pixels = height * width;
    Workspace planes(2 * pixels);
    residual(system, start, planes.data());
    CoarseSystem coarse(system);
    coarse.take_residual(planes.data(), height, width);
    Workspace found(2 * coarse.pixels());
    const System coarse_system = coarse.system();
    multigrid(coarse_system, coarse_system.around, cycles, 0.0f, found.data());
    parallel_for(height, rows_per_chunk(width), [&](int64_t begin, int64_t end) {
        for (int64_t y = begin; y < end; ++y) {
            const float* const above = found.data() + y / 2 * coarse_system.width;
            add_to_pairs(start.u + y * width, above, width, planes.data() + y * width);
            add_to_pairs(start.v + y * width, above + coarse.pixels(), width, planes.data() + pixels + y * width);
        }
    });
    relax(system, {planes.data(), planes.data() + pixels}, sweeps, 1.0f, out);
}

}  // namespace variflow
