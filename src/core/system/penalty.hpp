// Penalties rho(s): the value, and half the weight rho'(s) / s, both as functions of s^2.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

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
    tabulated,                // whatever a table says
};

// Functions of s^2 by their values at knots, straight in between and the same beyond them. The knots are the floats whose
// mantissa ends after `mantissa_bits` bits, so that the bits of s^2 say between which two it lies: the relative error of
// (s^2)^p is at most |p (p - 1)| / 2^17.
struct PenaltyTable {
    static constexpr int mantissa_bits = 7, lowest_exponent = -40, highest_exponent = 20;
    static constexpr int knots = ((highest_exponent - lowest_exponent) << mantissa_bits) + 1;
    static constexpr int bits_between = 23 - mantissa_bits;
    static constexpr float lowest = std::bit_cast<float>((lowest_exponent + 127) << 23);
    // The float before the last knot, so that a knot follows it.
    static constexpr float highest = std::bit_cast<float>(((highest_exponent + 127) << 23) - 1);

    static float knot(int number) {
        return std::bit_cast<float>(std::bit_cast<int32_t>(lowest) + (number << bits_between));
    }

    const float *values = nullptr, *half_weights = nullptr;
};

struct Penalty {
    PenaltyKind kind;
    float scale, exponent;
    PenaltyTable table = {};
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

// Call function(PenaltyFunction<kind>) for the kind of a penalty that has a formula: one loop for each kind, none with a
// choice inside.
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
        case PenaltyKind::tabulated:  // which has no formula
            break;
    }
}

// system/penalty.cpp: what a penalty is at squares, and a factor times half its weights there.
void penalise(const Penalty& penalty, const float* squared, int64_t count, float* values);
void half_weights(const Penalty& penalty, const float* squared, int64_t count, float factor, float* weights);

}  // namespace variflow
