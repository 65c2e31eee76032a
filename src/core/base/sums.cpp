#include "base/sums.hpp"

#include <numeric>

#include "base/platform.hpp"

namespace variflow {

VARIFLOW_CLONES
double sum(const float* values, int64_t count) {
    constexpr int64_t lanes = 16;
    double sums[lanes] = {};
    int64_t i = 0;
    for (; i + lanes <= count; i += lanes) {
        for (int64_t lane = 0; lane < lanes; ++lane) sums[lane] += static_cast<double>(values[i + lane]);
    }
    for (; i < count; ++i) sums[0] += static_cast<double>(values[i]);
    return std::accumulate(sums, sums + lanes, 0.0);
}

VARIFLOW_CLONES
double dot(const float* a, const float* b, int64_t count) {
    constexpr int64_t lanes = 16;
    double sums[lanes] = {};
    int64_t i = 0;
    for (; i + lanes <= count; i += lanes) {
        for (int64_t lane = 0; lane < lanes; ++lane) {
            sums[lane] += static_cast<double>(a[i + lane]) * static_cast<double>(b[i + lane]);
        }
    }
    for (; i < count; ++i) sums[0] += static_cast<double>(a[i]) * static_cast<double>(b[i]);
    return std::accumulate(sums, sums + lanes, 0.0);
}

}  // namespace variflow
