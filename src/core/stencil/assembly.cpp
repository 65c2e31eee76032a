// From residuals and penalties to the planes of the operator.
#include <algorithm>
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

// The products of each coupling: of unknowns k < l at all offsets, of k = l at those of at least 0.
struct Plan {
    std::map<std::pair<int, int>, std::map<Offset, Products>> products;
    std::vector<const float*> planes;

    int number_of(const float* plane) {
        if (!plane) return -1;
        const auto found = std::find(planes.begin(), planes.end(), plane);
        if (found == planes.end()) planes.push_back(plane);
        return static_cast<int>(std::distance(planes.begin(), std::find(planes.begin(), planes.end(), plane)));
    }
};

VARIFLOW_CLONES
void add_product_of_three(const float* VARIFLOW_RESTRICT a, const float* VARIFLOW_RESTRICT b,
                          const float* VARIFLOW_RESTRICT c, float factor, int64_t count, float* VARIFLOW_RESTRICT to) {
    for (int64_t i = 0; i < count; ++i) to[i] += factor * (a[i] * b[i] * c[i]);
}

VARIFLOW_CLONES
void add_square(const float* VARIFLOW_RESTRICT values, int64_t count, float* VARIFLOW_RESTRICT total) {
    for (int64_t i = 0; i < count; ++i) total[i] += values[i] * values[i];
}

VARIFLOW_CLONES
void multiply_by(const float* VARIFLOW_RESTRICT factors, int64_t count, float* VARIFLOW_RESTRICT values) {
    for (int64_t i = 0; i < count; ++i) values[i] *= factors[i];
}

// out += factor * the sum of the taps
void add_taps_row(const Residual& residual, const Grid& grid, const float* unknowns, float factor, int64_t row,
                  float* out) {
    for (const Tap& tap : residual.taps) {
        const int64_t from = moved(grid, row, tap.offset);
        if (from < 0) continue;
        const auto [first, last] = inside(grid.width, tap.offset.x);
        const float* const x = unknowns + tap.unknown * grid.size() + from * grid.width + tap.offset.x + first;
        if (tap.plane) {
            add_product(tap.plane + row * grid.width + first, x, factor * tap.factor, last - first, out + first);
        } else {
            add_scaled(x, factor * tap.factor, last - first, out + first);
        }
    }
}

void residual_row(const Residual& residual, const Problem& problem, const float* unknowns, int64_t row, float* out) {
    const int64_t width = problem.grid.width;
    if (residual.value) {
        std::copy_n(residual.value + row * width, width, out);
    } else {
        std::fill_n(out, width, 0.0f);
    }
    if (residual.at_start && unknowns == problem.start) return;
    add_taps_row(residual, problem.grid, unknowns, 1.0f, row, out);
    if (residual.at_start) add_taps_row(residual, problem.grid, problem.start, -1.0f, row, out);
}

// The plane that all taps of a residual are multiplied by; null if there is none, or several.
const float* common_plane(const Residual& residual) {
    const float* const plane = residual.taps.empty() ? nullptr : residual.taps.front().plane;
    const bool same =
        std::all_of(residual.taps.begin(), residual.taps.end(), [&](const Tap& tap) { return tap.plane == plane; });
    return same ? plane : nullptr;
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
    float *weights, *residual;
};

std::vector<Weighted> weigh(const Term& term, const Problem& problem, Planes& memory) {
    const Grid& grid = problem.grid;
    const std::vector<const float*> common = common_planes(term);
    std::vector<Weighted> out;
    for (size_t i = 0; i < term.residuals.size(); ++i) {
        float* const weights = i > 0 && term.jointly ? out[0].weights : memory.take(grid.size());
        out.push_back({term.residuals[i].taps, weights, memory.take(grid.size())});
        if (common[i]) {
            for (Tap& tap : out[i].taps) tap.plane = nullptr;
        }
    }
    for_chunks(grid, grid.width, [&](int64_t row, Workspace& squared) {
        const int64_t at = row * grid.width;
        for (size_t i = 0; i < out.size(); ++i) {
            residual_row(term.residuals[i], problem, problem.start, row, out[i].residual + at);
            if (i == 0 || !term.jointly) std::fill_n(squared.data(), grid.width, 0.0f);
            add_square(out[i].residual + at, grid.width, squared.data());
            if (term.jointly && i + 1 < out.size()) continue;
            float* const weights = out[i].weights + at;
            half_weights(term.penalty, squared.data(), grid.width, term.weight, weights);
            if (term.weights) multiply_by(term.weights + at, grid.width, weights);
        }
        for (size_t i = 0; i < out.size(); ++i) {
            float *const weights = out[i].weights + at, *const residual = out[i].residual + at;
            multiply_by(weights, grid.width, residual);
            if (common[i]) multiply_by(common[i] + at, grid.width, residual);
        }
        for (size_t i = 0; i < out.size(); ++i) {
            if (!common[i] || (i > 0 && term.jointly)) continue;
            for (int power = 0; power < 2; ++power) multiply_by(common[i] + at, grid.width, out[i].weights + at);
        }
    });
    return out;
}

void plan_products(const Weighted& weighted, Plan& plan) {
    for (const Tap& from : weighted.taps) {
        for (const Tap& to : weighted.taps) {
            const Offset offset = to.offset - from.offset;
            if (from.unknown > to.unknown || (from.unknown == to.unknown && offset < Offset{})) continue;
            const auto [first, second] = std::minmax({plan.number_of(from.plane), plan.number_of(to.plane)});
            plan.products[{from.unknown, to.unknown}][offset].push_back(
                {plan.number_of(weighted.weights), first, second, from.offset, from.factor * to.factor});
        }
    }
}

using Numbered = std::vector<const float*>;

void add_products_row(const Products& products, const Numbered& planes, const Grid& grid, const Offset& offset,
                      int64_t row, float* out) {
    const int64_t other = moved(grid, row, offset);
    if (other < 0) return;
    const auto [own_first, own_last] = inside(grid.width, offset.x);
    for (const Product& product : products) {
        const int64_t from = moved(grid, row, -product.shift);
        if (from < 0) continue;
        const auto [shifted_first, shifted_last] = inside(grid.width, -product.shift.x);
        const int64_t first = std::max(own_first, shifted_first), count = std::min(own_last, shifted_last) - first;
        if (count <= 0) continue;
        const int64_t at = from * grid.width - product.shift.x + first;
        auto plane = [&](int number) { return planes[static_cast<size_t>(number)] + at; };
        const float* const weights = plane(product.weights);
        if (product.first >= 0) {
            add_product_of_three(weights, plane(product.first), plane(product.second), product.factor, count,
                                 out + first);
        } else if (product.second >= 0) {
            add_product(weights, plane(product.second), product.factor, count, out + first);
        } else {
            add_scaled(weights, product.factor, count, out + first);
        }
    }
}

Stencil make_stencil(const std::map<Offset, Products>& planned, const Numbered& planes, const Grid& grid,
                     bool symmetric, Planes& memory) {
    Stencil stencil{symmetric, {Offset{}}, {memory.take(grid.size())}};
    for (const auto& [offset, products] : planned) {
        if (offset == Offset{}) continue;
        stencil.offsets.push_back(offset);
        stencil.planes.push_back(memory.take(grid.size()));
    }
    for_rows(grid, [&](int64_t row) {
        for (size_t i = 0; i < stencil.offsets.size(); ++i) {
            float* const out = const_cast<float*>(stencil.planes[i]) + row * grid.width;
            std::fill_n(out, grid.width, 0.0f);
            const auto found = planned.find(stencil.offsets[i]);
            if (found != planned.end()) add_products_row(found->second, planes, grid, found->first, row, out);
        }
    });
    return stencil;
}

// Row `row` of the right side.
void sum_right_side(const std::vector<Weighted>& all, const Problem& problem, int64_t row, float* right_side) {
    const Grid& grid = problem.grid;
    const int64_t size = grid.size(), place = row * grid.width;
    for (int k = 0; k < problem.unknowns; ++k) std::fill_n(right_side + k * size + place, grid.width, 0.0f);
    for (const Weighted& weighted : all) {
        for (const Tap& tap : weighted.taps) {
            const int64_t from = moved(grid, row, -tap.offset);
            if (from < 0) continue;
            const auto [first, last] = inside(grid.width, -tap.offset.x);
            const int64_t at = from * grid.width - tap.offset.x + first;
            float* const to = right_side + tap.unknown * size + place + first;
            if (tap.plane) {
                add_product(weighted.residual + at, tap.plane + at, -tap.factor, last - first, to);
            } else {
                add_scaled(weighted.residual + at, -tap.factor, last - first, to);
            }
        }
    }
    for (int k = 0; problem.tensor && k < 2; ++k) {
        add_scaled(problem.tensor + (3 + k) * size + place, -1.0f, grid.width, right_side + k * size + place);
    }
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

bool is_pointwise(const std::map<Offset, Products>& planned) {
    return planned.size() == 1 && planned.begin()->first == Offset{};
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
    std::vector<Weighted> all;
    Plan plan;
    for (const Term& term : problem.terms) {
        for (const Weighted& weighted : weigh(term, problem, memory)) {
            plan_products(weighted, plan);
            all.push_back(weighted);
        }
    }
    Operator a = make_operator(grid, unknowns, memory);
    std::vector<std::pair<int, const Products*>> of_pixels;
    std::map<std::pair<bool, std::map<Offset, Products>>, int> made;
    for (auto& [pair, planned] : plan.products) {
        const auto [first, second] = pair;
        for (auto& [offset, products] : planned) tidy(products);
        if (is_pointwise(planned)) {
            of_pixels.emplace_back(triangle(first, second, unknowns), &planned.begin()->second);
            continue;
        }
        const auto [place, fresh] = made.try_emplace({first == second, planned}, static_cast<int>(a.stencils.size()));
        if (fresh) a.stencils.push_back(make_stencil(planned, plan.planes, grid, first == second, memory));
        a.couplings.push_back({first, second, place->second});
    }
    for_rows(grid, [&](int64_t row) {
        sum_right_side(all, problem, row, right_side);
        if (problem.tensor) add_tensor(problem, row, a.pointwise);
        for (const auto& [block, products] : of_pixels) {
            add_products_row(*products, plan.planes, grid, {}, row,
                             a.pointwise + block * grid.size() + row * grid.width);
        }
        sum_blocks(a, row);
    });
    return a;
}

double energy(const Problem& problem, const float* unknowns) {
    const Grid& grid = problem.grid;
    std::vector<double> sums(static_cast<size_t>(grid.rows()));
    for_chunks(grid, 2 * grid.width, [&](int64_t row, Workspace& workspace) {
        float *const squared = workspace.data(), *const values = squared + grid.width;
        double total = 0.0;
        for (const Term& term : problem.terms) {
            for (size_t i = 0; i < term.residuals.size(); ++i) {
                residual_row(term.residuals[i], problem, unknowns, row, values);
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
    for_rows(grid, [&](int64_t row) {
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
