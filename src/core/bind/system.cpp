// Bindings of the linear system of a robust step: its assembly, energies and solvers.
#include <nanobind/stl/pair.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <initializer_list>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "bind/bindings.hpp"
#include "system/system.hpp"

namespace variflow::bindings {
namespace {

std::string text(std::initializer_list<int64_t> shape) {
    std::string joined;
    for (const int64_t extent : shape) joined += (joined.empty() ? "(" : ", ") + std::to_string(extent);
    return joined += ")";
}

void check_number(double value, const char* name, double smallest, bool or_equal) {
    if (std::isfinite(value) && (or_equal ? value >= smallest : value > smallest)) return;
    refuse_value(std::string("`") + name + "` must be a finite number " + (or_equal ? "of at least " : "above ") +
                 std::to_string(smallest) + ", not " + std::to_string(value));
}

Array checked_plane(nb::handle argument, const char* name, int64_t height, int64_t width) {
    const Array plane = checked<float>(argument, name, {"height", "width"});
    if (static_cast<int64_t>(plane.shape(0)) != height || static_cast<int64_t>(plane.shape(1)) != width) {
        refuse_value(std::string("`") + name + "` must have the shape " + text({height, width}) + ", not " +
                     describe(plane));
    }
    return plane;
}

Array checked_stack(nb::handle argument, const char* name, int64_t planes, int64_t height, int64_t width) {
    const Array stack = checked<float>(argument, name, {"planes", "height", "width"});
    const Shape shape = shape_of(stack);
    if (shape.channels != planes || shape.height != height || shape.width != width) {
        refuse_value(std::string("`") + name + "` must have the shape " + text({planes, height, width}) + ", not " +
                     describe(stack));
    }
    return stack;
}

Penalty checked_penalty(int kind, double first, double second) {
    if (kind < 0 || kind >= penalty_kinds) {
        refuse_value("`penalty` must be from 0 to " + std::to_string(penalty_kinds - 1) + ", not " +
                     std::to_string(kind));
    }
    const auto known = static_cast<PenaltyKind>(kind);
    if (known != PenaltyKind::quadratic) check_number(first, "p0", 0.0, false);
    if (known == PenaltyKind::generalised_charbonnier) check_number(second, "p1", 0.0, false);
    return {known, static_cast<float>(first), static_cast<float>(second)};
}

Constancy checked_constancy(int penalty, double p0, double p1, double normalisation, double weight) {
    check_number(normalisation, "normalisation", 0.0, true);
    check_number(weight, "weight", 0.0, true);
    return {checked_penalty(penalty, p0, p1), static_cast<float>(normalisation), static_cast<float>(weight)};
}

// The arrays of a data term, kept for as long as it is used.
struct DataArrays {
    Array jx, jy, r;
    int64_t height, width;

    DataArrays(nb::handle jx_argument, nb::handle jy_argument, nb::handle r_argument)
        : jx(checked<float>(jx_argument, "jx", {"residuals", "height", "width"})) {
        const Shape shape = shape_of(jx);
        height = shape.height, width = shape.width;
        jy = checked_stack(jy_argument, "jy", shape.channels, height, width);
        r = checked_stack(r_argument, "r", shape.channels, height, width);
    }

    // Weights that are null come from elsewhere.
    DataTerm term(const Constancy& constancy, const float* weights) const {
        return {floats(jx), floats(jy), floats(r), static_cast<int64_t>(jx.shape(0)), weights, constancy};
    }
};

void add_data(nb::handle tensor_argument, nb::handle jx, nb::handle jy, nb::handle r,
                nb::handle weights, int penalty, double p0, double p1, double normalisation, double weight) {
    const DataArrays arrays(jx, jy, r);
    const Array weight_plane = checked_plane(weights, "weights", arrays.height, arrays.width);
    const DataTerm term =
        arrays.term(checked_constancy(penalty, p0, p1, normalisation, weight), floats(weight_plane));
    checked_stack(tensor_argument, "tensor", 5, arrays.height, arrays.width);
    nb::ndarray<float, nb::device::cpu> tensor;
    if (!nb::try_cast(tensor_argument, tensor, false)) refuse_value("`tensor` is read-only, and is changed in place");
    const Unlocked unlocked;
    variflow::add_data(term, arrays.height * arrays.width, tensor.data());
}

// (of the gradient?, penalty, p0, p1, normalisation, weight)
using TermTuple = std::tuple<bool, int, double, double, double, double>;

Derivative checked_derivative(const std::string& name) {
    if (name == "average") return Derivative::average;
    if (name == "first") return Derivative::first;
    if (name == "second") return Derivative::second;
    if (name == "warped") return Derivative::warped;
    refuse_value("`derivative` must be 'average', 'first', 'second' or 'warped', not '" + name + "'");
}

// The arrays of two frames, a flow and weights, kept for as long as they are used.
struct FrameArrays {
    Array first, second, samples, u, v, weights;
    Shape shape;
    std::vector<FrameConstancy> terms;
    FramePair pair;

    FrameArrays(nb::handle first_argument, nb::handle second_argument, nb::handle samples_argument,
                nb::handle u_argument, nb::handle v_argument, nb::handle weights_argument,
                const std::string& interpolation, const std::string& derivative,
                const std::vector<TermTuple>& term_tuples)
        : first(checked<float>(first_argument, "first", {"channels", "height", "width"})), shape(shape_of(first)) {
        check_warpable(first, "first");
        second = checked_stack(second_argument, "second", shape.channels, shape.height, shape.width);
        samples = checked_stack(samples_argument, "samples", shape.channels, shape.height, shape.width);
        u = checked_plane(u_argument, "u", shape.height, shape.width);
        v = checked_plane(v_argument, "v", shape.height, shape.width);
        const bool weighted = !weights_argument.is_none();
        if (weighted) weights = checked_plane(weights_argument, "weights", shape.height, shape.width);
        for (const auto& [of_gradient, penalty, p0, p1, normalisation, weight] : term_tuples) {
            terms.push_back({of_gradient, checked_constancy(penalty, p0, p1, normalisation, weight)});
        }
        pair = {floats(first), floats(second), floats(samples), shape, weighted ? floats(weights) : nullptr,
                checked_interpolation(interpolation), checked_derivative(derivative)};
    }

    Field flow() const { return {floats(u), floats(v)}; }
};

Planes inside(nb::handle u_argument, nb::handle v_argument) {
    const Array u = checked<float>(u_argument, "u", {"height", "width"});
    const auto height = static_cast<int64_t>(u.shape(0)), width = static_cast<int64_t>(u.shape(1));
    const Array v = checked_plane(v_argument, "v", height, width);
    return run({1, height, width},
               [&](float* out) { variflow::inside({floats(u), floats(v)}, height, width, out); });
}

// What a step returns: its result, and, if wanted, what its terms give of the misfit, else None.
using WithMisfit = std::tuple<Planes, nb::object, nb::object>;

// The arrays of a misfit.
struct MisfitArrays {
    nb::object difference = nb::none(), mismatch = nb::none();
    Misfit planes;

    MisfitArrays(const FrameArrays& arrays, bool wanted) {
        if (!wanted) return;
        auto allocated = [](Shape shape, float*& data) {
            Planes array = new_planes(shape);
            data = array.data();
            return nb::cast(std::move(array));
        };
        const auto& [channels, height, width] = arrays.shape;
        if (!arrays.terms.empty()) difference = allocated({channels, height, width}, planes.difference);
        if (std::any_of(arrays.terms.begin(), arrays.terms.end(), std::mem_fn(&FrameConstancy::of_gradient))) {
            mismatch = allocated({1, height, width}, planes.mismatch);
        }
    }

    WithMisfit with(Planes&& result) { return {std::move(result), std::move(difference), std::move(mismatch)}; }
};

WithMisfit constancy_tensor(nb::handle first, nb::handle second, nb::handle samples, nb::handle u, nb::handle v,
                            nb::handle weights, const std::string& interpolation, const std::string& derivative,
                            const std::vector<TermTuple>& terms, bool with_misfit) {
    const FrameArrays arrays(first, second, samples, u, v, weights, interpolation, derivative, terms);
    MisfitArrays misfit(arrays, with_misfit);
    Planes tensor = run({5, arrays.shape.height, arrays.shape.width}, [&](float* out) {
        variflow::constancy_tensor(arrays.pair, arrays.flow(), arrays.terms, out, misfit.planes);
    });
    return misfit.with(std::move(tensor));
}

Planes mismatch(nb::handle first, nb::handle second, nb::handle samples, nb::handle u, nb::handle v,
                nb::handle weights, const std::string& interpolation, const std::string& derivative) {
    const FrameArrays arrays(first, second, samples, u, v, weights, interpolation, derivative, {});
    return run({1, arrays.shape.height, arrays.shape.width},
               [&](float* out) { variflow::mismatch(arrays.pair, arrays.flow(), out); });
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

Planes frame_planes(nb::handle first, nb::handle second, nb::handle samples, nb::handle u, nb::handle v,
                    nb::handle weights, const std::string& interpolation, const std::string& derivative,
                    const std::vector<std::string>& names) {
    const FrameArrays arrays(first, second, samples, u, v, weights, interpolation, derivative, {});
    std::vector<FramePlane> wanted;
    for (const std::string& name : names) wanted.push_back(checked_frame_plane(name));
    const auto [channels, height, width] = arrays.shape;
    return run({static_cast<int64_t>(wanted.size()) * channels, height, width},
               [&](float* out) { variflow::frame_planes(arrays.pair, arrays.flow(), wanted, out); });
}

double data_energy(nb::handle jx, nb::handle jy, nb::handle r, nb::handle weights, nb::handle du_argument,
                   nb::handle dv_argument, int penalty, double p0, double p1, double normalisation, double weight) {
    const DataArrays arrays(jx, jy, r);
    const Array weight_plane = checked_plane(weights, "weights", arrays.height, arrays.width);
    const DataTerm term =
        arrays.term(checked_constancy(penalty, p0, p1, normalisation, weight), floats(weight_plane));
    const Array du = checked_plane(du_argument, "du", arrays.height, arrays.width);
    const Array dv = checked_plane(dv_argument, "dv", arrays.height, arrays.width);
    const Unlocked unlocked;
    return variflow::data_energy(term, arrays.height * arrays.width, {floats(du), floats(dv)});
}

// The arrays of a smoothness term, kept for as long as it is used.
struct SmoothnessArrays {
    Array u, v, guide_x, guide_y;
    int64_t height, width;
    bool guided;

    SmoothnessArrays(nb::handle u_argument, nb::handle v_argument, nb::handle guide_x_argument,
                     nb::handle guide_y_argument)
        : u(checked<float>(u_argument, "u", {"height", "width"})),
          height(static_cast<int64_t>(u.shape(0))),
          width(static_cast<int64_t>(u.shape(1))),
          guided(!guide_x_argument.is_none()) {
        v = checked_plane(v_argument, "v", height, width);
        if (guided == guide_y_argument.is_none()) refuse_type("`guide_x` and `guide_y` must be given both, or neither");
        if (!guided) return;
        guide_x = checked_plane(guide_x_argument, "guide_x", height, width);
        guide_y = checked_plane(guide_y_argument, "guide_y", height, width);
    }

    SmoothnessTerm term(bool per_pixel, Penalty penalty, double weight) const {
        check_number(weight, "weight", 0.0, true);
        return {guided ? floats(guide_x) : nullptr, guided ? floats(guide_y) : nullptr, per_pixel, penalty,
                static_cast<float>(weight)};
    }

    Field flow() const { return {floats(u), floats(v)}; }
};

Planes edge_weights(nb::handle u, nb::handle v, nb::handle guide_x, nb::handle guide_y, bool per_pixel, int penalty,
                    double p0, double p1, double weight) {
    const SmoothnessArrays arrays(u, v, guide_x, guide_y);
    const SmoothnessTerm term = arrays.term(per_pixel, checked_penalty(penalty, p0, p1), weight);
    return run({2, arrays.height, arrays.width},
               [&](float* out) { variflow::edge_weights(term, arrays.height, arrays.width, arrays.flow(), out); });
}

double smoothness_energy(nb::handle u, nb::handle v, nb::handle guide_x, nb::handle guide_y, bool per_pixel,
                         int penalty, double p0, double p1, double weight) {
    const SmoothnessArrays arrays(u, v, guide_x, guide_y);
    const SmoothnessTerm term = arrays.term(per_pixel, checked_penalty(penalty, p0, p1), weight);
    const Unlocked unlocked;
    return variflow::smoothness_energy(term, arrays.height, arrays.width, arrays.flow());
}

Planes image_edges(nb::handle guide_argument, double contrast) {
    const Array guide = checked<float>(guide_argument, "guide", {"channels", "height", "width"});
    check_number(contrast, "contrast", 0.0, false);
    const Shape shape = shape_of(guide);
    return run({2, shape.height, shape.width}, [&](float* out) {
        variflow::image_edges(floats(guide), shape, static_cast<float>(contrast), out);
    });
}

// The arrays of a system and of where its solution starts, kept for as long as they are used.
struct SystemArrays {
    Array tensor, edges, u0, v0, u, v;
    int64_t height, width;

    SystemArrays(nb::handle tensor_argument, nb::handle edges_argument, nb::handle u0_argument, nb::handle v0_argument,
                 nb::handle u_argument, nb::handle v_argument, const char* u_name, const char* v_name)
        : u0(checked<float>(u0_argument, "u0", {"height", "width"})),
          height(static_cast<int64_t>(u0.shape(0))),
          width(static_cast<int64_t>(u0.shape(1))) {
        v0 = checked_plane(v0_argument, "v0", height, width);
        tensor = checked_stack(tensor_argument, "tensor", 5, height, width);
        edges = checked_stack(edges_argument, "edges", 2, height, width);
        u = checked_plane(u_argument, u_name, height, width);
        v = checked_plane(v_argument, v_name, height, width);
    }

    System system() const { return {floats(tensor), floats(edges), {floats(u0), floats(v0)}, height, width}; }
    Field field() const { return {floats(u), floats(v)}; }
    Shape shape() const { return {2, height, width}; }
};

Planes residual(nb::handle tensor, nb::handle edges, nb::handle u0, nb::handle v0, nb::handle u, nb::handle v) {
    const SystemArrays arrays(tensor, edges, u0, v0, u, v, "u", "v");
    return run(arrays.shape(), [&](float* out) { variflow::residual(arrays.system(), arrays.field(), out); });
}

void check_sweeps(int sweeps, double omega) {
    if (sweeps < 0) refuse_value("`sweeps` must be at least 0, not " + std::to_string(sweeps));
    if (!(omega > 0.0 && omega < 2.0)) {
        refuse_value("`omega` must be above 0 and below 2, not " + std::to_string(omega));
    }
}

Planes relax(nb::handle tensor, nb::handle edges, nb::handle u0, nb::handle v0, nb::handle u_start, nb::handle v_start,
             int sweeps, double omega) {
    const SystemArrays arrays(tensor, edges, u0, v0, u_start, v_start, "u_start", "v_start");
    check_sweeps(sweeps, omega);
    return run(arrays.shape(), [&](float* out) {
        variflow::relax(arrays.system(), arrays.field(), sweeps, static_cast<float>(omega), out);
    });
}

// (jx, jy, r, penalty, p0, p1, normalisation, weight)
using DataTuple = std::tuple<nb::object, nb::object, nb::object, int, double, double, double, double>;

WithMisfit robust_step(nb::handle first, nb::handle second, nb::handle samples, nb::handle u, nb::handle v,
                       nb::handle weights, const std::string& interpolation, const std::string& derivative,
                       const std::vector<TermTuple>& terms, const std::vector<DataTuple>& data, nb::handle guide_x,
                       nb::handle guide_y, bool per_pixel, int penalty, double p0, double p1, double weight, int sweeps,
                       double omega, bool with_misfit) {
    const FrameArrays arrays(first, second, samples, u, v, weights, interpolation, derivative, terms);
    const SmoothnessArrays smooth(u, v, guide_x, guide_y);
    check_sweeps(sweeps, omega);
    const SmoothnessTerm smoothness = smooth.term(per_pixel, checked_penalty(penalty, p0, p1), weight);
    Step step{arrays.pair, arrays.flow(), arrays.terms, {}, smoothness};
    std::vector<DataArrays> kept;
    for (const auto& [jx, jy, r, kind, first_constant, second_constant, normalisation, data_weight] : data) {
        const Constancy constancy = checked_constancy(kind, first_constant, second_constant, normalisation, data_weight);
        const DataArrays& residuals = kept.emplace_back(jx, jy, r);
        checked_stack(jx, "jx", residuals.jx.shape(0), arrays.shape.height, arrays.shape.width);
        step.data.push_back(residuals.term(constancy, nullptr));
    }
    MisfitArrays misfit(arrays, with_misfit);
    Planes flow = run({2, arrays.shape.height, arrays.shape.width}, [&](float* out) {
        variflow::robust_step(step, sweeps, static_cast<float>(omega), misfit.planes, out);
    });
    return misfit.with(std::move(flow));
}

Planes multigrid(nb::handle tensor, nb::handle edges, nb::handle u0, nb::handle v0, nb::handle u_start,
                 nb::handle v_start, int cycles, double tolerance) {
    const SystemArrays arrays(tensor, edges, u0, v0, u_start, v_start, "u_start", "v_start");
    if (cycles < 0) refuse_value("`cycles` must be at least 0, not " + std::to_string(cycles));
    check_number(tolerance, "tolerance", 0.0, true);
    return run(arrays.shape(), [&](float* out) {
        variflow::multigrid(arrays.system(), arrays.field(), cycles, static_cast<float>(tolerance), out);
    });
}

}  // namespace

void add_system(nb::module_& module) {
    module.def("add_data", &add_data, "tensor"_a.none(), "jx"_a.none(), "jy"_a.none(), "r"_a.none(),
               "weights"_a.none(), "penalty"_a, "p0"_a, "p1"_a, "normalisation"_a, "weight"_a,
               "Add one data term to the motion tensor, in place.");
    module.def("inside", &inside, "u"_a.none(), "v"_a.none(), "1 where the target of the flow lies inside the frame, else 0.");
    module.def("frame_planes", &frame_planes, "first"_a.none(), "second"_a.none(), "samples"_a.none(), "u"_a.none(),
               "v"_a.none(), "weights"_a.none(), "interpolation"_a, "derivative"_a, "names"_a,
               "The temporal difference and derivatives that are named, times the weights, C planes of each.");
    module.def("constancy_tensor", &constancy_tensor, "first"_a.none(), "second"_a.none(), "samples"_a.none(),
               "u"_a.none(), "v"_a.none(), "weights"_a.none(), "interpolation"_a, "derivative"_a, "terms"_a,
               "with_misfit"_a,
               "The motion tensor (5, H, W) of constancy terms linearised around a flow; each term is (of the gradient, "
               "penalty, p0, p1, normalisation, weight). And, if wanted, the warped second frame minus the first, "
               "times the weights, and with a term of the gradient the mismatch; None for what there is not.");
    module.def("mismatch", &mismatch, "first"_a.none(), "second"_a.none(), "samples"_a.none(), "u"_a.none(),
               "v"_a.none(), "weights"_a.none(), "interpolation"_a, "derivative"_a,
               "How far, in pixels, the flow is from where the gradients of the frames agree, over all channels: "
               "sqrt(sum(Ixt^2 + Iyt^2) / (sum(Ixx^2 + 2 Ixy^2 + Iyy^2) + mismatch_floor^2)), 0 where the weights are.");
    module.attr("mismatch_floor") = mismatch_floor;
    module.def("data_energy", &data_energy, "jx"_a.none(), "jy"_a.none(), "r"_a.none(), "weights"_a.none(),
               "du"_a.none(), "dv"_a.none(), "penalty"_a, "p0"_a, "p1"_a, "normalisation"_a, "weight"_a,
               "The energy of one data term at an increment.");
    module.def("edge_weights", &edge_weights, "u"_a.none(), "v"_a.none(), "guide_x"_a.none(), "guide_y"_a.none(),
               "per_pixel"_a, "penalty"_a, "p0"_a, "p1"_a, "weight"_a,
               "The weights of the edges (2, H, W) of one smoothness term around a flow.");
    module.def("smoothness_energy", &smoothness_energy, "u"_a.none(), "v"_a.none(), "guide_x"_a.none(),
               "guide_y"_a.none(), "per_pixel"_a, "penalty"_a, "p0"_a, "p1"_a, "weight"_a,
               "The energy of one smoothness term at a flow.");
    module.def("image_edges", &image_edges, "guide"_a.none(), "contrast"_a,
               "exp(-difference / contrast) over each edge; the difference is the root mean square over channels.");
    module.def("residual", &residual, "tensor"_a.none(), "edges"_a.none(), "u0"_a.none(), "v0"_a.none(), "u"_a.none(),
               "v"_a.none(), "What is missing in the normal equations at (u, v): minus half the gradient.");
    module.def("relax", &relax, "tensor"_a.none(), "edges"_a.none(), "u0"_a.none(), "v0"_a.none(), "u_start"_a.none(),
               "v_start"_a.none(), "sweeps"_a, "omega"_a,
               "Sweeps of red-black successive over-relaxation from (u_start, v_start).");
    module.def("robust_step", &robust_step, "first"_a.none(), "second"_a.none(), "samples"_a.none(), "u"_a.none(),
               "v"_a.none(), "weights"_a.none(), "interpolation"_a, "derivative"_a, "terms"_a, "data"_a,
               "guide_x"_a.none(), "guide_y"_a.none(), "per_pixel"_a, "penalty"_a, "p0"_a, "p1"_a, "weight"_a,
               "sweeps"_a, "omega"_a, "with_misfit"_a,
               "`constancy_tensor`, `add_data`, `edge_weights` and `relax` in one pass: the flow, and of the flow before "
               "what comes with the tensor. `data` holds tuples (jx, jy, r, penalty, p0, p1, normalisation, weight).");
    module.def("multigrid", &multigrid, "tensor"_a.none(), "edges"_a.none(), "u0"_a.none(), "v0"_a.none(),
               "u_start"_a.none(), "v_start"_a.none(), "cycles"_a, "tolerance"_a,
               "Conjugate gradients with a multigrid cycle a step, from (u_start, v_start), until the error is about "
               "`tolerance` times that of the start, or for `cycles` steps.");
}

}  // namespace variflow::bindings
