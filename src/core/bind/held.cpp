// The checks of what a robust step is made of.
#include <cmath>

#include "bind/system.hpp"

namespace variflow::bindings {
namespace {

Derivative checked_derivative(const std::string& name) {
    if (name == "average") return Derivative::average;
    if (name == "first") return Derivative::first;
    if (name == "second") return Derivative::second;
    if (name == "warped") return Derivative::warped;
    refuse_value("derivative is '" + name + "', wanted 'average', 'first', 'second' or 'warped'");
}

Penalisation checked_penalisation(const Penalty& penalty, double normalisation, double weight) {
    check_number(normalisation, "normalisation", 0.0, true);
    check_number(weight, "weight", 0.0, true);
    return {penalty, static_cast<float>(normalisation), static_cast<float>(weight)};
}

// A plane of any size, or none.
std::optional<Array> plane_or_none(nb::handle argument, const char* name) {
    if (argument.is_none()) return std::nullopt;
    return checked<float>(argument, name, {"height", "width"});
}

const float* floats(const std::optional<Array>& plane) { return plane ? bindings::floats(*plane) : nullptr; }

}  // namespace

void check_number(double value, const char* name, double smallest, bool or_equal) {
    if (std::isfinite(value) && (or_equal ? value >= smallest : value > smallest)) return;
    refuse_number(name, value,
                  (or_equal ? "a finite number of at least " : "a finite number above ") + written(smallest));
}

HeldFramePair::HeldFramePair(nb::handle first_argument, nb::handle second_argument, nb::handle samples_argument,
                             nb::handle u_argument, nb::handle v_argument, nb::handle weights_argument,
                             const std::string& interpolation, const std::string& derivative,
                             std::optional<std::pair<int64_t, int64_t>> whole)
    : first(checked<float>(first_argument, "first", {"channels", "height", "width"})) {
    check_warpable(first, "first");
    const Shape shape = shape_of(first);
    second = checked<float>(second_argument, "second", {shape.channels, shape.height, shape.width});
    samples = checked<float>(samples_argument, "samples", {shape.channels, shape.height, shape.width});
    u = checked<float>(u_argument, "u", {shape.height, shape.width});
    v = checked<float>(v_argument, "v", {shape.height, shape.width});
    const bool weighted = !weights_argument.is_none();
    if (weighted) weights = checked<float>(weights_argument, "weights", {shape.height, shape.width});
    pair = {bindings::floats(first),
            bindings::floats(second),
            bindings::floats(samples),
            shape,
            {bindings::floats(u), bindings::floats(v)},
            weighted ? bindings::floats(weights) : nullptr,
            checked_interpolation(interpolation),
            checked_derivative(derivative),
            whole ? whole->first : shape.height,
            whole ? whole->second : shape.width};
}

HeldPenalty::HeldPenalty(PenaltyKind kind, double scale, double exponent)
    : penalty{kind, static_cast<float>(scale), static_cast<float>(exponent)} {
    if (kind != PenaltyKind::quadratic) check_number(scale, "scale", 0.0, false);
    if (kind == PenaltyKind::generalised_charbonnier) check_number(exponent, "exponent", 0.0, false);
}

HeldPenalty::HeldPenalty(nb::handle values_argument, nb::handle half_weights_argument)
    : values(checked<float>(values_argument, "values", {PenaltyTable::knots})),
      half_weights(checked<float>(half_weights_argument, "half_weights", {PenaltyTable::knots})),
      penalty{PenaltyKind::tabulated, 0.0f, 0.0f, {bindings::floats(*values), bindings::floats(*half_weights)}} {}

HeldConstancy::HeldConstancy(ConstancyKind kind, const HeldPenalty& penalty_argument, double normalisation,
                             double weight)
    : penalty(penalty_argument), term{kind, checked_penalisation(penalty.penalty, normalisation, weight)} {}

HeldDataTerm::HeldDataTerm(nb::handle jx_argument, nb::handle jy_argument, nb::handle r_argument,
                           const HeldPenalty& penalty_argument, double normalisation, double weight)
    : jx(checked<float>(jx_argument, "jx", {"residuals", "height", "width"})), penalty(penalty_argument) {
    const Shape shape = shape_of(jx);
    jy = checked<float>(jy_argument, "jy", {shape.channels, shape.height, shape.width});
    r = checked<float>(r_argument, "r", {shape.channels, shape.height, shape.width});
    term = {bindings::floats(jx), bindings::floats(jy), bindings::floats(r), shape.channels,
            checked_penalisation(penalty.penalty, normalisation, weight)};
}

HeldSmoothness::HeldSmoothness(nb::handle guide_x_argument, nb::handle guide_y_argument, bool per_pixel,
                               const HeldPenalty& penalty_argument, double weight)
    : guide_x(plane_or_none(guide_x_argument, "guide_x")),
      guide_y(plane_or_none(guide_y_argument, "guide_y")),
      penalty(penalty_argument) {
    if (guide_x.has_value() != guide_y.has_value())
        refuse_type("one of guide_x and guide_y is None, wanted both or neither");
    check_number(weight, "weight", 0.0, true);
    term = {floats(guide_x), floats(guide_y), per_pixel, penalty.penalty, static_cast<float>(weight)};
}

void HeldSmoothness::check(int64_t height, int64_t width) const {
    if (!guide_x) return;
    check_shape(*guide_x, "guide_x", {height, width});
    check_shape(*guide_y, "guide_y", {height, width});
}

HeldStep::HeldStep(const HeldFramePair& frames_argument, const std::vector<HeldConstancy>& constancies_argument,
                   const std::vector<HeldDataTerm>& data_argument, const HeldSmoothness& smoothness_argument)
    : frames(frames_argument),
      constancies(constancies_argument),
      data(data_argument),
      smoothness(smoothness_argument),
      step{frames.pair, {}, {}, smoothness.term} {
    const auto [channels, height, width] = frames.pair.shape;
    for (const HeldConstancy& constancy : constancies) step.constancies.push_back(constancy.term);
    for (const HeldDataTerm& term : data) {
        check_shape(term.jx, "jx", {extent(term.jx, 0), height, width});
        step.data.push_back(term.term);
    }
    smoothness.check(height, width);
}

}  // namespace variflow::bindings
