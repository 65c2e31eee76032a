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

    // The right side of a coarser grid: what is left of b, restricted, after one step from zero.
    void descend(const float* b, const Level& coarser) const;

    // x = the solution of a coarser grid added to that step, and another step; return the product of b and x.
    double ascend(const float* b, const Level& coarser, float* x) const;

    // x = many steps from zero, on the coarsest grid; return the product of b and x.
    double solve(const float* b, float* x) const;

private:
    int64_t place(int k, int64_t row) const { return k * size() + row * a_.grid.width; }
    RowsOf<float> take(const RowRange& rows, Planes& memory) const;
    Pointers pointers(const RowsOf<float>& planes, int64_t row) const;

    // The inverse times b, in some rows
    RowsOf<float> begin(const float* b, const RowRange& rows, Planes& memory) const;

    // Row `row` of x and the inverse times (b - A x), 0 where nothing determines an unknown
    void step(const float* b, const RowsOf<float>& x, int64_t row, const Pointers& rest, const Pointers& out) const;

    void add_inverse(int64_t row, const ConstPointers& rest, const ConstPointers& start, const Pointers& x) const;
    void invert_row(int64_t row, float* moduli);

    Operator a_;
    OperatorProduct product_;
    float *inverse_, *right_side_, *solution_;
};

}  // namespace variflow::stencil
