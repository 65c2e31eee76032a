// From residuals and penalties to the planes of the operator.
#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <tuple>
#include <vector>

#include "base/platform.hpp"
#include "base/threads.hpp"
#include "stencil/rows.hpp"
#include "stencil/stencil.hpp"

namespace variflow::stencil {
namespace {

// One product of two taps: out(q) += factor weights(p) first(p) second(p), q = p + shift. Planes go by their numbers, so
// that products have the same order in every run; -1 is none.
struct Product {
    int weights, first, second;
    Offset shift;
    float factor;

    auto operator<=>(const Product&) const = default;
    bool differs_in_factor(const Product& other) const {
        return std::tie(weights, first, second, shift) ==
               std::tie(other.weights, other.first, other.second, other.shift);
    }
};
using Products = std::vector<Product>;

// Sort products, and join those that differ in their factors.
void tidy(Products& products) {
    std::sort(products.begin(), products.end());
    Products joined;
    for (const Product& product : products) {
        if (!joined.empty() && product.differs_in_factor(joined.back())) {
            joined.back().factor += product.factor;
        } else {
            joined.push_back(product);
        }
    }
    products = std::move(joined);
}

using Numbered = std::vector<const float*>;

// The products of each coupling: of unknowns k < l at all offsets, of k = l at those of at least 0. Those of residuals that
// look at one pixel are kept apart: on coarser grids they stay at one pixel, and a residual must do so with all its
// products or with none, or the operator would not be positive there.
struct Plan {
    std::map<std::pair<int, int>, std::map<Offset, Products>> products;
    std::map<std::pair<int, int>, Products> pointwise;
    Numbered planes;

    int number_of(const float* plane) {
        if (!plane) return -1;
        const auto found = std::find(planes.begin(), planes.end(), plane);
        if (found != planes.end()) return static_cast<int>(std::distance(planes.begin(), found));
        planes.push_back(plane);
        return static_cast<int>(planes.size()) - 1;
    }

    // The number of a plane that is not there yet.
    int reserve() {
        planes.push_back(nullptr);
        return static_cast<int>(planes.size()) - 1;
    }
};

VARIFLOW_CLONES
void add_square(const float* VARIFLOW_RESTRICT values, int64_t count, float* VARIFLOW_RESTRICT total) {
    for (int64_t i = 0; i < count; ++i) total[i] += values[i] * values[i];
}

VARIFLOW_CLONES
void multiply_by(const float* VARIFLOW_RESTRICT factors, int64_t count, float* VARIFLOW_RESTRICT values) {
    for (int64_t i = 0; i < count; ++i) values[i] *= factors[i];
}

// The plane that all taps of a residual are multiplied by; null if there is none, or several.
const float* common_plane(const Residual& residual) {
    const float* const plane = residual.taps.empty() ? nullptr : residual.taps.front().plane;
    const bool same =
        std::all_of(residual.taps.begin(), residual.taps.end(), [&](const Tap& tap) { return tap.plane == plane; });
    return same ? plane : nullptr;
}

// Add factor * the taps of row `row`, without a plane that they share.
void add_taps(const Residual& residual, const float* common, const Grid& grid, const float* unknowns, float factor,
              int64_t row, RowSum& sum) {
    for (const Tap& tap : residual.taps) {
        const int64_t from = moved(grid, row, tap.offset);
        if (from < 0) continue;
        const float* const x = unknowns + tap.unknown * grid.size() + from * grid.width + tap.offset.x;
        const float* const plane = common || !tap.plane ? nullptr : tap.plane + row * grid.width;
        sum.add({x, factor * tap.factor, inside(grid.width, tap.offset.x), plane});
    }
}

void residual_row(const Residual& residual, const Problem& problem, const float* unknowns, int64_t row, RowSum& sum,
                  float* out) {
    const Grid& grid = problem.grid;
    const int64_t at = row * grid.width;
    const float* const common = common_plane(residual);
    if (!residual.at_start || unknowns != problem.start) {
        add_taps(residual, common, grid, unknowns, 1.0f, row, sum);
        if (residual.at_start) add_taps(residual, common, grid, problem.start, -1.0f, row, sum);
    }
    sum.write(grid.width, out);
    if (common) multiply_by(common + at, grid.width, out);
    if (residual.value) add_scaled(residual.value + at, 1.0f, grid.width, out);
}

// The same of all residuals of a term that share their weights.
std::vector<const float*> common_planes(const Term& term) {
    std::vector<const float*> planes;
    for (const Residual& residual : term.residuals) planes.push_back(common_plane(residual));
    const bool same = std::all_of(planes.begin(), planes.end(), [&](const float* plane) { return plane == planes[0]; });
    if (term.jointly && !same) std::fill(planes.begin(), planes.end(), nullptr);
    return planes;
}

// One residual of a term as the linear system sees it: half the weights of the penalty, times the weights of the pixels;
// and the residual times those. A plane that all its taps are multiplied by is part of both, and no longer of the taps.
struct Weighted {
    std::vector<Tap> taps;
    const float* common;
    int weights, residual;  // numbers of planes
};
struct WeightedTerm {
    const Term* term;
    std::vector<Weighted> residuals;
};

WeightedTerm reserve_planes(const Term& term, Plan& plan) {
    const std::vector<const float*> common = common_planes(term);
    WeightedTerm out{&term, {}};
    for (size_t i = 0; i < term.residuals.size(); ++i) {
        const int weights = i > 0 && term.jointly ? out.residuals[0].weights : plan.reserve();
        out.residuals.push_back({term.residuals[i].taps, common[i], weights, plan.reserve()});
        if (common[i]) {
            for (Tap& tap : out.residuals[i].taps) tap.plane = nullptr;
        }
    }
    return out;
}

// Fill row `row` of the planes of a term.
void weigh_row(const WeightedTerm& weighted, const Problem& problem, int64_t row, const Numbered& planes, RowSum& sum,
               float* squared) {
    const Term& term = *weighted.term;
    const int64_t width = problem.grid.width, at = row * width;
    const size_t count = weighted.residuals.size();
    auto plane = [&](int number) { return const_cast<float*>(planes[static_cast<size_t>(number)]) + at; };
    for (size_t i = 0; i < count; ++i) {
        float* const residual = plane(weighted.residuals[i].residual);
        residual_row(term.residuals[i], problem, problem.start, row, sum, residual);
        if (i == 0 || !term.jointly) std::fill_n(squared, width, 0.0f);
        add_square(residual, width, squared);
        if (term.jointly && i + 1 < count) continue;
        float* const weights = plane(weighted.residuals[i].weights);
        half_weights(term.penalty, squared, width, term.weight, weights);
        if (term.weights) multiply_by(term.weights + at, width, weights);
    }
    for (const Weighted& one : weighted.residuals) {
        multiply_by(plane(one.weights), width, plane(one.residual));
        if (one.common) multiply_by(one.common + at, width, plane(one.residual));
    }
    for (size_t i = 0; i < count; ++i) {
        const Weighted& one = weighted.residuals[i];
        if (!one.common || (i > 0 && term.jointly)) continue;
        for (int power = 0; power < 2; ++power) multiply_by(one.common + at, width, plane(one.weights));
    }
}

void plan_products(const Weighted& weighted, Plan& plan) {
    const std::vector<Tap>& taps = weighted.taps;
    const bool pointwise =
        std::all_of(taps.begin(), taps.end(), [&](const Tap& tap) { return tap.offset == taps.front().offset; });
    for (const Tap& from : taps) {
        for (const Tap& to : taps) {
            const Offset offset = to.offset - from.offset;
            if (from.unknown > to.unknown || (from.unknown == to.unknown && offset < Offset{})) continue;
            const auto [first, second] = std::minmax({plan.number_of(from.plane), plan.number_of(to.plane)});
            const std::pair pair{from.unknown, to.unknown};
            Products& products = pointwise ? plan.pointwise[pair] : plan.products[pair][offset];
            products.push_back({weighted.weights, first, second, from.offset, from.factor * to.factor});
        }
    }
}

// Add products to row `row`, as far as the pixels at the offset are inside.
void add_products(const Products& products, const Numbered& planes, const Grid& grid, const Offset& offset, int64_t row,
                  RowSum& sum) {
    if (moved(grid, row, offset) < 0) return;
    const auto [own_first, own_last] = inside(grid.width, offset.x);
    for (const Product& product : products) {
        const int64_t from = moved(grid, row, -product.shift);
        if (from < 0) continue;
        const auto [first, last] = inside(grid.width, -product.shift.x);
        const Columns columns{std::max(own_first, first), std::min(own_last, last)};
        if (columns.first >= columns.last) continue;
        const int64_t at = from * grid.width - product.shift.x;
        auto plane = [&](int number) { return number < 0 ? nullptr : planes[static_cast<size_t>(number)] + at; };
        const float *const first_plane = plane(product.first), *const second_plane = plane(product.second);
        sum.add({plane(product.weights), product.factor, columns, second_plane, first_plane});
    }
}

// A stencil whose planes are not filled in yet.
Stencil make_stencil(const std::map<Offset, Products>& planned, const Grid& grid, bool symmetric, Planes& memory) {
    Stencil stencil{symmetric, {Offset{}}, {memory.take(grid.size())}};
    for (const auto& [offset, products] : planned) {
        if (offset == Offset{}) continue;
        stencil.offsets.push_back(offset);
        stencil.planes.push_back(memory.take(grid.size()));
    }
    return stencil;
}

// Fill row `row` of its planes.
void fill_stencil(const Stencil& stencil, const std::map<Offset, Products>& planned, const Numbered& planes,
                  const Grid& grid, int64_t row, RowSum& sum) {
    for (size_t i = 0; i < stencil.offsets.size(); ++i) {
        const auto found = planned.find(stencil.offsets[i]);
        if (found != planned.end()) add_products(found->second, planes, grid, found->first, row, sum);
        sum.write(grid.width, const_cast<float*>(stencil.planes[i]) + row * grid.width);
    }
}

// Row `row` of the right side of unknown k.
void write_right_side(const std::vector<WeightedTerm>& all, const Problem& problem, const Numbered& planes, int k,
                      int64_t row, RowSum& sum, float* out) {
    const Grid& grid = problem.grid;
    if (problem.tensor && k < 2) {
        sum.add({problem.tensor + (3 + k) * grid.size() + row * grid.width, -1.0f, {0, grid.width}});
    }
    for (const WeightedTerm& weighted : all) {
        for (const Weighted& one : weighted.residuals) {
            for (const Tap& tap : one.taps) {
                const int64_t from = moved(grid, row, -tap.offset);
                if (tap.unknown != k || from < 0) continue;
                const int64_t at = from * grid.width - tap.offset.x;
                const float* const plane = tap.plane ? tap.plane + at : nullptr;
                sum.add({planes[static_cast<size_t>(one.residual)] + at, -tap.factor, inside(grid.width, -tap.offset.x),
                         plane});
            }
        }
    }
    sum.write(grid.width, out);
}

// Row `row` of a damped motion tensor's part of the blocks of each pixel.
void add_tensor(const Problem& problem, int64_t row, float* pointwise) {
    const int64_t size = problem.grid.size(), width = problem.grid.width, at = row * width;
    const int unknowns = problem.unknowns;
    const int places[] = {triangle(0, 0, unknowns), triangle(0, 1, unknowns), triangle(1, 1, unknowns)};
    for (size_t i = 0; i < 3; ++i) {
        const float* const tensor = problem.tensor + static_cast<int64_t>(i) * size + at;
        float* const out = pointwise + places[i] * size + at;
        std::transform(tensor, tensor + width, out, [&](float value) { return value + problem.damping[i]; });
    }
}

// How many rows away what lies at an offset is, at most.
int64_t find_reach(const Grid& grid, const Offset& offset) {
    return std::abs(offset.z) * grid.height + std::abs(offset.y);
}

}  // namespace

float* Planes::take(int64_t count) {
    kept_.emplace_back(count + 2 * margin);
    float* const data = kept_.back().data();
    std::fill_n(data, margin, 0.0f);
    std::fill_n(data + margin + count, margin, 0.0f);
    return data + margin;
}

float* Planes::zeros(int64_t count) {
    float* const data = take(count);
    std::fill_n(data, count, 0.0f);
    return data;
}

Operator make_operator(const Grid& grid, int unknowns, Planes& memory) {
    const int blocks = triangle_size(unknowns);
    float* const pointwise = memory.take(blocks * grid.size());
    clear_planes(grid, blocks, pointwise);
    return {grid, unknowns, {}, {}, memory.zeros(grid.width), pointwise, memory.take(blocks * grid.size())};
}

Operator assemble(const Problem& problem, Planes& memory, float* right_side) {
    const Grid& grid = problem.grid;
    const int unknowns = problem.unknowns;
    std::vector<WeightedTerm> all;
    Plan plan;
    int64_t reach = 0;
    for (const Term& term : problem.terms) {
        all.push_back(reserve_planes(term, plan));
        for (const Weighted& one : all.back().residuals) {
            plan_products(one, plan);
            for (const Tap& tap : one.taps) reach = std::max(reach, find_reach(grid, tap.offset));
        }
    }
    Operator a = make_operator(grid, unknowns, memory);
    std::map<std::pair<bool, std::map<Offset, Products>>, int> made;
    for (auto& [pair, planned] : plan.products) {
        const auto [first, second] = pair;
        for (auto& [offset, products] : planned) tidy(products);
        const auto [place, fresh] = made.try_emplace({first == second, planned}, static_cast<int>(a.stencils.size()));
        if (fresh) a.stencils.push_back(make_stencil(planned, grid, first == second, memory));
        a.couplings.push_back({first, second, place->second});
    }
    for (auto& [pair, products] : plan.pointwise) tidy(products);
    // The planes of the residuals are of use for a few rows only, and stay in the caches.
    const auto reserved = std::count(plan.planes.begin(), plan.planes.end(), nullptr);
    parallel_for(grid.rows(), rows_per_wide_chunk(grid, reach), [&](int64_t begin, int64_t end) {
        const int64_t first = std::max<int64_t>(0, begin - reach), last = std::min(grid.rows(), end + reach);
        Workspace workspace((reserved * (last - first) + 1) * grid.width);
        float* const squared = workspace.take(grid.width);
        RowSum sum;
        Numbered planes = plan.planes;
        for (const float*& plane : planes) {
            if (!plane) plane = workspace.take((last - first) * grid.width) - first * grid.width;
        }
        for (int64_t row = first; row < last; ++row) {
            for (const WeightedTerm& weighted : all) weigh_row(weighted, problem, row, planes, sum, squared);
        }
        for (int64_t row = begin; row < end; ++row) {
            for (const auto& [key, number] : made) {
                fill_stencil(a.stencils[static_cast<size_t>(number)], key.second, planes, grid, row, sum);
            }
            const int64_t at = row * grid.width;
            for (int k = 0; k < unknowns; ++k) {
                write_right_side(all, problem, planes, k, row, sum, right_side + k * grid.size() + at);
            }
            if (problem.tensor) add_tensor(problem, row, a.pointwise);
            for (const auto& [pair, products] : plan.pointwise) {
                const int block = triangle(pair.first, pair.second, unknowns);
                float* const out = a.pointwise + block * grid.size() + at;
                sum.add({out, 1.0f, {0, grid.width}});
                add_products(products, planes, grid, {}, row, sum);
                sum.write(grid.width, out);
            }
            sum_blocks(a, row);
        }
    });
    return a;
}

double energy(const Problem& problem, const float* unknowns) {
    const Grid& grid = problem.grid;
    std::vector<double> sums(static_cast<size_t>(grid.rows()));
    for_chunks(grid, Cost::much, 2 * grid.width, [&](int64_t row, Workspace& workspace) {
        float *const squared = workspace.data(), *const values = squared + grid.width;
        double total = 0.0;
        RowSum sum_of_row;
        for (const Term& term : problem.terms) {
            for (size_t i = 0; i < term.residuals.size(); ++i) {
                residual_row(term.residuals[i], problem, unknowns, row, sum_of_row, values);
                if (i == 0 || !term.jointly) std::fill_n(squared, grid.width, 0.0f);
                add_square(values, grid.width, squared);
                if (term.jointly && i + 1 < term.residuals.size()) continue;
                penalise(term.penalty, squared, grid.width, values);
                if (term.weights) multiply_by(term.weights + row * grid.width, grid.width, values);
                total += static_cast<double>(term.weight) * sum(values, grid.width);
            }
        }
        sums[static_cast<size_t>(row)] = total;
    });
    return std::accumulate(sums.begin(), sums.end(), 0.0);
}

std::array<double, 3> measure_tensor(const Grid& grid, const float* tensor) {
    std::vector<std::array<double, 3>> sums(static_cast<size_t>(grid.rows()));
    for_rows(grid, Cost::little, [&](int64_t row) {
        for (size_t i = 0; i < 3; ++i) {
            const float* const plane = tensor + static_cast<int64_t>(i) * grid.size();
            sums[static_cast<size_t>(row)][i] = sum(plane + row * grid.width, grid.width);
        }
    });
    std::array<double, 3> means{};
    for (const std::array<double, 3>& of_row : sums) {
        for (size_t i = 0; i < 3; ++i) means[i] += of_row[i] / static_cast<double>(grid.size());
    }
    return means;
}

}  // namespace variflow::stencil
