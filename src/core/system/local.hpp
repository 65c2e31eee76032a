// Kernels that work on each pixel and its neighbourhood, without a smoothness term. Planes are float32, contiguous;
// outputs never overlap inputs.
#pragma once

#include "image/image.hpp"

namespace variflow {

// system/lucas_kanade.cpp. The increment (2, H, W) that minimises, at each pixel, the energy of its motion tensor (see
// system/system.hpp; 5 planes) and regularisation * |increment|^2, with regularisation above 0.
void lucas_kanade(const float* tensor, int64_t pixels, float regularisation, float* out);

// system/census.cpp. The residuals between two frames (C, H, W), the second warped, and their Jacobian: for each channel one
// plane for each neighbour within `radius` along both axes, row by row.
struct CensusRule {
    int64_t radius;
    float softness, noise;  // noise above 0
};
void census(const float* frame0, const float* frame1, Shape shape, CensusRule rule, float* jx, float* jy, float* r);

}  // namespace variflow
