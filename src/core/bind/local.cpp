// Bindings of the kernels that work on each pixel and its neighbourhood.
#include <string>

#include "bind/bindings.hpp"
#include "system/local.hpp"

namespace variflow::bindings {
namespace {

Planes lucas_kanade(nb::handle tensor_argument, float regularisation) {
    const Array tensor = checked<float>(tensor_argument, "tensor", {5, "height", "width"});
    from_to("regularisation", regularisation, 1e-15f, 1e15f);  // its square must not vanish
    const Shape shape = shape_of(tensor);
    return run({2, shape.height, shape.width}, [&](float* out) {
        variflow::lucas_kanade(floats(tensor), shape.height * shape.width, regularisation, out);
    });
}

nb::tuple census(nb::handle frame0_argument, nb::handle frame1_argument, int64_t radius, float softness, float noise) {
    const Array frame0 = checked<float>(frame0_argument, "frame0", {"channels", "height", "width"});
    const Shape shape = shape_of(frame0);
    const Array frame1 = checked<float>(frame1_argument, "frame1", {shape.channels, shape.height, shape.width});
    from_to("radius", radius, 1, 2);
    at_least("softness", softness, 0.0f);
    at_least("noise", noise, 1e-15f);  // its square must not vanish
    const int64_t neighbours = (2 * radius + 1) * (2 * radius + 1) - 1;
    const Shape outputs{shape.channels * neighbours, shape.height, shape.width};
    const Planes jx = new_planes(outputs), jy = new_planes(outputs), r = new_planes(outputs);
    {
        const Unlocked unlocked;
        variflow::census(floats(frame0), floats(frame1), shape, {radius, softness, noise}, jx.data(), jy.data(),
                         r.data());
    }
    return nb::make_tuple(jx, jy, r);
}

}  // namespace

void add_local(nb::module_& module) {
    module.def("lucas_kanade", &lucas_kanade, "tensor"_a.none(), "regularisation"_a,
               "The increment (2, H, W) that minimises, at each pixel, a11 du^2 + 2 a12 du dv + a22 dv^2 + 2 b1 du + "
               "2 b2 dv + regularisation (du^2 + dv^2).");
    module.def("census", &census, "frame0"_a.none(), "frame1"_a.none(), "radius"_a, "softness"_a, "noise"_a,
               "jx, jy and r of census constancy, one plane for each channel and neighbour.");
}

}  // namespace variflow::bindings
