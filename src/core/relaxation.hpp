// A linear system stored for red-black relaxation.
//
// The pixels with even x + y are red, the others black; the neighbours of a pixel have the other colour. Each row keeps
// its red and its black pixels apart: pixel x is number x / 2 of its colour. The unknowns are increments (x, y) on the
// flow that the relaxation starts from, which keeps their precision; at each pixel
//
//     (a11 + S) x + a12 y = c1 + sum e x_neighbour,   a12 x + (a22 + S) y = c2 + sum e y_neighbour,   S = sum e,
//
// solved by elimination:  y = inverse2 (right2 - ratio right1),  x = inverse1 right1 - ratio y.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "memory.hpp"
#include "system.hpp"

namespace variflow {

class Grid {
public:
    // The fields of one colour of one row, each of `stride` floats. There may be more, for other vectors.
    enum FieldName { x, y, c1, c2, ratio, inverse1, inverse2, edge_x, edge_y, relaxation_fields };

    Grid(int64_t height, int64_t width, int64_t fields = relaxation_fields);

    int64_t height() const { return height_; }
    int64_t width() const { return width_; }
    int64_t fields() const { return fields_; }
    // From field to field; more than half the width, so that reading one element beside a field's pixels finds a zero.
    int64_t stride() const { return stride_; }
    // Elements of a field that hold pixels, rounded up to whole vectors.
    int64_t count() const { return count_; }

    // Rows -1 and `height` exist and are zero; so is what stands behind the pixels of a field.
    float* row(int64_t row, int64_t color) const {
        return workspace_.data() + lead + (2 * (row + 1) + color) * fields_ * stride_;
    }

private:
    static constexpr int64_t lead = 16;
    int64_t height_, width_, fields_, stride_, count_;
    Workspace workspace_;
};

// Pixels of one color in one row are the even ones or, if this is 1, the odd ones.
inline int64_t parity(int64_t row, int64_t color) { return (row + color) & 1; }

// One row of the system and of the flow that the relaxation starts from. Beyond the first and the last row of the frame
// edges are null, and the flow is that of the row itself.
struct Row {
    const float *a11, *a12, *a22, *b1, *b2;
    const float *edge_x, *edge_y, *edge_above;
    const float *u0, *v0, *u, *v, *u_above, *v_above, *u_below, *v_below;
};
Row row_of(const System& system, Field flow, int64_t row);

// Fill one row of the grid.
void pack_row(const Row& input, const Grid& grid, int64_t row);

// Makes rows of the grid, down a band of them; what it keeps from row to row is its own.
class RowMaker {
public:
    virtual ~RowMaker() = default;
    virtual void make(int64_t row) = 0;
};

// Sweeps over a grid whose rows are made on the way, before the first half-sweep of each: there they are in the cache.
void relax_made(const Grid& grid, int sweeps, float omega, const std::function<std::unique_ptr<RowMaker>()>& maker);

// Fill the grid with the system for increments on `start`, themselves zero, and further fields with zero.
void pack(const System& system, Field start, const Grid& grid);

// out = start + increments, two planes; the increments are `field` and the one after it.
void unpack(const Grid& grid, int64_t field, Field start, float* out);

// Half-sweeps, alternating between the colours from `first_color` on.
void relax(const Grid& grid, int64_t half_sweeps, int64_t first_color, float omega);

}  // namespace variflow
