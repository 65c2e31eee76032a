// The copies of an operator on coarser grids.
#include <algorithm>

#include "base/platform.hpp"
#include "stencil/rows.hpp"
#include "stencil/transfer.hpp"

namespace variflow::stencil {
namespace {

// out[i] += factor * from[2 i]
VARIFLOW_CLONES
void add_every_other(const float* VARIFLOW_RESTRICT from, float factor, int64_t count, float* VARIFLOW_RESTRICT out) {
    for (int64_t i = 0; i < count; ++i) out[i] += factor * from[2 * i];
}

// Coarser grids

constexpr int64_t Grid::* lengths[] = {&Grid::depth, &Grid::height, &Grid::width};
constexpr int Offset::* components[] = {&Offset::z, &Offset::y, &Offset::x};

int64_t halved(int64_t length) { return length > 2 ? (length + 1) / 2 : length; }

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
    for_chunks(coarse, Cost::much, a.grid.width, [&](int64_t row, Workspace& between) {
        RowSum sum;
        for (int block = 0; block < blocks; ++block) {
            restrict_row(coarse, a.grid, all_rows<const float>(a.grid, a.pointwise), block, row, sum, between.data(),
                         out.pointwise + block * coarse.size() + row * coarse.width);
        }
        sum_blocks(out, row);
    });
    return out;
}

}  // namespace variflow::stencil
