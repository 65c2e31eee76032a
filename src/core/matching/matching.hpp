// Matching of two frames: what a pixel's surroundings look like, and where in the other frame they look the same.
//
// Seeds are the points of a grid of every `step`-th column and row, centred in the frame.
#pragma once

#include <cstdint>

#include "image/image.hpp"

namespace variflow {

struct SeedAxis {
    int64_t size, step, count, first;
    SeedAxis(int64_t length, int64_t spacing)
        : size(length),
          step(spacing),
          count((length - 1) / spacing + 1),
          first((length - 1 - (count - 1) * spacing) / 2) {}
    int64_t position(int64_t seed) const { return first + seed * step; }
};

// matching/descriptors.cpp. At each pixel of a plane `descriptor_bytes` numbers from 0 to 255: how strong the gradients
// of each of 8 orientations are around it and around 7 points on a ring about it, relative to all of these together.
// Below the gradient `noise` per pixel they fade.
constexpr int64_t descriptor_bytes = 64;
void descriptors(const float* plane, int64_t height, int64_t width, float noise, uint8_t* out);

// matching/search.cpp. One frame as a search sees it; pixels that are not valid match nothing.
struct Described {
    const uint8_t* descriptors;  // (H, W, descriptor_bytes)
    const float* valid;          // (H, W), 0 where not
    int64_t height, width;
};

// For each seed of the first frame the displacement (u, v) of the most similar pixel of the second, and its ambiguity:
// the sum of the absolute differences of both descriptors, relative to the least sum a few pixels beside the match; at
// most 1. Three planes, NaN where the seed is not valid or nothing was found.
//
// Without a `start` all displacements up to `reach` along each axis are compared, and zero is favoured by `favour`.
// With one, two planes, candidates are the start, what neighbouring seeds found, and random steps of up to `reach`; to
// the sum of differences comes `smoothness` for each pixel by which the match differs from those around it.
struct SearchRule {
    int64_t step, reach, sweeps;
    float favour, smoothness;
};
void search_matches(const Described& first, const Described& second, const float* start, SearchRule rule, float* out);

// matching/lines.cpp. One frame as a search along epipolar lines sees it. `lines` is a matrix (3, 4): the point (x, y) of
// this frame is seen in the other at the homogeneous position lines (x, y, 1, depth).
struct Lined {
    const float* plane;  // (H, W), intensities from 0 to 1
    const float* valid;  // (H, W), 0 where not
    const float* lines;
    int64_t height, width;
};

// For each seed of both frames, which have one size, its depth: one of `count`, `interval` apart, or between two; NaN
// where the seed is not valid.
struct DepthRule {
    float first, interval;
    int64_t count, step;
};
void search_lines(const Lined& first, const Lined& second, DepthRule rule, float* forward, float* backward);

// matching/confidence.cpp. The probability that each match is right, 0 for none, from the matches of both directions
// (three planes each, of one size).
void match_confidence(const float* forward, const float* backward, int64_t across, int64_t down, int64_t step,
                      float* out);

// matching/fill.cpp. Affine motions fitted to the matches around each place of a grid: u and v there, and by how much the
// place's own match differs from them where it is (0 without one), four planes.
struct FillPlanes {
    const float *u, *v, *weight;  // a match in each place, weight 0 for none
    const float *x, *y;           // where it is, in the unit of the grid
    const float* guide;           // (C, H, W)
};
struct FillRule {
    float reach;      // over which way the weight of a match decays to 1 / e, in places
    float contrast;   // how much longer the way is for each unit of difference of the guide
    float tolerance;  // deviation from which on a match counts less, in the unit of u
    float ridge;      // variance of position below which slopes are not trusted
    int64_t rounds, turns;
};
void fill_affine(const FillPlanes& planes, Shape shape, FillRule rule, float* out);

}  // namespace variflow
