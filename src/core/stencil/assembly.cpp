// From residuals and penalties to the planes of the operator.
#include <algorithm>
#include <numeric>

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
    float factor;
    Offset shift;

    auto operator<=>(const Product&) const = default;
};
using Products = std::vector<Product>;

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

// Half the weights of a term's residuals, times the weights of the pixels, and the residuals times those: a plane each,
// but one of weights for all if they are penalised jointly.
struct Weighted {
    std::vector<float*> weights, residuals;
};

Weighted weigh(const Term& term, const Problem& problem, Planes& memory) {
    const Grid& grid = problem.grid;
    Weighted out;
    for (size_t i = 0; i < term.residuals.size(); ++i) {
        out.residuals.push_back(memory.take(grid.size()));
        if (i == 0 || !term.jointly) out.weights.push_back(memory.take(grid.size()));
    }
    for_chunks(grid, grid.width, [&](int64_t row, Workspace& squared) {
        const int64_t at = row * grid.width;
        for (size_t i = 0; i < term.residuals.size(); ++i) {
            residual_row(term.residuals[i], problem, problem.start, row, out.residuals[i] + at);
            if (i == 0 || !term.jointly) std::fill_n(squared.data(), grid.width, 0.0f);
            add_square(out.residuals[i] + at, grid.width, squared.data());
            if (term.jointly && i + 1 < term.residuals.size()) continue;
            float* const weights = out.weights[term.jointly ? 0 : i] + at;
            half_weights(term.penalty, squared.data(), grid.width, term.weight, weights);
            if (term.weights) multiply_by(term.weights + at, grid.width, weights);
        }
        for (size_t i = 0; i < term.residuals.size(); ++i) {
            multiply_by(out.weights[term.jointly ? 0 : i] + at, grid.width, out.residuals[i] + at);
        }
    });
    return out;
}

void plan_products(const Residual& residual, const float* weights, Plan& plan) {
    for (const Tap& from : residual.taps) {
        for (const Tap& to : residual.taps) {
            const Offset offset = to.offset - from.offset;
            if (from.unknown > to.unknown || (from.unknown == to.unknown && offset < Offset{})) continue;
            const auto [first, second] = std::minmax({plan.number_of(from.plane), plan.number_of(to.plane)});
            plan.products[{from.unknown, to.unknown}][offset].push_back(
                {plan.number_of(weights), first, second, from.factor * to.factor, from.offset});
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

void add_to_right_side(const Term& term, const Weighted& weighted, const Grid& grid, float* right_side) {
    for_rows(grid, [&](int64_t row) {
        for (size_t i = 0; i < term.residuals.size(); ++i) {
            for (const Tap& tap : term.residuals[i].taps) {
                const int64_t from = moved(grid, row, -tap.offset);
                if (from < 0) continue;
                const auto [first, last] = inside(grid.width, -tap.offset.x);
                const int64_t at = from * grid.width - tap.offset.x + first;
                float* const to = right_side + tap.unknown * grid.size() + row * grid.width + first;
                if (tap.plane) {
                    add_product(weighted.residuals[i] + at, tap.plane + at, -tap.factor, last - first, to);
                } else {
                    add_scaled(weighted.residuals[i] + at, -tap.factor, last - first, to);
                }
            }
        }
    });
}

void add_tensor(const float* tensor, const Grid& grid, int unknowns, float* pointwise, float* right_side) {
    const int places[] = {triangle(0, 0, unknowns), triangle(0, 1, unknowns), triangle(1, 1, unknowns)};
    for_rows(grid, [&](int64_t row) {
        const int64_t at = row * grid.width;
        for (int i = 0; i < 3; ++i) {
            add_scaled(tensor + i * grid.size() + at, 1.0f, grid.width, pointwise + places[i] * grid.size() + at);
        }
        for (int i = 0; i < 2; ++i) {
            add_scaled(tensor + (3 + i) * grid.size() + at, -1.0f, grid.width, right_side + i * grid.size() + at);
        }
    });
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
    Operator a = make_operator(grid, unknowns, memory);
    clear_planes(grid, unknowns, right_side);
    Plan plan;
    for (const Term& term : problem.terms) {
        const Weighted weighted = weigh(term, problem, memory);
        for (size_t i = 0; i < term.residuals.size(); ++i) {
            plan_products(term.residuals[i], weighted.weights[term.jointly ? 0 : i], plan);
        }
        add_to_right_side(term, weighted, grid, right_side);
    }
    if (problem.tensor) add_tensor(problem.tensor, grid, unknowns, a.pointwise, right_side);
    std::map<std::pair<bool, std::map<Offset, Products>>, int> made;
    for (auto& [pair, planned] : plan.products) {
        const auto [first, second] = pair;
        for (auto& [offset, products] : planned) std::sort(products.begin(), products.end());
        if (is_pointwise(planned)) {
            float* const block = a.pointwise + triangle(first, second, unknowns) * grid.size();
            for_rows(grid, [&](int64_t row) {
                add_products_row(planned.begin()->second, plan.planes, grid, {}, row, block + row * grid.width);
            });
            continue;
        }
        const auto [place, fresh] = made.try_emplace({first == second, planned}, static_cast<int>(a.stencils.size()));
        if (fresh) a.stencils.push_back(make_stencil(planned, plan.planes, grid, first == second, memory));
        a.couplings.push_back({first, second, place->second});
    }
    sum_blocks(a);
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

}  // namespace variflow::stencil
