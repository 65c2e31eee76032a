#include "stencil/transfer.hpp"

#include <algorithm>

#include "base/platform.hpp"

namespace variflow::stencil {
namespace {

// out[i] = from[2 i], and half of its neighbours
VARIFLOW_CLONES
void halve_row(const float* VARIFLOW_RESTRICT from, int64_t count, float* VARIFLOW_RESTRICT out) {
    for (int64_t i = 0; i < count; ++i) out[i] = 0.5f * from[2 * i - 1] + from[2 * i] + 0.5f * from[2 * i + 1];
}

// from[i] to out[2 i], and half of it and its next to out[2 i + 1].
VARIFLOW_CLONES
void add_spread(const float* VARIFLOW_RESTRICT from, int64_t count, float* VARIFLOW_RESTRICT out) {
    for (int64_t i = 0; i < count; ++i) {
        out[2 * i] += from[i];
        out[2 * i + 1] += 0.5f * (from[i] + from[i + 1]);
    }
}

// The coarse pixels that a fine one lies between, along an axis: one, or two of which each has half of it.
struct Parents {
    int64_t first, last;

    float share() const { return first == last ? 1.0f : 0.5f; }
};
Parents find_parents(int64_t fine, int64_t fine_length, int64_t coarse_length) {
    if (fine_length == coarse_length) return {fine, fine};
    return {fine / 2, std::min(fine / 2 + fine % 2, coarse_length - 1)};
}

// How many rows beside its own a coarse pixel has on the fine grid, to either side.
int reach(int64_t coarse_length, int64_t fine_length) { return coarse_length != fine_length ? 1 : 0; }

}  // namespace

RowRange find_fine_rows(const Grid& coarse, const Grid& fine, const RowRange& rows) {
    const int64_t reach_z = reach(coarse.depth, fine.depth), reach_y = reach(coarse.height, fine.height);
    auto place = [&](int64_t row, int side) {
        const int64_t z = row / coarse.height, y = row % coarse.height;
        return ((1 + reach_z) * z + side * reach_z) * fine.height + (1 + reach_y) * y + side * reach_y;
    };
    return {std::max<int64_t>(place(rows.first, -1), 0), std::min(place(rows.last - 1, 1) + 1, fine.rows())};
}

void restrict_row(const Grid& coarse, const Grid& fine, const RowsOf<const float>& from, int plane, int64_t row,
                  RowSum& sum, float* fine_row, float* out) {
    const int64_t z = row / coarse.height, y = row % coarse.height;
    const int reach_z = reach(coarse.depth, fine.depth), reach_y = reach(coarse.height, fine.height);
    for (int dz = -reach_z; dz <= reach_z; ++dz) {
        for (int dy = -reach_y; dy <= reach_y; ++dy) {
            const int64_t fine_z = (1 + reach_z) * z + dz, fine_y = (1 + reach_y) * y + dy;
            if (fine_z < 0 || fine_z >= fine.depth || fine_y < 0 || fine_y >= fine.height) continue;
            const float factor = share(z, dz, coarse.depth) * share(y, dy, coarse.height);
            sum.add({from.at(plane, fine_z * fine.height + fine_y), factor, {0, fine.width}});
        }
    }
    if (fine.width == coarse.width) return sum.write(coarse.width, out);
    sum.write(fine.width, fine_row);
    out[0] = fine_row[0] + 0.5f * fine_row[1];
    halve_row(fine_row + 2, coarse.width - 2, out + 1);
    // Behind the last coarse pixel there is one fine pixel, or none.
    const int64_t last = fine.width - 1;
    out[coarse.width - 1] = last % 2 == 0 ? 0.5f * fine_row[last - 1] + fine_row[last]
                                          : 0.5f * fine_row[last - 2] + fine_row[last - 1] + fine_row[last];
}

void add_interpolated_row(const Grid& coarse, const Grid& fine, const float* from, int64_t row, RowSum& sum,
                          float* coarse_row, float* out) {
    const Parents z = find_parents(row / fine.height, fine.depth, coarse.depth);
    const Parents y = find_parents(row % fine.height, fine.height, coarse.height);
    for (int64_t from_z = z.first; from_z <= z.last; ++from_z) {
        for (int64_t from_y = y.first; from_y <= y.last; ++from_y) {
            const float* const read = from + (from_z * coarse.height + from_y) * coarse.width;
            sum.add({read, z.share() * y.share(), {0, coarse.width}});
        }
    }
    sum.write(coarse.width, coarse_row);
    if (fine.width == coarse.width) return add_scaled(coarse_row, 1.0f, fine.width, out);
    add_spread(coarse_row, coarse.width - 1, out);
    const int64_t last = 2 * (coarse.width - 1);
    for (int64_t i = last; i < fine.width; ++i) out[i] += coarse_row[coarse.width - 1];
}

}  // namespace variflow::stencil
