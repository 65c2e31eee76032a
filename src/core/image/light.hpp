// By what gain and offset the light of two frames differs.
#pragma once

#include <cstdint>
#include <vector>

#include "image/image.hpp"

namespace variflow {

struct LightRule {
    int64_t rounds;  // how often a fit is made; after each, what fits badly is left out
    double least_gain, largest_gain;
};

// target = gain values + offset, by the mean and the spread of both; and 1 for what it fits, 0 for the rest.
struct LightFit {
    double gain, offset;
    std::vector<float> kept;
};
LightFit fit_light(const std::vector<float>& target, const std::vector<float>& values, const LightRule& rule);

// Of planes (C, H, W) that should show the same, and what of them can be used, (H, W): by how much a gain and an offset
// change what is ordinary, and the mean difference before and after, summed over channels. Every so many rows and columns
// are looked at. What lies within the margin of the least or the largest value does not count, nor do channels of fewer
// values than `fewest`.
struct LightChange {
    double change, before, after;
};
LightChange light_change(const float* first, const float* second, const float* usable, Shape shape, int64_t every,
                         float margin, int64_t fewest, const LightRule& rule);

}  // namespace variflow
