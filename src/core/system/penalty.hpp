// Penalties rho(s): the value, and half the weight rho'(s) / s, both as functions of s^2.
#pragma once

#include <cmath>

#include "base/platform.hpp"
#include "base/vector_math.hpp"

namespace variflow {

enum class PenaltyKind {
    quadratic,                // s^2
    charbonnier,              // sqrt(s^2 + scale^2) - scale
    generalised_charbonnier,  // (s^2 + scale^2)^exponent - scale^(2 exponent)
    huber,                    // s^2 / (2 scale), from the scale on |s| - scale / 2
    lorentzian,               // log(1 + s^2 / (2 scale^2))
    l1,                       // |s|, with the weight of the scale where |s| is smaller
};

struct Penalty {
    PenaltyKind kind;
    float scale, exponent;
};

// One kind of penalty with what it derives from its parameters, for use inside a loop.
template <PenaltyKind kind>
struct PenaltyFunction {
    float scale, squared, exponent, offset;

    VARIFLOW_INLINE explicit PenaltyFunction(Penalty penalty)
        : scale(penalty.scale),
          squared(scale * scale),
          exponent(penalty.exponent),
          offset(kind == PenaltyKind::generalised_charbonnier ? power(squared, exponent) : 0.0f) {}

    VARIFLOW_INLINE float half_weight(float s2) const {
        if constexpr (kind == PenaltyKind::quadratic) return 1.0f + 0.0f * s2;
        if constexpr (kind == PenaltyKind::charbonnier) return 0.5f / std::sqrt(s2 + squared);
        if constexpr (kind == PenaltyKind::generalised_charbonnier) {
            return exponent * power(s2 + squared, exponent - 1.0f);
        }
        if constexpr (kind == PenaltyKind::lorentzian) return 1.0f / (2.0f * squared + s2);
        return 0.5f / std::sqrt(s2 > squared ? s2 : squared);  // Huber and L1
    }

    // half_weight(s2 / n) / n, with a single division where that can be; n^2 must not vanish.
    VARIFLOW_INLINE float half_weight_of_quotient(float s2, float n) const {
        if constexpr (kind == PenaltyKind::charbonnier) return 0.5f / std::sqrt(n * (s2 + squared * n));
        return half_weight(s2 / n) / n;
    }

    VARIFLOW_INLINE float value(float s2) const {
        if constexpr (kind == PenaltyKind::quadratic) return s2;
        // The difference of the roots, without cancellation.
        if constexpr (kind == PenaltyKind::charbonnier) return s2 / (std::sqrt(s2 + squared) + scale);
        if constexpr (kind == PenaltyKind::generalised_charbonnier) return power(s2 + squared, exponent) - offset;
        if constexpr (kind == PenaltyKind::huber) {
            return s2 > squared ? std::sqrt(s2) - 0.5f * scale : s2 * (0.5f / scale);
        }
        if constexpr (kind == PenaltyKind::lorentzian) return logarithm_of_one_plus(s2 * (0.5f / squared));
        return std::sqrt(s2);
    }
};

// Call function(PenaltyFunction<kind>) for the kind of `penalty`: one loop for each kind, none with a choice inside.
template <typename Function>
VARIFLOW_INLINE void with_penalty(Penalty penalty, Function&& function) {
    switch (penalty.kind) {
        case PenaltyKind::quadratic:
            function(PenaltyFunction<PenaltyKind::quadratic>(penalty));
            break;
        case PenaltyKind::charbonnier:
            function(PenaltyFunction<PenaltyKind::charbonnier>(penalty));
            break;
        case PenaltyKind::generalised_charbonnier:
            function(PenaltyFunction<PenaltyKind::generalised_charbonnier>(penalty));
            break;
        case PenaltyKind::huber:
            function(PenaltyFunction<PenaltyKind::huber>(penalty));
            break;
        case PenaltyKind::lorentzian:
            function(PenaltyFunction<PenaltyKind::lorentzian>(penalty));
            break;
        case PenaltyKind::l1:
            function(PenaltyFunction<PenaltyKind::l1>(penalty));
            break;
    }
}

}  // namespace variflow
