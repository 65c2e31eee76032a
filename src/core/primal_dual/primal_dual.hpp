// Primal-dual minimisation of one linearised energy, convex in the flow; see primal_dual/primal_dual.cpp.
#pragma once

#include <cstdint>
#include <vector>

namespace variflow {

// `count` residuals that are penalised jointly, each a plane: value + along_x * du + along_y * dv for an increment
// (du, dv). Their share of the energy is the sum over pixels of factor * weights * rho(their Euclidean norm), where rho
// is the Huber penalty of `threshold`, or the norm itself for 0. If `normalisation` is above 0, each residual is first
// divided by the square root of along_x^2 + along_y^2 + normalisation^2. Weights that are null are those of all data.
struct Residuals {
    const float *value, *along_x, *along_y;
    int64_t count;
    float factor, threshold, normalisation;
    const float* weights;
};

// The sum over pixels of weight * rho(the joint gradient of both components), or, when `second` is above 0, of
// weight * (rho(gradient - w) + second * |symmetric gradient of w|), minimised over w as well. Lengths are Euclidean.
struct Variation {
    float weight, threshold, second;
    float reach;                     // about how long p becomes, at most 1: steps are chosen by it
    const float *edges_x, *edges_y;  // factors of the squared differences, from 0 to 1; null for 1
};

// The planes of a state: the dual variables p of the gradient (4), those q of the symmetric gradient (6) and w (4) if
// `second` is above 0, and one for each residual.
inline int64_t state_planes(const std::vector<Residuals>& data, const Variation& variation) {
    int64_t planes = variation.second > 0 ? 14 : 4;
    for (const Residuals& term : data) planes += term.count;
    return planes;
}

// The flow so far, which the residuals are linearised at, and a state, or null for all zero.
struct Start {
    int64_t height, width;
    const float *u, *v, *state;
};

// Where the minimiser and the state after some iterations are written.
struct Reached {
    float *u, *v, *state;
};

// Minimise over the flow (u, v). Each pixel's data count `weights`.
void primal_dual(const Start& start, const std::vector<Residuals>& data, const float* weights,
                 const Variation& variation, int64_t iterations, const Reached& reached);

// Minimise the variation, whose `second` is above 0, over the slopes w alone, from none, and write them, four planes. The
// state of the start is not looked at.
void slopes(const Start& start, const Variation& variation, int64_t iterations, float* w);

}  // namespace variflow
