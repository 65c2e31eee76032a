// Conjugate gradients for the linear system of a step, preconditioned by a multigrid cycle.
//
// The coarser system has one pixel for every 2x2 pixels, whose increments are equal. So its motion tensor is the sum of
// theirs, and an edge would be the sum of the two edges it stands for: but the difference between coarse neighbours would
// all be at those edges, where it costs twice what it costs when spread over the distance, so the edge is half the sum
// (Braess, Towards algebraic multigrid for elliptic problems of second order, Computing 55, 1995). With two red-black
// sweeps before and two after, in the opposite order so that the cycle is symmetric, and conjugate gradients to make up
// for what the constant interpolation misses, each cycle of a Poisson-like system reduces the residual about 20 times.
//
// Plain cycles, without conjugate gradients, are enough where a step of a solver only has to carry motion far.
//
// In a grid's split storage the 2x2 pixels of coarse column j are number j of both colours in both rows: restriction and
// interpolation add whole rows.
#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <utility>
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

// out[j] += factor * (a[2j] + a[2j + 1])
VARIFLOW_CLONES
void add_pairs(const float* VARIFLOW_RESTRICT a, float factor, int64_t width, float* VARIFLOW_RESTRICT out) {
    for (int64_t j = 0; j < width / 2; ++j) out[j] += factor * (a[2 * j] + a[2 * j + 1]);
    if (width % 2) out[width / 2] += factor * a[width - 1];
}

// out[j] += factor * a[2j + 1], but for the last column, which has no right neighbour.
VARIFLOW_CLONES
void add_right(const float* VARIFLOW_RESTRICT a, float factor, int64_t width, float* VARIFLOW_RESTRICT out) {
    for (int64_t j = 0; j < (width - 1) / 2; ++j) out[j] += factor * a[2 * j + 1];
}

// out[j] -= a[j] + b[j]
VARIFLOW_CLONES
void subtract_both(const float* VARIFLOW_RESTRICT a, const float* VARIFLOW_RESTRICT b, int64_t count,
                   float* VARIFLOW_RESTRICT out) {
    for (int64_t j = 0; j < count; ++j) out[j] -= a[j] + b[j];
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

// Add the values of a coarser row, times a factor, to the x (component 0) or y of the 2x2 pixels that each stands for.
void add_to_squares(const float* values, float factor, int64_t coarse_row, int64_t component, const Grid& fine) {
    const int64_t pairs = (fine.width() + 1) / 2;
    for (int64_t row = 2 * coarse_row; row < std::min(2 * coarse_row + 2, fine.height()); ++row) {
        for (int64_t color = 0; color < 2; ++color) {
            // In a frame of odd width the last pair's second pixel does not exist.
            const bool cut = fine.width() % 2 == 1 && parity(row, color) == 1;
            add(values, factor, cut ? pairs - 1 : pairs, fine.row(row, color) + component * fine.stride());
        }
    }
}

// The planes of a system of half the size, to which the rows of the finer one are added. The flow around it is zero, and
// so is its right side until it takes another.
class CoarseSystem {
public:
    CoarseSystem(int64_t fine_height, int64_t fine_width)
        : fine_width_(fine_width),
          height_((fine_height + 1) / 2),
          width_((fine_width + 1) / 2),
          planes_(plane_count * height_ * width_) {}

    explicit CoarseSystem(const System& fine) : CoarseSystem(fine.height, fine.width) {
        parallel_for(height_, rows_per_chunk(2 * fine.width), [&](int64_t begin, int64_t end) {
            for (int64_t row = 2 * begin; row < std::min(2 * end, fine.height); ++row) {
                add_row(row_of(fine, fine.around, row, 0), row);
            }
        });
    }

    // Of the two rows that a coarser one stands for, the upper one comes first.
    void add_row(const Row& fine, int64_t fine_row) {
        const int64_t row = fine_row / 2;
        if (fine_row % 2 == 0) {
            for (int64_t plane = 0; plane < plane_count; ++plane) std::fill_n(plane_row(plane, row), width_, 0.0f);
        }
        add_pairs(fine.a11, 1.0f, fine_width_, plane_row(0, row));
        add_pairs(fine.a12, 1.0f, fine_width_, plane_row(1, row));
        add_pairs(fine.a22, 1.0f, fine_width_, plane_row(2, row));
        add_right(fine.edge_x, 0.5f, fine_width_, plane_row(edges_x, row));
        if (fine_row % 2 == 1 && fine.edge_y) add_pairs(fine.edge_y, 0.5f, fine_width_, plane_row(edges_x + 1, row));
    }

    // Let the right side be the sums of that of a fine grid, whose increments are zero.
    void take_right_side(const Grid& fine) {
        parallel_for(height_, rows_per_chunk(2 * fine_width_), [&](int64_t begin, int64_t end) {
            for (int64_t fine_row = 2 * begin; fine_row < std::min(2 * end, fine.height()); ++fine_row) {
                const float* red = fine.row(fine_row, 0) + Grid::c1 * fine.stride();
                const float* black = fine.row(fine_row, 1) + Grid::c1 * fine.stride();
                subtract_both(red, black, width_, plane_row(right_side, fine_row / 2));
                subtract_both(red + fine.stride(), black + fine.stride(), width_,
                              plane_row(right_side + 1, fine_row / 2));
            }
        });
    }

    // Whether the data determine the motion of the whole frame, in all directions, by more than the rounding errors of the
    // smoothness.
    bool determines_the_whole() const {
        auto sum = [&](int64_t plane) {
            std::vector<float> total(static_cast<size_t>(width_));
            for (int64_t row = 0; row < height_; ++row) add(plane_row(plane, row), 1.0f, width_, total.data());
            return std::accumulate(total.begin(), total.end(), 0.0);
        };
        const double a11 = sum(0), a12 = sum(1), a22 = sum(2);
        const double least = (a11 + a22) / 2 - std::hypot((a11 - a22) / 2, a12);
        return least > 1e-7 * (sum(edges_x) + sum(edges_x + 1));
    }

    System system() const {
        const float* const zero = plane_row(zeros, 0);
        return {plane_row(0, 0), plane_row(edges_x, 0), {zero, zero}, height_, width_};
    }

private:
    // After three planes of the motion tensor.
    enum : int64_t { right_side = 3, edges_x = 5, zeros = 7, plane_count };
    float* plane_row(int64_t plane, int64_t row) const { return planes_.data() + (plane * height_ + row) * width_; }

    int64_t fine_width_, height_, width_;
    Workspace planes_;
};

// One level's grid and all coarser ones.
class Level {
public:
    // The grid's right side is that of the increments on `start`.
    Level(const System& system, Field start, int64_t fields) : grid_(system.height, system.width, 1.0f, fields) {
        pack(system, start, grid_);
        if (system.height == 1 && system.width == 1) return;
        coarser_ = std::make_unique<Level>(CoarseSystem(system));
    }

    explicit Level(const CoarseSystem& system)
        : Level(system.system(), system.system().around, Grid::relaxation_fields) {}

    // The finest level whose grid is filled, and what is coarser.
    Level(Grid&& grid, const CoarseSystem& coarser)
        : grid_(std::move(grid)), coarser_(std::make_unique<Level>(coarser)) {}

    const Grid& grid() const { return grid_; }

    // x and y become about the solution for the right side c1 and c2.
    void cycle() const {
        const int64_t stride = grid_.stride();
        for_fields(grid_, [&](int64_t, int64_t, float* fields) { std::fill_n(fields, 2 * stride, 0.0f); });
        relax(grid_, half_sweeps, 0);
        if (!coarser_) return;
        restrict_residual();
        coarser_->cycle();
        interpolate(1.0f);
        relax(grid_, half_sweeps, 1);
    }

    // Add what a cycle of the coarser level finds for its right side, by as much as lowers the energy there most. Here,
    // where the edges count for at most twice as much, the energy does not rise.
    void correct() const {
        coarser_->cycle();
        interpolate(coarser_->best_multiple());
    }

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

private:
    // The multiple of x and y at which the energy is least, after a cycle. It updated red pixels last: nothing is missing
    // there, so the product of black pixels is enough.
    float best_multiple() const {
        const int64_t stride = grid_.stride(), count = grid_.count();
        std::vector<double> missing(static_cast<size_t>(grid_.height()));
        const double power = sum_fields(grid_, [&](int64_t row, int64_t color, const float* fields) {
            const double of_row = dot(grid_, fields, Grid::c1, Grid::x);
            if (color == 0) return of_row;
            std::vector<float> product(static_cast<size_t>(2 * count));
            multiply(grid_, Grid::x, row, color, product.data(), product.data() + count);
            missing[static_cast<size_t>(row)] =
                of_row - dot(fields, product.data(), count) - dot(fields + stride, product.data() + count, count);
            return of_row;
        });
        const double curvature = power - std::accumulate(missing.begin(), missing.end(), 0.0);
        return curvature > 0.0 ? static_cast<float>(power / curvature) : 0.0f;
    }

    void interpolate(float factor) const {
        const Grid& coarse = coarser_->grid_;
        parallel_for(coarse.height(), rows_per_chunk(2 * grid_.width()), [&](int64_t begin, int64_t end) {
            std::vector<float> values(static_cast<size_t>(2 * coarse.count()));
            for (int64_t row = begin; row < end; ++row) {
                for (int64_t component = 0; component < 2; ++component) {
                    pair_up_row(coarse.row(row, row & 1) + component * coarse.stride(),
                                coarse.row(row, 1 - (row & 1)) + component * coarse.stride(), 2 * coarse.count(),
                                values.data());
                    add_to_squares(values.data(), factor, row, component, grid_);
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

void cycle_made(int64_t height, int64_t width, int cycles, int sweeps, float omega, const MakerOfRows& maker,
                Field start, float* out) {
    Grid grid(height, width, omega);
    CoarseSystem coarse(height, width);
    parallel_for(height, std::max<int64_t>((height + 15) / 16 * 2, 32), [&](int64_t begin, int64_t end) {
        const std::unique_ptr<RowMaker> rows = maker(grid, {0, width, 0, width});
        for (int64_t row = begin; row < end; ++row) coarse.add_row(rows->make(row), row);
    });
    coarse.take_right_side(grid);
    const bool determined = coarse.determines_the_whole();
    const Level finest(std::move(grid), coarse);
    for (int cycle = 0; cycle < cycles; ++cycle) {
        if (cycle > 0) finest.restrict_residual();
        if (determined) finest.correct();
        relax(finest.grid(), 2 * static_cast<int64_t>(sweeps), 0);
    }
    unpack(finest.grid(), Grid::x, start, out);
}

void cycle(const System& system, Field start, int cycles, int sweeps, float omega, float* out) {
    cycle_made(system.height, system.width, cycles, sweeps, omega, rows_of(system, start), start, out);
}

}  // namespace variflow
