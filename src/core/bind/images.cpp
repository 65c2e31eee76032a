// Bindings of the kernels on images.
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "base/threads.hpp"
#include "bind/bindings.hpp"
#include "image/light.hpp"

namespace variflow::bindings {
namespace {

Planes warp(nb::handle planes_argument, nb::handle u_argument, nb::handle v_argument,
            const std::string& interpolation) {
    const variflow::Interpolation kind = checked_interpolation(interpolation);
    const Array planes = checked_planes(planes_argument);
    const Shape shape = shape_of(planes);
    const Array u = checked<float>(u_argument, "u", {shape.height, shape.width});
    const Array v = checked<float>(v_argument, "v", {shape.height, shape.width});
    check_warpable(planes, "planes");
    return run(shape, [&](float* out) { variflow::warp(floats(planes), shape, floats(u), floats(v), kind, out); });
}

Planes spline_coefficients(nb::handle planes_argument) {
    const Array planes = checked_planes(planes_argument);
    const Shape shape = shape_of(planes);
    return run(shape, [&](float* out) { variflow::spline_coefficients(floats(planes), shape, out); });
}

Planes look_up(nb::handle bytes_argument, nb::handle tables_argument, bool sum) {
    const Array bytes = checked<uint8_t>(bytes_argument, "image", {"height", "width", "channels"});
    const Shape shape{extent(bytes, 2), extent(bytes, 0), extent(bytes, 1)};
    const Array tables = checked<float>(tables_argument, "tables", {shape.channels, 256});
    const auto* data = static_cast<const uint8_t*>(bytes.data());
    return run({sum ? 1 : shape.channels, shape.height, shape.width},
               [&](float* out) { variflow::look_up(data, shape, floats(tables), sum, out); });
}

Planes fill_missing(nb::handle planes_argument, nb::handle valid_argument) {
    const Array planes = checked_planes(planes_argument);
    const Shape shape = shape_of(planes);
    const Array valid = checked<uint8_t>(valid_argument, "valid", {shape.height, shape.width});
    const auto* marks = static_cast<const uint8_t*>(valid.data());
    if (std::all_of(marks, marks + shape.height * shape.width, [](uint8_t mark) { return mark == 0; })) {
        refuse_value("valid is 0 everywhere, wanted a valid pixel to fill from");
    }
    return run(shape, [&](float* out) { variflow::fill_missing(floats(planes), shape, marks, out); });
}

Planes interleave(nb::handle u_argument, nb::handle v_argument) {
    const Array u = checked<float>(u_argument, "u", {"height", "width"});
    const int64_t height = extent(u, 0), width = extent(u, 1);
    const Array v = checked<float>(v_argument, "v", {height, width});
    return run({height, width, 2},
               [&](float* out) { variflow::interleave(floats(u), floats(v), height * width, out); });
}

bool are_finite(nb::handle plane_argument) {
    const Array plane = checked<float>(plane_argument, "plane", {"height", "width"});
    const Unlocked unlocked;
    return variflow::are_finite(floats(plane), extent(plane, 0) * extent(plane, 1));
}

int64_t count_moved(nb::handle u0_argument, nb::handle v0_argument, nb::handle u_argument, nb::handle v_argument,
                    float least) {
    const Array u0 = checked<float>(u0_argument, "u0", {"height", "width"});
    const int64_t height = extent(u0, 0), width = extent(u0, 1);
    const Array v0 = checked<float>(v0_argument, "v0", {height, width});
    const Array u = checked<float>(u_argument, "u", {height, width}),
                v = checked<float>(v_argument, "v", {height, width});
    const Unlocked unlocked;
    return variflow::count_moved(floats(u0), floats(v0), floats(u), floats(v), height * width, least);
}

nb::tuple find_likeness(nb::handle first_argument, nb::handle second_argument) {
    const Array first = checked<float>(first_argument, "first", {"channels", "height", "width"});
    const Shape shape = shape_of(first);
    const Array second = checked<float>(second_argument, "second", {shape.channels, shape.height, shape.width});
    const variflow::Likeness found = variflow::find_likeness(floats(first), floats(second), shape);
    return nb::make_tuple(found.first, found.second, found.both);
}

int64_t count_flat(nb::handle planes_argument, int64_t step, float least) {
    const Array planes = checked_planes(planes_argument);
    at_least("step", step, 1);
    return variflow::count_flat(floats(planes), shape_of(planes), step, least);
}

// Memory like that of planes: the system takes longer to hand out fresh pages than it takes to fill them.
using Bytes = nb::ndarray<nb::numpy, uint8_t, nb::ndim<1>, nb::c_contig>;

Bytes allocate_bytes(size_t count) {
    auto* data = static_cast<uint8_t*>(allocate(count));
    nb::capsule owner(data, &release);
    return Bytes(data, 1, &count, owner);
}

void copy_bytes(nb::handle source_argument, Bytes target) {
    const auto count = static_cast<int64_t>(target.shape(0));
    const Array source = checked<uint8_t>(source_argument, "source", {count});
    const auto* data = static_cast<const uint8_t*>(source.data());
    const Unlocked unlocked;
    variflow::copy_bytes(data, count, target.data());
}

using Picture = nb::ndarray<nb::numpy, uint8_t, nb::ndim<3>, nb::c_contig>;

Picture paint_flow(nb::handle flow_argument, float scale, nb::handle hues_argument) {
    const Array flow = checked<float>(flow_argument, "flow", {"height", "width", 2});
    const Array hues = checked<float>(hues_argument, "hues", {3, "number"});
    above("scale", scale, 0.0f);
    const size_t extents[] = {flow.shape(0), flow.shape(1), 3};
    auto* data = static_cast<uint8_t*>(allocate(extents[0] * extents[1] * extents[2]));
    nb::capsule owner(data, &release);
    Picture out(data, 3, extents, owner);
    {
        const Unlocked unlocked;
        variflow::paint_flow(floats(flow), extent(flow, 0) * extent(flow, 1), scale, floats(hues), extent(hues, 1),
                             data);
    }
    return out;
}

using Counts = nb::ndarray<nb::numpy, int64_t, nb::ndim<2>, nb::c_contig>;

Counts byte_counts(nb::handle first_argument, nb::handle second_argument, int64_t step, nb::handle places_argument) {
    const Array first = checked<uint8_t>(first_argument, "first", {"height", "width", "channels"});
    const Array second = checked<uint8_t>(second_argument, "second", {"height", "width", "channels"});
    const Array places = checked<int32_t>(places_argument, "places", {"number"});
    at_least("step", step, 1);
    const auto* at = static_cast<const int32_t*>(places.data());
    const int64_t number = extent(places, 0);
    for (const Array& image : {first, second}) {
        const int64_t pixels = extent(image, 0) * extent(image, 1);
        const auto* beyond = std::find_if(at, at + number, [=](int32_t place) { return place < 0 || place >= pixels; });
        if (beyond != at + number)
            refuse_number("places", *beyond, "numbers of pixels, from 0 to " + std::to_string(pixels - 1));
    }
    const size_t extents[] = {4, 256};
    auto* data = static_cast<int64_t*>(allocate(extents[0] * extents[1] * sizeof(int64_t)));
    nb::capsule owner(data, &release);
    Counts counts(data, 2, extents, owner);
    std::fill_n(data, extents[0] * extents[1], 0);
    const Unlocked unlocked;
    variflow::parallel_for(4, 1, [&](int64_t part, int64_t) {
        const Array& image = part % 2 == 0 ? first : second;
        const auto* bytes = static_cast<const uint8_t*>(image.data());
        const int64_t width = extent(image, 1), channels = extent(image, 2);
        int64_t* const found = data + part * 256;
        if (part < 2) {
            variflow::histogram(bytes, extent(image, 0), width * channels, step, found);
        } else {
            variflow::histogram_at(bytes, channels, at, number, found);
        }
    });
    return counts;
}

Planes derivative(nb::handle planes_argument, const std::string& axis) {
    if (axis != "x" && axis != "y") refuse_value("axis is '" + axis + "', wanted 'x' or 'y'");
    const Array planes = checked_planes(planes_argument);
    const Shape shape = shape_of(planes);
    const auto along = axis == "x" ? variflow::Axis::x : variflow::Axis::y;
    return run(shape, [&](float* out) { variflow::derivative(floats(planes), shape, along, out); });
}

double noise(nb::handle planes_argument) {
    const Array planes = checked_planes(planes_argument);
    const Unlocked unlocked;
    return variflow::noise(floats(planes), shape_of(planes));
}

std::tuple<double, double, std::vector<bool>> fit_light(nb::handle target_argument, nb::handle values_argument,
                                                        int64_t rounds, double least_gain, double largest_gain) {
    const Array target = checked<float>(target_argument, "target", {"count"});
    const Array values = checked<float>(values_argument, "values", {target.shape(0)});
    const auto listed = [](const Array& row) { return std::vector<float>(floats(row), floats(row) + row.shape(0)); };
    auto [gain, offset, kept] = variflow::fit_light(listed(target), listed(values), {rounds, least_gain, largest_gain});
    return {gain, offset, std::vector<bool>(kept.begin(), kept.end())};
}

std::tuple<double, double, double> light_change(nb::handle first_argument, nb::handle second_argument,
                                                nb::handle usable_argument, int64_t every, float margin, int64_t fewest,
                                                int64_t rounds, double least_gain, double largest_gain) {
    const Array first = checked<float>(first_argument, "first", {"channels", "height", "width"});
    const Shape shape = shape_of(first);
    const Array second = checked<float>(second_argument, "second", {shape.channels, shape.height, shape.width});
    const Array usable = checked<float>(usable_argument, "usable", {1, shape.height, shape.width});
    from_to("every", every, 1, most_pixels);
    const Unlocked unlocked;
    const auto [change, before, after] =
        variflow::light_change(floats(first), floats(second), floats(usable), shape, every, margin,
                               std::max<int64_t>(fewest, 1), {rounds, least_gain, largest_gain});
    return {change, before, after};
}

// Checked taps along both axes.
struct TapsOfAxes {
    const Array first_y, weights_y, first_x, weights_x;

    TapsOfAxes(nb::handle first_y_argument, nb::handle weights_y_argument, nb::handle first_x_argument,
               nb::handle weights_x_argument)
        : first_y(checked<int32_t>(first_y_argument, "first_y", {"outputs"})),
          weights_y(checked<float>(weights_y_argument, "weights_y", {first_y.shape(0), "taps"})),
          first_x(checked<int32_t>(first_x_argument, "first_x", {"outputs"})),
          weights_x(checked<float>(weights_x_argument, "weights_x", {first_x.shape(0), "taps"})) {}

    variflow::Taps vertical() const { return taps(first_y, weights_y); }
    variflow::Taps horizontal() const { return taps(first_x, weights_x); }

private:
    static variflow::Taps taps(const Array& first, const Array& weights) {
        return {static_cast<const int32_t*>(first.data()), floats(weights), extent(weights, 0), extent(weights, 1)};
    }
};

Planes resample(nb::handle planes_argument, nb::handle first_y, nb::handle weights_y, nb::handle first_x,
                nb::handle weights_x) {
    const Array planes = checked_planes(planes_argument);
    const TapsOfAxes taps(first_y, weights_y, first_x, weights_x);
    const variflow::Taps vertical = taps.vertical(), horizontal = taps.horizontal();
    const Shape shape = shape_of(planes);
    return run({shape.channels, vertical.outputs, horizontal.outputs},
               [&](float* out) { variflow::resample(floats(planes), shape, vertical, horizontal, out); });
}

Planes resample_flow(nb::handle u_argument, nb::handle v_argument, nb::handle first_y, nb::handle weights_y,
                     nb::handle first_x, nb::handle weights_x, float factor_u, float factor_v, bool in_pairs) {
    const Array u = checked<float>(u_argument, "u", {"height", "width"});
    const Shape shape{1, extent(u, 0), extent(u, 1)};
    const Array v = checked<float>(v_argument, "v", {shape.height, shape.width});
    const TapsOfAxes taps(first_y, weights_y, first_x, weights_x);
    const variflow::Taps vertical = taps.vertical(), horizontal = taps.horizontal();
    const int64_t height = vertical.outputs, width = horizontal.outputs;
    return run(in_pairs ? Shape{height, width, 2} : Shape{2, height, width}, [&](float* out) {
        variflow::resample_flow(floats(u), floats(v), shape, vertical, horizontal, factor_u, factor_v, in_pairs, out);
    });
}

Planes median(nb::handle planes_argument, int size) {
    if (size != 3 && size != 5) refuse_number("size", size, "3 or 5");
    const Array planes = checked_planes(planes_argument);
    const Shape shape = shape_of(planes);
    return run(shape, [&](float* out) { variflow::median(floats(planes), shape, size, out); });
}

}  // namespace

void add_images(nb::module_& module) {
    module.def(
        "warp", &warp, "planes"_a.none(), "u"_a.none(), "v"_a.none(), "interpolation"_a,
        "planes(x + u, y + v), 'bilinear', 'bicubic' or 'spline', coordinates clamped to the frame; NaN where u or v "
        "is NaN. For 'spline' the planes are the coefficients of a cubic spline.");
    module.def("spline_coefficients", &spline_coefficients, "planes"_a.none(),
               "The coefficients of the cubic B-spline through each plane, mirrored at the first and last pixel.");
    module.def(
        "look_up", &look_up, "image"_a.none(), "tables"_a.none(), "total"_a,
        "The entry of its channel's table for each byte of (H, W, C), in planes, or their sum over the channels.");
    module.def("fill_missing", &fill_missing, "planes"_a.none(), "valid"_a.none(),
               "Planes (C, H, W) whose pixels with a mark of 0 in `valid`, (H, W), are filled.");
    module.def("interleave", &interleave, "u"_a.none(), "v"_a.none(), "Both planes of a flow as one array (H, W, 2).");
    module.def("are_finite", &are_finite, "plane"_a.none(), "Whether no value of a plane is infinite or NaN.");
    module.def("count_moved", &count_moved, "u0"_a.none(), "v0"_a.none(), "u"_a.none(), "v"_a.none(), "least"_a,
               "At how many pixels the flow (u, v) is farther than `least` from (u0, v0).");
    module.def("find_likeness", &find_likeness, "first"_a.none(), "second"_a.none(),
               "Sums of what two frames (C, H, W) are about the means of their planes: of the squares of the first, of "
               "the second, and of the products.");
    module.def("count_flat", &count_flat, "planes"_a.none(), "step"_a, "least"_a,
               "At how many pixels of every `step`-th row the next one differs by less than `least` in all planes.");
    module.def("allocate_bytes", &allocate_bytes, "count"_a,
               "So many bytes of any content, in memory that is recycled.");
    module.def("copy_bytes", &copy_bytes, "source"_a.none(), "target"_a, "Copy so many bytes.");
    module.def("paint_flow", &paint_flow, "flow"_a.none(), "scale"_a, "hues"_a.none(),
               "A flow (H, W, 2) as RGB: the hue of its direction, of those that go round once, clockwise from the "
               "right; white at rest, full at the speed `scale`, darker beyond, black where not finite.");
    module.def("byte_counts", &byte_counts, "first"_a.none(), "second"_a.none(), "step"_a, "places"_a.none(),
               "How often each byte occurs in every `step`-th row of the first image, of the second, and at pixels of "
               "the first, and of the second, that are counted row by row.");
    module.def("noise", &noise, "planes"_a.none(),
               "The standard deviation of the noise of planes; what is not finite does not count.");
    module.def("fit_light", &fit_light, "target"_a.none(), "values"_a.none(), "rounds"_a, "least_gain"_a,
               "largest_gain"_a,
               "The gain and the offset by which values have the mean and the spread of a target, without what these "
               "do not fit; and 1 for each that they fit.");
    module.def(
        "light_change", &light_change, "first"_a.none(), "second"_a.none(), "usable"_a.none(), "every"_a, "margin"_a,
        "fewest"_a, "rounds"_a, "least_gain"_a, "largest_gain"_a,
        "By how much the gain and the offset between two frames change what is ordinary, and the mean difference "
        "of the frames without and with them.");
    module.def("derivative", &derivative, "planes"_a.none(), "axis"_a,
               "The 5-point derivative [1, -8, 0, 8, -1] / 12 along 'x' or 'y', borders replicated.");
    module.def(
        "resample", &resample, "planes"_a.none(), "first_y"_a.none(), "weights_y"_a.none(), "first_x"_a.none(),
        "weights_x"_a.none(),
        "Separable weighted sums: output (j, i) reads inputs from (first_y[j], first_x[i]) on, borders replicated.");
    module.def("resample_flow", &resample_flow, "u"_a.none(), "v"_a.none(), "first_y"_a.none(), "weights_y"_a.none(),
               "first_x"_a.none(), "weights_x"_a.none(), "factor_u"_a, "factor_v"_a, "in_pairs"_a,
               "The same of a flow, times a factor for each component: as planes (2, H, W) or in pairs (H, W, 2).");
    module.def("median", &median, "planes"_a.none(), "size"_a,
               "Median of each size x size neighbourhood, borders replicated; no NaN.");
}

}  // namespace variflow::bindings
