// The kernels that filter a flow. Planes are float32, contiguous, without NaN; outputs never overlap inputs.
#pragma once

#include "image/image.hpp"

namespace variflow {

// filter/motion_edges.cpp. Of a flow (2, H, W): 1 near its edges and 0 elsewhere, (H, W).
struct EdgeRule {
    float edge, ratio;         // of the gradient: its least size, and that relative to its mean over the window
    int64_t window, dilation;  // pixels; the window is odd
};
void motion_edges(const float* flow, Shape shape, EdgeRule rule, float* out);

// filter/motion_edges.cpp. Of a flow (2, H, W), the temporal differences it leaves (C, H, W) and its mismatch (H, W): near 0
// where the first frame's pixel disappears behind another, 1 where nothing speaks for that, never 0; (H, W).
struct Deviations {
    float divergence, difference, mismatch;
};
void visibility(const float* flow, const float* differences, const float* mismatch, Shape shape, Deviations deviations,
                float* out);

// filter/weighted_median.cpp. Of both planes of a flow (2, H, W) where `mask` (H, W) is not 0; there `otherwise` elsewhere.
struct MedianWindow {
    int64_t size, step;    // size x size pixels, odd; with a step about one in its square, spread evenly
    float spatial, color;    // standard deviations of the weights: pixels, and the unit of the guide
};
struct MedianPlanes {
    const float *flow, *otherwise, *mask;
    const float* guide;        // (guide_channels, H, W)
    const float* reliability;  // (H, W), above 0
    int64_t guide_channels;
};
void weighted_median(MedianPlanes planes, Shape shape, MedianWindow window, float* out);

// image/color.cpp. The colour space in which distances are as large as they look; L is in [0, 100].
void lab(const float* planes, Shape shape, float* out);

}  // namespace variflow
