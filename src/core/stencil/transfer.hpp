// From a grid to the one with half as many pixels along each axis, and back: linear interpolation P, and P^T.
//
// Pixel 2 I of an axis becomes the coarse pixel I. What lies between two of them belongs to both by halves, and behind
// the last one to that alone. An axis of two pixels stays as it is.
#pragma once

#include <cstdint>

#include "stencil/rows.hpp"
#include "stencil/stencil.hpp"

namespace variflow::stencil {

// How much of pixel 2 I + side belongs to the coarse pixel I.
inline float share(int64_t coarse, int side, int64_t coarse_length) {
    if (side == 0) return 1.0f;
    return side > 0 && coarse + 1 == coarse_length ? 1.0f : 0.5f;
}

// The fine rows that restriction reads for these coarse ones.
RowRange find_fine_rows(const Grid& coarse, const Grid& fine, const RowRange& rows);

// Row `row` of P^T times one of the planes `from`. `fine_row` has room for a row of the fine grid.
void restrict_row(const Grid& coarse, const Grid& fine, const RowsOf<const float>& from, int plane, int64_t row,
                  RowSum& sum, float* fine_row, float* out);

// Add row `row` of P times a plane to `out`. `coarse_row` has room for a row of the coarse grid.
void add_interpolated_row(const Grid& coarse, const Grid& fine, const float* from, int64_t row, RowSum& sum,
                          float* coarse_row, float* out);

}  // namespace variflow::stencil
