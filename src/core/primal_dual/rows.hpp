// Loops over a row of pixels, of which an iteration of primal_dual/primal_dual.cpp consists. No two planes overlap; each
// loop reads all that it needs of a pixel before it writes.
#pragma once

#include <cmath>
#include <cstdint>

#include "base/platform.hpp"

namespace variflow {
namespace {

constexpr float root_half = 0.70710678f;

// The pixels of a row from `begin` to before `end`.
struct Span {
    int64_t begin, end;
};

struct Flow {
    const float *u, *v;
    Flow at(int64_t i) const { return {u + i, v + i}; }
};

// A flow and where it is extrapolated to. Between the two halves of an iteration the latter holds the next flow.
struct MovingFlow {
    float *u, *v, *extrapolated_u, *extrapolated_v;
};

// Factors of the differences along x and along y.
struct Edges {
    const float *x, *y;
};

// Slopes w of both components of the flow.
struct Slopes {
    const float *ux, *uy, *vx, *vy;
    Slopes at(int64_t i) const { return {ux + i, uy + i, vx + i, vy + i}; }
};

// The dual variables p of the gradient.
struct Gradient {
    float *ux, *uy, *vx, *vy;
    Gradient at(int64_t i) const { return {ux + i, uy + i, vx + i, vy + i}; }
};

// The dual variables q of the symmetric gradient of w. The mixed part is stored times sqrt(2), so that the length of q is
// that of its six numbers.
struct SymmetricGradient {
    float *u_xx, *u_yy, *u_xy, *v_xx, *v_yy, *v_xy;
    SymmetricGradient at(int64_t i) const { return {u_xx + i, u_yy + i, u_xy + i, v_xx + i, v_yy + i, v_xy + i}; }
};

// A residual as it is given: value + along_x * du + along_y * dv for an increment.
struct Linearised {
    const float *value, *along_x, *along_y;
};

// A residual as the sweeps want it, with its value at zero flow, and its dual variable.
struct Residual {
    float *value, *along_x, *along_y, *dual;
    Residual at(int64_t i) const { return {value + i, along_x + i, along_y + i, dual + i}; }
};

// How one group of residuals answers: its best dual variable per unit of residual (`stiffness`), what that keeps of the
// one before, and the radius of the ball it stays in.
struct Answer {
    float *stiffness, *keep, *bound;
    Answer at(int64_t i) const { return {stiffness + i, keep + i, bound + i}; }
};

// The factor that brings a vector of this squared length into the ball.
VARIFLOW_INLINE float into_ball(float squared, float radius) {
    return squared > radius * radius ? radius / std::sqrt(squared) : 1.0f;
}

struct Slope {
    float ux, uy, vx, vy;
};

// p += step * edges * (differences of the flow - w), shrunk and projected, for one pixel.
VARIFLOW_INLINE void ascend_p_at(int64_t x, Flow flow, Flow below, Edges edges, Slope w, Gradient p, float step,
                                 float shrink) {
    const float along_x = step * edges.x[x], along_y = step * edges.y[x];
    const float u = flow.u[x], v = flow.v[x];
    const float new_ux = shrink * (p.ux[x] + along_x * (flow.u[x + 1] - u - w.ux));
    const float new_uy = shrink * (p.uy[x] + along_y * (below.u[x] - u - w.uy));
    const float new_vx = shrink * (p.vx[x] + along_x * (flow.v[x + 1] - v - w.vx));
    const float new_vy = shrink * (p.vy[x] + along_y * (below.v[x] - v - w.vy));
    const float scale = into_ball(new_ux * new_ux + new_uy * new_uy + new_vx * new_vx + new_vy * new_vy, 1.0f);
    p.ux[x] = scale * new_ux;
    p.uy[x] = scale * new_uy;
    p.vx[x] = scale * new_vx;
    p.vy[x] = scale * new_vy;
}

VARIFLOW_CLONES
void ascend_p(Flow flow, Flow below, Edges edges, Gradient p, Span span, float step, float shrink) {
    VARIFLOW_INDEPENDENT
    for (int64_t x = span.begin; x < span.end; ++x) {
        ascend_p_at(x, flow, below, edges, {0.0f, 0.0f, 0.0f, 0.0f}, p, step, shrink);
    }
}

VARIFLOW_CLONES
void ascend_p_second(Flow flow, Flow below, Edges edges, Slopes w, Gradient p, Span span, float step, float shrink) {
    VARIFLOW_INDEPENDENT
    for (int64_t x = span.begin; x < span.end; ++x) {
        ascend_p_at(x, flow, below, edges, {w.ux[x], w.uy[x], w.vx[x], w.vy[x]}, p, step, shrink);
    }
}

// q += step * symmetric gradient of w, projected. `inside` are the factors of the differences.
VARIFLOW_CLONES
void ascend_q(Slopes w, Slopes below, Edges inside, SymmetricGradient q, Span span, float step, float radius) {
    VARIFLOW_INDEPENDENT
    for (int64_t x = span.begin; x < span.end; ++x) {
        const float along_x = step * inside.x[x], along_y = step * inside.y[x];
        const float mixed_x = root_half * along_x, mixed_y = root_half * along_y;
        const float ux = w.ux[x], uy = w.uy[x], vx = w.vx[x], vy = w.vy[x];
        const float new_u_xx = q.u_xx[x] + along_x * (w.ux[x + 1] - ux);
        const float new_u_yy = q.u_yy[x] + along_y * (below.uy[x] - uy);
        const float new_u_xy = q.u_xy[x] + (mixed_y * (below.ux[x] - ux) + mixed_x * (w.uy[x + 1] - uy));
        const float new_v_xx = q.v_xx[x] + along_x * (w.vx[x + 1] - vx);
        const float new_v_yy = q.v_yy[x] + along_y * (below.vy[x] - vy);
        const float new_v_xy = q.v_xy[x] + (mixed_y * (below.vx[x] - vx) + mixed_x * (w.vy[x + 1] - vy));
        const float squared_u = new_u_xx * new_u_xx + new_u_yy * new_u_yy + new_u_xy * new_u_xy;
        const float squared_v = new_v_xx * new_v_xx + new_v_yy * new_v_yy + new_v_xy * new_v_xy;
        const float scale = into_ball(squared_u + squared_v, radius);
        q.u_xx[x] = scale * new_u_xx;
        q.u_yy[x] = scale * new_u_yy;
        q.u_xy[x] = scale * new_u_xy;
        q.v_xx[x] = scale * new_v_xx;
        q.v_yy[x] = scale * new_v_yy;
        q.v_xy[x] = scale * new_v_xy;
    }
}

// out = from + step * divergence of the parts of p. The pointers are not in a struct: promised not to overlap, each
// product is computed once and kept for the next pixel.
VARIFLOW_CLONES
void add_divergence(const float* VARIFLOW_RESTRICT from, const float* VARIFLOW_RESTRICT px,
                    const float* VARIFLOW_RESTRICT py, const float* VARIFLOW_RESTRICT py_above,
                    const float* VARIFLOW_RESTRICT edges_x, const float* VARIFLOW_RESTRICT edges_y,
                    const float* VARIFLOW_RESTRICT edges_y_above, float* VARIFLOW_RESTRICT out, Span span, float step) {
    int64_t begin = span.begin;
    if (begin == 0) {
        out[0] = from[0] + step * (edges_x[0] * px[0] + (edges_y[0] * py[0] - edges_y_above[0] * py_above[0]));
        begin = 1;
    }
    for (int64_t x = begin; x < span.end; ++x) {
        const float along_x = edges_x[x] * px[x] - edges_x[x - 1] * px[x - 1];
        out[x] = from[x] + step * (along_x + (edges_y[x] * py[x] - edges_y_above[x] * py_above[x]));
    }
}

// A field, or its factors, as its divergence sees it: the part along x, and that along y, here and in the row above.
struct Parts {
    const float *along, *down, *down_above;
};

// What one part of w descends by: the part of p which it was subtracted for, with its factors, and the parts of q with
// theirs.
struct ForceOnSlope {
    const float *p, *edges;
    Parts q;
    Parts inside;
    float factor_x, factor_y;
};

// One part of w descends, and is extrapolated.
VARIFLOW_CLONES
void descend_w(const ForceOnSlope& force, float* w, float* extrapolated, Span span, float step) {
    const float *const p = force.p, *const edges = force.edges;
    const Parts q = force.q;
    const Parts inside = force.inside;
    const float factor_x = force.factor_x, factor_y = force.factor_y;
    const auto move = [=](int64_t x, float left) VARIFLOW_INLINE_LAMBDA {
        const float before = w[x];
        const float next =
            before + step * (edges[x] * p[x] + factor_x * (inside.along[x] * q.along[x] - left) +
                             factor_y * (inside.down[x] * q.down[x] - inside.down_above[x] * q.down_above[x]));
        extrapolated[x] = 2.0f * next - before;
        w[x] = next;
    };
    int64_t begin = span.begin;
    if (begin == 0) move(begin++, 0.0f);
    VARIFLOW_INDEPENDENT
    for (int64_t x = begin; x < span.end; ++x) move(x, q.along[x - 1]);
}

// The flow moves by the force of one residual's dual variable.
VARIFLOW_CLONES
void pull(Residual residual, float* u, float* v, Span span, float step) {
    VARIFLOW_INDEPENDENT
    for (int64_t x = span.begin; x < span.end; ++x) {
        const float force = step * residual.dual[x], jx = residual.along_x[x], jy = residual.along_y[x];
        const float before_u = u[x], before_v = v[x];
        u[x] = before_u - force * jx;
        v[x] = before_v - force * jy;
    }
}

// The best dual variable of a residual that is alone in its group, given the flow without its force; its force.
VARIFLOW_INLINE float threshold_at(int64_t x, Residual residual, Answer answer, float step, float& u, float& v) {
    const float jx = residual.along_x[x], jy = residual.along_y[x], bound = answer.bound[x];
    float best = answer.stiffness[x] * (residual.value[x] + jx * u + jy * v);
    best = best > bound ? bound : best;
    best = best < -bound ? -bound : best;
    u -= step * best * jx;
    v -= step * best * jy;
    return best;
}

VARIFLOW_CLONES
void threshold(Residual residual, Answer answer, float* u, float* v, Span span, float step) {
    VARIFLOW_INDEPENDENT
    for (int64_t x = span.begin; x < span.end; ++x) {
        float next_u = u[x], next_v = v[x];
        residual.dual[x] = threshold_at(x, residual, answer, step, next_u, next_v);
        u[x] = next_u;
        v[x] = next_v;
    }
}

// The same for one of several, from the dual variable before, whose force is in the flow. Projected afterwards.
VARIFLOW_CLONES
void respond(Residual residual, Answer answer, Flow flow, float* next, float* norm, Span span) {
    VARIFLOW_INDEPENDENT
    for (int64_t x = span.begin; x < span.end; ++x) {
        const float value = residual.value[x] + residual.along_x[x] * flow.u[x] + residual.along_y[x] * flow.v[x];
        const float best = answer.keep[x] * residual.dual[x] + answer.stiffness[x] * value, before = norm[x];
        next[x] = best;
        norm[x] = before + best * best;
    }
}

// `next` and `norm` are those of `respond`.
VARIFLOW_CLONES
void project_and_pull(Residual residual, const float* bound, const float* next, const float* norm, float* u, float* v,
                      Span span, float step) {
    VARIFLOW_INDEPENDENT
    for (int64_t x = span.begin; x < span.end; ++x) {
        const float projected = into_ball(norm[x], bound[x]) * next[x], change = projected - residual.dual[x];
        const float force = step * change, jx = residual.along_x[x], jy = residual.along_y[x];
        const float before_u = u[x], before_v = v[x];
        residual.dual[x] = projected;
        u[x] = before_u - force * jx;
        v[x] = before_v - force * jy;
    }
}

VARIFLOW_CLONES
void extrapolate(float* flow, float* extrapolated, Span span) {
    VARIFLOW_INDEPENDENT
    for (int64_t x = span.begin; x < span.end; ++x) {
        const float next = extrapolated[x], before = flow[x];
        extrapolated[x] = 2.0f * next - before;
        flow[x] = next;
    }
}

VARIFLOW_INLINE void extrapolate_at(int64_t x, MovingFlow flow, float next_u, float next_v) {
    const float before_u = flow.u[x], before_v = flow.v[x];
    flow.extrapolated_u[x] = 2.0f * next_u - before_u;
    flow.extrapolated_v[x] = 2.0f * next_v - before_v;
    flow.u[x] = next_u;
    flow.v[x] = next_v;
}

// All that the data do to the flow, and its extrapolation, for the commonest data: a residual alone,
VARIFLOW_CLONES
void follow_one(Residual residual, Answer answer, MovingFlow flow, Span span, float step) {
    VARIFLOW_INDEPENDENT
    for (int64_t x = span.begin; x < span.end; ++x) {
        float next_u = flow.extrapolated_u[x], next_v = flow.extrapolated_v[x];
        const float best = threshold_at(x, residual, answer, step, next_u, next_v);
        extrapolate_at(x, flow, next_u, next_v);
        residual.dual[x] = best;
    }
}

// and one alone with two that are penalised jointly.
struct OneAndTwo {
    Residual alone;
    Answer answer;
    Residual first, second;
    Answer joint;
};

VARIFLOW_CLONES
void follow_one_and_two(const OneAndTwo& data, MovingFlow flow, Span span, float step) {
    const auto [alone, answer, first, second, joint] = data;
    VARIFLOW_INDEPENDENT
    for (int64_t x = span.begin; x < span.end; ++x) {
        const float jx1 = first.along_x[x], jy1 = first.along_y[x], jx2 = second.along_x[x], jy2 = second.along_y[x];
        const float before1 = first.dual[x], before2 = second.dual[x];
        float next_u = flow.extrapolated_u[x] - step * (before1 * jx1 + before2 * jx2);
        float next_v = flow.extrapolated_v[x] - step * (before1 * jy1 + before2 * jy2);
        const float best = threshold_at(x, alone, answer, step, next_u, next_v);
        const float residual1 = first.value[x] + jx1 * next_u + jy1 * next_v;
        const float residual2 = second.value[x] + jx2 * next_u + jy2 * next_v;
        const float stiffness = joint.stiffness[x], keep = joint.keep[x];
        const float next1 = keep * before1 + stiffness * residual1;
        const float next2 = keep * before2 + stiffness * residual2;
        const float scale = into_ball(next1 * next1 + next2 * next2, joint.bound[x]);
        const float change1 = scale * next1 - before1, change2 = scale * next2 - before2;
        next_u -= step * (change1 * jx1 + change2 * jx2);
        next_v -= step * (change1 * jy1 + change2 * jy2);
        extrapolate_at(x, flow, next_u, next_v);
        alone.dual[x] = best;
        first.dual[x] = scale * next1;
        second.dual[x] = scale * next2;
    }
}

// The value at zero flow, and the Jacobian; if `normalisation` is above 0, both divided by the Jacobian's length.
VARIFLOW_CLONES
void prepare_residual(Linearised given, Flow flow, float normalisation, Residual out, float* squared, Span span) {
    const auto prepare = [=](int64_t i, float scale) VARIFLOW_INLINE_LAMBDA {
        const float jx = scale * given.along_x[i], jy = scale * given.along_y[i], before = squared[i];
        const float value = scale * given.value[i] - jx * flow.u[i] - jy * flow.v[i];
        out.value[i] = value;
        out.along_x[i] = jx;
        out.along_y[i] = jy;
        squared[i] = before + (jx * jx + jy * jy);
    };
    if (normalisation > 0.0f) {
        const float zeta2 = normalisation * normalisation;
        VARIFLOW_INDEPENDENT
        for (int64_t i = span.begin; i < span.end; ++i) {
            const float jx = given.along_x[i], jy = given.along_y[i];
            prepare(i, 1.0f / std::sqrt(jx * jx + jy * jy + zeta2));
        }
    } else {
        VARIFLOW_INDEPENDENT
        for (int64_t i = span.begin; i < span.end; ++i) prepare(i, 1.0f);
    }
}

// Comes with `keep` as the sum of the squared Jacobian.
VARIFLOW_CLONES
void prepare_answer(const float* weights, float factor, float threshold, Answer answer, Span span, float step) {
    constexpr float smallest = 1e-9f;  // where the image is flat no residual can be changed
    VARIFLOW_INDEPENDENT
    for (int64_t i = span.begin; i < span.end; ++i) {
        const float radius = factor * weights[i], response = step * answer.keep[i];
        const float softness = radius > 0 ? threshold / radius : 0.0f;
        const float stiffness = 1.0f / (response + softness + smallest);
        answer.bound[i] = radius;
        answer.stiffness[i] = stiffness;
        answer.keep[i] = response * stiffness;
    }
}

}  // namespace
}  // namespace variflow
