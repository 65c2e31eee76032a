// The motions that are possible at some pixels.
#pragma once

#include "between/between.hpp"

namespace variflow {

constexpr int most_motions = 16;
constexpr int64_t pixels_at_once = 128;
constexpr int64_t most_at_once = most_motions * pixels_at_once;

// The motions at a few pixels of a row, in order; each sum is over what arrives.
struct Motions {
    alignas(64) float u[most_at_once], v[most_at_once];
    alignas(64) float confirmed[most_at_once], only[2][most_at_once];
    alignas(64) int32_t column[most_at_once];
    int64_t count = 0;
};

// between/motions.cpp: those at the pixels from `begin` on and before `end`, at most `pixels_at_once`, of row y.
void gather_motions(const Arrivals& first, const Arrivals& second, int64_t begin, int64_t end, int64_t y, Motions& to);

}  // namespace variflow
