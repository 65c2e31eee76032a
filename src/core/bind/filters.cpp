// Bindings of the kernels that filter a flow.
#include <nanobind/stl/tuple.h>

#include <string>
#include <tuple>

#include "bind/bindings.hpp"
#include "filter/filters.hpp"

namespace variflow::bindings {
namespace {

Array checked_flow(nb::handle argument) { return checked<float>(argument, "flow", {2, "height", "width"}); }

void odd(const char* name, int64_t value) {
    from_to(name, value, 1, most_pixels);
    if (value % 2 == 0) refuse_number(name, value, "an odd number");
}

Planes motion_edges(nb::handle flow_argument, float edge, float ratio, int64_t window, int64_t dilation) {
    const Array flow = checked_flow(flow_argument);
    odd("window", window);
    from_to("dilation", dilation, 0, most_pixels);
    const Shape shape = shape_of(flow);
    return run({1, shape.height, shape.width},
               [&](float* out) { variflow::motion_edges(floats(flow), shape, {edge, ratio, window, dilation}, out); });
}

Planes mark_hidden(nb::handle edges_argument, nb::handle visibility_argument, int64_t window, float least) {
    const Array edges = checked<float>(edges_argument, "edges", {1, "height", "width"});
    const auto [_, height, width] = shape_of(edges);
    const Array visibility = checked<float>(visibility_argument, "visibility", {1, height, width});
    odd("window", window);
    return run(shape_of(edges), [&](float* out) {
        variflow::mark_hidden(floats(edges), floats(visibility), shape_of(edges), window, least, out);
    });
}

Planes visibility(nb::handle flow_argument, nb::handle differences_argument, nb::handle mismatch_argument,
                  std::tuple<float, float, float, float> deviations) {
    const Array flow = checked_flow(flow_argument);
    const auto [_, height, width] = shape_of(flow);
    const Array differences = checked<float>(differences_argument, "differences", {"channels", height, width});
    const Array mismatch = checked<float>(mismatch_argument, "mismatch", {1, height, width});
    const auto [of_divergence, of_steepness, of_difference, of_mismatch] = deviations;
    const Deviations allowed{of_divergence, of_steepness, of_difference, of_mismatch};
    for (const float deviation : {of_divergence, of_steepness, of_difference, of_mismatch}) {
        above("deviations", deviation, 0);
    }
    return run(shape_of(mismatch), [&](float* out) {
        variflow::visibility(floats(flow), floats(differences), floats(mismatch), shape_of(differences), allowed, out);
    });
}

Planes smooth_apart(nb::handle flow_argument, nb::handle marks_argument, float deviation) {
    const Array flow = checked_flow(flow_argument);
    const auto [_, height, width] = shape_of(flow);
    const Array marks = checked<float>(marks_argument, "marks", {1, height, width});
    above("deviation", deviation, 0);
    from_to("deviation", deviation, 0.0f, 100.0f);
    return run(shape_of(flow), [&](float* out) {
        variflow::smooth_apart(floats(flow), floats(marks), shape_of(flow), deviation, out);
    });
}

Planes weighted_median(nb::handle flow_argument, nb::handle otherwise_argument, nb::handle mask_argument,
                       nb::handle guide_argument, nb::handle reliability_argument, int64_t window, int64_t step,
                       float spatial, float color, float lightness, int64_t widening) {
    const Array flow = checked_flow(flow_argument);
    const auto [_, height, width] = shape_of(flow);
    const Array otherwise = checked<float>(otherwise_argument, "otherwise", {2, height, width});
    const Array mask = checked<float>(mask_argument, "mask", {1, height, width});
    const Array guide = checked<float>(guide_argument, "guide", {"channels", height, width});
    const Array reliability = checked<float>(reliability_argument, "reliability", {1, height, width});
    odd("window", window);
    from_to("step", step, 1, window);
    above("spatial", spatial, 0);
    above("color", color, 0);
    above("lightness", lightness, 0);
    from_to("widening", widening, 1, most_pixels);
    return run(shape_of(flow), [&](float* out) {
        variflow::weighted_median(
            {floats(flow), floats(otherwise), floats(mask), floats(guide), floats(reliability), extent(guide, 0)},
            shape_of(flow), {window, step, spatial, color, lightness, widening}, out);
    });
}

Planes keep_what_matches(nb::handle flow_argument, nb::handle filtered_argument, nb::handle visibility_argument,
                         nb::handle before_argument, nb::handle after_argument,
                         std::tuple<float, float, float, float, float> limits, int64_t window) {
    const Array flow = checked_flow(flow_argument);
    const auto [_, height, width] = shape_of(flow);
    const Array filtered = checked<float>(filtered_argument, "filtered", {2, height, width});
    const Array visibility = checked<float>(visibility_argument, "visibility", {1, height, width});
    const Array before = checked<float>(before_argument, "before", {1, height, width});
    const Array after = checked<float>(after_argument, "after", {1, height, width});
    const auto [far, visible, worse, least, most] = limits;
    odd("window", window);
    return run(shape_of(flow), [&](float* out) {
        variflow::keep_what_matches(floats(flow), floats(filtered), {floats(visibility), floats(before), floats(after)},
                                    {1, height, width}, {far, visible, worse, least, most, window}, out);
    });
}

Planes lab(nb::handle planes_argument) {
    const Array planes = checked_planes(planes_argument);
    const Shape shape = shape_of(planes);
    return run(shape, [&](float* out) { variflow::lab(floats(planes), shape, out); });
}

}  // namespace

void add_filters(nb::module_& module) {
    module.def("motion_edges", &motion_edges, "flow"_a.none(), "edge"_a, "ratio"_a, "window"_a, "dilation"_a,
               "1 within `dilation` pixels of where the larger of |grad u| and |grad v| is above `edge` and above "
               "`ratio` times its mean over the window; elsewhere 0.");
    module.def(
        "visibility", &visibility, "flow"_a.none(), "differences"_a.none(), "mismatch"_a.none(), "deviations"_a,
        "exp(-1/2 times the sum of the squares of min(div flow, 0), of the larger of |grad u| and |grad v|, of the "
        "root mean square of the differences and of the mismatch, each over its deviation), at least 1e-4.");
    module.def("mark_hidden", &mark_hidden, "edges"_a.none(), "visibility"_a.none(), "window"_a, "least"_a,
               "`edges`, but twice as much where `visibility` has a mean below `least` over the window.");
    module.def("smooth_apart", &smooth_apart, "flow"_a.none(), "marks"_a.none(), "deviation"_a,
               "The mean of `flow` under a Gaussian where `marks` is 0, over such pixels; elsewhere `flow`; borders "
               "replicated.");
    module.def(
        "weighted_median", &weighted_median, "flow"_a.none(), "otherwise"_a.none(), "mask"_a.none(), "guide"_a.none(),
        "reliability"_a.none(), "window"_a, "step"_a, "spatial"_a, "color"_a, "lightness"_a, "widening"_a = 1,
        "Where `mask` is 1 the weighted median of `flow`, where it is 2 that of as many neighbours `widening` "
        "times as far apart, elsewhere `otherwise`; borders replicated. Weights: `reliability`, and Gaussians of "
        "the distance and of the difference of `guide`.");
    module.def(
        "keep_what_matches", &keep_what_matches, "flow"_a.none(), "filtered"_a.none(), "visibility"_a.none(),
        "before"_a.none(), "after"_a.none(), "limits"_a, "window"_a,
        "`filtered`, but `flow` where both lie farther apart than the first limit, `visibility` has a mean above "
        "the second, and `after` one above the third times that of `before`, plus the fourth. Means are over the "
        "window; `before` and `after` are at most the fifth limit.");
    module.def("lab", &lab, "planes"_a.none(),
               "CIE L*a*b* of 3 sRGB planes in [0, 1]; of C != 3 planes the lightness L* of each, divided by sqrt(C).");
}

}  // namespace variflow::bindings
