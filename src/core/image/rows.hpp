// Kernels on one row, for those who need a few rows at a time.
#pragma once

#include <cstdint>

#include "image/image.hpp"

namespace variflow {

// image/warp.cpp: the pixels from `begin` on and before `end` of row y of every plane, warped by the flow there; the outputs
// are `stride` floats apart.
void warp_row(const float* planes, Shape shape, int64_t y, int64_t begin, int64_t end, const float* u, const float* v,
              Interpolation interpolation, float* out, int64_t stride);

// image/warp.cpp: the same by a spline for some pixels of row y, in the columns x, each with its own motion.
void warp_points(const float* coefficients, Shape shape, const int32_t* x, int64_t y, int64_t count, const float* u,
                 const float* v, float* out, int64_t stride);

// image/derivative.cpp: along a row, and along y from the rows two above, one above, one below and two below.
void derivative_along_row(const float* row, int64_t width, float* out);
void derivative_across_rows(const float* above2, const float* above1, const float* below1, const float* below2,
                            int64_t width, float* out);

}  // namespace variflow
