// Conjugate gradients, each step preconditioned by one multigrid cycle.
//
// On each grid one step of Jacobi's method before the coarser grid's correction and as many after make the cycle
// symmetric. A step divides by the blocks of each pixel, to which the moduli of its couplings with others are added: no
// eigenvalue of the quotient is above 1 then, whatever the penalties, and `relaxation` may be nearly 2.
#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <numeric>

#include "base/platform.hpp"
#include "stencil/rows.hpp"

namespace variflow::stencil {
namespace {

constexpr float relaxation = 1.6f;
constexpr int steps_on_coarsest = 16;
constexpr int most_levels = 32;

// to = from + factor * to
VARIFLOW_CLONES
void add_to_scaled(const float* VARIFLOW_RESTRICT from, float factor, int64_t count, float* VARIFLOW_RESTRICT to) {
    for (int64_t i = 0; i < count; ++i) to[i] = from[i] + factor * to[i];
}

// x = start + the inverse times rest, of two unknowns; 0 where nothing determines an unknown.
VARIFLOW_CLONES
void add_inverse_of_two(const float* VARIFLOW_RESTRICT a11, const float* VARIFLOW_RESTRICT a12,
                        const float* VARIFLOW_RESTRICT a22, const float* rest1, const float* rest2, const float* start1,
                        const float* start2, int64_t count, float* VARIFLOW_RESTRICT x1, float* VARIFLOW_RESTRICT x2) {
    for (int64_t i = 0; i < count; ++i) {
        const float from1 = a11[i] > 0.0f ? start1[i] : 0.0f, from2 = a22[i] > 0.0f ? start2[i] : 0.0f;
        x1[i] = from1 + (a11[i] * rest1[i] + a12[i] * rest2[i]);
        x2[i] = from2 + (a12[i] * rest1[i] + a22[i] * rest2[i]);
    }
}

// The same of three.
VARIFLOW_CLONES
void add_inverse_of_three(const ConstPointers& inverse, const ConstPointers& rest, const ConstPointers& start,
                          int64_t count, float* VARIFLOW_RESTRICT x1, float* VARIFLOW_RESTRICT x2,
                          float* VARIFLOW_RESTRICT x3) {
    const float* VARIFLOW_RESTRICT const a11 = inverse[0];
    const float* VARIFLOW_RESTRICT const a12 = inverse[1];
    const float* VARIFLOW_RESTRICT const a13 = inverse[2];
    const float* VARIFLOW_RESTRICT const a22 = inverse[3];
    const float* VARIFLOW_RESTRICT const a23 = inverse[4];
    const float* VARIFLOW_RESTRICT const a33 = inverse[5];
    const float *const rest1 = rest[0], *const rest2 = rest[1], *const rest3 = rest[2];
    const float *const start1 = start[0], *const start2 = start[1], *const start3 = start[2];
    for (int64_t i = 0; i < count; ++i) {
        const float from1 = a11[i] > 0.0f ? start1[i] : 0.0f, from2 = a22[i] > 0.0f ? start2[i] : 0.0f;
        const float from3 = a33[i] > 0.0f ? start3[i] : 0.0f;
        x1[i] = from1 + (a11[i] * rest1[i] + a12[i] * rest2[i] + a13[i] * rest3[i]);
        x2[i] = from2 + (a12[i] * rest1[i] + a22[i] * rest2[i] + a23[i] * rest3[i]);
        x3[i] = from3 + (a13[i] * rest1[i] + a23[i] * rest2[i] + a33[i] * rest3[i]);
    }
}

VARIFLOW_CLONES
void keep_determined(const float* VARIFLOW_RESTRICT inverse, const float* VARIFLOW_RESTRICT from, int64_t count,
                     float* VARIFLOW_RESTRICT to) {
    for (int64_t i = 0; i < count; ++i) to[i] = inverse[i] > 0.0f ? from[i] : 0.0f;
}

VARIFLOW_CLONES
void subtract_from(const float* VARIFLOW_RESTRICT from, int64_t count, float* VARIFLOW_RESTRICT to) {
    for (int64_t i = 0; i < count; ++i) to[i] = from[i] - to[i];
}

// The inverse of the blocks of one pixel, times `relaxation`, in place: by Gauss-Jordan elimination without pivots, which
// positive matrices do not need. An unknown that nothing determines stays what it was.
void invert(float* const* planes, int unknowns, int64_t i) {
    constexpr double least = 1e-30;
    std::array<double, most_unknowns * most_unknowns> matrix;  // not filled: there is one for each pixel
    auto at = [&](int k, int l) -> double& { return matrix[static_cast<size_t>(k * unknowns + l)]; };
    for (int k = 0; k < unknowns; ++k) {
        for (int l = 0; l < unknowns; ++l) {
            at(k, l) = static_cast<double>(planes[triangle(std::min(k, l), std::max(k, l), unknowns)][i]);
        }
    }
    for (int pivot = 0; pivot < unknowns; ++pivot) {
        const bool free = at(pivot, pivot) <= least;
        const double inverse = free ? 0.0 : 1.0 / at(pivot, pivot);
        at(pivot, pivot) = free ? 0.0 : 1.0;
        for (int l = 0; l < unknowns; ++l) at(pivot, l) *= inverse;
        for (int k = 0; k < unknowns; ++k) {
            if (k == pivot) continue;
            const double factor = at(k, pivot);
            at(k, pivot) = 0.0;
            for (int l = 0; l < unknowns; ++l) at(k, l) -= factor * at(pivot, l);
        }
    }
    for (int k = 0; k < unknowns; ++k) {
        for (int l = k; l < unknowns; ++l) {
            planes[triangle(k, l, unknowns)][i] = relaxation * static_cast<float>(at(k, l));
        }
    }
}

VARIFLOW_CLONES
void invert_one(float* VARIFLOW_RESTRICT a, int64_t count) {
    constexpr float least = 1e-30f;
    for (int64_t i = 0; i < count; ++i) a[i] = a[i] > least ? relaxation / a[i] : 0.0f;
}

VARIFLOW_CLONES
void invert_two(float* VARIFLOW_RESTRICT a11, float* VARIFLOW_RESTRICT a12, float* VARIFLOW_RESTRICT a22,
                int64_t count) {
    constexpr float least = 1e-30f;
    for (int64_t i = 0; i < count; ++i) {
        // The second pivot by a quotient that does not overflow or vanish; it is positive where the matrix is.
        const float inverse1 = a11[i] > least ? 1.0f / a11[i] : 0.0f;
        const float ratio = a12[i] * inverse1, pivot = a22[i] - ratio * a12[i];
        const float inverse2 = pivot > least ? 1.0f / pivot : 0.0f;
        a11[i] = relaxation * (inverse1 + ratio * ratio * inverse2);
        a12[i] = -relaxation * ratio * inverse2;
        a22[i] = relaxation * inverse2;
    }
}

// In double precision: the pivots are differences, small ones where three unknowns share one residual of a pixel.
VARIFLOW_CLONES
void invert_three(float* VARIFLOW_RESTRICT a11, float* VARIFLOW_RESTRICT a12, float* VARIFLOW_RESTRICT a13,
                  float* VARIFLOW_RESTRICT a22, float* VARIFLOW_RESTRICT a23, float* VARIFLOW_RESTRICT a33,
                  int64_t count) {
    constexpr double least = 1e-30;
    for (int64_t i = 0; i < count; ++i) {
        const double inverse1 = a11[i] > least ? 1.0 / a11[i] : 0.0;
        const double ratio12 = a12[i] * inverse1, ratio13 = a13[i] * inverse1;
        const double pivot2 = a22[i] - ratio12 * a12[i], mixed = a23[i] - ratio12 * a13[i];
        const double inverse2 = pivot2 > least ? 1.0 / pivot2 : 0.0, ratio23 = mixed * inverse2;
        const double pivot3 = a33[i] - ratio13 * a13[i] - ratio23 * mixed;
        const double inverse3 = pivot3 > least ? 1.0 / pivot3 : 0.0, ratio = ratio12 * ratio23 - ratio13;
        a11[i] = relaxation * static_cast<float>(inverse1 + ratio12 * ratio12 * inverse2 + ratio * ratio * inverse3);
        a12[i] = -relaxation * static_cast<float>(ratio12 * inverse2 + ratio23 * ratio * inverse3);
        a13[i] = relaxation * static_cast<float>(ratio * inverse3);
        a22[i] = relaxation * static_cast<float>(inverse2 + ratio23 * ratio23 * inverse3);
        a23[i] = -relaxation * static_cast<float>(ratio23 * inverse3);
        a33[i] = relaxation * static_cast<float>(inverse3);
    }
}

class Level {
public:
    Level(Operator&& a, Planes& memory)
        : a_(std::move(a)),
          inverse_(memory.take(triangle_size(a_.unknowns) * size())),
          right_side_(memory.take(a_.unknowns * size())),
          solution_(memory.take(a_.unknowns * size())),
          rest_(memory.take(a_.unknowns * size())),
          between_(memory.take(a_.unknowns * size())) {
        sum_moduli(a_, rest_);
        for_rows(a_.grid, [&](int64_t row) { invert_row(row); });
    }

    const Operator& a() const { return a_; }
    int64_t size() const { return a_.grid.size(); }
    float* right_side() const { return right_side_; }
    float* solution() const { return solution_; }
    float* rest() const { return rest_; }
    float* between() const { return between_; }

    // x = the inverse times b
    void begin(const float* b, float* x) const {
        for_rows(a_.grid, [&](int64_t row) {
            ConstPointers zero;
            zero.fill(a_.zero_row);
            add_inverse(row, rows_of(b, row), zero, x);
        });
    }

    // rest = b - A x
    void subtract_product(const float* b, const float* x) const {
        for_rows(a_.grid, [&](int64_t row) { subtract_product_row(b, x, row, rows_of(rest_, row)); });
    }

    // out = x + the inverse times (b - A x), 0 where nothing determines an unknown
    void step(const float* b, const float* x, float* out) const {
        for_chunks(a_.grid, a_.unknowns * a_.grid.width, [&](int64_t row, Workspace& workspace) {
            Pointers rest{};
            for (int k = 0; k < a_.unknowns; ++k) {
                rest[static_cast<size_t>(k)] = workspace.data() + k * a_.grid.width;
            }
            subtract_product_row(b, x, row, rest);
            ConstPointers from{};
            std::copy(rest.begin(), rest.end(), from.begin());
            add_inverse(row, from, rows_of(x, row), out);
        });
    }

private:
    int64_t place(int k, int64_t row) const { return k * size() + row * a_.grid.width; }

    template <typename Pointer>
    std::array<Pointer, most_unknowns> rows_of(Pointer planes, int64_t row) const {
        std::array<Pointer, most_unknowns> rows{};
        for (int k = 0; k < a_.unknowns; ++k) rows[static_cast<size_t>(k)] = planes + place(k, row);
        return rows;
    }

    void subtract_product_row(const float* b, const float* x, int64_t row, const Pointers& out) const {
        multiply_row(a_, x, row, out);
        for (int k = 0; k < a_.unknowns; ++k) {
            subtract_from(b + place(k, row), a_.grid.width, out[static_cast<size_t>(k)]);
        }
    }

    void add_inverse(int64_t row, const ConstPointers& rest, const ConstPointers& start, float* x) const {
        const int64_t width = a_.grid.width;
        auto inverse = [&](int k, int l) {
            return inverse_ + place(triangle(std::min(k, l), std::max(k, l), a_.unknowns), row);
        };
        if (a_.unknowns == 2) {
            return add_inverse_of_two(inverse(0, 0), inverse(0, 1), inverse(1, 1), rest[0], rest[1], start[0], start[1],
                                      width, x + place(0, row), x + place(1, row));
        }
        if (a_.unknowns == 3) {
            ConstPointers inverses{};
            for (int block = 0; block < 6; ++block) inverses[static_cast<size_t>(block)] = inverse_ + place(block, row);
            return add_inverse_of_three(inverses, rest, start, width, x + place(0, row), x + place(1, row),
                                        x + place(2, row));
        }
        for (int k = 0; k < a_.unknowns; ++k) {
            keep_determined(inverse(k, k), start[static_cast<size_t>(k)], width, x + place(k, row));
            for (int l = 0; l < a_.unknowns; ++l) {
                add_product(inverse(k, l), rest[static_cast<size_t>(l)], 1.0f, width, x + place(k, row));
            }
        }
    }

    void invert_row(int64_t row) {
        const int64_t width = a_.grid.width;
        std::vector<float*> planes;
        for (int block = 0; block < triangle_size(a_.unknowns); ++block) {
            planes.push_back(inverse_ + place(block, row));
            std::copy_n(a_.blocks + place(block, row), width, planes.back());
        }
        for (int k = 0; k < a_.unknowns; ++k) {
            add_scaled(rest_ + place(k, row), 1.0f, width, planes[static_cast<size_t>(triangle(k, k, a_.unknowns))]);
        }
        if (a_.unknowns == 1) return invert_one(planes[0], width);
        if (a_.unknowns == 2) return invert_two(planes[0], planes[1], planes[2], width);
        if (a_.unknowns == 3) {
            return invert_three(planes[0], planes[1], planes[2], planes[3], planes[4], planes[5], width);
        }
        for (int64_t i = 0; i < width; ++i) invert(planes.data(), a_.unknowns, i);
    }

    Operator a_;
    float *inverse_, *right_side_, *solution_, *rest_, *between_;
};

class Hierarchy {
public:
    explicit Hierarchy(Operator&& finest) {
        levels_.push_back(std::make_unique<Level>(std::move(finest), memory_));
        while (levels_.size() < most_levels) {
            const Operator& a = levels_.back()->a();
            if (std::max({a.grid.depth, a.grid.height, a.grid.width}) <= 2) break;
            levels_.push_back(std::make_unique<Level>(coarsen(a, memory_), memory_));
        }
    }

    const Level& finest() const { return *levels_.front(); }

    // x = an approximation of the inverse of A, times b.
    void cycle(const float* b, float* x) const { cycle(0, b, x); }

private:
    void cycle(size_t number, const float* b, float* x) const {
        const Level& level = *levels_[number];
        float* const between = level.between();
        if (number + 1 == levels_.size()) {
            level.begin(b, x);
            for (int i = 0; i < steps_on_coarsest; i += 2) {
                level.step(b, x, between);
                level.step(b, between, x);
            }
            return;
        }
        const Level& coarser = *levels_[number + 1];
        const Grid &fine = level.a().grid, &coarse = coarser.a().grid;
        const int unknowns = level.a().unknowns;
        level.begin(b, between);
        level.subtract_product(b, between);
        restrict_to(coarse, fine, unknowns, level.rest(), coarser.right_side());
        cycle(number + 1, coarser.right_side(), coarser.solution());
        add_interpolated(coarse, fine, unknowns, coarser.solution(), between);
        level.step(b, between, x);
    }

    Planes memory_;
    std::vector<std::unique_ptr<Level>> levels_;
};

// The sum of what function(row) returns, row by row, so that it is the same for any number of threads.
template <typename Function>
double sum_rows(const Grid& grid, Function&& function) {
    std::vector<double> sums(static_cast<size_t>(grid.rows()));
    for_rows(grid, [&](int64_t row) { sums[static_cast<size_t>(row)] = function(row); });
    return std::accumulate(sums.begin(), sums.end(), 0.0);
}

// Add the solution d of A d = rest to `out`; `rest` becomes what remains of it.
Report add_solution(Operator&& finest, float* rest, double tolerance, int most, Planes& memory, float* out) {
    const Hierarchy hierarchy(std::move(finest));
    const Operator& a = hierarchy.finest().a();
    const Grid& grid = a.grid;
    const int unknowns = a.unknowns;
    const int64_t count = unknowns * grid.size();
    float *const direction = memory.zeros(count), *const product = memory.take(count);
    float* const preconditioned = memory.take(count);
    // Work on one row of all unknowns, and return the sum of the products of two of its rows.
    auto sum_products = [&](auto&& work, const float* x, const float* y) {
        return sum_rows(grid, [&](int64_t row) {
            work(row);
            double total = 0.0;
            for (int k = 0; k < unknowns; ++k) {
                const int64_t at = k * grid.size() + row * grid.width;
                total += dot(x + at, y + at, grid.width);
            }
            return total;
        });
    };
    auto each = [&](int64_t row, auto&& function) {
        for (int k = 0; k < unknowns; ++k) function(k * grid.size() + row * grid.width);
    };
    auto nothing = [](int64_t) {};
    const double before = sum_products(nothing, rest, rest);
    Report report{0, before > 0.0 ? 1.0 : 0.0, true};
    double power = 0.0;
    while (report.iterations < most && report.residual > tolerance) {
        hierarchy.cycle(rest, preconditioned);
        const double new_power = sum_products(nothing, rest, preconditioned);
        report.positive = new_power > 0.0;
        if (!report.positive) break;
        const auto beta = static_cast<float>(power > 0.0 ? new_power / power : 0.0);
        power = new_power;
        for_rows(grid, [&](int64_t row) {
            each(row, [&](int64_t at) { add_to_scaled(preconditioned + at, beta, grid.width, direction + at); });
        });
        const double curvature = sum_products(
            [&](int64_t row) {
                Pointers rows{};
                for (int k = 0; k < unknowns; ++k) {
                    rows[static_cast<size_t>(k)] = product + k * grid.size() + row * grid.width;
                }
                multiply_row(a, direction, row, rows);
            },
            direction, product);
        report.positive = curvature > 0.0;
        if (!report.positive) break;
        const auto alpha = static_cast<float>(power / curvature);
        const double remains = sum_products(
            [&](int64_t row) {
                each(row, [&](int64_t at) {
                    add_scaled(direction + at, alpha, grid.width, out + at);
                    add_scaled(product + at, -alpha, grid.width, rest + at);
                });
            },
            rest, rest);
        ++report.iterations;
        report.residual = std::sqrt(remains / before);
    }
    return report;
}

}  // namespace

Report solve(const Problem& problem, double tolerance, int most, float* out) {
    const int64_t count = problem.unknowns * problem.grid.size();
    Planes memory;
    float* const rest = memory.take(count);
    Operator a = assemble(problem, memory, rest);
    std::copy_n(problem.start, count, out);
    return add_solution(std::move(a), rest, tolerance, most, memory, out);
}

Report solve(const Probed& probed, const float* gradient, const std::vector<double>& damping, double tolerance,
             int most, float* out) {
    const int64_t count = probed.unknowns * probed.grid.size();
    Planes memory;
    float* const rest = memory.take(count);
    std::transform(gradient, gradient + count, rest, [](float slope) { return -slope; });
    std::fill_n(out, count, 0.0f);
    return add_solution(read_operator(probed, damping, memory), rest, tolerance, most, memory, out);
}

}  // namespace variflow::stencil
