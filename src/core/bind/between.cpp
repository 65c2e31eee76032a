// Bindings of what makes frames between two frames.
#include "between/between.hpp"

#include "bind/bindings.hpp"

namespace variflow::bindings {
namespace {

Planes render_between(nb::handle coefficients0_argument, nb::handle coefficients1_argument, nb::handle known0_argument,
                      nb::handle known1_argument, nb::handle forward_argument, nb::handle backward_argument, float time,
                      float scale) {
    const Array first = checked<float>(coefficients0_argument, "coefficients0", {"channels", "height", "width"});
    check_warpable(first, "coefficients0");
    const Shape shape = shape_of(first);
    const int64_t height = shape.height, width = shape.width;
    const Array second = checked<float>(coefficients1_argument, "coefficients1", {shape.channels, height, width});
    const Array known0 = checked<uint8_t>(known0_argument, "known0", {height, width});
    const Array known1 = checked<uint8_t>(known1_argument, "known1", {height, width});
    const Array forward = checked<float>(forward_argument, "forward", {2, height, width});
    const Array backward = checked<float>(backward_argument, "backward", {2, height, width});
    from_to("time", time, 0.0f, 1.0f);
    above("scale", scale, 0.0f);
    const auto bytes = [](const Array& array) { return static_cast<const uint8_t*>(array.data()); };
    const Pair pair{
        {floats(first), floats(second)}, {bytes(known0), bytes(known1)}, {floats(forward), floats(backward)}, shape};
    return run({shape.channels + 2, height, width},
               [&](float* out) { variflow::render_between(pair, time, scale, out); });
}

}  // namespace

void add_between(nb::module_& module) {
    module.def("render_between", &render_between, "coefficients0"_a.none(), "coefficients1"_a.none(), "known0"_a.none(),
               "known1"_a.none(), "forward"_a.none(), "backward"_a.none(), "time"_a, "scale"_a,
               "The frame at a time between two frames, given as coefficients of splines and where they are known (0 "
               "where not), and in two more planes the motion from the first to the second of what it shows; NaN where "
               "nothing arrives.");
}

}  // namespace variflow::bindings
