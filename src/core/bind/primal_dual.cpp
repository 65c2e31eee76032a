// Bindings of the primal-dual sweeps.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/vector.h>

#include <optional>
#include <utility>
#include <vector>

#include "bind/bindings.hpp"
#include "primal_dual/primal_dual.hpp"

namespace variflow::bindings {
namespace {

// The arrays of a data term, kept for as long as it is used.
class ResidualArrays {
public:
    ResidualArrays(nb::handle value, nb::handle along_x, nb::handle along_y, float factor, float threshold,
                   float normalisation, nb::handle weights)
        : value_(checked<float>(value, "value", {"residuals", "height", "width"})) {
        const auto [count, height, width] = shape_of(value_);
        along_x_ = checked<float>(along_x, "along_x", {count, height, width});
        along_y_ = checked<float>(along_y, "along_y", {count, height, width});
        at_least("factor", factor, 0);
        at_least("threshold", threshold, 0);
        at_least("normalisation", normalisation, 0);
        if (!weights.is_none()) weights_ = checked<float>(weights, "weights", {height, width});
        residuals_ = {
            floats(value_), floats(along_x_), floats(along_y_), count,
            factor,         threshold,        normalisation,    weights.is_none() ? nullptr : floats(weights_)};
    }

    // The residuals of frames of this size.
    const variflow::Residuals& of(int64_t height, int64_t width) const {
        check_shape(value_, "value", {"residuals", height, width});
        return residuals_;
    }

private:
    Array value_, along_x_, along_y_, weights_;
    variflow::Residuals residuals_;
};

using EdgeArguments = std::optional<std::pair<nb::object, nb::object>>;

// The arrays of a variation, kept for as long as it is used.
class VariationArrays {
public:
    VariationArrays(float weight, float threshold, float second, const EdgeArguments& edges, float reach) {
        above("weight", weight, 0);
        at_least("threshold", threshold, 0);
        at_least("second", second, 0);
        above("reach", reach, 0);
        variation_ = {weight, threshold, second, reach, nullptr, nullptr};
        if (!edges) return;
        edges_x_ = checked<float>(edges->first, "edges", {"height", "width"});
        edges_y_ = checked<float>(edges->second, "edges", {edges_x_.shape(0), edges_x_.shape(1)});
        variation_.edges_x = floats(edges_x_), variation_.edges_y = floats(edges_y_);
    }

    // The variation of a flow of this size.
    const variflow::Variation& of(int64_t height, int64_t width) const {
        if (variation_.edges_x) check_shape(edges_x_, "edges", {height, width});
        return variation_;
    }

private:
    Array edges_x_, edges_y_;
    variflow::Variation variation_;
};

// The arrays of a flow to start from.
struct FlowArrays {
    Array u, v;
    int64_t height, width;

    FlowArrays(nb::handle u_argument, nb::handle v_argument)
        : u(checked<float>(u_argument, "u", {"height", "width"})), height(extent(u, 0)), width(extent(u, 1)) {
        v = checked<float>(v_argument, "v", {height, width});
    }

    Start start(const float* state) const { return {height, width, floats(u), floats(v), state}; }
};

std::pair<Planes, Planes> primal_dual(nb::handle u, nb::handle v, const std::vector<const ResidualArrays*>& residuals,
                                      nb::handle weights_argument, const VariationArrays& variation_arrays,
                                      int64_t iterations, nb::handle state_argument) {
    const FlowArrays flow(u, v);
    const auto [height, width] = std::pair{flow.height, flow.width};
    const Array weights = checked<float>(weights_argument, "weights", {height, width});
    std::vector<variflow::Residuals> data;
    for (const ResidualArrays* arrays : residuals) {
        if (!arrays) refuse_type("residuals holds None, wanted objects of Residuals");
        data.push_back(arrays->of(height, width));
    }
    const variflow::Variation& variation = variation_arrays.of(height, width);
    at_least("iterations", iterations, 0);
    const int64_t count = variflow::state_planes(data, variation);
    Array state;
    if (!state_argument.is_none()) state = checked<float>(state_argument, "state", {count, height, width});
    const Start start = flow.start(state_argument.is_none() ? nullptr : floats(state));
    Planes new_state = new_planes({count, height, width});
    Planes new_flow = run({2, height, width}, [&](float* out) {
        variflow::primal_dual(start, data, floats(weights), variation, iterations,
                              {out, out + height * width, new_state.data()});
    });
    return {std::move(new_flow), std::move(new_state)};
}

Planes slopes(nb::handle u, nb::handle v, const VariationArrays& variation_arrays, int64_t iterations) {
    const FlowArrays flow(u, v);
    const variflow::Variation& variation = variation_arrays.of(flow.height, flow.width);
    above("second", variation.second, 0);
    at_least("iterations", iterations, 0);
    return run({4, flow.height, flow.width},
               [&](float* w) { variflow::slopes(flow.start(nullptr), variation, iterations, w); });
}

}  // namespace

void add_primal_dual(nb::module_& module) {
    nb::class_<ResidualArrays>(
        module, "Residuals",
        "Residuals of one linearised data term, penalised jointly by a norm.\n\n"
        "The term is factor * sum over pixels of weights * rho(|value + along_x du + along_y dv|), for an increment "
        "(du, dv); the arrays are (K, height, width), and the length is Euclidean, over the K. Up to the length "
        "`threshold` rho is quadratic (Huber's penalty); at 0 it is the norm itself. With a `normalisation` above 0 "
        "each "
        "residual is first divided by the root of the sum of its squared derivatives and the square of this. "
        "`weights`, "
        "(height, width), take the place of those of all data.")
        .def(nb::init<nb::handle, nb::handle, nb::handle, float, float, float, nb::handle>(), "value"_a.none(),
             "along_x"_a.none(), "along_y"_a.none(), "factor"_a = 1.0f, "threshold"_a = 0.0f, "normalisation"_a = 0.0f,
             "weights"_a.none() = nb::none());
    nb::class_<VariationArrays>(
        module, "Variation",
        "The variation of a flow, both components jointly.\n\n"
        "It is weight * sum over pixels of rho(|gradient of (u, v)|) with forward differences; or, with `second` (in "
        "pixels) above 0, weight * min over w of the sum of rho(|gradient - w|) + second * |symmetric gradient of w|: "
        "total generalised variation, which leaves affine flows unpenalised. Up to the length `threshold`, in pixels "
        "per "
        "pixel, rho is quadratic; at 0 it is the norm itself. `edges`, from 0 to 1, are factors of the squared "
        "difference "
        "between a pixel and the next one along x, and along y. `reach` is about how large the derivative of rho "
        "becomes: "
        "1 for norms, less where rho stays quadratic; the number of iterations needed depends on it.")
        .def(nb::init<float, float, float, const EdgeArguments&, float>(), "weight"_a, "threshold"_a = 0.0f,
             "second"_a = 0.0f, "edges"_a.none() = nb::none(), "reach"_a = 1.0f);
    module.def("primal_dual", &primal_dual, "u"_a.none(), "v"_a.none(), "residuals"_a, "weights"_a.none(),
               "variation"_a, "iterations"_a, "state"_a.none() = nb::none(),
               "Primal-dual iterations towards the flow that minimises residuals, linearised at (u, v), and its "
               "variation.\n\n"
               "Returns the flow (2, height, width), and a state to go on from at the next warp: the dual variables of "
               "the gradient (4 planes), of second order those of the symmetric gradient (6) and w (4), then one plane "
               "for each residual.");
    module.def("slopes", &slopes, "u"_a.none(), "v"_a.none(), "variation"_a, "iterations"_a,
               "The slopes w (4, height, width) that primal-dual iterations find for a variation of second order of a "
               "flow that stays.");
}

}  // namespace variflow::bindings
