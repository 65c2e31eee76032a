#include "stencil/rows.hpp"

#include <cmath>

#include "base/platform.hpp"

namespace variflow::stencil {

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
