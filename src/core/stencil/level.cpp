// Steps of Jacobi's method on one grid.
#include "stencil/level.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "base/platform.hpp"

namespace variflow::stencil {
namespace {

constexpr float relaxation = 1.6f;

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

}  // namespace

Level::Level(Operator&& a, Planes& memory)
    : a_(std::move(a)),
      inverse_(memory.take(triangle_size(a_.unknowns) * size())),
      right_side_(memory.take(a_.unknowns * size())),
      solution_(memory.take(a_.unknowns * size())),
      rest_(memory.take(a_.unknowns * size())),
      between_(memory.take(a_.unknowns * size())) {
    for_rows(a_.grid, [&](int64_t row) { invert_row(row); });
}

void Level::begin(const float* b, float* x) const {
    for_rows(a_.grid, [&](int64_t row) {
        ConstPointers zero;
        zero.fill(a_.zero_row);
        add_inverse(row, rows_of(b, row), zero, x);
    });
}

void Level::subtract_product(const float* b, const float* x) const {
    for_rows(a_.grid, [&](int64_t row) { subtract_product_row(b, x, row, rows_of(rest_, row)); });
}

void Level::step(const float* b, const float* x, float* out) const {
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

void Level::subtract_product_row(const float* b, const float* x, int64_t row, const Pointers& out) const {
    multiply_row(a_, x, row, out);
    for (int k = 0; k < a_.unknowns; ++k) {
        subtract_from(b + place(k, row), a_.grid.width, out[static_cast<size_t>(k)]);
    }
}

void Level::add_inverse(int64_t row, const ConstPointers& rest, const ConstPointers& start, float* x) const {
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

void Level::invert_row(int64_t row) {
    const int64_t width = a_.grid.width;
    const Pointers moduli = rows_of(rest_, row);
    sum_moduli(a_, row, moduli);
    std::vector<float*> planes;
    for (int block = 0; block < triangle_size(a_.unknowns); ++block) {
        planes.push_back(inverse_ + place(block, row));
        std::copy_n(a_.blocks + place(block, row), width, planes.back());
    }
    for (int k = 0; k < a_.unknowns; ++k) {
        const size_t diagonal = static_cast<size_t>(triangle(k, k, a_.unknowns));
        add_scaled(moduli[static_cast<size_t>(k)], 1.0f, width, planes[diagonal]);
    }
    if (a_.unknowns == 1) return invert_one(planes[0], width);
    if (a_.unknowns == 2) return invert_two(planes[0], planes[1], planes[2], width);
    if (a_.unknowns == 3) {
        return invert_three(planes[0], planes[1], planes[2], planes[3], planes[4], planes[5], width);
    }
    for (int64_t i = 0; i < width; ++i) invert(planes.data(), a_.unknowns, i);
}

}  // namespace variflow::stencil
