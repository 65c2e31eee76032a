// Bindings of least squares whose residuals depend on a small neighbourhood each.
#include <nanobind/stl/array.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <array>
#include <optional>
#include <tuple>

#include "bind/system.hpp"
#include "stencil/stencil.hpp"

namespace variflow::bindings {
namespace {

using stencil::Grid;

// Taps further away than this would make a matrix that is no longer local.
constexpr int farthest = 64;

std::optional<Array> plane_or_none(nb::handle argument, const char* name) {
    if (argument.is_none()) return std::nullopt;
    return checked<float>(argument, name, {"depth", "height", "width"});
}

const float* floats(const std::optional<Array>& plane) { return plane ? bindings::floats(*plane) : nullptr; }

void check_size(const std::optional<Array>& plane, const char* name, const Grid& grid) {
    if (plane) check_shape(*plane, name, {grid.depth, grid.height, grid.width});
}

struct HeldTap {
    HeldTap(int unknown, std::array<int, 3> offset, double factor, nb::handle plane_argument)
        : plane(plane_or_none(plane_argument, "plane")),
          tap{unknown, {offset[0], offset[1], offset[2]}, static_cast<float>(factor), floats(plane)} {
        at_least("unknown", unknown, 0);
        for (const int distance : offset) from_to("offset", distance, -farthest, farthest);
    }

    std::optional<Array> plane;
    stencil::Tap tap;
};

struct HeldResidual {
    HeldResidual(const std::vector<HeldTap>& taps_argument, nb::handle value_argument, bool at_start)
        : taps(taps_argument), value(plane_or_none(value_argument, "value")) {
        for (const HeldTap& tap : taps) residual.taps.push_back(tap.tap);
        residual.value = floats(value);
        residual.at_start = at_start;
    }

    std::vector<HeldTap> taps;
    std::optional<Array> value;
    stencil::Residual residual;
};

struct HeldTerm {
    HeldTerm(const std::vector<HeldResidual>& residuals_argument, bool jointly, const HeldPenalty& penalty_argument,
             double weight, nb::handle weights_argument)
        : residuals(residuals_argument),
          penalty(penalty_argument),
          weights(plane_or_none(weights_argument, "weights")) {
        check_number(weight, "weight", 0.0, true);
        term = {{}, jointly, penalty.penalty, static_cast<float>(weight), floats(weights)};
        for (const HeldResidual& residual : residuals) term.residuals.push_back(residual.residual);
    }

    void check(const Grid& grid, int unknowns) const {
        check_size(weights, "weights", grid);
        for (const HeldResidual& residual : residuals) {
            check_size(residual.value, "value", grid);
            for (const HeldTap& tap : residual.taps) {
                check_size(tap.plane, "plane", grid);
                from_to("unknown", tap.tap.unknown, 0, unknowns - 1);
            }
        }
    }

    std::vector<HeldResidual> residuals;
    HeldPenalty penalty;
    std::optional<Array> weights;
    stencil::Term term;
};

using Unknowns = nb::ndarray<nb::numpy, float, nb::ndim<4>, nb::c_contig>;

struct HeldProblem {
    HeldProblem(nb::handle start_argument, const std::vector<HeldTerm>& terms_argument, nb::handle tensor_argument,
                std::array<float, 3> damping)
        : start(checked<float>(start_argument, "start", {"unknowns", "depth", "height", "width"})),
          terms(terms_argument) {
        const Grid grid{extent(start, 1), extent(start, 2), extent(start, 3)};
        const int unknowns = static_cast<int>(extent(start, 0));
        from_to("unknowns of `start`", unknowns, 1, stencil::most_unknowns);
        problem = {grid, unknowns, {}, nullptr, damping, bindings::floats(start)};
        for (const HeldTerm& term : terms) {
            term.check(grid, unknowns);
            problem.terms.push_back(term.term);
        }
        if (tensor_argument.is_none()) return;
        if (unknowns < 2) refuse_value("`tensor` must be None where `start` has fewer than two unknowns");
        tensor = checked<float>(tensor_argument, "tensor", {5 * grid.depth, grid.height, grid.width});
        problem.tensor = floats(tensor);
    }

    Array start;
    std::vector<HeldTerm> terms;
    std::optional<Array> tensor;
    stencil::Problem problem;
};

// A symmetric matrix that is known by its products with patterns.
struct HeldMatrix {
    HeldMatrix(nb::handle products_argument, std::array<int, 3> steps,
               const std::vector<std::tuple<int, int, std::array<int, 3>>>& entries)
        : products(
              checked<float>(products_argument, "products", {"patterns", "unknowns", "depth", "height", "width"})) {
        const int patterns = static_cast<int>(extent(products, 0)), unknowns = static_cast<int>(extent(products, 1));
        from_to("unknowns of `products`", unknowns, 1, stencil::most_unknowns);
        for (const int step : steps) from_to("step", step, 0, patterns - 1);
        const Grid grid{extent(products, 2), extent(products, 3), extent(products, 4)};
        probed = {grid, unknowns, patterns, steps[0], steps[1], steps[2], {}, bindings::floats(products)};
        for (const auto& [first, second, offset] : entries) {
            from_to("unknown", first, 0, second);
            from_to("unknown", second, first, unknowns - 1);
            for (const int distance : offset) from_to("offset", distance, -farthest, farthest);
            probed.entries.push_back({first, second, {offset[0], offset[1], offset[2]}});
        }
    }

    Array products;
    stencil::Probed probed;
};

// Coarser grids that several linear systems of one size use.
struct HeldGrids {
    stencil::CoarserGrids grids;
    Grid grid{};
    int unknowns = 0;
};

// Call function(grids) with those given, or with new ones.
template <typename Function>
auto with_grids(HeldGrids* given, const Grid& grid, int unknowns, Function&& function) {
    HeldGrids fresh;
    HeldGrids& held = given ? *given : fresh;
    if (held.unknowns != 0 && !(held.grid == grid && held.unknowns == unknowns)) {
        refuse_value("`grids` must be those of linear systems of this size");
    }
    held.grid = grid;
    held.unknowns = unknowns;
    return function(held.grids);
}

// Solve for planes of unknowns of the shape of `like`: solve(out) fills them in.
template <typename Solve>
std::pair<Unknowns, stencil::Report> solve_for(const Array& like, double tolerance, int iterations, Solve&& solve) {
    check_number(tolerance, "tolerance", 0.0, true);
    at_least("iterations", iterations, 0);
    size_t shape[4];
    size_t count = 1;
    for (size_t axis = 0; axis < 4; ++axis) count *= shape[axis] = like.shape(axis);
    auto* const data = static_cast<float*>(allocate(count * sizeof(float)));
    const nb::capsule owner(data, &release);
    stencil::Report report;
    {
        const Unlocked unlocked;
        report = solve(data);
    }
    return {Unknowns(data, 4, shape, owner), report};
}

std::tuple<Unknowns, int, double> solve(const HeldProblem& held, double tolerance, int iterations, HeldGrids* given) {
    const stencil::Problem& problem = held.problem;
    return with_grids(given, problem.grid, problem.unknowns, [&](stencil::CoarserGrids& grids) {
        const auto [unknowns, report] = solve_for(held.start, tolerance, iterations, [&](float* out) {
            return stencil::solve(problem, tolerance, iterations, grids, out);
        });
        return std::tuple{unknowns, report.iterations, report.residual};
    });
}

std::tuple<Unknowns, int, bool> solve_matrix(const HeldMatrix& held, nb::handle gradient_argument,
                                             const std::vector<double>& damping, double tolerance, int iterations,
                                             HeldGrids* given) {
    const stencil::Probed& probed = held.probed;
    if (damping.size() != static_cast<size_t>(stencil::triangle_size(probed.unknowns))) {
        refuse_value("`damping` must hold the upper triangle of a matrix of all unknowns");
    }
    const Grid& grid = probed.grid;
    const Array gradient =
        checked<float>(gradient_argument, "gradient", {probed.unknowns, grid.depth, grid.height, grid.width});
    return with_grids(given, grid, probed.unknowns, [&](stencil::CoarserGrids& grids) {
        const auto [step, report] = solve_for(gradient, tolerance, iterations, [&](float* out) {
            return stencil::solve(probed, bindings::floats(gradient), damping, tolerance, iterations, grids, out);
        });
        return std::tuple{step, report.iterations, report.positive};
    });
}

std::vector<double> measure_constants(const HeldMatrix& held) {
    const Unlocked unlocked;
    return stencil::measure_constants(held.probed);
}

std::array<double, 3> measure_tensor(nb::handle tensor_argument) {
    const Array tensor = checked<float>(tensor_argument, "tensor", {5, "height", "width"});
    const Unlocked unlocked;
    return stencil::measure_tensor({1, extent(tensor, 1), extent(tensor, 2)}, floats(tensor));
}

double energy(const HeldProblem& held, nb::handle unknowns_argument) {
    const Grid& grid = held.problem.grid;
    const Array unknowns =
        checked<float>(unknowns_argument, "unknowns", {held.problem.unknowns, grid.depth, grid.height, grid.width});
    const Unlocked unlocked;
    return stencil::energy(held.problem, bindings::floats(unknowns));
}

}  // namespace

void add_stencil(nb::module_& module) {
    nb::class_<HeldTap>(module, "Tap",
                        "What a residual depends on: an unknown at an offset, times a factor and a plane.")
        .def(nb::init<int, std::array<int, 3>, double, nb::handle>(), "unknown"_a, "offset"_a, "factor"_a,
             "plane"_a.none() = nb::none());
    nb::class_<HeldResidual>(module, "LocalResidual",
                             "The sum of taps and a value; or of the value at the start and what the taps change.")
        .def(nb::init<const std::vector<HeldTap>&, nb::handle, bool>(), "taps"_a, "value"_a.none() = nb::none(),
             "at_start"_a = false);
    nb::class_<HeldTerm>(module, "LocalTerm", "Residuals that are penalised, jointly or each on its own.")
        .def(nb::init<const std::vector<HeldResidual>&, bool, const HeldPenalty&, double, nb::handle>(), "residuals"_a,
             "jointly"_a, "penalty"_a, "weight"_a, "weights"_a.none() = nb::none());
    nb::class_<HeldProblem>(module, "LocalProblem",
                            "Terms around a start (unknowns, depth, height, width), and the motion tensor of its first "
                            "two unknowns, whose matrix of each pixel is raised by that whose upper triangle `damping` "
                            "is.")
        .def(nb::init<nb::handle, const std::vector<HeldTerm>&, nb::handle, std::array<float, 3>>(), "start"_a.none(),
             "terms"_a, "tensor"_a.none() = nb::none(), "damping"_a = std::array<float, 3>{});
    nb::class_<HeldGrids>(module, "CoarserGrids",
                          "The coarser grids of a linear system, which serve for further ones near it.")
        .def(nb::init<>());
    module.def("solve_local", &solve, "problem"_a, "tolerance"_a, "iterations"_a, "grids"_a.none() = nb::none(),
               "The unknowns after a reweighted step, the iterations it took, and how large the residual of its linear "
               "system is beside that of the start. `grids` are those of a problem before, of the same size.");
    nb::class_<HeldMatrix>(
        module, "LocalMatrix",
        "A symmetric matrix, known by its products (patterns, unknowns, depth, height, width) with patterns.\n\n"
        "With `steps` (b, c, e), pattern n is 1 in unknown k of the pixel (z, y, x) where x + b y + c z + e k is n, "
        "modulo the number of patterns. `entries` (k, l, offset) say which unknowns k <= l are coupled.")
        .def(nb::init<nb::handle, std::array<int, 3>, const std::vector<std::tuple<int, int, std::array<int, 3>>>&>(),
             "products"_a.none(), "steps"_a, "entries"_a);
    module.def(
        "solve_matrix", &solve_matrix, "matrix"_a, "gradient"_a.none(), "damping"_a, "tolerance"_a, "iterations"_a,
        "grids"_a.none() = nb::none(),
        "The step from a gradient to the minimum of a quadratic function, the iterations it took, and whether the "
        "matrix was positive in all of them. The matrix of each pixel is raised by that whose upper triangle `damping` "
        "is.");
    module.def("measure_constants", &measure_constants, "matrix"_a,
               "The upper triangle of the curvature along constant changes of the unknowns, in the mean over pixels.");
    module.def("measure_tensor", &measure_tensor, "tensor"_a.none(),
               "The upper triangle of the matrix of a motion tensor, in the mean over pixels.");
    module.def("local_energy", &energy, "problem"_a, "unknowns"_a.none(),
               "The energy of the terms of a problem, without that of its tensor.");
}

}  // namespace variflow::bindings
