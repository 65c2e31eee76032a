// A linear system stored for red-black relaxation.
//
// The pixels with even x + y are red, the others black; the neighbours of a pixel have the other colour. Each row keeps
// its red and its black pixels apart: pixel x is number x / 2 of its colour. The unknowns are increments (x, y) on the
// flow that the relaxation starts from, which keeps their precision; at each pixel
//
//     (a11 + S) x + a12 y = c1 + sum e x_neighbour,   a12 x + (a22 + S) y = c2 + sum e y_neighbour,   S = sum e,
//
// solved by elimination:  y = inverse2 (right2 - ratio right1),  x = inverse1 right1 - ratio y. In the grid both inverses are
// multiplied by the over-relaxation omega, and so is what they give.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/memory.hpp"
#include "system/system.hpp"

namespace variflow {

class Grid {
public:
    // The fields of one colour of one row, each of `stride` floats. There may be more, for other vectors.
    enum FieldName { x, y, c1, c2, ratio, inverse1, inverse2, edge_x, edge_y, relaxation_fields };
    // Whether the grid has memory for all its rows, or they are placed in somebody else's.
    enum class Memory { own, placed };

    Grid(int64_t height, int64_t width, float omega, int64_t fields = relaxation_fields, Memory memory = Memory::own);

    int64_t height() const { return height_; }
    int64_t width() const { return width_; }
    int64_t fields() const { return fields_; }
    float omega() const { return omega_; }
    // From field to field; more than half the width, so that reading one element beside a field's pixels finds a zero.
    int64_t stride() const { return stride_; }
    // Elements of a field that hold pixels, rounded up to whole vectors.
    int64_t count() const { return count_; }

    // Rows -1 and `height` exist and are zero; so is what stands beside the pixels of a field.
    float* row(int64_t row, int64_t color) const {
        return rows_[static_cast<size_t>(row + 1)] + color * fields_ * stride_;
    }

    // Let a row lie in memory of so many floats. Rows that are not needed at the same time may share theirs.
    int64_t row_size() const { return lead + 2 * fields_ * stride_; }
    void place(int64_t row, float* memory);

private:
    static constexpr int64_t lead = 16;
    int64_t height_, width_, fields_, stride_, count_;
    float omega_;
    Workspace memory_;
    std::vector<float*> rows_;
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
Row row_of(const System& system, Field flow, int64_t row, int64_t first_column);

// Fill one row of the grid.
void pack_row(const Row& input, const Grid& grid, int64_t row);

// Columns of a frame that are relaxed by themselves, from `begin` on and before `end`. Beside a border that is not the
// frame's own, values are wrong, a pixel further with every half-sweep; wanted are those from `first` on and before
// `last`, which are right.
struct Window {
    int64_t begin, end, first, last;
    int64_t width() const { return end - begin; }
};

// Makes rows of the grid of a window, down a band of them; what it keeps from row to row is its own. What it makes of a
// pixel depends on pixels at most `reach` columns away: derivatives of derivatives.
class RowMaker {
public:
    static constexpr int64_t reach = 4;
    virtual ~RowMaker() = default;
    // Fill a row of the grid, and return what it was made of, which lasts until the next row is made.
    virtual Row make(int64_t row) = 0;
};
using MakerOfRows = std::function<std::unique_ptr<RowMaker>(const Grid& grid, const Window& window)>;
// The rows of a system, which must live as long.
MakerOfRows rows_of(const System& system, Field start);

// out = start + increments, after sweeps over a system whose rows are made right before the first half-sweep over them
// and are forgotten after the last: they go no further than a cache.
void relax_made(int64_t height, int64_t width, int sweeps, float omega, const MakerOfRows& maker, Field start,
                float* out);

// The same by multigrid cycles: each takes the increment from the coarser grids, and ends with sweeps on the finest.
void cycle_made(int64_t height, int64_t width, int cycles, int sweeps, float omega, const MakerOfRows& maker,
                Field start, float* out);

// Fill the grid with the system for increments on `start`, themselves zero, and further fields with zero.
void pack(const System& system, Field start, const Grid& grid);

// out = start + increments, two planes of frames `width` wide; the increments are `field` and the one after it.
void unpack(const Grid& grid, int64_t field, Field start, float* out);
void unpack_row(const Grid& grid, int64_t field, int64_t row, const Window& window, int64_t width, Field start,
                float* out);

// Half-sweeps, alternating between the colours from `first_color` on.
void relax(const Grid& grid, int64_t half_sweeps, int64_t first_color);

}  // namespace variflow
