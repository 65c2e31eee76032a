// The kernels that filter a flow. Planes are float32, contiguous, without NaN; outputs never overlap inputs.
#pragma once

#include "image/image.hpp"

namespace variflow {

// filter/boxes.cpp. Of planes: the mean over a square of (2 * reach + 1)^2 pixels around each, borders replicated.
void box_mean(const float* planes, Shape shape, int64_t reach, float* out);

// filter/motion_edges.cpp. Of a flow (2, H, W): 1 near its edges and 0 elsewhere, (H, W).
struct EdgeRule {
    float edge, ratio;         // of the gradient: its least size, and that relative to its mean over the window
    int64_t window, dilation;  // pixels; the window is odd
};
void motion_edges(const float* flow, Shape shape, EdgeRule rule, float* out);

// filter/motion_edges.cpp. Of a flow (2, H, W), the temporal differences it leaves (C, H, W) and its mismatch (H, W): how far
// to rely on each pixel, (H, W). Near 0 where the first frame's pixel disappears behind another or its flow is a mixture of
// two motions, 1 where nothing speaks for that, never 0.
struct Deviations {
    float divergence, steepness, difference, mismatch;
};
void visibility(const float* flow, const float* differences, const float* mismatch, Shape shape, Deviations deviations,
                float* out);

// filter/motion_edges.cpp. Marks of 0 and 1, (1, H, W), but 2 for 1 where visibility has a mean below `least` over a window, an
// odd number of pixels wide.
void mark_hidden(const float* edges, const float* visibility, Shape shape, int64_t window, float least, float* out);

// filter/weighted_median.cpp. Of both planes of a flow (2, H, W) where `mask` (H, W) is not 0; `otherwise` elsewhere. Where the
// mask is 2, as many neighbours lie `widening` times as far apart.
struct MedianWindow {
    int64_t size, step;    // size x size pixels, odd; with a step about one in its square, spread evenly
    float spatial;         // standard deviations of the weights: pixels,
    float color, lightness;  // and the unit of the guide
    int64_t widening;
};
struct MedianPlanes {
    const float *flow, *otherwise, *mask;
    const float* guide;  // (guide_channels, H, W): three are lightness and two of colour, else all are lightness
    const float* reliability;  // (H, W), above 0
    int64_t guide_channels;
};
void weighted_median(MedianPlanes planes, Shape shape, MedianWindow window, float* out);

// filter/small_things.cpp. The filtered flow (2, H, W), but the flow before it where both lie more than `far` pixels apart,
// visibility (H, W) has a mean above `visible`, and the mismatch along the filtered flow one above `worse` times that before
// it, plus `least`. Means are over squares of `window` pixels, odd; a mismatch (H, W) is at most `most`.
struct KeepingRule {
    float far, visible, worse, least, most;
    int64_t window;
};
struct Misfits {
    const float *visibility, *before, *after;
};
void keep_what_matches(const float* flow, const float* filtered, Misfits misfits, Shape shape, KeepingRule rule,
                       float* out);

// filter/smoothing.cpp. Of a flow (2, H, W): its mean under a Gaussian of so many pixels where `marks` (H, W) is 0, over the
// pixels where it is 0; elsewhere the flow itself.
void smooth_apart(const float* flow, const float* marks, Shape shape, float deviation, float* out);

// image/color.cpp. The colour space in which distances are as large as they look; L is in [0, 100].
void lab(const float* planes, Shape shape, float* out);

}  // namespace variflow
