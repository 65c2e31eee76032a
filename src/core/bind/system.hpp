// What a robust step is made of, as Python holds it: each class checks its arrays once and keeps them.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bind/bindings.hpp"
#include "system/system.hpp"

namespace variflow::bindings {

void check_number(double value, const char* name, double smallest, bool or_equal);
void check_sweeps(int sweeps, double omega);

// Two frames that are compared along a flow.
struct HeldFramePair {
    HeldFramePair(nb::handle first, nb::handle second, nb::handle samples, nb::handle u, nb::handle v,
                  nb::handle weights, const std::string& interpolation, const std::string& derivative,
                  std::optional<std::pair<int64_t, int64_t>> whole);

    Array first, second, samples, u, v, weights;
    FramePair pair;
};

// A penalty, one that the core knows or a table.
struct HeldPenalty {
    HeldPenalty(PenaltyKind kind, double scale, double exponent);
    HeldPenalty(nb::handle values, nb::handle half_weights);

    std::optional<Array> values, half_weights;
    Penalty penalty;
};

// Constancy of the brightness or the gradient.
struct HeldConstancy {
    HeldConstancy(ConstancyKind kind, const HeldPenalty& penalty, double normalisation, double weight);

    HeldPenalty penalty;
    Constancy term;
};

// A data term, linearised.
struct HeldDataTerm {
    HeldDataTerm(nb::handle jx, nb::handle jy, nb::handle r, const HeldPenalty& penalty, double normalisation,
                 double weight);

    int64_t height() const { return static_cast<int64_t>(jx.shape(1)); }
    int64_t width() const { return static_cast<int64_t>(jx.shape(2)); }

    Array jx, jy, r;
    HeldPenalty penalty;
    DataTerm term;
};

// The smoothness of a flow.
struct HeldSmoothness {
    HeldSmoothness(nb::handle guide_x, nb::handle guide_y, bool per_pixel, const HeldPenalty& penalty, double weight);

    void check(int64_t height, int64_t width) const;

    std::optional<Array> guide_x, guide_y;
    HeldPenalty penalty;
    SmoothnessTerm term;
};

// A robust step around the flow of a pair of frames.
struct HeldStep {
    HeldStep(const HeldFramePair& frames, const std::vector<HeldConstancy>& constancies,
             const std::vector<HeldDataTerm>& data, const HeldSmoothness& smoothness);

    HeldFramePair frames;
    std::vector<HeldConstancy> constancies;
    std::vector<HeldDataTerm> data;
    HeldSmoothness smoothness;
    Step step;
};

}  // namespace variflow::bindings
