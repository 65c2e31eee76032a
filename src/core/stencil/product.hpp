// An operator at work on planes of unknowns, a row at a time.
#pragma once

#include <cstdint>
#include <vector>

#include "stencil/stencil.hpp"

namespace variflow::stencil {

// A plane of an operator: at pixel p it is multiplied by x[p + shift], if the pixel at the offset is inside the grid.
struct Factor {
    const float* plane;
    int64_t shift;
    Offset offset;
};
using Factors = std::vector<Factor>;

// The planes x and b must lie in Planes: a few floats behind a row are read, and not used.
class OperatorProduct {
public:
    explicit OperatorProduct(const Operator& a);

    // Row `row` of A x, and of b - A x
    void multiply(const float* x, int64_t row, const Pointers& out) const;
    void subtract(const float* b, const float* x, int64_t row, const Pointers& out) const;

    // Row `row` of the sums of the moduli of each unknown's couplings with other pixels
    void sum_moduli(int64_t row, const Pointers& out) const;

private:
    // One unknown, or two whose couplings with themselves are the same.
    struct Part {
        int first, second;  // -1 if there is none
        Factors of_first, of_second;
        Factors shared;  // shifts are from the unknown's own plane
    };

    void fill(const float* b, float sign, const float* x, int64_t row, const Pointers& out) const;

    Grid grid_;
    const float* zero_row_;
    std::vector<Part> parts_;
};

}  // namespace variflow::stencil
