// A grid of the multigrid cycle: the operator, what its smoothing steps divide by, and room for their planes.
#pragma once

#include <array>

#include "stencil/product.hpp"
#include "stencil/rows.hpp"
#include "stencil/stencil.hpp"

namespace variflow::stencil {

// A step of Jacobi's method divides by the blocks of each pixel, to which the moduli of its couplings with others are
// added: no eigenvalue of the quotient is above 1 then, whatever the penalties, and `relaxation` may be nearly 2.
class Level {
public:
    Level(Operator&& a, Planes& memory);

    const Operator& a() const { return a_; }
    const OperatorProduct& product() const { return product_; }
    int64_t size() const { return a_.grid.size(); }
    float* right_side() const { return right_side_; }
    float* solution() const { return solution_; }
    float* rest() const { return rest_; }
    float* between() const { return between_; }

    // x = the inverse times b
    void begin(const float* b, float* x) const;

    // rest = b - A x
    void subtract_product(const float* b, const float* x) const;

    // out = x + the inverse times (b - A x), 0 where nothing determines an unknown
    void step(const float* b, const float* x, float* out) const;

private:
    int64_t place(int k, int64_t row) const { return k * size() + row * a_.grid.width; }

    template <typename Pointer>
    std::array<Pointer, most_unknowns> rows_of(Pointer planes, int64_t row) const {
        std::array<Pointer, most_unknowns> rows{};
        for (int k = 0; k < a_.unknowns; ++k) rows[static_cast<size_t>(k)] = planes + place(k, row);
        return rows;
    }

    void add_inverse(int64_t row, const ConstPointers& rest, const ConstPointers& start, float* x) const;
    void invert_row(int64_t row, float* moduli);

    Operator a_;
    OperatorProduct product_;
    float *inverse_, *right_side_, *solution_, *rest_, *between_;
};

}  // namespace variflow::stencil
