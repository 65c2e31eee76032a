// Sums in double precision and a fixed order, in as many running sums as vector instructions want.
#pragma once

#include <cstdint>
#include <numeric>

#include "base/platform.hpp"

namespace variflow {

// The sum of a function of 0 to count - 1, for functions that are cloned.
template <typename Term>
VARIFLOW_INLINE double sum_of(int64_t count, Term term) {
    constexpr int64_t lanes = 16;
    double sums[lanes] = {};
    int64_t i = 0;
    for (; i + lanes <= count; i += lanes) {
        for (int64_t lane = 0; lane < lanes; ++lane) sums[lane] += term(i + lane);
    }
    for (; i < count; ++i) sums[0] += term(i);
    return std::accumulate(sums, sums + lanes, 0.0);
}

double sum(const float* values, int64_t count);
double dot(const float* a, const float* b, int64_t count);

}  // namespace variflow
