// Bindings of a robust step: what it is made of, what its terms give, and the step itself.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <memory>
#include <tuple>
#include <utility>

#include "bind/system.hpp"

namespace variflow::bindings {
namespace {

// Penalties

nb::ndarray<nb::numpy, float> penalty_knots() {
    auto knots = std::make_unique<float[]>(PenaltyTable::knots);
    for (int i = 0; i < PenaltyTable::knots; ++i) knots[i] = PenaltyTable::knot(i);
    nb::capsule owner(knots.get(), [](void* memory) noexcept { delete[] static_cast<float*>(memory); });
    return {knots.release(), {PenaltyTable::knots}, owner};
}

Planes half_weights(const HeldPenalty& penalty, nb::handle squared_argument) {
    const Array squared = checked<float>(squared_argument, "squared", {"height", "width"});
    const int64_t height = extent(squared, 0), width = extent(squared, 1);
    return run({1, height, width}, [&](float* out) {
        variflow::half_weights(penalty.penalty, floats(squared), height * width, 1.0f, out);
    });
}

// Terms of the frames

// What a step returns: its result, and, if wanted, what its terms give of the misfit, else None.
using WithMisfit = std::tuple<Planes, nb::object, nb::object>;

// The arrays of a misfit.
struct MisfitArrays {
    nb::object difference = nb::none(), mismatch = nb::none();
    Misfit planes;

    MisfitArrays(Shape frames, const std::vector<Constancy>& terms, bool wanted) {
        if (!wanted || terms.empty()) return;
        auto allocated = [](Shape shape, float*& data) {
            Planes array = new_planes(shape);
            data = array.data();
            return nb::cast(std::move(array));
        };
        difference = allocated(frames, planes.difference);
        auto of_gradient = [](const Constancy& term) { return term.kind == ConstancyKind::gradient; };
        if (std::any_of(terms.begin(), terms.end(), of_gradient)) {
            mismatch = allocated({1, frames.height, frames.width}, planes.mismatch);
        }
    }

    WithMisfit with(Planes&& result) { return {std::move(result), std::move(difference), std::move(mismatch)}; }
};

std::vector<Constancy> terms_of(const std::vector<HeldConstancy>& constancies) {
    std::vector<Constancy> terms;
    for (const HeldConstancy& constancy : constancies) terms.push_back(constancy.term);
    return terms;
}

WithMisfit constancy_tensor(const HeldFramePair& frames, const std::vector<HeldConstancy>& constancies,
                            bool with_misfit) {
    const Shape shape = frames.pair.shape;
    const std::vector<Constancy> terms = terms_of(constancies);
    MisfitArrays misfit(shape, terms, with_misfit);
    Planes tensor = run({5, shape.height, shape.width},
                        [&](float* out) { variflow::constancy_tensor(frames.pair, terms, out, misfit.planes); });
    return misfit.with(std::move(tensor));
}

Planes mismatch(const HeldFramePair& frames, float floor) {
    return run({1, frames.pair.shape.height, frames.pair.shape.width},
               [&](float* out) { variflow::mismatch(frames.pair, floor, out); });
}

FramePlane checked_frame_plane(const std::string& name) {
    constexpr const char* names[] = {"It", "Ix", "Iy", "Ixx", "Ixy", "Iyy", "Ixt", "Iyt"};
    int number = 0;
    for (const char* known : names) {
        if (name == known) return static_cast<FramePlane>(number);
        ++number;
    }
    refuse_value("`names` must be of It, Ix, Iy, Ixx, Ixy, Iyy, Ixt and Iyt, not '" + name + "'");
}

Planes warp_second(const HeldFramePair& frames) {
    return run(frames.pair.shape, [&](float* out) { variflow::warp_second(frames.pair, out); });
}

Planes frame_planes(const HeldFramePair& frames, const std::vector<std::string>& names) {
    std::vector<FramePlane> wanted;
    for (const std::string& name : names) wanted.push_back(checked_frame_plane(name));
    const auto [channels, height, width] = frames.pair.shape;
    return run({static_cast<int64_t>(wanted.size()) * channels, height, width},
               [&](float* out) { variflow::frame_planes(frames.pair, wanted, out); });
}

// Data terms

void add_data(nb::handle tensor_argument, const HeldDataTerm& term, nb::handle weights) {
    const int64_t height = term.height(), width = term.width();
    const Array plane = checked<float>(weights, "weights", {height, width});
    checked<float>(tensor_argument, "tensor", {5, height, width});
    nb::ndarray<float, nb::device::cpu> tensor;
    if (!nb::try_cast(tensor_argument, tensor, false)) refuse_value("`tensor` is read-only, and is changed in place");
    const Unlocked unlocked;
    variflow::add_data(term.term, floats(plane), height * width, tensor.data());
}

double data_energy(const HeldDataTerm& term, nb::handle weights, nb::handle du_argument, nb::handle dv_argument) {
    const int64_t height = term.height(), width = term.width();
    const Array plane = checked<float>(weights, "weights", {height, width});
    const Array du = checked<float>(du_argument, "du", {height, width});
    const Array dv = checked<float>(dv_argument, "dv", {height, width});
    const Unlocked unlocked;
    return variflow::data_energy(term.term, floats(plane), height * width, {floats(du), floats(dv)});
}

Planes data_squares(const HeldDataTerm& term, nb::handle du_argument, nb::handle dv_argument) {
    const int64_t height = term.height(), width = term.width();
    const Array du = checked<float>(du_argument, "du", {height, width});
    const Array dv = checked<float>(dv_argument, "dv", {height, width});
    return run({1, height, width},
               [&](float* out) { variflow::mean_squares(term.term, height * width, {floats(du), floats(dv)}, out); });
}

// Smoothness

// A flow and the size of its planes.
struct FlowArrays {
    Array u, v;
    int64_t height, width;

    FlowArrays(nb::handle u_argument, nb::handle v_argument)
        : u(checked<float>(u_argument, "u", {"height", "width"})),
          height(static_cast<int64_t>(u.shape(0))),
          width(static_cast<int64_t>(u.shape(1))) {
        v = checked<float>(v_argument, "v", {height, width});
    }

    Field field() const { return {floats(u), floats(v)}; }
};

Planes edge_weights(nb::handle u, nb::handle v, const HeldSmoothness& smoothness) {
    const FlowArrays flow(u, v);
    smoothness.check(flow.height, flow.width);
    return run({2, flow.height, flow.width}, [&](float* out) {
        variflow::edge_weights(smoothness.term, flow.height, flow.width, flow.field(), out);
    });
}

double smoothness_energy(nb::handle u, nb::handle v, const HeldSmoothness& smoothness) {
    const FlowArrays flow(u, v);
    smoothness.check(flow.height, flow.width);
    const Unlocked unlocked;
    return variflow::smoothness_energy(smoothness.term, flow.height, flow.width, flow.field());
}

Planes squared_differences(nb::handle u, nb::handle v, const HeldSmoothness& smoothness) {
    const FlowArrays flow(u, v);
    smoothness.check(flow.height, flow.width);
    return run({smoothness.term.per_pixel ? 1 : 2, flow.height, flow.width}, [&](float* out) {
        variflow::squared_differences(smoothness.term, flow.height, flow.width, flow.field(), out);
    });
}

Planes inside(nb::handle u_argument, nb::handle v_argument) {
    const FlowArrays flow(u_argument, v_argument);
    return run({1, flow.height, flow.width},
               [&](float* out) { variflow::inside(flow.field(), flow.height, flow.width, out); });
}

WithMisfit robust_step(const HeldStep& held, int sweeps, double omega, int cycles, bool with_misfit) {
    check_sweeps(sweeps, omega);
    at_least("cycles", cycles, 0);
    const Shape shape = held.step.frames.shape;
    MisfitArrays misfit(shape, held.step.constancies, with_misfit);
    Planes flow = run({2, shape.height, shape.width}, [&](float* out) {
        variflow::robust_step(held.step, cycles, sweeps, static_cast<float>(omega), misfit.planes, out);
    });
    return misfit.with(std::move(flow));
}

void add_classes(nb::module_& module) {
    nb::enum_<PenaltyKind>(module, "PenaltyKind", "The penalties that the core knows.")
        .value("QUADRATIC", PenaltyKind::quadratic)
        .value("CHARBONNIER", PenaltyKind::charbonnier)
        .value("GENERALISED_CHARBONNIER", PenaltyKind::generalised_charbonnier)
        .value("HUBER", PenaltyKind::huber)
        .value("LORENTZIAN", PenaltyKind::lorentzian)
        .value("L1", PenaltyKind::l1);
    nb::class_<HeldPenalty>(module, "Penalty",
                            "A penalty: its kind, its scale (epsilon, threshold, ...) and its exponent.")
        .def(nb::init<PenaltyKind, double, double>(), "kind"_a, "scale"_a = 0.0, "exponent"_a = 0.0);
    nb::enum_<ConstancyKind>(module, "ConstancyKind", "What of two frames stays the same along the flow.")
        .value("BRIGHTNESS", ConstancyKind::brightness)
        .value("GRADIENT", ConstancyKind::gradient);
    nb::class_<HeldFramePair>(module, "FramePair", "Two frames that are compared along a flow.")
        .def(nb::init<nb::handle, nb::handle, nb::handle, nb::handle, nb::handle, nb::handle, const std::string&,
                      const std::string&, std::optional<std::pair<int64_t, int64_t>>>(),
             "first"_a.none(), "second"_a.none(), "samples"_a.none(), "u"_a.none(), "v"_a.none(), "weights"_a.none(),
             "interpolation"_a, "derivative"_a, "whole"_a.none() = nb::none());
    nb::class_<HeldConstancy>(module, "Constancy", "A term that compares two frames, which the core linearises.")
        .def(nb::init<ConstancyKind, const HeldPenalty&, double, double>(), "kind"_a, "penalty"_a, "normalisation"_a,
             "weight"_a);
    nb::class_<HeldDataTerm>(module, "DataTerm", "A data term, linearised: residuals jx du + jy dv + r.")
        .def(nb::init<nb::handle, nb::handle, nb::handle, const HeldPenalty&, double, double>(), "jx"_a.none(),
             "jy"_a.none(), "r"_a.none(), "penalty"_a, "normalisation"_a, "weight"_a);
    nb::class_<HeldSmoothness>(module, "Smoothness", "A penalty of the differences of a flow.")
        .def(nb::init<nb::handle, nb::handle, bool, const HeldPenalty&, double>(), "guide_x"_a.none(),
             "guide_y"_a.none(), "per_pixel"_a, "penalty"_a, "weight"_a);
    nb::class_<HeldStep>(module, "Step", "A robust step of data terms and a smoothness around the flow of two frames.")
        .def(nb::init<const HeldFramePair&, const std::vector<HeldConstancy>&, const std::vector<HeldDataTerm>&,
                      const HeldSmoothness&>(),
             "frames"_a, "constancies"_a, "data"_a, "smoothness"_a);
}

}  // namespace

void check_sweeps(int sweeps, double omega) {
    if (sweeps < 0) refuse_value("`sweeps` must be at least 0, not " + std::to_string(sweeps));
    if (!(omega > 0.0 && omega < 2.0)) {
        refuse_value("`omega` must be above 0 and below 2, not " + std::to_string(omega));
    }
}

void add_step(nb::module_& module) {
    add_classes(module);
    module.def("penalty_knots", &penalty_knots, "The squares s^2 at which a table of a penalty holds its values.");
    module.def(
        "tabulate_penalty", [](nb::handle values, nb::handle halves) { return HeldPenalty(values, halves); },
        "values"_a.none(), "half_weights"_a.none(),
        "A penalty by its values, and half its weights rho'(s) / s, at the knots.");
    module.def("half_weights", &half_weights, "penalty"_a, "squared"_a.none(),
               "Half the weights rho'(s) / s of a penalty at a plane of squares s^2.");
    module.def("inside", &inside, "u"_a.none(), "v"_a.none(),
               "1 where the target of the flow lies inside the frame, else 0.");
    module.def("warp_second", &warp_second, "frames"_a, "The second frame, warped; as it is where nothing moves.");
    module.def("frame_planes", &frame_planes, "frames"_a, "names"_a,
               "The temporal difference and derivatives that are named, times the weights, C planes of each.");
    module.def(
        "constancy_tensor", &constancy_tensor, "frames"_a, "constancies"_a, "with_misfit"_a = false,
        "The motion tensor (5, H, W) of terms linearised around the flow. And, if wanted, the warped second frame "
        "minus the first, times the weights, and with a term of the gradient the mismatch; None for what there is "
        "not.");
    module.def("mismatch", &mismatch, "frames"_a, "floor"_a,
               "How far, in pixels, the flow is from where the gradients of the frames agree, over all channels: "
               "sqrt(sum(Ixt^2 + Iyt^2) / (sum(Ixx^2 + 2 Ixy^2 + Iyy^2) + floor^2)), 0 where the weights are.");
    module.attr("mismatch_floor") = mismatch_floor;
    module.attr("fewest_inner") = fewest_inner;
    module.def("add_data", &add_data, "tensor"_a.none(), "term"_a, "weights"_a.none(),
               "Add a data term, times weights, to the motion tensor, in place.");
    module.def("data_energy", &data_energy, "term"_a, "weights"_a.none(), "du"_a.none(), "dv"_a.none(),
               "The energy of a data term, times weights, at an increment.");
    module.def("data_squares", &data_squares, "term"_a, "du"_a.none(), "dv"_a.none(),
               "What a data term penalises at an increment: the mean of its squared residuals, one plane.");
    module.def("edge_weights", &edge_weights, "u"_a.none(), "v"_a.none(), "smoothness"_a,
               "The weights of the edges (2, H, W) around a flow.");
    module.def("smoothness_energy", &smoothness_energy, "u"_a.none(), "v"_a.none(), "smoothness"_a,
               "The energy of a smoothness at a flow.");
    module.def(
        "squared_differences", &squared_differences, "u"_a.none(), "v"_a.none(), "smoothness"_a,
        "What a smoothness penalises at a flow: the squared differences of each pixel's edges, two planes, or one "
        "where they are penalised together.");
    module.def("robust_step", &robust_step, "step"_a, "sweeps"_a, "omega"_a, "cycles"_a = 0, "with_misfit"_a = false,
               "`constancy_tensor`, `add_data`, `edge_weights` and `relax` in one pass, or with cycles `cycle`: "
               "the flow, and of the flow before what comes with the tensor.");
}

}  // namespace variflow::bindings
