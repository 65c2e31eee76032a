// The Python module: checks arguments, allocates outputs, and runs the kernels without the interpreter's lock.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>

#include <chrono>
#include <cstdlib>
#include <initializer_list>
#include <limits>
#include <new>
#include <string>
#include <thread>
#include <type_traits>

#include "kernels.hpp"
#include "threads.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

using variflow::Shape;
using Array = nb::ndarray<nb::ro, nb::device::cpu>;
using Planes = nb::ndarray<nb::numpy, float, nb::ndim<3>, nb::c_contig>;

[[noreturn]] void refuse_type(const std::string& message) { throw nb::type_error(message.c_str()); }
[[noreturn]] void refuse_value(const std::string& message) { throw nb::value_error(message.c_str()); }

std::string describe(const Array& array) {
    std::string text = "(";
    for (size_t i = 0; i < array.ndim(); ++i) text += (i ? ", " : "") + std::to_string(array.shape(i));
    return text + (array.ndim() == 1 ? ",)" : ")");
}

// The argument as a contiguous array of `Scalar` with `axes.size()` axes of at least one element each.
template <typename Scalar>
Array checked(nb::handle argument, const std::string& name, std::initializer_list<const char*> axes) {
    const char* wanted_type = std::is_same_v<Scalar, float> ? "float32" : "int32";
    Array array;
    if (!nb::try_cast(argument, array, false) || array.dtype() != nb::dtype<Scalar>()) {
        const nb::object given = nb::hasattr(argument, "dtype") ? nb::object(argument.attr("dtype"))
                                                                : nb::object(argument.type().attr("__name__"));
        refuse_type("`" + name + "` must be a CPU array of " + wanted_type + ", not of " + nb::str(given).c_str());
    }
    std::string wanted_shape;
    for (const char* axis : axes) wanted_shape += (wanted_shape.empty() ? "(" : ", ") + std::string(axis);
    wanted_shape += axes.size() == 1 ? ",)" : ")";
    bool fits = array.ndim() == axes.size();
    for (size_t i = 0; i < array.ndim(); ++i) fits = fits && array.shape(i) > 0;
    if (!fits) {
        refuse_value("`" + name + "` must have the shape " + wanted_shape + ", all at least 1, not " + describe(array));
    }
    int64_t expected = 1;
    for (size_t i = array.ndim(); i-- > 0;) {
        if (array.shape(i) != 1 && array.stride(i) != expected) refuse_value("`" + name + "` must be C-contiguous");
        expected *= static_cast<int64_t>(array.shape(i));
    }
    return array;
}

Array checked_planes(nb::handle planes) { return checked<float>(planes, "planes", {"channels", "height", "width"}); }

const float* floats(const Array& array) { return static_cast<const float*>(array.data()); }

Shape shape_of(const Array& planes) {
    return {static_cast<int64_t>(planes.shape(0)), static_cast<int64_t>(planes.shape(1)),
            static_cast<int64_t>(planes.shape(2))};
}

// New planes, aligned so that other libraries (JAX) can use them without a copy.
Planes new_planes(Shape shape) {
    constexpr std::align_val_t alignment{64};
    const size_t extent[] = {static_cast<size_t>(shape.channels), static_cast<size_t>(shape.height),
                             static_cast<size_t>(shape.width)};
    auto* data = static_cast<float*>(::operator new(extent[0] * extent[1] * extent[2] * sizeof(float), alignment));
    nb::capsule owner(data, [](void* memory) noexcept { ::operator delete(memory, alignment); });
    return Planes(data, 3, extent, owner);
}

// Without the interpreter's lock for as long as it lives. At the interpreter's exit, a thread that asks for the lock
// again is ended by unwinding, which may not pass through nanobind; such a thread waits here for the end of the process
// instead.
class Unlocked {
public:
    Unlocked() : state_(PyEval_SaveThread()) {}
    Unlocked(const Unlocked&) = delete;
    Unlocked& operator=(const Unlocked&) = delete;
    ~Unlocked() {
        try {
            PyEval_RestoreThread(state_);
        } catch (...) {
            for (;;) std::this_thread::sleep_for(std::chrono::hours(1));
        }
    }

private:
    PyThreadState* state_;
};

template <typename Kernel>
Planes run(Shape shape, Kernel&& kernel) {
    Planes out = new_planes(shape);
    float* data = out.data();
    {
        const Unlocked unlocked;
        kernel(data);
    }
    return out;
}

Planes warp(nb::handle planes_argument, nb::handle u_argument, nb::handle v_argument,
            const std::string& interpolation) {
    if (interpolation != "bilinear" && interpolation != "bicubic") {
        refuse_value("`interpolation` must be 'bilinear' or 'bicubic', not '" + interpolation + "'");
    }
    const Array planes = checked_planes(planes_argument);
    const Array u = checked<float>(u_argument, "u", {"height", "width"});
    const Array v = checked<float>(v_argument, "v", {"height", "width"});
    const Shape shape = shape_of(planes);
    auto fits = [&](const Array& displacement, const char* name) {
        if (displacement.shape(0) != planes.shape(1) || displacement.shape(1) != planes.shape(2)) {
            refuse_value(std::string("`") + name + "` must have the height and width of `planes`, " + describe(planes) +
                         ", not " + describe(displacement));
        }
    };
    fits(u, "u");
    fits(v, "v");
    // Displacements are float32, which is exact for whole numbers up to here; positions in a plane are int32.
    constexpr int64_t most = 1 << 24;
    if (shape.height > most || shape.width > most || shape.height * shape.width > std::numeric_limits<int32_t>::max()) {
        refuse_value("`planes` must have at most 2^24 rows, 2^24 columns and 2^31 - 1 pixels, not " + describe(planes));
    }
    const auto kind = interpolation == "bicubic" ? variflow::Interpolation::bicubic : variflow::Interpolation::bilinear;
    return run(shape, [&](float* out) { variflow::warp(floats(planes), shape, floats(u), floats(v), kind, out); });
}

Planes derivative(nb::handle planes_argument, const std::string& axis) {
    if (axis != "x" && axis != "y") refuse_value("`axis` must be 'x' or 'y', not '" + axis + "'");
    const Array planes = checked_planes(planes_argument);
    const Shape shape = shape_of(planes);
    const auto along = axis == "x" ? variflow::Axis::x : variflow::Axis::y;
    return run(shape, [&](float* out) { variflow::derivative(floats(planes), shape, along, out); });
}

Planes resample(nb::handle planes_argument, nb::handle first_y_argument, nb::handle weights_y_argument,
                nb::handle first_x_argument, nb::handle weights_x_argument) {
    const Array planes = checked_planes(planes_argument);
    const Array first_y = checked<int32_t>(first_y_argument, "first_y", {"outputs"});
    const Array weights_y = checked<float>(weights_y_argument, "weights_y", {"outputs", "taps"});
    const Array first_x = checked<int32_t>(first_x_argument, "first_x", {"outputs"});
    const Array weights_x = checked<float>(weights_x_argument, "weights_x", {"outputs", "taps"});
    auto taps = [](const Array& first, const Array& weights, const char* axis) {
        if (first.shape(0) != weights.shape(0)) {
            refuse_value(std::string("`weights_") + axis + "` must have one row for each element of `first_" + axis +
                         "`, " + std::to_string(first.shape(0)) + ", not " + std::to_string(weights.shape(0)));
        }
        return variflow::Taps{static_cast<const int32_t*>(first.data()), floats(weights),
                              static_cast<int64_t>(weights.shape(0)), static_cast<int64_t>(weights.shape(1))};
    };
    const variflow::Taps vertical = taps(first_y, weights_y, "y"), horizontal = taps(first_x, weights_x, "x");
    const Shape shape = shape_of(planes);
    return run({shape.channels, vertical.outputs, horizontal.outputs},
               [&](float* out) { variflow::resample(floats(planes), shape, vertical, horizontal, out); });
}

Planes median(nb::handle planes_argument, int size) {
    if (size != 3 && size != 5) refuse_value("`size` must be 3 or 5, not " + std::to_string(size));
    const Array planes = checked_planes(planes_argument);
    const Shape shape = shape_of(planes);
    return run(shape, [&](float* out) { variflow::median(floats(planes), shape, size, out); });
}

constexpr int most_threads = 4096;

void set_threads(int count) {
    if (count < 1 || count > most_threads) {
        refuse_value("`n` must be from 1 to " + std::to_string(most_threads) + ", not " + std::to_string(count));
    }
    variflow::set_threads(count);
}

void set_default_threads() {
    variflow::set_threads(variflow::usable_cpus());
    const char* text = std::getenv("VARIFLOW_THREADS");
    if (!text || !*text) return;
    char* end = nullptr;
    const long count = std::strtol(text, &end, 10);
    if (*end == '\0' && count >= 1 && count <= most_threads) {
        variflow::set_threads(static_cast<int>(count));
        return;
    }
    const std::string message = "the environment variable VARIFLOW_THREADS must be a number of threads from 1 to " +
                                std::to_string(most_threads) + ", not '" + text + "'; using " +
                                std::to_string(variflow::get_threads());
    if (PyErr_WarnEx(PyExc_RuntimeWarning, message.c_str(), 1) != 0) throw nb::python_error();
}

}  // namespace

NB_MODULE(_core, module) {
    module.doc() = "Native kernels of variflow: float32 planes (channels, height, width) in, new planes out.";
    set_default_threads();
    module.def("get_threads", &variflow::get_threads, "The number of threads that the native kernels use.");
    module.def(
        "set_threads", &set_threads, "n"_a,
        "Let the native kernels use `n` threads; results do not depend on it.\n\n"
        "The default is the environment variable VARIFLOW_THREADS, else the number of CPUs this process may use.");
    module.def(
        "warp", &warp, "planes"_a.none(), "u"_a.none(), "v"_a.none(), "interpolation"_a,
        "planes(x + u, y + v), 'bilinear' or 'bicubic', coordinates clamped to the frame; NaN where u or v is NaN.");
    module.def("derivative", &derivative, "planes"_a.none(), "axis"_a,
               "The 5-point derivative [1, -8, 0, 8, -1] / 12 along 'x' or 'y', borders replicated.");
    module.def(
        "resample", &resample, "planes"_a.none(), "first_y"_a.none(), "weights_y"_a.none(), "first_x"_a.none(),
        "weights_x"_a.none(),
        "Separable weighted sums: output (j, i) reads inputs from (first_y[j], first_x[i]) on, borders replicated.");
    module.def("median", &median, "planes"_a.none(), "size"_a,
               "Median of each size x size neighbourhood, borders replicated; no NaN.");
}
