// Bindings of the primal-dual sweeps.
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <optional>
#include <tuple>

#include "bind/bindings.hpp"
#include "primal_dual/primal_dual.hpp"

namespace variflow::bindings {
namespace {

using Term = std::tuple<nb::object, nb::object, nb::object, float, float, float>;

class Arguments {
public:
    explicit Arguments(nb::handle u) : u_(checked<float>(u, "u", {"height", "width"})) {}

    Shape shape(int64_t planes) const {
        return {planes, static_cast<int64_t>(u_.shape(0)), static_cast<int64_t>(u_.shape(1))};
    }

    // A plane of the height and width of `u`.
    const float* plane(nb::handle argument, const std::string& name) {
        const Array array = checked<float>(argument, name.c_str(), {"height", "width"});
        if (array.shape(0) != u_.shape(0) || array.shape(1) != u_.shape(1)) {
            refuse_value("`" + name + "` must have the shape of `u`, " + describe(u_) + ", not " + describe(array));
        }
        return floats(array);
    }

    // Planes of that height and width, and as many as asked for (0: any number).
    Array planes(nb::handle argument, const std::string& name, size_t count) {
        const Array array = checked<float>(argument, name.c_str(), {"planes", "height", "width"});
        if ((count && array.shape(0) != count) || array.shape(1) != u_.shape(0) || array.shape(2) != u_.shape(1)) {
            const std::string wanted = count ? std::to_string(count) + " planes of" : "planes of";
            refuse_value("`" + name + "` must have " + wanted + " the shape of `u`, " + describe(u_) + ", not " +
                         describe(array));
        }
        return array;
    }

    const float* u() const { return floats(u_); }

private:
    const Array u_;
};

nb::tuple primal_dual(nb::handle u_argument, nb::handle v_argument, const std::vector<Term>& terms,
                      nb::handle weights_argument, float smoothness, float threshold, float second,
                      nb::handle edges_x_argument, nb::handle edges_y_argument, int64_t iterations,
                      nb::handle state_argument, bool moves) {
    Arguments arguments(u_argument);
    const float* v = arguments.plane(v_argument, "v");
    const float* weights = arguments.plane(weights_argument, "weights");
    std::vector<variflow::Residuals> data;
    for (const auto& [value_argument, along_x_argument, along_y_argument, factor, data_threshold, normalisation] :
         terms) {
        const Array value = arguments.planes(value_argument, "value", 0);
        const size_t count = value.shape(0);
        data.push_back({floats(value), floats(arguments.planes(along_x_argument, "along_x", count)),
                        floats(arguments.planes(along_y_argument, "along_y", count)), static_cast<int64_t>(count),
                        factor, data_threshold, normalisation});
        if (!(factor >= 0 && data_threshold >= 0 && normalisation >= 0)) {
            refuse_value("factors, thresholds and normalisations of `terms` must be at least 0");
        }
    }
    if (!(smoothness > 0)) refuse_value("`smoothness` must be above 0, not " + std::to_string(smoothness));
    if (!(threshold >= 0)) refuse_value("`threshold` must be at least 0, not " + std::to_string(threshold));
    if (!(second >= 0)) refuse_value("`second` must be at least 0, not " + std::to_string(second));
    if (iterations < 0) refuse_value("`iterations` must be at least 0, not " + std::to_string(iterations));
    if (edges_x_argument.is_none() != edges_y_argument.is_none()) {
        refuse_value("`edges_x` and `edges_y` must be given both or neither");
    }
    if (!moves && !(terms.empty() && second > 0)) {
        refuse_value("without `moves`, `terms` must be empty and `second` above 0");
    }
    variflow::Regulariser regulariser{smoothness, threshold, second, nullptr, nullptr, moves};
    if (!edges_x_argument.is_none()) {
        regulariser.edges_x = arguments.plane(edges_x_argument, "edges_x");
        regulariser.edges_y = arguments.plane(edges_y_argument, "edges_y");
    }
    const int64_t count = variflow::state_planes(data, regulariser);
    variflow::Start start{arguments.u(), v, nullptr};
    if (!state_argument.is_none()) {
        start.state = floats(arguments.planes(state_argument, "state", static_cast<size_t>(count)));
    }
    Planes flow = new_planes(arguments.shape(2)), state = new_planes(arguments.shape(count));
    float *new_u = flow.data(), *new_state = state.data();
    {
        const Unlocked unlocked;
        const auto [planes, height, width] = arguments.shape(1);
        variflow::primal_dual(height, width, data, weights, regulariser, iterations, start, new_u,
                              new_u + height * width, new_state);
    }
    return nb::make_tuple(flow, state);
}

}  // namespace

void add_primal_dual(nb::module_& module) {
    module.def("primal_dual", &primal_dual, "u"_a.none(), "v"_a.none(), "terms"_a, "weights"_a.none(), "smoothness"_a,
               "threshold"_a, "second"_a, "edges_x"_a.none(), "edges_y"_a.none(), "iterations"_a,
               "state"_a.none() = nb::none(), "moves"_a = true,
               "Primal-dual iterations on one linearised energy; returns the flow (2, height, width) and the state.\n\n"
               "Each of `terms` is (value, along_x, along_y, factor, threshold, normalisation), the first three "
               "(planes, height, width). Without `moves` the flow stays, and only slopes are found.");
}

}  // namespace variflow::bindings
