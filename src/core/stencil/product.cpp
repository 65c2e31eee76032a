#include "stencil/product.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
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

// A row of base + sign * A x for one unknown. That of the first unknown of x begins at `x`.
struct RowOfOne {
    Row row;
    const float* x;
    int64_t stride;
    const float* base;
    float* out;
    float sign;

    template <int packs>
    VARIFLOW_INLINE void add(int64_t i, Piece<packs>& sum) const {
        for (size_t j = 0; j < row.count; ++j) {
            const Factor& factor = row.factors[j];
            const float* const plane = factor.plane + row.at + i;
            const float* const from = x + factor.unknown * stride + factor.shift + i;
            for (int k = 0; k < packs; ++k) {
                add_product(plane + k * pack_size, from + k * pack_size, sum[k]);
            }
        }
    }

    template <int packs>
    VARIFLOW_INLINE void fill(int64_t i, int64_t count) const {
        Piece<packs> sum{};
        add<packs>(i, sum);
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
            const int64_t from = shared.factors[j].shift + i;
            for (int k = 0; k < packs; ++k) {
                add_product(plane + k * pack_size, x1 + from + k * pack_size, sum1[k]);
                add_product(plane + k * pack_size, x2 + from + k * pack_size, sum2[k]);
            }
        }
        first.template add<packs>(i, sum1);
        second.template add<packs>(i, sum2);
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

// What a stencil couples with pixels at its offsets (forth) and at the opposite ones (back).
void add_forth(const Grid& grid, const Stencil& stencil, int unknown, Factors& factors) {
    for (size_t i = 1; i < stencil.offsets.size(); ++i) {
        const Offset& offset = stencil.offsets[i];
        factors.push_back({stencil.planes[i], unknown, distance(grid, offset), offset});
    }
}
void add_back(const Grid& grid, const Stencil& stencil, int unknown, Factors& factors) {
    for (size_t i = 1; i < stencil.offsets.size(); ++i) {
        const Offset back = -stencil.offsets[i];
        const int64_t shift = distance(grid, back);
        factors.push_back({stencil.planes[i] + shift, unknown, shift, back});
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
        factors.push_back({a.blocks + block * grid.size(), other, 0, {}});
    }
    for (const auto& [first, second, number] : a.couplings) {
        const Stencil& stencil = a.stencils[static_cast<size_t>(number)];
        if (first == second) continue;
        if (first == unknown) add_forth(grid, stencil, second, factors);
        if (second == unknown) add_back(grid, stencil, first, factors);
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
            Factors& factors = part.second < 0 ? part.of_first : part.shared;
            add_forth(grid_, *own, k, factors);
            add_back(grid_, *own, k, factors);
        }
        for (const Factors* factors : {&part.of_first, &part.of_second, &part.shared}) {
            for (const Factor& factor : *factors) {
                const int64_t rows = factor.offset.z * grid_.height + factor.offset.y;
                reach_ = std::max(reach_, std::abs(rows));
            }
        }
        parts_.push_back(std::move(part));
    }
}

void OperatorProduct::fill(const RowsOf<const float>* b, float sign, const RowsOf<const float>& x, int64_t row,
                           const Pointers& out) const {
    auto of_one = [&](const Factors& factors, int unknown, Factors& kept) {
        const float* const base = b ? b->at(unknown, row) : zero_row_;
        return RowOfOne{find_inside(factors, grid_, row, kept), x.at(0, row), x.stride, base,
                        out[static_cast<size_t>(unknown)],      sign};
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
        fill_two({first, second, shared, x.at(part.first, row), x.at(part.second, row)}, grid_.width);
    }
}

void OperatorProduct::multiply(const RowsOf<const float>& x, int64_t row, const Pointers& out) const {
    fill(nullptr, 1.0f, x, row, out);
}

void OperatorProduct::subtract(const RowsOf<const float>& b, const RowsOf<const float>& x, int64_t row,
                               const Pointers& out) const {
    fill(&b, -1.0f, x, row, out);
}

RowRange OperatorProduct::around(const RowRange& rows) const {
    return {std::max<int64_t>(rows.first - reach_, 0), std::min(rows.last + reach_, grid_.rows())};
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
