#include "stencil/product.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>

#include "base/platform.hpp"
#include "stencil/rows.hpp"

namespace variflow::stencil {
namespace {

// Factors of the row that begins at pixel `at`.
struct Row {
    const Factor* factors;
    size_t count;
    int64_t at;
};

// So many registers' worth of pixels are summed up at once.
constexpr int most_packs = 4;
template <int packs>
using Piece = std::array<Pack, packs>;

VARIFLOW_INLINE void add_product(const float* a, const float* b, Pack& sum) {
    Pack first, second;
    load_pack(a, first);
    load_pack(b, second);
    sum = sum + first * second;
}

// out = base + sign * sum, of `count` pixels
template <int packs>
VARIFLOW_INLINE void store(const float* base, float sign, const Piece<packs>& sum, int64_t count, float* out) {
    float kept[packs * pack_size];
    const bool whole = count == packs * pack_size;
    for (int k = 0; k < packs; ++k) {
        Pack start;
        load_pack(base + k * pack_size, start);
        store_pack(start + sign * sum[k], (whole ? out : kept) + k * pack_size);
    }
    if (!whole) std::memcpy(out, kept, static_cast<size_t>(count) * sizeof(float));
}

// A row of base + sign * A x for one unknown.
struct RowOfOne {
    Row row;
    const float *x, *base;
    float* out;
    float sign;

    template <int packs>
    static VARIFLOW_INLINE void add(const Row& row, const float* x, int64_t i, Piece<packs>& sum) {
        for (size_t j = 0; j < row.count; ++j) {
            const float* const plane = row.factors[j].plane + row.at + i;
            const float* const from = x + row.factors[j].shift + row.at + i;
            for (int k = 0; k < packs; ++k) {
                add_product(plane + k * pack_size, from + k * pack_size, sum[k]);
            }
        }
    }

    template <int packs>
    VARIFLOW_INLINE void fill(int64_t i, int64_t count) const {
        Piece<packs> sum{};
        add<packs>(row, x, i, sum);
        store<packs>(base + i, sign, sum, count, out + i);
    }
};

// The same for two unknowns that share the planes of some factors.
struct RowsOfTwo {
    RowOfOne first, second;
    Row shared;
    const float *x1, *x2;

    template <int packs>
    VARIFLOW_INLINE void fill(int64_t i, int64_t count) const {
        Piece<packs> sum1{}, sum2{};
        for (size_t j = 0; j < shared.count; ++j) {
            const float* const plane = shared.factors[j].plane + shared.at + i;
            const int64_t from = shared.factors[j].shift + shared.at + i;
            for (int k = 0; k < packs; ++k) {
                add_product(plane + k * pack_size, x1 + from + k * pack_size, sum1[k]);
                add_product(plane + k * pack_size, x2 + from + k * pack_size, sum2[k]);
            }
        }
        RowOfOne::add<packs>(first.row, first.x, i, sum1);
        RowOfOne::add<packs>(second.row, second.x, i, sum2);
        store<packs>(first.base + i, first.sign, sum1, count, first.out + i);
        store<packs>(second.base + i, second.sign, sum2, count, second.out + i);
    }
};

template <typename Rows>
VARIFLOW_INLINE void fill_pieces(const Rows& rows, int64_t width) {
    constexpr int64_t piece = most_packs * pack_size;
    int64_t i = 0;
    for (; i + piece <= width; i += piece) rows.template fill<most_packs>(i, piece);
    for (; i < width; i += pack_size) rows.template fill<1>(i, std::min<int64_t>(pack_size, width - i));
}
VARIFLOW_CLONES
void fill_one(const RowOfOne& row, int64_t width) { fill_pieces(row, width); }
VARIFLOW_CLONES
void fill_two(const RowsOfTwo& rows, int64_t width) { fill_pieces(rows, width); }

// The factors whose pixels are inside the grid; `kept` holds them where that is not all of them.
Row find_inside(const Factors& factors, const Grid& grid, int64_t row, Factors& kept) {
    const int64_t z = row / grid.height, y = row % grid.height;
    auto is_inside = [&](const Factor& factor) {
        const int64_t other_z = z + factor.offset.z, other_y = y + factor.offset.y;
        return other_z >= 0 && other_z < grid.depth && other_y >= 0 && other_y < grid.height;
    };
    const bool all = std::all_of(factors.begin(), factors.end(), is_inside);
    if (!all) std::copy_if(factors.begin(), factors.end(), std::back_inserter(kept), is_inside);
    const Factors& found = all ? factors : kept;
    return {found.data(), found.size(), row * grid.width};
}

int64_t distance(const Grid& grid, const Offset& offset) {
    return (offset.z * grid.height + offset.y) * grid.width + offset.x;
}

// What a stencil couples with pixels at its offsets (forth) and at the opposite ones (back), in a plane that begins at
// `plane`.
void add_forth(const Grid& grid, const Stencil& stencil, int64_t plane, Factors& factors) {
    for (size_t i = 1; i < stencil.offsets.size(); ++i) {
        const Offset& offset = stencil.offsets[i];
        factors.push_back({stencil.planes[i], plane + distance(grid, offset), offset});
    }
}
void add_back(const Grid& grid, const Stencil& stencil, int64_t plane, Factors& factors) {
    for (size_t i = 1; i < stencil.offsets.size(); ++i) {
        const Offset back = -stencil.offsets[i];
        const int64_t shift = distance(grid, back);
        factors.push_back({stencil.planes[i] + shift, plane + shift, back});
    }
}

// The stencil that couples an unknown with itself; null if there is none.
const Stencil* find_own(const Operator& a, int unknown) {
    for (const Coupling& coupling : a.couplings) {
        const bool own = coupling.first == unknown && coupling.second == unknown;
        if (own) return &a.stencils[static_cast<size_t>(coupling.stencil)];
    }
    return nullptr;
}

// What an unknown is coupled with, but for itself at other pixels.
Factors list_others(const Operator& a, int unknown) {
    const Grid& grid = a.grid;
    Factors factors;
    for (int other = 0; other < a.unknowns; ++other) {
        const int block = triangle(std::min(unknown, other), std::max(unknown, other), a.unknowns);
        factors.push_back({a.blocks + block * grid.size(), other * grid.size(), {}});
    }
    for (const auto& [first, second, number] : a.couplings) {
        const Stencil& stencil = a.stencils[static_cast<size_t>(number)];
        if (first == second) continue;
        if (first == unknown) add_forth(grid, stencil, second * grid.size(), factors);
        if (second == unknown) add_back(grid, stencil, first * grid.size(), factors);
    }
    return factors;
}

}  // namespace

OperatorProduct::OperatorProduct(const Operator& a) : grid_(a.grid), zero_row_(a.zero_row) {
    std::vector<bool> done(static_cast<size_t>(a.unknowns));
    for (int k = 0; k < a.unknowns; ++k) {
        if (done[static_cast<size_t>(k)]) continue;
        const Stencil* const own = find_own(a, k);
        Part part{k, -1, list_others(a, k), {}, {}};
        for (int l = k + 1; own && l < a.unknowns && part.second < 0; ++l) {
            if (find_own(a, l) == own) part.second = l;
        }
        if (part.second >= 0) {
            done[static_cast<size_t>(part.second)] = true;
            part.of_second = list_others(a, part.second);
        }
        if (own) {
            const int64_t plane = part.second < 0 ? k * grid_.size() : 0;
            Factors& factors = part.second < 0 ? part.of_first : part.shared;
            add_forth(grid_, *own, plane, factors);
            add_back(grid_, *own, plane, factors);
        }
        parts_.push_back(std::move(part));
    }
}

void OperatorProduct::fill(const float* b, float sign, const float* x, int64_t row, const Pointers& out) const {
    const int64_t size = grid_.size(), at = row * grid_.width;
    auto of_one = [&](const Factors& factors, int unknown, Factors& kept) {
        const float* const base = b ? b + unknown * size + at : zero_row_;
        return RowOfOne{find_inside(factors, grid_, row, kept), x, base, out[static_cast<size_t>(unknown)], sign};
    };
    for (const Part& part : parts_) {
        std::array<Factors, 3> kept;
        const RowOfOne first = of_one(part.of_first, part.first, kept[0]);
        if (part.second < 0) {
            fill_one(first, grid_.width);
            continue;
        }
        const RowOfOne second = of_one(part.of_second, part.second, kept[1]);
        const Row shared = find_inside(part.shared, grid_, row, kept[2]);
        fill_two({first, second, shared, x + part.first * size, x + part.second * size}, grid_.width);
    }
}

void OperatorProduct::multiply(const float* x, int64_t row, const Pointers& out) const {
    fill(nullptr, 1.0f, x, row, out);
}

void OperatorProduct::subtract(const float* b, const float* x, int64_t row, const Pointers& out) const {
    fill(b, -1.0f, x, row, out);
}

void OperatorProduct::sum_moduli(int64_t row, const Pointers& out) const {
    auto add = [&](const Factors& factors, float* to) {
        Factors kept;
        const Row inside = find_inside(factors, grid_, row, kept);
        for (size_t i = 0; i < inside.count; ++i) {
            const Factor& factor = inside.factors[i];
            if (factor.offset != Offset{}) add_modulus(factor.plane + inside.at, grid_.width, to);
        }
    };
    for (const Part& part : parts_) {
        float* const first = out[static_cast<size_t>(part.first)];
        std::fill_n(first, grid_.width, 0.0f);
        add(part.shared, first);
        if (part.second >= 0) {
            float* const second = out[static_cast<size_t>(part.second)];
            std::copy_n(first, grid_.width, second);
            add(part.of_second, second);
        }
        add(part.of_first, first);
    }
}

}  // namespace variflow::stencil
