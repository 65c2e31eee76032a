// A cycle's work on one grid. All of it is done for some rows at a time, which stay near the processor meanwhile: the
// solver waits for memory.
#include "stencil/level.hpp"

#include <algorithm>
#include <array>
#include <numeric>
#include <utility>
#include <vector>

#include "base/platform.hpp"
#include "stencil/transfer.hpp"

namespace variflow::stencil {
namespace {

constexpr float relaxation = 1.6f;
constexpr int steps_on_coarsest = 16;

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

// The same of a row, for a few unknowns: of the blocks `a` with `added` to their diagonals.
VARIFLOW_CLONES
void invert_one(const float* VARIFLOW_RESTRICT a, const float* VARIFLOW_RESTRICT added, int64_t count,
                float* VARIFLOW_RESTRICT out) {
    constexpr float least = 1e-30f;
    for (int64_t i = 0; i < count; ++i) {
        const float pivot = a[i] + added[i];
        out[i] = pivot > least ? relaxation / pivot : 0.0f;
    }
}

VARIFLOW_CLONES
void invert_two(const float* VARIFLOW_RESTRICT a11, const float* VARIFLOW_RESTRICT a12,
                const float* VARIFLOW_RESTRICT a22, const float* VARIFLOW_RESTRICT added1,
                const float* VARIFLOW_RESTRICT added2, int64_t count, float* VARIFLOW_RESTRICT out11,
                float* VARIFLOW_RESTRICT out12, float* VARIFLOW_RESTRICT out22) {
    constexpr float least = 1e-30f;
    for (int64_t i = 0; i < count; ++i) {
        // The second pivot by a quotient that does not overflow or vanish; it is positive where the matrix is.
        const float pivot1 = a11[i] + added1[i], inverse1 = pivot1 > least ? 1.0f / pivot1 : 0.0f;
        const float ratio = a12[i] * inverse1, pivot2 = a22[i] + added2[i] - ratio * a12[i];
        const float inverse2 = pivot2 > least ? 1.0f / pivot2 : 0.0f;
        out11[i] = relaxation * (inverse1 + ratio * ratio * inverse2);
        out12[i] = -relaxation * ratio * inverse2;
        out22[i] = relaxation * inverse2;
    }
}

// In double precision: the pivots are differences, small ones where three unknowns share one residual of a pixel.
VARIFLOW_CLONES
void invert_three(const ConstPointers& a, const ConstPointers& added, int64_t count, float* VARIFLOW_RESTRICT out11,
                  float* VARIFLOW_RESTRICT out12, float* VARIFLOW_RESTRICT out13, float* VARIFLOW_RESTRICT out22,
                  float* VARIFLOW_RESTRICT out23, float* VARIFLOW_RESTRICT out33) {
    constexpr double least = 1e-30;
    const float *const a11 = a[0], *const a12 = a[1], *const a13 = a[2], *const a22 = a[3], *const a23 = a[4];
    const float *const a33 = a[5], *const added1 = added[0], *const added2 = added[1], *const added3 = added[2];
    for (int64_t i = 0; i < count; ++i) {
        const double pivot1 = static_cast<double>(a11[i]) + added1[i];
        const double inverse1 = pivot1 > least ? 1.0 / pivot1 : 0.0;
        const double ratio12 = a12[i] * inverse1, ratio13 = a13[i] * inverse1;
        const double pivot2 = static_cast<double>(a22[i]) + added2[i] - ratio12 * a12[i];
        const double mixed = a23[i] - ratio12 * a13[i];
        const double inverse2 = pivot2 > least ? 1.0 / pivot2 : 0.0, ratio23 = mixed * inverse2;
        const double pivot3 = static_cast<double>(a33[i]) + added3[i] - ratio13 * a13[i] - ratio23 * mixed;
        const double inverse3 = pivot3 > least ? 1.0 / pivot3 : 0.0, ratio = ratio12 * ratio23 - ratio13;
        out11[i] = relaxation * static_cast<float>(inverse1 + ratio12 * ratio12 * inverse2 + ratio * ratio * inverse3);
        out12[i] = -relaxation * static_cast<float>(ratio12 * inverse2 + ratio23 * ratio * inverse3);
        out13[i] = relaxation * static_cast<float>(ratio * inverse3);
        out22[i] = relaxation * static_cast<float>(inverse2 + ratio23 * ratio23 * inverse3);
        out23[i] = -relaxation * static_cast<float>(ratio23 * inverse3);
        out33[i] = relaxation * static_cast<float>(inverse3);
    }
}

}  // namespace

Level::Level(Operator&& a, Planes& memory)
    : a_(std::move(a)),
      product_(a_),
      inverse_(memory.take(triangle_size(a_.unknowns) * size())),
      right_side_(memory.take(a_.unknowns * size())),
      solution_(memory.take(a_.unknowns * size())) {
    for_chunks(a_.grid, Cost::much, a_.unknowns * a_.grid.width,
               [&](int64_t row, Workspace& workspace) { invert_row(row, workspace.data()); });
}

RowsOf<float> Level::take(const RowRange& rows, Planes& memory) const {
    const int64_t stride = rows.count() * a_.grid.width;
    return {memory.take(a_.unknowns * stride), stride, rows.first, a_.grid.width};
}

Pointers Level::pointers(const RowsOf<float>& planes, int64_t row) const {
    Pointers rows{};
    for (int k = 0; k < a_.unknowns; ++k) rows[static_cast<size_t>(k)] = planes.at(k, row);
    return rows;
}

RowsOf<float> Level::begin(const float* b, const RowRange& rows, Planes& memory) const {
    const RowsOf<float> x = take(rows, memory);
    ConstPointers zero, from{};
    zero.fill(a_.zero_row);
    for (int64_t row = rows.first; row < rows.last; ++row) {
        for (int k = 0; k < a_.unknowns; ++k) from[static_cast<size_t>(k)] = b + place(k, row);
        add_inverse(row, from, zero, pointers(x, row));
    }
    return x;
}

void Level::step(const float* b, const RowsOf<float>& x, int64_t row, const Pointers& rest, const Pointers& out) const {
    product_.subtract(all_rows(a_.grid, b), x, row, rest);
    ConstPointers from{}, start{};
    std::copy(rest.begin(), rest.end(), from.begin());
    const Pointers before = pointers(x, row);
    std::copy(before.begin(), before.end(), start.begin());
    add_inverse(row, from, start, out);
}

void Level::descend(const float* b, const Level& coarser) const {
    const Grid &fine = a_.grid, &coarse = coarser.a().grid;
    const int64_t coarse_rows = (rows_per_wide_chunk(fine, product_.reach()) + 1) / 2;
    parallel_for(coarse.rows(), coarse_rows, [&](int64_t first, int64_t last) {
        Planes memory;
        const RowRange rows = find_fine_rows(coarse, fine, {first, last});
        const RowsOf<float> x = begin(b, product_.around(rows), memory), rest = take(rows, memory);
        for (int64_t row = rows.first; row < rows.last; ++row) {
            product_.subtract(all_rows(fine, b), x, row, pointers(rest, row));
        }
        RowSum sum;
        float* const fine_row = memory.take(fine.width);
        for (int64_t row = first; row < last; ++row) {
            for (int k = 0; k < a_.unknowns; ++k) {
                restrict_row(coarse, fine, rest, k, row, sum, fine_row, coarser.right_side() + coarser.place(k, row));
            }
        }
    });
}

double Level::ascend(const float* b, const Level& coarser, float* x) const {
    const Grid &fine = a_.grid, &coarse = coarser.a().grid;
    std::vector<double> products(static_cast<size_t>(fine.rows()));
    parallel_for(fine.rows(), rows_per_wide_chunk(fine, product_.reach()), [&](int64_t first, int64_t last) {
        Planes memory;
        const RowRange around = product_.around({first, last});
        const RowsOf<float> start = begin(b, around, memory);
        const RowsOf<float> rest = take({0, 1}, memory);
        RowSum sum;
        float* const coarse_row = memory.take(coarse.width);
        for (int64_t row = around.first; row < around.last; ++row) {
            for (int k = 0; k < a_.unknowns; ++k) {
                const float* const from = coarser.solution() + k * coarse.size();
                add_interpolated_row(coarse, fine, from, row, sum, coarse_row, start.at(k, row));
            }
        }
        for (int64_t row = first; row < last; ++row) {
            step(b, start, row, pointers(rest, 0), pointers(all_rows(fine, x), row));
            products[static_cast<size_t>(row)] = dot_of_row(fine, a_.unknowns, row, b, x);
        }
    });
    return std::accumulate(products.begin(), products.end(), 0.0);
}

double Level::solve(const float* b, float* x) const {
    Planes memory;
    const RowRange all{0, a_.grid.rows()};
    RowsOf<float> from = begin(b, all, memory), to = take(all, memory);
    const RowsOf<float> rest = take({0, 1}, memory);
    for (int i = 0; i < steps_on_coarsest; ++i) {
        for (int64_t row = 0; row < all.last; ++row) step(b, from, row, pointers(rest, 0), pointers(to, row));
        std::swap(from, to);
    }
    copy_planes(a_.grid, a_.unknowns, from.data, x);
    double total = 0.0;
    for (int64_t row = 0; row < all.last; ++row) total += dot_of_row(a_.grid, a_.unknowns, row, b, x);
    return total;
}

void Level::add_inverse(int64_t row, const ConstPointers& rest, const ConstPointers& start, const Pointers& x) const {
    const int64_t width = a_.grid.width;
    auto inverse = [&](int k, int l) {
        return inverse_ + place(triangle(std::min(k, l), std::max(k, l), a_.unknowns), row);
    };
    if (a_.unknowns == 2) {
        return add_inverse_of_two(inverse(0, 0), inverse(0, 1), inverse(1, 1), rest[0], rest[1], start[0], start[1],
                                  width, x[0], x[1]);
    }
    if (a_.unknowns == 3) {
        ConstPointers inverses{};
        for (int block = 0; block < 6; ++block) inverses[static_cast<size_t>(block)] = inverse_ + place(block, row);
        return add_inverse_of_three(inverses, rest, start, width, x[0], x[1], x[2]);
    }
    for (int k = 0; k < a_.unknowns; ++k) {
        float* const out = x[static_cast<size_t>(k)];
        keep_determined(inverse(k, k), start[static_cast<size_t>(k)], width, out);
        for (int l = 0; l < a_.unknowns; ++l) {
            add_product(inverse(k, l), rest[static_cast<size_t>(l)], 1.0f, width, out);
        }
    }
}

void Level::invert_row(int64_t row, float* moduli) {
    const int64_t width = a_.grid.width;
    Pointers to_sum{};
    ConstPointers added{}, blocks{};
    for (int k = 0; k < a_.unknowns; ++k)
        added[static_cast<size_t>(k)] = to_sum[static_cast<size_t>(k)] = moduli + k * width;
    product_.sum_moduli(row, to_sum);
    auto block = [&](int number) { return a_.blocks + place(number, row); };
    auto inverse = [&](int number) { return inverse_ + place(number, row); };
    if (a_.unknowns == 1) return invert_one(block(0), added[0], width, inverse(0));
    if (a_.unknowns == 2) {
        return invert_two(block(0), block(1), block(2), added[0], added[1], width, inverse(0), inverse(1), inverse(2));
    }
    if (a_.unknowns == 3) {
        for (int number = 0; number < 6; ++number) blocks[static_cast<size_t>(number)] = block(number);
        return invert_three(blocks, added, width, inverse(0), inverse(1), inverse(2), inverse(3), inverse(4),
                            inverse(5));
    }
    std::vector<float*> planes;
    for (int number = 0; number < triangle_size(a_.unknowns); ++number) {
        planes.push_back(inverse(number));
        std::copy_n(block(number), width, planes.back());
    }
    for (int k = 0; k < a_.unknowns; ++k) {
        add_scaled(added[static_cast<size_t>(k)], 1.0f, width,
                   planes[static_cast<size_t>(triangle(k, k, a_.unknowns))]);
    }
    for (int64_t i = 0; i < width; ++i) invert(planes.data(), a_.unknowns, i);
}

}  // namespace variflow::stencil
