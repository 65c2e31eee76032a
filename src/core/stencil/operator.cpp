// The copies of an operator on coarser grids.
#include <algorithm>

#include "base/platform.hpp"
#include "stencil/rows.hpp"

namespace variflow::stencil {
namespace {

// out[i] += factor * from[2 i]
VARIFLOW_CLONES
void add_every_other(const float* VARIFLOW_RESTRICT from, float factor, int64_t count, float* VARIFLOW_RESTRICT out) {
    for (int64_t i = 0; i < count; ++i) out[i] += factor * from[2 * i];
}

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

// Coarser grids

constexpr int64_t Grid::* lengths[] = {&Grid::depth, &Grid::height, &Grid::width};
constexpr int Offset::* components[] = {&Offset::z, &Offset::y, &Offset::x};

// Pixel 2 I of an axis becomes the coarse pixel I. What lies between two of them belongs to both by halves, and behind
// the last one to that alone.
int64_t halved(int64_t length) { return length > 2 ? (length + 1) / 2 : length; }

float share(int64_t coarse, int side, int64_t coarse_length) {
    if (side == 0) return 1.0f;
    return side > 0 && coarse + 1 == coarse_length ? 1.0f : 0.5f;
}

// A plane of a stencil as seen for any offset: its value at p is plane[p + shift], where that is inside.
struct View {
    Offset offset, shift;
    const float* plane;
};

std::vector<View> views(const Stencil& stencil) {
    std::vector<View> all;
    for (size_t i = 0; i < stencil.offsets.size(); ++i) {
        const Offset& offset = stencil.offsets[i];
        all.push_back({offset, {}, stencil.planes[i]});
        if (stencil.symmetric && offset != Offset{}) all.push_back({-offset, -offset, stencil.planes[i]});
    }
    return all;
}

// Where a plane of a finer grid goes, along one axis: from pixel 2 I + side, whose partner at the view's offset belongs to
// the coarse pixel I + distance as 2 (I + distance) + other_side.
struct Route {
    const View* view;
    int side, other_side, distance;
};

std::map<Offset, std::vector<Route>> find_routes(const std::vector<View>& all, int axis, bool symmetric) {
    std::map<Offset, std::vector<Route>> routes;
    const auto component = components[axis];
    routes[Offset{}];
    for (const View& view : all) {
        for (int side = -1; side <= 1; ++side) {
            for (int other_side = -1; other_side <= 1; ++other_side) {
                const int twice = view.offset.*component + side - other_side;
                if (twice % 2 != 0) continue;
                Offset coarse = view.offset;
                coarse.*component = twice / 2;
                if (symmetric && coarse < Offset{}) continue;
                routes[coarse].push_back({&view, side, other_side, twice / 2});
            }
        }
    }
    return routes;
}

// Row `row` of a coarse plane, along z or y (axis 0 or 1).
void coarsen_across(const std::vector<Route>& routes, int axis, const Grid& fine, const Grid& coarse, int64_t row,
                    RowSum& sum) {
    const int64_t at[] = {row / coarse.height, row % coarse.height};
    const int64_t place = at[axis], length = coarse.*lengths[axis], fine_length = fine.*lengths[axis];
    for (const Route& route : routes) {
        const int64_t from = 2 * place + route.side, other = place + route.distance;
        if (from < 0 || from >= fine_length || other < 0 || other >= length) continue;
        const int64_t fine_row = axis == 0 ? from * fine.height + at[1] : at[0] * fine.height + from;
        const int64_t read = moved(fine, fine_row, route.view->shift);
        if (read < 0) continue;
        const float factor = share(place, route.side, length) * share(other, route.other_side, length);
        sum.add({route.view->plane + read * fine.width + route.view->shift.x, factor,
                 inside(fine.width, route.view->shift.x)});
    }
}

// The same along x.
void coarsen_along(const std::vector<Route>& routes, const Grid& fine, const Grid& coarse, int64_t row, float* out) {
    std::fill_n(out, coarse.width, 0.0f);
    for (const Route& route : routes) {
        const int64_t read = moved(fine, row, route.view->shift);
        if (read < 0) continue;
        const auto [inside_first, inside_last] = inside(fine.width, route.view->shift.x);
        const auto [other_first, other_last] = inside(coarse.width, route.distance);
        const int64_t first = std::max(other_first, (inside_first - route.side + 1) / 2);
        const int64_t last = std::min(other_last, (inside_last - route.side + 1) / 2);
        if (first >= last) continue;
        const float* const from = route.view->plane + read * fine.width + route.view->shift.x + route.side;
        auto factor = [&](int64_t i) {
            return share(i, route.side, coarse.width) * share(i + route.distance, route.other_side, coarse.width);
        };
        // The factors of a row are the same but for the last pixels.
        const int64_t even = std::max(first, std::min(last, coarse.width - 1 - std::max(0, route.distance)));
        add_every_other(from + 2 * first, factor(first), even - first, out + first);
        for (int64_t i = even; i < last; ++i) out[i] += factor(i) * from[2 * i];
    }
}

Grid halve(const Grid& grid, int axis) {
    Grid coarse = grid;
    coarse.*lengths[axis] = halved(grid.*lengths[axis]);
    return coarse;
}

Stencil coarsen_axis(const Stencil& stencil, const Grid& fine, const Grid& coarse, int axis, Planes& memory) {
    const std::vector<View> all = views(stencil);
    const auto routes = find_routes(all, axis, stencil.symmetric);
    Stencil out{stencil.symmetric, {}, {}};
    std::vector<float*> planes;
    std::vector<const std::vector<Route>*> taken;
    auto take = [&](const Offset& offset, const std::vector<Route>& ways) {
        out.offsets.push_back(offset);
        planes.push_back(memory.take(coarse.size()));
        taken.push_back(&ways);
    };
    take(Offset{}, routes.at(Offset{}));
    for (const auto& [offset, ways] : routes) {
        if (offset != Offset{}) take(offset, ways);
    }
    for_rows(coarse, Cost::much, [&](int64_t row) {
        RowSum sum;
        for (size_t i = 0; i < planes.size(); ++i) {
            float* const to = planes[i] + row * coarse.width;
            if (axis == 2) {
                coarsen_along(*taken[i], fine, coarse, row, to);
            } else {
                coarsen_across(*taken[i], axis, fine, coarse, row, sum);
                sum.write(coarse.width, to);
            }
        }
    });
    out.planes.assign(planes.begin(), planes.end());
    return out;
}

// Half-way along x and summed with their neighbours' halves across: P^T of one plane, row `row` of the coarse grid.
void restrict_row(const Grid& coarse, const Grid& fine, const float* from, int64_t row, RowSum& sum, float* fine_row,
                  float* out) {
    const int64_t z = row / coarse.height, y = row % coarse.height;
    const int reach_z = fine.depth != coarse.depth, reach_y = fine.height != coarse.height;
    for (int dz = -reach_z; dz <= reach_z; ++dz) {
        for (int dy = -reach_y; dy <= reach_y; ++dy) {
            const int64_t fine_z = (1 + reach_z) * z + dz, fine_y = (1 + reach_y) * y + dy;
            if (fine_z < 0 || fine_z >= fine.depth || fine_y < 0 || fine_y >= fine.height) continue;
            const float factor = share(z, dz, coarse.depth) * share(y, dy, coarse.height);
            sum.add({from + (fine_z * fine.height + fine_y) * fine.width, factor, {0, fine.width}});
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

// The coarse pixels that a fine one lies between, along an axis, and their shares.
struct Parents {
    int64_t first, second;
    float share;  // of each
};
Parents parents(int64_t fine, int64_t fine_length, int64_t coarse_length) {
    if (fine_length == coarse_length) return {fine, fine, 0.5f};
    return {fine / 2, std::min(fine / 2 + fine % 2, coarse_length - 1), 0.5f};
}

void interpolate_row(const Grid& coarse, const Grid& fine, const float* from, int64_t row, RowSum& sum,
                     float* coarse_row, float* out) {
    const Parents z = parents(row / fine.height, fine.depth, coarse.depth);
    const Parents y = parents(row % fine.height, fine.height, coarse.height);
    for (const int64_t from_z : {z.first, z.second}) {
        for (const int64_t from_y : {y.first, y.second}) {
            sum.add({from + (from_z * coarse.height + from_y) * coarse.width, z.share * y.share, {0, coarse.width}});
        }
    }
    sum.write(coarse.width, coarse_row);
    if (fine.width == coarse.width) return add_scaled(coarse_row, 1.0f, fine.width, out);
    add_spread(coarse_row, coarse.width - 1, out);
    const int64_t last = 2 * (coarse.width - 1);
    for (int64_t i = last; i < fine.width; ++i) out[i] += coarse_row[coarse.width - 1];
}

}  // namespace

void sum_blocks(Operator& a, int64_t row) {
    const Grid& grid = a.grid;
    const int64_t size = grid.size(), at = row * grid.width;
    for (int block = 0; block < triangle_size(a.unknowns); ++block) {
        std::copy_n(a.pointwise + block * size + at, grid.width, a.blocks + block * size + at);
    }
    for (const Coupling& coupling : a.couplings) {
        const int block = triangle(coupling.first, coupling.second, a.unknowns);
        add_scaled(a.stencils[static_cast<size_t>(coupling.stencil)].planes[0] + at, 1.0f, grid.width,
                   a.blocks + block * size + at);
    }
}

Operator coarsen(const Operator& a, Planes& memory) {
    Grid coarse = a.grid;
    for (int axis = 0; axis < 3; ++axis) coarse = halve(coarse, axis);
    const int blocks = triangle_size(a.unknowns);
    Operator out{coarse,
                 a.unknowns,
                 {},
                 a.couplings,
                 memory.zeros(coarse.width),
                 memory.take(blocks * coarse.size()),
                 memory.take(blocks * coarse.size())};
    for (const Stencil& stencil : a.stencils) {
        Grid grid = a.grid;
        Stencil current = stencil;
        Planes passing;
        // Along x last: the rows that come before are whole, and fewer.
        for (int axis = 0; axis < 3; ++axis) {
            const Grid halved_grid = halve(grid, axis);
            if (halved_grid == grid) continue;
            current = coarsen_axis(current, grid, halved_grid, axis, halved_grid == coarse ? memory : passing);
            grid = halved_grid;
        }
        out.stencils.push_back(current);
    }
    restrict_to(coarse, a.grid, blocks, a.pointwise, out.pointwise);
    for_rows(coarse, Cost::little, [&](int64_t row) { sum_blocks(out, row); });
    return out;
}

void restrict_to(const Grid& coarse, const Grid& fine, int unknowns, const float* from, float* to) {
    for_chunks(coarse, Cost::much, fine.width, [&](int64_t row, Workspace& between) {
        RowSum sum;
        for (int k = 0; k < unknowns; ++k) {
            restrict_row(coarse, fine, from + k * fine.size(), row, sum, between.data(),
                         to + k * coarse.size() + row * coarse.width);
        }
    });
}

void add_interpolated(const Grid& coarse, const Grid& fine, int unknowns, const float* from, float* to) {
    for_chunks(fine, Cost::little, coarse.width, [&](int64_t row, Workspace& between) {
        RowSum sum;
        for (int k = 0; k < unknowns; ++k) {
            interpolate_row(coarse, fine, from + k * coarse.size(), row, sum, between.data(),
                            to + k * fine.size() + row * fine.width);
        }
    });
}

}  // namespace variflow::stencil
