// The operator of a matrix that is known by its products with patterns.
#include <algorithm>
#include <map>
#include <numeric>
#include <utility>

#include "stencil/rows.hpp"

namespace variflow::stencil {
namespace {

// One row of an entry's plane: each pixel takes it from the product with the pattern that is 1 at the pixel it is coupled
// with.
void read_row(const Probed& probed, const Entry& entry, int64_t row, float* out) {
    const Grid& grid = probed.grid;
    std::fill_n(out, grid.width, 0.0f);
    const int64_t other = moved(grid, row, entry.offset);
    if (other < 0) return;
    const auto [first, last] = inside(grid.width, entry.offset.x);
    const int64_t z = other / grid.height, y = other % grid.height, patterns = probed.patterns;
    const int64_t place = first + entry.offset.x + probed.by_y * y + probed.by_z * z + probed.by_unknown * entry.second;
    const int64_t stride = probed.unknowns * grid.size();
    const float* const products = probed.products + entry.first * grid.size() + row * grid.width;
    int64_t pattern = place % patterns;
    for (int64_t i = first; i < last; ++i) {
        out[i] = products[pattern * stride + i];
        if (++pattern == patterns) pattern = 0;
    }
}

// Add to each diagonal a share of how large the entries of a row are together, in the mean.
void damp(Operator& a, double damping, Planes& memory) {
    const Grid& grid = a.grid;
    float* const moduli = memory.take(a.unknowns * grid.size());
    sum_moduli(a, moduli);
    std::vector<double> sums(static_cast<size_t>(grid.rows()));
    for_rows(grid, [&](int64_t row) {
        const int64_t at = row * grid.width;
        double total = 0.0;
        for (int k = 0; k < a.unknowns; ++k) {
            float* const row_moduli = moduli + k * grid.size() + at;
            for (int l = 0; l < a.unknowns; ++l) {
                const float* const block =
                    a.blocks + triangle(std::min(k, l), std::max(k, l), a.unknowns) * grid.size() + at;
                add_modulus(block, grid.width, row_moduli);
            }
            total += sum(row_moduli, grid.width);
        }
        sums[static_cast<size_t>(row)] = total;
    });
    const double mean = std::accumulate(sums.begin(), sums.end(), 0.0) / static_cast<double>(a.unknowns * grid.size());
    for (int k = 0; k < a.unknowns; ++k) {
        float* const diagonal = a.pointwise + triangle(k, k, a.unknowns) * grid.size();
        std::fill_n(diagonal, grid.size(), static_cast<float>(damping * mean));
    }
    sum_blocks(a);
}

}  // namespace

Operator read_operator(const Probed& probed, double damping, Planes& memory) {
    const Grid& grid = probed.grid;
    Operator a = make_operator(grid, probed.unknowns, memory);
    std::map<std::pair<int, int>, std::map<Offset, const Entry*>> entries;
    for (const Entry& entry : probed.entries) entries[{entry.first, entry.second}][entry.offset] = &entry;
    for (const auto& [pair, at_offsets] : entries) {
        const auto [first, second] = pair;
        Stencil stencil{first == second, {Offset{}}, {memory.zeros(grid.size())}};
        std::vector<std::pair<const Entry*, float*>> planes;
        for (const auto& [offset, entry] : at_offsets) {
            float* plane = const_cast<float*>(stencil.planes.front());
            if (offset != Offset{}) {
                plane = memory.take(grid.size());
                stencil.offsets.push_back(offset);
                stencil.planes.push_back(plane);
            }
            planes.emplace_back(entry, plane);
        }
        for_rows(grid, [&](int64_t row) {
            for (const auto& [entry, plane] : planes) read_row(probed, *entry, row, plane + row * grid.width);
        });
        a.couplings.push_back({first, second, static_cast<int>(a.stencils.size())});
        a.stencils.push_back(stencil);
    }
    sum_blocks(a);
    if (damping > 0.0) damp(a, damping, memory);
    return a;
}

}  // namespace variflow::stencil
