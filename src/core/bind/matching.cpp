// Bindings of the kernels that match two frames.
#include "bind/bindings.hpp"
#include "matching/matching.hpp"

namespace variflow::bindings {
namespace {

using Descriptors = nb::ndarray<nb::numpy, uint8_t, nb::ndim<3>, nb::c_contig>;

Descriptors descriptors(nb::handle plane_argument, float noise) {
    const Array plane = checked<float>(plane_argument, "plane", {1, "height", "width"});
    const Shape shape = shape_of(plane);
    at_least("noise", noise, 1e-15f);  // its square must not vanish
    const size_t extents[] = {plane.shape(1), plane.shape(2), static_cast<size_t>(descriptor_bytes)};
    auto* data = static_cast<uint8_t*>(allocate(extents[0] * extents[1] * extents[2]));
    nb::capsule owner(data, &release);
    Descriptors out(data, 3, extents, owner);
    {
        const Unlocked unlocked;
        variflow::descriptors(floats(plane), shape.height, shape.width, noise, data);
    }
    return out;
}

Array checked_descriptors(nb::handle argument, const char* name) {
    return checked<uint8_t>(argument, name, {"height", "width", descriptor_bytes});
}

Array checked_valid(nb::handle argument, const char* name, const Array& described) {
    return checked<float>(argument, name, {1, described.shape(0), described.shape(1)});
}

Planes search_matches(nb::handle first_argument, nb::handle second_argument, nb::handle valid0_argument,
                      nb::handle valid1_argument, nb::handle start_argument, int64_t step, int64_t reach,
                      int64_t sweeps, float favour, float smoothness) {
    const Array first = checked_descriptors(first_argument, "first");
    const Array second = checked_descriptors(second_argument, "second");
    auto described = [](const Array& array, const Array& valid) {
        return Described{static_cast<const uint8_t*>(array.data()), floats(valid), extent(array, 0), extent(array, 1)};
    };
    const Array valid0 = checked_valid(valid0_argument, "valid0", first);
    const Array valid1 = checked_valid(valid1_argument, "valid1", second);
    from_to("step", step, 1, most_pixels);
    from_to("reach", reach, 0, most_pixels);
    from_to("sweeps", sweeps, 0, most_pixels);
    from_to("favour", favour, 0.0f, 1e4f);
    from_to("smoothness", smoothness, 0.0f, 1e4f);
    const SeedAxis columns(extent(first, 1), step), rows(extent(first, 0), step);
    Array start;
    if (!start_argument.is_none()) start = checked<float>(start_argument, "start", {2, rows.count, columns.count});
    return run({3, rows.count, columns.count}, [&](float* out) {
        variflow::search_matches(described(first, valid0), described(second, valid1),
                                 start_argument.is_none() ? nullptr : floats(start),
                                 {step, reach, sweeps, favour, smoothness}, out);
    });
}

Planes search_lines(nb::handle planes_argument, nb::handle valid_argument, nb::handle lines_argument, float first,
                    float interval, int64_t count, int64_t step) {
    const Array planes = checked<float>(planes_argument, "planes", {2, "height", "width"});
    const Shape shape = shape_of(planes);
    const Array valid = checked<float>(valid_argument, "valid", {2, shape.height, shape.width});
    const Array lines = checked<float>(lines_argument, "lines", {2, 3, 4});
    above("interval", interval, 0.0f);
    from_to("count", count, 2, 4096);
    from_to("step", step, 1, most_pixels);
    const SeedAxis columns(shape.width, step), rows(shape.height, step);
    const int64_t pixels = shape.height * shape.width;
    auto lined = [&](int64_t k) {
        return Lined{floats(planes) + k * pixels, floats(valid) + k * pixels, floats(lines) + k * 12, shape.height,
                     shape.width};
    };
    return run({2, rows.count, columns.count}, [&](float* out) {
        variflow::search_lines(lined(0), lined(1), {first, interval, count, step}, out,
                               out + rows.count * columns.count);
    });
}

Planes match_confidence(nb::handle forward_argument, nb::handle backward_argument, int64_t step) {
    const Array forward = checked<float>(forward_argument, "forward", {3, "height", "width"});
    const Shape shape = shape_of(forward);
    const Array backward = checked<float>(backward_argument, "backward", {3, shape.height, shape.width});
    from_to("step", step, 1, most_pixels);
    return run({1, shape.height, shape.width}, [&](float* out) {
        variflow::match_confidence(floats(forward), floats(backward), shape.width, shape.height, step, out);
    });
}

Planes fill_affine(nb::handle matches_argument, nb::handle guide_argument, float reach, float contrast, float tolerance,
                   float ridge, int64_t rounds, int64_t turns) {
    const Array guide = checked<float>(guide_argument, "guide", {"channels", "height", "width"});
    const Shape shape = shape_of(guide);
    const Array matches = checked<float>(matches_argument, "matches", {5, shape.height, shape.width});
    above("reach", reach, 0.0f);
    at_least("contrast", contrast, 0.0f);
    above("tolerance", tolerance, 0.0f);
    above("ridge", ridge, 0.0f);
    from_to("rounds", rounds, 1, most_pixels);
    from_to("turns", turns, 1, most_pixels);
    const float* const u = floats(matches);
    const int64_t places = shape.height * shape.width;
    return run({4, shape.height, shape.width}, [&](float* out) {
        variflow::fill_affine({u, u + places, u + 2 * places, u + 3 * places, u + 4 * places, floats(guide)}, shape,
                              {reach, contrast, tolerance, ridge, rounds, turns}, out);
    });
}

}  // namespace

void add_matching(nb::module_& module) {
    module.def(
        "descriptors", &descriptors, "plane"_a.none(), "noise"_a,
        "What surrounds each pixel, (H, W, 64) uint8: oriented gradients, indifferent to contrast above `noise`.");
    module.def("search_matches", &search_matches, "first"_a.none(), "second"_a.none(), "valid0"_a.none(),
               "valid1"_a.none(), "start"_a.none(), "step"_a, "reach"_a, "sweeps"_a, "favour"_a, "smoothness"_a,
               "u, v and ambiguity of the best match of each seed; seeds are every `step`-th column and row.");
    module.def("search_lines", &search_lines, "planes"_a.none(), "valid"_a.none(), "lines"_a.none(), "first"_a,
               "interval"_a, "count"_a, "step"_a,
               "The depth of each seed of two frames, of `count` that begin at `first`, along their epipolar lines.");
    module.def("match_confidence", &match_confidence, "forward"_a.none(), "backward"_a.none(), "step"_a,
               "The probability that each match is right, 0 for none, given the matches of both directions.");
    module.def(
        "fill_affine", &fill_affine, "matches"_a.none(), "guide"_a.none(), "reach"_a, "contrast"_a, "tolerance"_a,
        "ridge"_a, "rounds"_a, "turns"_a,
        "u, v of the affine motions fitted to the matches (u, v, weight, x, y) around each place, and what remains.");
}

}  // namespace variflow::bindings
