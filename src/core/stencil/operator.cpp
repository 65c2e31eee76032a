// The operator at work, and its coarser copies.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/platform.hpp"
#include "stencil/rows.hpp"

namespace variflow::stencil {
namespace {

// out[i] += factor * from[2 i]
VARIFLOW_CLONES
void add_every_other(const float* VARIFLOW_RESTRICT from, float factor, int64_t count, float* VARIFLOW_RESTRICT out) {
    for (int64_t i = 0; i < count; ++i) out[i] += factor * from[2 * i];
}

// from[i] to out[2 i], and half of it and its next to out[2 i + 1].
VARIFLOW_CLONES
void add_spread(const float* VARIFLOW_RESTRICT from, int64_t count, float* VARIFLOW_RESTRICT out) {
    for (int64_t i = 0; i < count; ++i) {
        out[2 * i] += from[i];
        out[2 * i + 1] += 0.5f * (from[i] + from[i + 1]);
    }
}

// out = a x + b y
VARIFLOW_CLONES
void set_products(const float* VARIFLOW_RESTRICT a, const float* VARIFLOW_RESTRICT x, const float* VARIFLOW_RESTRICT b,
                  const float* VARIFLOW_RESTRICT y, int64_t count, float* VARIFLOW_RESTRICT out) {
    for (int64_t i = 0; i < count; ++i) out[i] = a[i] * x[i] + b[i] * y[i];
}

// out += a x + b y
VARIFLOW_CLONES
void add_products(const float* VARIFLOW_RESTRICT a, const float* VARIFLOW_RESTRICT x, const float* VARIFLOW_RESTRICT b,
                  const float* VARIFLOW_RESTRICT y, int64_t count, float* VARIFLOW_RESTRICT out) {
    for (int64_t i = 0; i < count; ++i) out[i] += a[i] * x[i] + b[i] * y[i];
}

// The same for two unknowns.
VARIFLOW_CLONES
void add_products_of_two(const float* VARIFLOW_RESTRICT a, const float* x1, const float* x2,
                         const float* VARIFLOW_RESTRICT b, const float* y1, const float* y2, int64_t count,
                         float* VARIFLOW_RESTRICT out1, float* VARIFLOW_RESTRICT out2) {
    for (int64_t i = 0; i < count; ++i) {
        const float forth = a[i], back = b[i];
        out1[i] += forth * x1[i] + back * y1[i];
        out2[i] += forth * x2[i] + back * y2[i];
    }
}

// Where a row of the operator takes what a stencil couples: the plane and the other pixels, forth and back. Outside of the
// grid the plane is a row of zeros. Columns outside need no care, because the operator is 0 there.
struct Reads {
    const float* plane;
    int64_t pixels;
};
Reads read_forth(const Operator& a, const Stencil& stencil, size_t number, int64_t row) {
    const Offset& offset = stencil.offsets[number];
    const int64_t width = a.grid.width, other = moved(a.grid, row, offset);
    if (other < 0) return {a.zero_row, row * width};
    return {stencil.planes[number] + row * width, other * width + offset.x};
}
Reads read_back(const Operator& a, const Stencil& stencil, size_t number, int64_t row) {
    const Offset back = -stencil.offsets[number];
    const int64_t width = a.grid.width, other = moved(a.grid, row, back);
    if (other < 0) return {a.zero_row, row * width};
    const int64_t pixels = other * width + back.x;
    return {stencil.planes[number] + pixels, pixels};
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
                    float* out) {
    const int64_t at[] = {row / coarse.height, row % coarse.height};
    const int64_t place = at[axis], length = coarse.*lengths[axis], fine_length = fine.*lengths[axis];
    for (const Route& route : routes) {
        const int64_t from = 2 * place + route.side, other = place + route.distance;
        if (from < 0 || from >= fine_length || other < 0 || other >= length) continue;
        const int64_t fine_row = axis == 0 ? from * fine.height + at[1] : at[0] * fine.height + from;
        const int64_t read = moved(fine, fine_row, route.view->shift);
        if (read < 0) continue;
        const auto [first, last] = inside(fine.width, route.view->shift.x);
        const float factor = share(place, route.side, length) * share(other, route.other_side, length);
        add_scaled(route.view->plane + read * fine.width + route.view->shift.x + first, factor, last - first,
                   out + first);
    }
}

// The same along x.
void coarsen_along(const std::vector<Route>& routes, const Grid& fine, const Grid& coarse, int64_t row, float* out) {
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
    for_rows(coarse, [&](int64_t row) {
        for (size_t i = 0; i < planes.size(); ++i) {
            float* const to = planes[i] + row * coarse.width;
            std::fill_n(to, coarse.width, 0.0f);
            if (axis == 2) {
                coarsen_along(*taken[i], fine, coarse, row, to);
            } else {
                coarsen_across(*taken[i], axis, fine, coarse, row, to);
            }
        }
    });
    out.planes.assign(planes.begin(), planes.end());
    return out;
}

// Half-way along x and summed with their neighbours' halves across: P^T of one plane, row `row` of the coarse grid.
void restrict_row(const Grid& coarse, const Grid& fine, const float* from, int64_t row, float* fine_row, float* out) {
    const int64_t z = row / coarse.height, y = row % coarse.height;
    const int reach_z = fine.depth != coarse.depth, reach_y = fine.height != coarse.height;
    std::fill_n(fine_row, fine.width, 0.0f);
    for (int dz = -reach_z; dz <= reach_z; ++dz) {
        for (int dy = -reach_y; dy <= reach_y; ++dy) {
            const int64_t fine_z = (1 + reach_z) * z + dz, fine_y = (1 + reach_y) * y + dy;
            if (fine_z < 0 || fine_z >= fine.depth || fine_y < 0 || fine_y >= fine.height) continue;
            const float factor = share(z, dz, coarse.depth) * share(y, dy, coarse.height);
            add_scaled(from + (fine_z * fine.height + fine_y) * fine.width, factor, fine.width, fine_row);
        }
    }
    if (fine.width == coarse.width) {
        std::copy_n(fine_row, coarse.width, out);
        return;
    }
    std::fill_n(out, coarse.width, 0.0f);
    add_every_other(fine_row, 1.0f, coarse.width, out);
    add_every_other(fine_row + 1, 0.5f, fine.width / 2, out);
    add_every_other(fine_row + 1, 0.5f, (fine.width - 1) / 2, out + 1);
    if (fine.width % 2 == 0) out[coarse.width - 1] += 0.5f * fine_row[fine.width - 1];
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

void interpolate_row(const Grid& coarse, const Grid& fine, const float* from, int64_t row, float* coarse_row,
                     float* out) {
    const Parents z = parents(row / fine.height, fine.depth, coarse.depth);
    const Parents y = parents(row % fine.height, fine.height, coarse.height);
    std::fill_n(coarse_row, coarse.width, 0.0f);
    for (const int64_t from_z : {z.first, z.second}) {
        for (const int64_t from_y : {y.first, y.second}) {
            add_scaled(from + (from_z * coarse.height + from_y) * coarse.width, z.share * y.share, coarse.width,
                       coarse_row);
        }
    }
    if (fine.width == coarse.width) return add_scaled(coarse_row, 1.0f, fine.width, out);
    add_spread(coarse_row, coarse.width - 1, out);
    const int64_t last = 2 * (coarse.width - 1);
    for (int64_t i = last; i < fine.width; ++i) out[i] += coarse_row[coarse.width - 1];
}

}  // namespace

void multiply_row(const Operator& a, const float* x, int64_t row, const Pointers& to) {
    const Grid& grid = a.grid;
    auto out = [&](int k) { return to[static_cast<size_t>(k)]; };
    const int64_t size = grid.size(), at = row * grid.width, width = grid.width;
    auto block = [&](int k, int l) {
        return a.blocks + triangle(std::min(k, l), std::max(k, l), a.unknowns) * size + at;
    };
    for (int k = 0; k < a.unknowns; ++k) {
        const float* const second = a.unknowns > 1 ? block(k, 1) : a.zero_row;
        set_products(block(k, 0), x + at, second, a.unknowns > 1 ? x + size + at : x + at, width, out(k));
        for (int l = 2; l < a.unknowns; ++l) add_product(block(k, l), x + l * size + at, 1.0f, width, out(k));
    }
    for (size_t i = 0; i < a.couplings.size(); ++i) {
        const auto [k, l, number] = a.couplings[i];
        const Stencil& stencil = a.stencils[static_cast<size_t>(number)];
        const float *xk = x + k * size, *xl = x + l * size;
        const Coupling* const next = i + 1 < a.couplings.size() ? &a.couplings[i + 1] : nullptr;
        const bool two = stencil.symmetric && next && next->stencil == number;
        for (size_t j = 1; j < stencil.offsets.size(); ++j) {
            const Reads forth = read_forth(a, stencil, j, row), back = read_back(a, stencil, j, row);
            if (two) {
                const float* const xn = x + next->first * size;
                add_products_of_two(forth.plane, xk + forth.pixels, xn + forth.pixels, back.plane, xk + back.pixels,
                                    xn + back.pixels, width, out(k), out(next->first));
            } else if (stencil.symmetric) {
                add_products(forth.plane, xk + forth.pixels, back.plane, xk + back.pixels, width, out(k));
            } else if (j + 1 < stencil.offsets.size()) {
                ++j;
                const Reads forth2 = read_forth(a, stencil, j, row), back2 = read_back(a, stencil, j, row);
                add_products(forth.plane, xl + forth.pixels, forth2.plane, xl + forth2.pixels, width, out(k));
                add_products(back.plane, xk + back.pixels, back2.plane, xk + back2.pixels, width, out(l));
            } else {
                add_product(forth.plane, xl + forth.pixels, 1.0f, width, out(k));
                add_product(back.plane, xk + back.pixels, 1.0f, width, out(l));
            }
        }
        if (two) ++i;
    }
}

void sum_moduli(const Operator& a, int64_t row, const Pointers& out) {
    const Grid& grid = a.grid;
    auto to = [&](int k) { return out[static_cast<size_t>(k)]; };
    for (int k = 0; k < a.unknowns; ++k) std::fill_n(to(k), grid.width, 0.0f);
    for (const Coupling& coupling : a.couplings) {
        const Stencil& stencil = a.stencils[static_cast<size_t>(coupling.stencil)];
        for (size_t j = 1; j < stencil.offsets.size(); ++j) {
            add_modulus(read_forth(a, stencil, j, row).plane, grid.width, to(coupling.first));
            add_modulus(read_back(a, stencil, j, row).plane, grid.width, to(coupling.second));
        }
    }
}

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
    for_rows(coarse, [&](int64_t row) { sum_blocks(out, row); });
    return out;
}

void restrict_to(const Grid& coarse, const Grid& fine, int unknowns, const float* from, float* to) {
    for_chunks(coarse, fine.width, [&](int64_t row, Workspace& between) {
        for (int k = 0; k < unknowns; ++k) {
            restrict_row(coarse, fine, from + k * fine.size(), row, between.data(),
                         to + k * coarse.size() + row * coarse.width);
        }
    });
}

void add_interpolated(const Grid& coarse, const Grid& fine, int unknowns, const float* from, float* to) {
    for_chunks(fine, coarse.width, [&](int64_t row, Workspace& between) {
        for (int k = 0; k < unknowns; ++k) {
            interpolate_row(coarse, fine, from + k * coarse.size(), row, between.data(),
                            to + k * fine.size() + row * fine.width);
        }
    });
}

}  // namespace variflow::stencil
