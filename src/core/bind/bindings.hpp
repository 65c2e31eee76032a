// What every group of bindings needs: checked arguments, new output planes, and work without the interpreter's lock.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>

#include <chrono>
#include <concepts>
#include <initializer_list>
#include <limits>
#include <sstream>
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

// Every refusal has the words of the library: what an argument is, and what is wanted.
[[noreturn]] inline void refuse_type(const std::string& message) { throw nb::type_error(message.c_str()); }
[[noreturn]] inline void refuse_value(const std::string& message) { throw nb::value_error(message.c_str()); }

inline std::string describe(const Array& array) {
    std::string text = "(";
    for (size_t i = 0; i < array.ndim(); ++i) text += (i ? ", " : "") + std::to_string(array.shape(i));
    return text + (array.ndim() == 1 ? ",)" : ")");
}

// How many elements an array must have along one axis: so many, or any number from 1 on, which has a name.
class Extent {
public:
    Extent(const char* name) : name_(name) {}
    template <std::integral Count>
    Extent(Count count) : count_(static_cast<size_t>(count)) {}

    bool fits(size_t given) const { return name_ ? given > 0 : given == count_; }
    bool any() const { return name_ != nullptr; }
    std::string text() const { return name_ ? name_ : std::to_string(count_); }

private:
    const char* name_ = nullptr;
    size_t count_ = 0;
};

template <typename Scalar>
constexpr const char* type_name() {
    if constexpr (std::is_same_v<Scalar, float>) return "float32";
    if constexpr (std::is_same_v<Scalar, uint8_t>) return "uint8";
    if constexpr (std::is_same_v<Scalar, int32_t>) return "int32";
}

inline void check_shape(const Array& array, const char* name, std::initializer_list<Extent> axes) {
    bool fits = array.ndim() == axes.size(), any = false;
    std::string wanted;
    size_t i = 0;
    for (const Extent& axis : axes) {
        fits = fits && axis.fits(array.shape(i++));
        any = any || axis.any();
        wanted += (wanted.empty() ? "(" : ", ") + axis.text();
    }
    if (fits) return;
    wanted += axes.size() == 1 ? ",)" : ")";
    refuse_value(std::string(name) + " has shape " + describe(array) + ", wanted " + wanted +
                 (any ? ", all at least 1" : ""));
}

// The argument as a contiguous array of `Scalar` of this shape: (2, "height", "width") for any height and width.
template <typename Scalar>
Array checked(nb::handle argument, const char* name, std::initializer_list<Extent> axes) {
    Array array;
    if (!nb::try_cast(argument, array, false) || array.dtype() != nb::dtype<Scalar>()) {
        const bool array_like = nb::hasattr(argument, "dtype");
        const nb::object given = array_like ? argument.attr("dtype") : argument.type().attr("__name__");
        refuse_type(std::string(name) + (array_like ? " has dtype " : " is a ") + nb::str(given).c_str() +
                    ", wanted a CPU array of " + type_name<Scalar>());
    }
    check_shape(array, name, axes);
    int64_t expected = 1;
    for (size_t i = array.ndim(); i-- > 0;) {
        if (array.shape(i) != 1 && array.stride(i) != expected)
            refuse_value(std::string(name) + " is not contiguous, wanted rows one after the other (C-contiguous)");
        expected *= static_cast<int64_t>(array.shape(i));
    }
    return array;
}

// Arguments that are numbers: what is not a number is refused too.
template <typename Number>
std::string written(Number number) {
    std::ostringstream text;
    text << number;
    return text.str();
}

template <typename Number>
[[noreturn]] void refuse_number(const char* name, Number value, const std::string& wanted) {
    refuse_value(std::string(name) + " is " + written(value) + ", wanted " + wanted);
}

template <typename Number>
void at_least(const char* name, Number value, std::type_identity_t<Number> least) {
    if (value >= least) return;
    refuse_number(name, value, "a number of at least " + written(least));
}

template <typename Number>
void above(const char* name, Number value, std::type_identity_t<Number> least) {
    if (value > least) return;
    refuse_number(name, value, "a number above " + written(least));
}

template <typename Number>
void from_to(const char* name, Number value, std::type_identity_t<Number> low, std::type_identity_t<Number> high) {
    if (value >= low && value <= high) return;
    refuse_number(name, value, "a number from " + written(low) + " to " + written(high));
}

// A whole number of pixels up to here is far beyond any use and far from any overflow.
constexpr int64_t most_pixels = 1 << 12;

inline Array checked_planes(nb::handle planes) {
    return checked<float>(planes, "planes", {"channels", "height", "width"});
}

inline const float* floats(const Array& array) { return static_cast<const float*>(array.data()); }

inline int64_t extent(const Array& array, size_t axis) { return static_cast<int64_t>(array.shape(axis)); }

inline Shape shape_of(const Array& planes) { return {extent(planes, 0), extent(planes, 1), extent(planes, 2)}; }

inline Interpolation checked_interpolation(const std::string& name) {
    if (name == "bilinear") return Interpolation::bilinear;
    if (name == "bicubic") return Interpolation::bicubic;
    if (name == "spline") return Interpolation::spline;
    refuse_value("interpolation is '" + name + "', wanted 'bilinear', 'bicubic' or 'spline'");
}

// Displacements are float32, which is exact for whole numbers up to here; positions in a plane are int32.
inline void check_warpable(const Array& planes, const std::string& name) {
    constexpr int64_t most = 1 << 24;
    const Shape shape = shape_of(planes);
    if (shape.height > most || shape.width > most || shape.height * shape.width > std::numeric_limits<int32_t>::max()) {
        refuse_value(name + " has shape " + describe(planes) +
                     ", wanted at most 2^24 rows, 2^24 columns and 2^31 - 1 pixels");
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
void add_between(nb::module_& module);  // bind/between.cpp
void add_filters(nb::module_& module);  // bind/filters.cpp
void add_local(nb::module_& module);  // bind/local.cpp
void add_step(nb::module_& module);  // bind/step.cpp
void add_stencil(nb::module_& module);  // bind/stencil.cpp
void add_system(nb::module_& module);  // bind/system.cpp
void add_primal_dual(nb::module_& module);  // bind/primal_dual.cpp
void add_matching(nb::module_& module);  // bind/matching.cpp

}  // namespace variflow::bindings
