#include "stencil/rows.hpp"

#include <cmath>

#include "base/platform.hpp"

namespace variflow::stencil {

void copy_planes(const Grid& grid, int count, const float* from, float* to) {
    for_rows(grid, [&](int64_t row) {
        for (int64_t at = row * grid.width; at < count * grid.size(); at += grid.size()) {
            std::copy_n(from + at, grid.width, to + at);
        }
    });
}

void clear_planes(const Grid& grid, int count, float* to) {
    for_rows(grid, [&](int64_t row) {
        for (int64_t at = row * grid.width; at < count * grid.size(); at += grid.size()) {
            std::fill_n(to + at, grid.width, 0.0f);
        }
    });
}

VARIFLOW_CLONES
void add_scaled(const float* VARIFLOW_RESTRICT from, float factor, int64_t count, float* VARIFLOW_RESTRICT to) {
    for (int64_t i = 0; i < count; ++i) to[i] += factor * from[i];
}

VARIFLOW_CLONES
void add_product(const float* VARIFLOW_RESTRICT a, const float* VARIFLOW_RESTRICT b, float factor, int64_t count,
                 float* VARIFLOW_RESTRICT to) {
    for (int64_t i = 0; i < count; ++i) to[i] += factor * (a[i] * b[i]);
}

VARIFLOW_CLONES
void add_modulus(const float* VARIFLOW_RESTRICT a, int64_t count, float* VARIFLOW_RESTRICT out) {
    for (int64_t i = 0; i < count; ++i) out[i] += std::abs(a[i]);
}

}  // namespace variflow::stencil
