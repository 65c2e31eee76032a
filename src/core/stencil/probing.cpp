// The operator of a matrix that is known by its products with patterns.
#include <algorithm>
#include <map>
#include <utility>
#include <vector>

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

}  // namespace

std::vector<double> measure_constants(const Probed& probed) {
    const Grid& grid = probed.grid;
    const size_t blocks = static_cast<size_t>(triangle_size(probed.unknowns));
    std::vector<double> sums(blocks * static_cast<size_t>(grid.rows())), means(blocks);
    for_chunks(grid, Cost::much, grid.width, [&](int64_t row, Workspace& plane) {
        for (const Entry& entry : probed.entries) {
            read_row(probed, entry, row, plane.data());
            const bool twice = entry.first == entry.second && entry.offset != Offset{};
            const size_t block = static_cast<size_t>(triangle(entry.first, entry.second, probed.unknowns));
            sums[static_cast<size_t>(row) * blocks + block] += (twice ? 2.0 : 1.0) * sum(plane.data(), grid.width);
        }
    });
    for (size_t i = 0; i < sums.size(); ++i) means[i % blocks] += sums[i] / static_cast<double>(grid.size());
    return means;
}

Operator read_operator(const Probed& probed, const std::vector<double>& damping, Planes& memory) {
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
        for_rows(grid, Cost::much, [&](int64_t row) {
            for (const auto& [entry, plane] : planes) read_row(probed, *entry, row, plane + row * grid.width);
        });
        a.couplings.push_back({first, second, static_cast<int>(a.stencils.size())});
        a.stencils.push_back(stencil);
    }
    for (int block = 0; block < triangle_size(a.unknowns); ++block) {
        const double added = damping[static_cast<size_t>(block)];
        std::fill_n(a.pointwise + block * grid.size(), grid.size(), static_cast<float>(added));
    }
    for_rows(grid, Cost::little, [&](int64_t row) { sum_blocks(a, row); });
    return a;
}

}  // namespace variflow::stencil
