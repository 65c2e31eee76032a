// An operator at work on planes of unknowns, a row at a time.
#pragma once

#include <cstdint>
#include <vector>

#include "stencil/rows.hpp"
#include "stencil/stencil.hpp"

namespace variflow::stencil {

// A plane of an operator: at pixel p it is multiplied by x[p + shift] of an unknown, if the pixel at the offset is inside
// the grid.
struct Factor {
    const float* plane;
    int unknown;
    int64_t shift;
    Offset offset;
};
using Factors = std::vector<Factor>;

// The planes of x and b must lie in Planes: a few floats behind a row are read, and not used.
class OperatorProduct {
public:
    explicit OperatorProduct(const Operator& a);

    // Row `row` of A x, and of b - A x. Of x there must be the rows around it.
    void multiply(const RowsOf<const float>& x, int64_t row, const Pointers& out) const;
    void subtract(const RowsOf<const float>& b, const RowsOf<const float>& x, int64_t row, const Pointers& out) const;
    RowRange around(const RowRange& rows) const;
    int64_t reach() const { return reach_; }

    // Row `row` of the sums of the moduli of each unknown's couplings with other pixels
    void sum_moduli(int64_t row, const Pointers& out) const;

private:
    // One unknown, or two whose couplings with themselves are the same.
    struct Part {
        int first, second;  // -1 if there is none
        Factors of_first, of_second;
        Factors shared;  // of the unknown itself
    };

    void fill(const RowsOf<const float>* b, float sign, const RowsOf<const float>& x, int64_t row,
              const Pointers& out) const;

    Grid grid_;
    int64_t reach_ = 0;  // so many rows before and behind its own are read
    const float* zero_row_;
    std::vector<Part> parts_;
};

}  // namespace variflow::stencil
