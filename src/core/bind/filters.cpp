// Bindings of the kernels that filter a flow.
#include <nanobind/stl/tuple.h>

#include <string>
#include <tuple>

#include "bind/bindings.hpp"
#include "filter/filters.hpp"

namespace variflow::bindings {
namespace {

Array checked_flow(nb::handle argument, const char* name) {
    Array flow = checked<float>(argument, name, {"2", "height", "width"});
    if (flow.shape(0) != 2) {
        refuse_value(std::string("`") + name + "` must have the shape (2, height, width), not " + describe(flow));
    }
    return flow;
}

void same_size(const Array& planes, const char* name, const Array& flow) {
    if (planes.shape(1) != flow.shape(1) || planes.shape(2) != flow.shape(2)) {
        refuse_value(std::string("`") + name + "` must have the height and width of `flow`, " + describe(flow) +
                     ", not " + describe(planes));
    }
}

Array checked_like(nb::handle argument, const char* name, const Array& flow) {
    Array planes = checked<float>(argument, name, {"channels", "height", "width"});
    same_size(planes, name, flow);
    return planes;
}

Array checked_plane(nb::handle argument, const char* name, const Array& flow) {
    Array plane = checked_like(argument, name, flow);
    if (plane.shape(0) != 1) refuse_value(std::string("`") + name + "` must be one plane, not " + describe(plane));
    return plane;
}

void odd(const char* name, int64_t value) {
    from_to(name, value, 1, most_pixels);
    if (value % 2 == 0) refuse_value(std::string("`") + name + "` must be odd, not " + std::to_string(value));
}

void above_zero(const char* name, float value) {
    if (!(value > 0.0f)) refuse_value(std::string("`") + name + "` must be above 0, not " + std::to_string(value));
}

Planes motion_edges(nb::handle flow_argument, float edge, float ratio, int64_t window, int64_t dilation) {
    const Array flow = checked_flow(flow_argument, "flow");
    odd("window", window);
    from_to("dilation", dilation, 0, most_pixels);
    const Shape shape = shape_of(flow);
    return run({1, shape.height, shape.width}, [&](float* out) {
        variflow::motion_edges(floats(flow), shape, {edge, ratio, window, dilation}, out);
    });
}

Planes visibility(nb::handle flow_argument, nb::handle differences_argument, nb::handle mismatch_argument,
                  std::tuple<float, float, float> deviations) {
    const Array flow = checked_flow(flow_argument, "flow");
    const Array differences = checked_like(differences_argument, "differences", flow);
    const Array mismatch = checked_plane(mismatch_argument, "mismatch", flow);
    const auto [of_divergence, of_difference, of_mismatch] = deviations;
    for (const float deviation : {of_divergence, of_difference, of_mismatch}) above_zero("deviations", deviation);
    const Deviations allowed{of_divergence, of_difference, of_mismatch};
    return run(shape_of(mismatch), [&](float* out) {
        variflow::visibility(floats(flow), floats(differences), floats(mismatch), shape_of(differences), allowed, out);
    });
}

Planes weighted_median(nb::handle flow_argument, nb::handle otherwise_argument, nb::handle mask_argument,
                       nb::handle guide_argument, nb::handle reliability_argument, int64_t window, int64_t step,
                       float spatial, float color) {
    const Array flow = checked_flow(flow_argument, "flow");
    const Array otherwise = checked_flow(otherwise_argument, "otherwise");
    same_size(otherwise, "otherwise", flow);
    const Array mask = checked_plane(mask_argument, "mask", flow);
    const Array guide = checked_like(guide_argument, "guide", flow);
    const Array reliability = checked_plane(reliability_argument, "reliability", flow);
    odd("window", window);
    from_to("step", step, 1, 3);
    above_zero("spatial", spatial);
    above_zero("color", color);
    return run(shape_of(flow), [&](float* out) {
        variflow::weighted_median({floats(flow), floats(otherwise), floats(mask), floats(guide), floats(reliability),
                                   static_cast<int64_t>(guide.shape(0))},
                                  shape_of(flow), {window, step, spatial, color}, out);
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
    module.def("visibility", &visibility, "flow"_a.none(), "differences"_a.none(), "mismatch"_a.none(),
               "deviations"_a,
               "exp(-1/2 times the sum of the squares of min(div flow, 0), of the root mean square of the differences "
               "and of the mismatch, each over its deviation), at least 1e-4.");
    module.def("weighted_median", &weighted_median, "flow"_a.none(), "otherwise"_a.none(), "mask"_a.none(),
               "guide"_a.none(), "reliability"_a.none(), "window"_a, "step"_a, "spatial"_a, "color"_a,
               "Where `mask` is not 0 the weighted median of `flow`, elsewhere `otherwise`; borders replicated. "
               "Weights: `reliability`, and Gaussians of the distance and of the difference of `guide`.");
    module.def("lab", &lab, "planes"_a.none(),
               "CIE L*a*b* of 3 sRGB planes in [0, 1]; of C != 3 planes the lightness L* of each, divided by sqrt(C).");
}

}  // namespace variflow::bindings
