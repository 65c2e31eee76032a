// Frames at a time between two frames. Planes are float32, (C, H, W), contiguous; outputs never overlap inputs.
#pragma once

#include <cstdint>
#include <vector>

#include "base/memory.hpp"
#include "image/image.hpp"

namespace variflow {

// A flow and the flow back: planes (2, H, W), NaN where unknown.
struct Flows {
    const float *there, *back;
    int64_t height, width;
};

// How far, in pixels, a point that arrives is seen.
constexpr int reach = 2;

// Where the pixels of a frame are after a share of their motion: those near the frame, row by row, and from left to
// right.
class Arrivals {
public:
    // between/arrivals.cpp
    Arrivals(const Flows& flows, float share, float sign);

    // The position of each; its motion times `sign`; and how far the flow back confirms it, from 0 to 1. Three more
    // may be read after the last one.
    const float *x, *y, *u, *v, *trust;

    const int64_t height, width;

    // The first of those of a row of cells, between two rows of pixels, that lie in a column of cells or further right. Cells
    // count from -reach to the height or width, and there is one more column.
    int32_t first(int64_t row, int64_t column) const {
        return first_[static_cast<size_t>((row + reach) * stride_ + column + reach)];
    }

private:
    int64_t stride_;
    Workspace values_;
    std::vector<int32_t> first_;
};

// Two frames as coefficients of splines, and where they are known; the flow of each to the other.
struct Pair {
    const float* coefficients[2];
    const uint8_t* known[2];
    const float* flow[2];
    Shape shape;
};

// between/render.cpp: the frame at a time from 0 to 1, and in two more planes the motion from the first frame to the second
// of what it shows. Both are NaN where no pixel arrives; the frame also where neither frame is known. `scale` is the
// difference between the frames that makes a motion doubtful.
void render_between(const Pair& pair, float time, float scale, float* out);

}  // namespace variflow
