// Bindings of the linear system of a robust step: its solvers.
#include "bind/system.hpp"

namespace variflow::bindings {
namespace {

Planes image_edges(nb::handle guide_argument, double contrast, double least) {
    const Array guide = checked<float>(guide_argument, "guide", {"channels", "height", "width"});
    check_number(contrast, "contrast", 0.0, false);
    check_number(least, "least", 0.0, true);
    const Shape shape = shape_of(guide);
    return run({2, shape.height, shape.width}, [&](float* out) {
        variflow::image_edges(floats(guide), shape, static_cast<float>(contrast), static_cast<float>(least), out);
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
        v0 = checked<float>(v0_argument, "v0", {height, width});
        tensor = checked<float>(tensor_argument, "tensor", {5, height, width});
        edges = checked<float>(edges_argument, "edges", {2, height, width});
        u = checked<float>(u_argument, u_name, {height, width});
        v = checked<float>(v_argument, v_name, {height, width});
    }

    System system() const { return {floats(tensor), floats(edges), {floats(u0), floats(v0)}, height, width}; }
    Field field() const { return {floats(u), floats(v)}; }
    Shape shape() const { return {2, height, width}; }
};

Planes residual(nb::handle tensor, nb::handle edges, nb::handle u0, nb::handle v0, nb::handle u, nb::handle v) {
    const SystemArrays arrays(tensor, edges, u0, v0, u, v, "u", "v");
    return run(arrays.shape(), [&](float* out) { variflow::residual(arrays.system(), arrays.field(), out); });
}

Planes relax(nb::handle tensor, nb::handle edges, nb::handle u0, nb::handle v0, nb::handle u_start, nb::handle v_start,
             int sweeps, double omega) {
    const SystemArrays arrays(tensor, edges, u0, v0, u_start, v_start, "u_start", "v_start");
    check_sweeps(sweeps, omega);
    return run(arrays.shape(), [&](float* out) {
        variflow::relax(arrays.system(), arrays.field(), sweeps, static_cast<float>(omega), out);
    });
}

Planes multigrid(nb::handle tensor, nb::handle edges, nb::handle u0, nb::handle v0, nb::handle u_start,
                 nb::handle v_start, int cycles, double tolerance) {
    const SystemArrays arrays(tensor, edges, u0, v0, u_start, v_start, "u_start", "v_start");
    at_least("cycles", cycles, 0);
    check_number(tolerance, "tolerance", 0.0, true);
    return run(arrays.shape(), [&](float* out) {
        variflow::multigrid(arrays.system(), arrays.field(), cycles, static_cast<float>(tolerance), out);
    });
}

Planes cycle(nb::handle tensor, nb::handle edges, nb::handle u0, nb::handle v0, nb::handle u_start, nb::handle v_start,
             int cycles, int sweeps, double omega) {
    const SystemArrays arrays(tensor, edges, u0, v0, u_start, v_start, "u_start", "v_start");
    at_least("cycles", cycles, 0);
    check_sweeps(sweeps, omega);
    return run(arrays.shape(), [&](float* out) {
        variflow::cycle(arrays.system(), arrays.field(), cycles, sweeps, static_cast<float>(omega), out);
    });
}

}  // namespace

void add_system(nb::module_& module) {
    module.def("image_edges", &image_edges, "guide"_a.none(), "contrast"_a, "least"_a,
               "exp(-difference / contrast) over each edge, at least `least`; the difference is the root mean square "
               "over channels.");
    module.def("residual", &residual, "tensor"_a.none(), "edges"_a.none(), "u0"_a.none(), "v0"_a.none(), "u"_a.none(),
               "v"_a.none(), "What is missing in the normal equations at (u, v): minus half the gradient.");
    module.def("relax", &relax, "tensor"_a.none(), "edges"_a.none(), "u0"_a.none(), "v0"_a.none(), "u_start"_a.none(),
               "v_start"_a.none(), "sweeps"_a, "omega"_a,
               "Sweeps of red-black successive over-relaxation from (u_start, v_start).");
    module.def("multigrid", &multigrid, "tensor"_a.none(), "edges"_a.none(), "u0"_a.none(), "v0"_a.none(),
               "u_start"_a.none(), "v_start"_a.none(), "cycles"_a, "tolerance"_a,
               "Conjugate gradients with a multigrid cycle a step, from (u_start, v_start), until the error is about "
               "`tolerance` times that of the start, or for `cycles` steps.");
    module.def("cycle", &cycle, "tensor"_a.none(), "edges"_a.none(), "u0"_a.none(), "v0"_a.none(), "u_start"_a.none(),
               "v_start"_a.none(), "cycles"_a, "sweeps"_a, "omega"_a,
               "Multigrid cycles from (u_start, v_start), without a sweep before the coarser grids and with `sweeps` "
               "of red-black "
               "relaxation after them.");
}

}  // namespace variflow::bindings
