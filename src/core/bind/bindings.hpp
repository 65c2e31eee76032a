// What every group of bindings needs: checked arguments, new output planes, and work without the interpreter's lock.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>

#include <chrono>
#include <initializer_list>
#include <limits>
#include <string>
#include <thread>
#include <type_traits>

#include "base/memory.hpp"
#include "image/image.hpp"

namespace variflow::bindings {

namespace nb = nanobind;
using namespace nb::literals;

using Array = nb::ndarray<nb::ro, nb::device::cpu>;
using Planes = nb::ndarray<nb::numpy, float, nb::ndim<3>, nb::c_contig>;

[[noreturn]] inline void refuse_type(const std::string& message) { throw nb::type_error(message.c_str()); }
[[noreturn]] inline void refuse_value(const std::string& message) { throw nb::value_error(message.c_str()); }

inline std::string describe(const Array& array) {
    std::string text = "(";
    for (size_t i = 0; i < array.ndim(); ++i) text += (i ? ", " : "") + std::to_string(array.shape(i));
    return text + (array.ndim() == 1 ? ",)" : ")");
}

// The argument as a contiguous array of `Scalar` with `axes.size()` axes of at least one element each.
template <typename Scalar>
Array checked(nb::handle argument, const char* name, std::initializer_list<const char*> axes) {
    constexpr const char* wanted_type = std::is_same_v<Scalar, float>     ? "float32"
                              : std::is_same_v<Scalar, uint8_t> ? "uint8"
                                                                : "int32";
    Array array;
    if (!nb::try_cast(argument, array, false) || array.dtype() != nb::dtype<Scalar>()) {
        const nb::object given = nb::hasattr(argument, "dtype") ? nb::object(argument.attr("dtype"))
                                                                : nb::object(argument.type().attr("__name__"));
        refuse_type(std::string("`") + name + "` must be a CPU array of " + wanted_type + ", not of " +
                    nb::str(given).c_str());
    }
    bool fits = array.ndim() == axes.size();
    for (size_t i = 0; i < array.ndim(); ++i) fits = fits && array.shape(i) > 0;
    if (!fits) {
        std::string wanted_shape;
        for (const char* axis : axes) wanted_shape += (wanted_shape.empty() ? "(" : ", ") + std::string(axis);
        refuse_value(std::string("`") + name + "` must have the shape " + wanted_shape +
                     (axes.size() == 1 ? ",)" : ")") + ", all at least 1, not " + describe(array));
    }
    int64_t expected = 1;
    for (size_t i = array.ndim(); i-- > 0;) {
        if (array.shape(i) != 1 && array.stride(i) != expected) refuse_value(std::string("`") + name + "` must be C-contiguous");
        expected *= static_cast<int64_t>(array.shape(i));
    }
    return array;
}

// A whole number of pixels up to here is far beyond any use and far from any overflow.
constexpr int64_t most_pixels = 1 << 12;

inline void from_to(const char* name, int64_t value, int64_t low, int64_t high) {
    if (value < low || value > high) {
        refuse_value(std::string("`") + name + "` must be from " + std::to_string(low) + " to " + std::to_string(high) +
                     ", not " + std::to_string(value));
    }
}

inline Array checked_planes(nb::handle planes) { return checked<float>(planes, "planes", {"channels", "height", "width"}); }

inline const float* floats(const Array& array) { return static_cast<const float*>(array.data()); }

inline Shape shape_of(const Array& planes) {
    return {static_cast<int64_t>(planes.shape(0)), static_cast<int64_t>(planes.shape(1)),
            static_cast<int64_t>(planes.shape(2))};
}

inline Interpolation checked_interpolation(const std::string& name) {
    if (name == "bilinear") return Interpolation::bilinear;
    if (name == "bicubic") return Interpolation::bicubic;
    if (name == "spline") return Interpolation::spline;
    refuse_value("`interpolation` must be 'bilinear', 'bicubic' or 'spline', not '" + name + "'");
}

// Displacements are float32, which is exact for whole numbers up to here; positions in a plane are int32.
inline void check_warpable(const Array& planes, const std::string& name) {
    constexpr int64_t most = 1 << 24;
    const Shape shape = shape_of(planes);
    if (shape.height > most || shape.width > most || shape.height * shape.width > std::numeric_limits<int32_t>::max()) {
        refuse_value("`" + name + "` must have at most 2^24 rows, 2^24 columns and 2^31 - 1 pixels, not " +
                     describe(planes));
    }
}

// New planes, aligned so that other libraries (JAX) can use them without a copy.
inline Planes new_planes(Shape shape) {
    const size_t extent[] = {static_cast<size_t>(shape.channels), static_cast<size_t>(shape.height),
                             static_cast<size_t>(shape.width)};
    auto* data = static_cast<float*>(allocate(extent[0] * extent[1] * extent[2] * sizeof(float)));
    nb::capsule owner(data, &release);
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

// Each group adds its functions to the module.
void add_images(nb::module_& module);  // bind/images.cpp
void add_filters(nb::module_& module);  // bind/filters.cpp
void add_local(nb::module_& module);  // bind/local.cpp
void add_step(nb::module_& module);  // bind/step.cpp
void add_system(nb::module_& module);  // bind/system.cpp
void add_primal_dual(nb::module_& module);  // bind/primal_dual.cpp
void add_matching(nb::module_& module);  // bind/matching.cpp

}  // namespace variflow::bindings
