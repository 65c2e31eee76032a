#include "base/sums.hpp"

namespace variflow {

VARIFLOW_CLONES
double sum(const float* values, int64_t count) {
    return sum_of(count, [=](int64_t i) VARIFLOW_INLINE_LAMBDA { return static_cast<double>(values[i]); });
}

VARIFLOW_CLONES
double dot(const float* a, const float* b, int64_t count) {
    return sum_of(
        count, [=](int64_t i) VARIFLOW_INLINE_LAMBDA { return static_cast<double>(a[i]) * static_cast<double>(b[i]); });
}

}  // namespace variflow
