// The kernels of the core. Planes are float32, (C, H, W), contiguous; outputs never overlap inputs.
#pragma once

#include <cstdint>

namespace variflow {

struct Shape {
    int64_t channels, height, width;
};

// Of a cubic spline the planes are its coefficients.
enum class Interpolation { bilinear, bicubic, spline };
enum class Axis { x, y };

// image/warp.cpp
void warp(const float* planes, Shape shape, const float* u, const float* v, Interpolation interpolation, float* out);

// image/spline.cpp
void spline_coefficients(const float* planes, Shape shape, float* out);

// image/derivative.cpp
void derivative(const float* planes, Shape shape, Axis axis, float* out);

// image/noise.cpp: the standard deviation of the noise, the root mean square over the planes; 0 where it cannot be told.
double noise(const float* planes, Shape shape);

// image/resample.cpp: the taps along one axis. Output i reads inputs first[i] ... first[i] + taps - 1 with weights[i * taps +
// ...].
struct Taps {
    const int32_t* first;
    const float* weights;
    int64_t outputs, taps;
};
void resample(const float* planes, Shape shape, Taps vertical, Taps horizontal, float* out);
// The same of a flow whose components are multiplied by these factors, as two planes or as pairs.
void resample_flow(const float* u, const float* v, Shape shape, Taps vertical, Taps horizontal, float factor_u,
                   float factor_v, bool in_pairs, float* out);

// image/frame_checks.cpp: sums over all pixels of what two frames are about the means of their planes: squared, and
// multiplied with each other.
struct Likeness {
    double first, second, both;
};
Likeness find_likeness(const float* first, const float* second, Shape shape);
// At how many pixels of every `step`-th row the next one is as bright, to less than `least`, in all channels.
int64_t count_flat(const float* planes, Shape shape, int64_t step, float least);

// image/missing.cpp: planes whose missing pixels are filled; a pixel of (H, W) is valid where not 0, and some are.
void fill_missing(const float* planes, Shape shape, const uint8_t* valid, float* out);

// image/interleave.cpp: (2, count) values as (count, 2).
void interleave(const float* u, const float* v, int64_t count, float* out);

// image/flow_checks.cpp: whether no value is infinite or NaN; and at how many of `count` pixels a flow is farther than `least`
// from another.
bool are_finite(const float* values, int64_t count);
int64_t count_moved(const float* u0, const float* v0, const float* u, const float* v, int64_t count, float least);

// image/flow_colors.cpp: a flow (count, 2) as RGB. The hue is that of its direction among hues (3, number), which go round
// once, clockwise from the right; white stands for rest, the full hue for a speed of `scale`, and faster is darker. What is
// not finite is black.
void paint_flow(const float* flow, int64_t count, float scale, const float* hues, int64_t number, uint8_t* out);

// image/bytes.cpp: images (H, W, C) of bytes; `shape` names their sizes in the order of planes. Each byte becomes the entry of
// its channel's table of 256, in planes, or summed over the channels in one plane. And counts[value] grows by how
// often it occurs in every `step`-th row, or in the pixels at some places, counted row by row.
void look_up(const uint8_t* bytes, Shape shape, const float* tables, bool sum, float* out);
void histogram(const uint8_t* bytes, int64_t rows, int64_t row_size, int64_t step, int64_t* counts);
void histogram_at(const uint8_t* bytes, int64_t channels, const int32_t* places, int64_t number, int64_t* counts);
void copy_bytes(const uint8_t* bytes, int64_t count, uint8_t* out);

// filter/median.cpp: `size` is 3 or 5.
void median(const float* planes, Shape shape, int size, float* out);

}  // namespace variflow
