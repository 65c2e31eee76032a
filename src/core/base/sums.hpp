// Sums in double precision and a fixed order, in as many running sums as vector instructions want.
#pragma once

#include <cstdint>

namespace variflow {

double sum(const float* values, int64_t count);
double dot(const float* a, const float* b, int64_t count);

}  // namespace variflow
