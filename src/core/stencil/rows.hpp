// Loops over the rows of a grid, and over the pixels of a row.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/sums.hpp"
#include "base/threads.hpp"
#include "stencil/stencil.hpp"

namespace variflow::stencil {

// The columns from `first` on and before `last` whose pixels at an offset along x are in the row, too.
struct Columns {
    int64_t first, last;
};
inline Columns inside(int64_t width, int64_t offset) {
    return {std::clamp<int64_t>(-offset, 0, width), std::clamp<int64_t>(width - offset, 0, width)};
}

// The rows from `first` on and before `last`.
struct RowRange {
    int64_t first, last;

    int64_t count() const { return last - first; }
};

// Rows of planes, each `stride` floats behind the plane before it; what is kept begins with row `first`.
template <typename Float>
struct RowsOf {
    Float* data;
    int64_t stride, first, width;

    Float* at(int plane, int64_t row) const { return data + plane * stride + (row - first) * width; }
    operator RowsOf<const Float>() const { return {data, stride, first, width}; }
};
template <typename Float>
RowsOf<Float> all_rows(const Grid& grid, Float* planes) {
    return {planes, grid.size(), 0, grid.width};
}

// What a pixel costs in a loop over rows: as much as copying it does, or a few times as much.
enum class Cost : int { little = 1, much = 4 };

// Call function(row) for all rows.
template <typename Function>
void for_rows(const Grid& grid, Cost cost, Function&& function) {
    parallel_for(grid.rows(), rows_per_chunk(static_cast<int>(cost) * grid.width), [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row) function(row);
    });
}

// Call function(row, workspace) for all rows, with room for `count` floats that a row need not leave as it found them.
template <typename Function>
void for_chunks(const Grid& grid, Cost cost, int64_t count, Function&& function) {
    parallel_for(grid.rows(), rows_per_chunk(static_cast<int>(cost) * grid.width), [&](int64_t begin, int64_t end) {
        Workspace workspace(count);
        for (int64_t row = begin; row < end; ++row) function(row, workspace);
    });
}

// Rows in a chunk that does some of the work on the rows around it again, `reach` to either side: so many that this costs
// little.
inline int64_t rows_per_wide_chunk(const Grid& grid, int64_t reach) {
    return std::max(rows_per_chunk(2 * grid.width), 8 * reach);
}

// A row times a factor and, unless null, a second and a third row, in some of the columns; from[i] goes to column i.
struct Summand {
    const float* from;
    float factor;
    Columns columns;
    const float *second = nullptr, *third = nullptr;
};

// A sum of them, which is 0 in the columns of none.
class RowSum {
public:
    void add(const Summand& summand) { (summand.second ? products_ : rows_).push_back(summand); }

    // Write the sum, and begin another.
    void write(int64_t width, float* out);

private:
    std::vector<Summand> rows_, products_;
};

// Copy K planes, or fill them with zeros.
void copy_planes(const Grid& grid, int count, const float* from, float* to);
void clear_planes(const Grid& grid, int count, float* to);

// The product of row `row` of K planes and that of K others
double dot_of_row(const Grid& grid, int count, int64_t row, const float* a, const float* b);

// to += factor * from, to += factor * a * b, and out += |a|
void add_scaled(const float* from, float factor, int64_t count, float* to);
void add_product(const float* a, const float* b, float factor, int64_t count, float* to);
void add_modulus(const float* a, int64_t count, float* out);

}  // namespace variflow::stencil
