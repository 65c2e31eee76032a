// First derivative along one axis, exact for polynomials up to degree 4:
//
//     f'(x) = (f(x-2) - 8 f(x-1) + 8 f(x+1) - f(x+2)) / 12,
//
// where positions outside the frame take the value of the nearest border pixel.
#include <algorithm>

#include "base/platform.hpp"
#include "base/threads.hpp"
#include "image/image.hpp"
#include "image/rows.hpp"

namespace variflow {
namespace {

VARIFLOW_INLINE float five_point(float before2, float before1, float after1, float after2) {
    return (8.0f * (after1 - before1) - (after2 - before2)) * (1.0f / 12.0f);
}

}  // namespace

VARIFLOW_CLONES
void derivative_along_row(const float* VARIFLOW_RESTRICT row, int64_t width, float* VARIFLOW_RESTRICT out) {
    const int64_t last = width - 1;
    auto at_border = [&](int64_t x) {
        return five_point(row[std::max<int64_t>(x - 2, 0)], row[std::max<int64_t>(x - 1, 0)],
                          row[std::min(x + 1, last)], row[std::min(x + 2, last)]);
    };
    for (int64_t x = 0; x < std::min<int64_t>(2, width); ++x) out[x] = at_border(x);
    for (int64_t x = 2; x < width - 2; ++x) out[x] = five_point(row[x - 2], row[x - 1], row[x + 1], row[x + 2]);
    for (int64_t x = std::max<int64_t>(2, width - 2); x < width; ++x) out[x] = at_border(x);
}

VARIFLOW_CLONES
void derivative_across_rows(const float* VARIFLOW_RESTRICT above2, const float* VARIFLOW_RESTRICT above1,
                            const float* VARIFLOW_RESTRICT below1, const float* VARIFLOW_RESTRICT below2, int64_t width,
                            float* VARIFLOW_RESTRICT out) {
    for (int64_t x = 0; x < width; ++x) out[x] = five_point(above2[x], above1[x], below1[x], below2[x]);
}

void derivative(const float* planes, Shape shape, Axis axis, float* out) {
    const int64_t channels = shape.channels, height = shape.height, width = shape.width;
    parallel_for(channels * height, rows_per_chunk(width), [=](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row) {
            if (axis == Axis::x) {
                derivative_along_row(planes + row * width, width, out + row * width);
                continue;
            }
            const int64_t y = row % height;
            auto clamped = [&](int64_t offset) {
                return planes + (row - y + std::clamp<int64_t>(y + offset, 0, height - 1)) * width;
            };
            derivative_across_rows(clamped(-2), clamped(-1), clamped(1), clamped(2), width, out + row * width);
        }
    });
}

}  // namespace variflow
