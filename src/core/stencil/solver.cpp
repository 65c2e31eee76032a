// Conjugate gradients, each step preconditioned by one multigrid cycle.
//
// On each grid one step of Jacobi's method before the coarser grid's correction and as many after make the cycle
// symmetric. The coarser grids may be those of another operator near this one: then the preconditioner is only less good.
#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <numeric>
#include <utility>

#include "base/platform.hpp"
#include "stencil/level.hpp"
#include "stencil/rows.hpp"

namespace variflow::stencil {
namespace {

constexpr int most_levels = 32;

// to = from + factor * to
VARIFLOW_CLONES
void add_to_scaled(const float* VARIFLOW_RESTRICT from, float factor, int64_t count, float* VARIFLOW_RESTRICT to) {
    for (int64_t i = 0; i < count; ++i) to[i] = from[i] + factor * to[i];
}

}  // namespace

struct CoarserGrids::Content {
    Planes memory;
    std::vector<std::unique_ptr<Level>> levels;
    int iterations = 0;
};

CoarserGrids::CoarserGrids() = default;
CoarserGrids::~CoarserGrids() = default;

size_t CoarserGrids::count() const { return content_->levels.size(); }
const Level& CoarserGrids::level(size_t number) const { return *content_->levels[number]; }

bool CoarserGrids::make_for(const Operator& finest) {
    if (content_) return false;
    content_ = std::make_unique<Content>();
    const Operator* a = &finest;
    while (content_->levels.size() + 1 < most_levels && std::max({a->grid.depth, a->grid.height, a->grid.width}) > 2) {
        content_->levels.push_back(std::make_unique<Level>(coarsen(*a, content_->memory), content_->memory));
        a = &content_->levels.back()->a();
    }
    return true;
}

void CoarserGrids::judge(int iterations, bool fresh) {
    if (fresh) {
        content_->iterations = iterations;
    } else if (iterations > content_->iterations) {
        clear();
    }
}

void CoarserGrids::clear() { content_.reset(); }

namespace {

// The finest grid of a problem, on top of the coarser ones.
class Hierarchy {
public:
    Hierarchy(Operator&& finest, CoarserGrids& coarser) : finest_(std::move(finest), memory_), coarser_(coarser) {}

    const Level& finest() const { return finest_; }

    // x = an approximation of the inverse of A, times b; return the product of b and x.
    double cycle(const float* b, float* x) const { return cycle(0, b, x); }

private:
    double cycle(size_t number, const float* b, float* x) const {
        const Level& level = number == 0 ? finest_ : coarser_.level(number - 1);
        if (number == coarser_.count()) return level.solve(b, x);
        const Level& coarser = coarser_.level(number);
        level.descend(b, coarser);
        cycle(number + 1, coarser.right_side(), coarser.solution());
        return level.ascend(b, coarser, x);
    }

    Planes memory_;
    const Level finest_;
    CoarserGrids& coarser_;
};

// The sum of what function(row) returns, row by row, so that it is the same for any number of threads.
template <typename Function>
double sum_rows(const Grid& grid, Cost cost, Function&& function) {
    std::vector<double> sums(static_cast<size_t>(grid.rows()));
    for_rows(grid, cost, [&](int64_t row) { sums[static_cast<size_t>(row)] = function(row); });
    return std::accumulate(sums.begin(), sums.end(), 0.0);
}

// Add the solution d of A d = rest to `out`; `rest` becomes what remains of it.
Report add_solution(Operator&& finest, float* rest, double tolerance, int most, CoarserGrids& coarser, Planes& memory,
                    float* out) {
    const Hierarchy hierarchy(std::move(finest), coarser);
    bool fresh = coarser.make_for(hierarchy.finest().a());
    const Operator& a = hierarchy.finest().a();
    const Grid& grid = a.grid;
    const int unknowns = a.unknowns;
    const int64_t count = unknowns * grid.size();
    float *direction = memory.take(count), *preconditioned = memory.take(count);
    float* const product = memory.take(count);
    // Work on one row of all unknowns, and return the sum of the products of two of its rows.
    auto sum_products = [&](Cost cost, auto&& work, const float* x, const float* y) {
        return sum_rows(grid, cost, [&](int64_t row) {
            work(row);
            return dot_of_row(grid, unknowns, row, x, y);
        });
    };
    auto each = [&](int64_t row, auto&& function) {
        for (int k = 0; k < unknowns; ++k) function(k * grid.size() + row * grid.width);
    };
    auto nothing = [](int64_t) {};
    const double before = sum_products(Cost::little, nothing, rest, rest);
    Report report{0, before > 0.0 ? 1.0 : 0.0, true};
    double power = 0.0;
    while (report.iterations < most && report.residual > tolerance) {
        const double new_power = hierarchy.cycle(rest, preconditioned);
        report.positive = new_power > 0.0;
        if (!report.positive) {
            if (fresh) break;
            // The grids of another operator may not suit this one.
            coarser.clear();
            fresh = coarser.make_for(a);
            power = 0.0;
            continue;
        }
        if (power > 0.0) {
            const auto beta = static_cast<float>(new_power / power);
            for_rows(grid, Cost::little, [&](int64_t row) {
                each(row, [&](int64_t at) { add_to_scaled(preconditioned + at, beta, grid.width, direction + at); });
            });
        } else {
            std::swap(direction, preconditioned);
        }
        power = new_power;
        const double curvature = sum_products(
            Cost::much,
            [&](int64_t row) {
                Pointers rows{};
                for (int k = 0; k < unknowns; ++k) {
                    rows[static_cast<size_t>(k)] = product + k * grid.size() + row * grid.width;
                }
                hierarchy.finest().product().multiply(all_rows<const float>(grid, direction), row, rows);
            },
            direction, product);
        report.positive = curvature > 0.0;
        if (!report.positive) break;
        const auto alpha = static_cast<float>(power / curvature);
        const double remains = sum_products(
            Cost::little,
            [&](int64_t row) {
                each(row, [&](int64_t at) {
                    add_scaled(direction + at, alpha, grid.width, out + at);
                    add_scaled(product + at, -alpha, grid.width, rest + at);
                });
            },
            rest, rest);
        ++report.iterations;
        report.residual = std::sqrt(remains / before);
    }
    coarser.judge(report.iterations, fresh);
    return report;
}

}  // namespace

Report solve(const Problem& problem, double tolerance, int most, CoarserGrids& coarser, float* out) {
    const int64_t count = problem.unknowns * problem.grid.size();
    Planes memory;
    float* const rest = memory.take(count);
    Operator a = assemble(problem, memory, rest);
    copy_planes(problem.grid, problem.unknowns, problem.start, out);
    return add_solution(std::move(a), rest, tolerance, most, coarser, memory, out);
}

Report solve(const Probed& probed, const float* gradient, const std::vector<double>& damping, double tolerance,
             int most, CoarserGrids& coarser, float* out) {
    const int64_t count = probed.unknowns * probed.grid.size();
    Planes memory;
    float* const rest = memory.take(count);
    std::transform(gradient, gradient + count, rest, [](float slope) { return -slope; });
    clear_planes(probed.grid, probed.unknowns, out);
    return add_solution(read_operator(probed, damping, memory), rest, tolerance, most, coarser, memory, out);
}

}  // namespace variflow::stencil
