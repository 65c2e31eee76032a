// Loops over a row of pixels, of which an iteration of primal_dual/primal_dual.cpp consists.
#pragma once

#include <cmath>
#include <cstdint>

#include "base/platform.hpp"

namespace variflow {
namespace {

constexpr float root_half = 0.70710678f;

// The factor that brings a vector of this squared length into the ball.
VARIFLOW_INLINE float into_ball(float squared, float radius) {
    return squared > radius * radius ? radius / std::sqrt(squared) : 1.0f;
}

// p += step * edges * (differences of the flow - w), shrunk and projected, for one pixel.
VARIFLOW_INLINE void ascend_p_at(int64_t x, const float* u, const float* v, const float* u_below, const float* v_below,
                                 const float* edges_x, const float* edges_y, float w0, float w1, float w2, float w3,
                                 float* ux, float* uy, float* vx, float* vy, float step, float shrink) {
    const float along_x = step * edges_x[x], along_y = step * edges_y[x];
    const float new_ux = shrink * (ux[x] + along_x * (u[x + 1] - u[x] - w0));
    const float new_uy = shrink * (uy[x] + along_y * (u_below[x] - u[x] - w1));
    const float new_vx = shrink * (vx[x] + along_x * (v[x + 1] - v[x] - w2));
    const float new_vy = shrink * (vy[x] + along_y * (v_below[x] - v[x] - w3));
    const float scale = into_ball(new_ux * new_ux + new_uy * new_uy + new_vx * new_vx + new_vy * new_vy, 1.0f);
    ux[x] = scale * new_ux;
    uy[x] = scale * new_uy;
    vx[x] = scale * new_vx;
    vy[x] = scale * new_vy;
}

VARIFLOW_CLONES
void ascend_p(const float* VARIFLOW_RESTRICT u, const float* VARIFLOW_RESTRICT v,
              const float* VARIFLOW_RESTRICT u_below, const float* VARIFLOW_RESTRICT v_below,
              const float* VARIFLOW_RESTRICT edges_x, const float* VARIFLOW_RESTRICT edges_y,
              float* VARIFLOW_RESTRICT ux, float* VARIFLOW_RESTRICT uy, float* VARIFLOW_RESTRICT vx,
              float* VARIFLOW_RESTRICT vy, int64_t begin, int64_t end, float step, float shrink) {
    for (int64_t x = begin; x < end; ++x) {
        ascend_p_at(x, u, v, u_below, v_below, edges_x, edges_y, 0.0f, 0.0f, 0.0f, 0.0f, ux, uy, vx, vy, step, shrink);
    }
}

VARIFLOW_CLONES
void ascend_p_second(const float* VARIFLOW_RESTRICT u, const float* VARIFLOW_RESTRICT v,
                     const float* VARIFLOW_RESTRICT u_below, const float* VARIFLOW_RESTRICT v_below,
                     const float* VARIFLOW_RESTRICT edges_x, const float* VARIFLOW_RESTRICT edges_y,
                     const float* VARIFLOW_RESTRICT w0, const float* VARIFLOW_RESTRICT w1,
                     const float* VARIFLOW_RESTRICT w2, const float* VARIFLOW_RESTRICT w3, float* VARIFLOW_RESTRICT ux,
                     float* VARIFLOW_RESTRICT uy, float* VARIFLOW_RESTRICT vx, float* VARIFLOW_RESTRICT vy,
                     int64_t begin, int64_t end, float step, float shrink) {
    for (int64_t x = begin; x < end; ++x) {
        ascend_p_at(x, u, v, u_below, v_below, edges_x, edges_y, w0[x], w1[x], w2[x], w3[x], ux, uy, vx, vy, step,
                    shrink);
    }
}

// q += step * symmetric gradient of w, projected. w is (ux, uy, vx, vy), for both components of the flow. The mixed
// part of q is stored times sqrt(2), so that the length of q is that of its six numbers.
VARIFLOW_CLONES
void ascend_q(const float* VARIFLOW_RESTRICT ux, const float* VARIFLOW_RESTRICT uy, const float* VARIFLOW_RESTRICT vx,
              const float* VARIFLOW_RESTRICT vy, const float* VARIFLOW_RESTRICT ux_below,
              const float* VARIFLOW_RESTRICT uy_below, const float* VARIFLOW_RESTRICT vx_below,
              const float* VARIFLOW_RESTRICT vy_below, const float* VARIFLOW_RESTRICT inside_x,
              const float* VARIFLOW_RESTRICT inside_y, float* VARIFLOW_RESTRICT u_xx, float* VARIFLOW_RESTRICT u_yy,
              float* VARIFLOW_RESTRICT u_xy, float* VARIFLOW_RESTRICT v_xx, float* VARIFLOW_RESTRICT v_yy,
              float* VARIFLOW_RESTRICT v_xy, int64_t begin, int64_t end, float step, float radius) {
    for (int64_t x = begin; x < end; ++x) {
        const float along_x = step * inside_x[x], along_y = step * inside_y[x];
        const float mixed_x = root_half * along_x, mixed_y = root_half * along_y;
        const float new_u_xx = u_xx[x] + along_x * (ux[x + 1] - ux[x]);
        const float new_u_yy = u_yy[x] + along_y * (uy_below[x] - uy[x]);
        const float new_u_xy = u_xy[x] + (mixed_y * (ux_below[x] - ux[x]) + mixed_x * (uy[x + 1] - uy[x]));
        const float new_v_xx = v_xx[x] + along_x * (vx[x + 1] - vx[x]);
        const float new_v_yy = v_yy[x] + along_y * (vy_below[x] - vy[x]);
        const float new_v_xy = v_xy[x] + (mixed_y * (vx_below[x] - vx[x]) + mixed_x * (vy[x + 1] - vy[x]));
        const float squared_u = new_u_xx * new_u_xx + new_u_yy * new_u_yy + new_u_xy * new_u_xy;
        const float squared_v = new_v_xx * new_v_xx + new_v_yy * new_v_yy + new_v_xy * new_v_xy;
        const float scale = into_ball(squared_u + squared_v, radius);
        u_xx[x] = scale * new_u_xx;
        u_yy[x] = scale * new_u_yy;
        u_xy[x] = scale * new_u_xy;
        v_xx[x] = scale * new_v_xx;
        v_yy[x] = scale * new_v_yy;
        v_xy[x] = scale * new_v_xy;
    }
}

// out = from + step * divergence of p.
VARIFLOW_CLONES
void add_divergence(const float* VARIFLOW_RESTRICT from, const float* VARIFLOW_RESTRICT px,
                    const float* VARIFLOW_RESTRICT py, const float* VARIFLOW_RESTRICT py_above,
                    const float* VARIFLOW_RESTRICT edges_x, const float* VARIFLOW_RESTRICT edges_y,
                    const float* VARIFLOW_RESTRICT edges_y_above, float* VARIFLOW_RESTRICT out, int64_t begin,
                    int64_t end, float step) {
    if (begin == 0) {
        out[0] = from[0] + step * (edges_x[0] * px[0] + (edges_y[0] * py[0] - edges_y_above[0] * py_above[0]));
        begin = 1;
    }
    for (int64_t x = begin; x < end; ++x) {
        const float along_x = edges_x[x] * px[x] - edges_x[x - 1] * px[x - 1];
        out[x] = from[x] + step * (along_x + (edges_y[x] * py[x] - edges_y_above[x] * py_above[x]));
    }
}

// One part of w descends, and is extrapolated: by p, which it was subtracted for, and by the divergence of q, of which
// `along` is the part differentiated along x and `down` that along y.
VARIFLOW_CLONES
void descend_w(const float* VARIFLOW_RESTRICT p, const float* VARIFLOW_RESTRICT edges,
               const float* VARIFLOW_RESTRICT along, const float* VARIFLOW_RESTRICT down,
               const float* VARIFLOW_RESTRICT down_above, const float* VARIFLOW_RESTRICT inside_x,
               const float* VARIFLOW_RESTRICT inside_y, const float* VARIFLOW_RESTRICT inside_y_above,
               float* VARIFLOW_RESTRICT w, float* VARIFLOW_RESTRICT extrapolated, int64_t begin, int64_t end,
               float step, float factor_x, float factor_y) {
    const auto move = [&](int64_t x, float left) VARIFLOW_INLINE_LAMBDA {
        const float next = w[x] + step * (edges[x] * p[x] + factor_x * (inside_x[x] * along[x] - left) +
                                          factor_y * (inside_y[x] * down[x] - inside_y_above[x] * down_above[x]));
        extrapolated[x] = 2.0f * next - w[x];
        w[x] = next;
    };
    if (begin == 0) move(begin++, 0.0f);
    for (int64_t x = begin; x < end; ++x) move(x, along[x - 1]);
}

// The flow moves by the force of one residual's dual variable.
VARIFLOW_CLONES
void pull(const float* VARIFLOW_RESTRICT along_x, const float* VARIFLOW_RESTRICT along_y,
          const float* VARIFLOW_RESTRICT dual, float* VARIFLOW_RESTRICT u, float* VARIFLOW_RESTRICT v, int64_t begin,
          int64_t end, float step) {
    for (int64_t x = begin; x < end; ++x) {
        u[x] -= step * dual[x] * along_x[x];
        v[x] -= step * dual[x] * along_y[x];
    }
}

// The best dual variable of a residual that is alone in its group, given the flow without its force; its force.
VARIFLOW_INLINE void threshold_at(float value, float jx, float jy, float stiffness, float bound, float step,
                                  float& dual, float& u, float& v) {
    float best = stiffness * (value + jx * u + jy * v);
    best = best > bound ? bound : best;
    best = best < -bound ? -bound : best;
    dual = best;
    u -= step * best * jx;
    v -= step * best * jy;
}

VARIFLOW_CLONES
void threshold(const float* VARIFLOW_RESTRICT value, const float* VARIFLOW_RESTRICT along_x,
               const float* VARIFLOW_RESTRICT along_y, const float* VARIFLOW_RESTRICT stiffness,
               const float* VARIFLOW_RESTRICT bound, float* VARIFLOW_RESTRICT dual, float* VARIFLOW_RESTRICT u,
               float* VARIFLOW_RESTRICT v, int64_t begin, int64_t end, float step) {
    for (int64_t x = begin; x < end; ++x) {
        threshold_at(value[x], along_x[x], along_y[x], stiffness[x], bound[x], step, dual[x], u[x], v[x]);
    }
}

// The same for one of several, from the dual variable before, whose force is in the flow. Projected afterwards.
VARIFLOW_CLONES
void respond(const float* VARIFLOW_RESTRICT value, const float* VARIFLOW_RESTRICT along_x,
             const float* VARIFLOW_RESTRICT along_y, const float* VARIFLOW_RESTRICT stiffness,
             const float* VARIFLOW_RESTRICT keep, const float* VARIFLOW_RESTRICT dual,
             const float* VARIFLOW_RESTRICT u, const float* VARIFLOW_RESTRICT v, float* VARIFLOW_RESTRICT next,
             float* VARIFLOW_RESTRICT norm, int64_t begin, int64_t end) {
    for (int64_t x = begin; x < end; ++x) {
        const float residual = value[x] + along_x[x] * u[x] + along_y[x] * v[x];
        next[x] = keep[x] * dual[x] + stiffness[x] * residual;
        norm[x] += next[x] * next[x];
    }
}

VARIFLOW_CLONES
void project_and_pull(const float* VARIFLOW_RESTRICT along_x, const float* VARIFLOW_RESTRICT along_y,
                      const float* VARIFLOW_RESTRICT norm, const float* VARIFLOW_RESTRICT bound,
                      const float* VARIFLOW_RESTRICT next, float* VARIFLOW_RESTRICT dual, float* VARIFLOW_RESTRICT u,
                      float* VARIFLOW_RESTRICT v, int64_t begin, int64_t end, float step) {
    for (int64_t x = begin; x < end; ++x) {
        const float projected = into_ball(norm[x], bound[x]) * next[x], change = projected - dual[x];
        dual[x] = projected;
        u[x] -= step * change * along_x[x];
        v[x] -= step * change * along_y[x];
    }
}

VARIFLOW_CLONES
void extrapolate(float* VARIFLOW_RESTRICT flow, float* VARIFLOW_RESTRICT extrapolated, int64_t begin, int64_t end) {
    for (int64_t x = begin; x < end; ++x) {
        const float next = extrapolated[x];
        extrapolated[x] = 2.0f * next - flow[x];
        flow[x] = next;
    }
}

// All that the data do to the flow, and its extrapolation, for the commonest data: a residual alone,
VARIFLOW_CLONES
void follow_one(const float* VARIFLOW_RESTRICT value, const float* VARIFLOW_RESTRICT along_x,
                const float* VARIFLOW_RESTRICT along_y, const float* VARIFLOW_RESTRICT stiffness,
                const float* VARIFLOW_RESTRICT bound, float* VARIFLOW_RESTRICT dual, float* VARIFLOW_RESTRICT u,
                float* VARIFLOW_RESTRICT v, float* VARIFLOW_RESTRICT extrapolated_u,
                float* VARIFLOW_RESTRICT extrapolated_v, int64_t begin, int64_t end, float step) {
    for (int64_t x = begin; x < end; ++x) {
        float next_u = extrapolated_u[x], next_v = extrapolated_v[x];
        threshold_at(value[x], along_x[x], along_y[x], stiffness[x], bound[x], step, dual[x], next_u, next_v);
        extrapolated_u[x] = 2.0f * next_u - u[x];
        extrapolated_v[x] = 2.0f * next_v - v[x];
        u[x] = next_u;
        v[x] = next_v;
    }
}

// and one alone with two that are penalised jointly.
VARIFLOW_CLONES
void follow_one_and_two(const float* VARIFLOW_RESTRICT value, const float* VARIFLOW_RESTRICT along_x,
                        const float* VARIFLOW_RESTRICT along_y, const float* VARIFLOW_RESTRICT stiffness,
                        const float* VARIFLOW_RESTRICT bound, float* VARIFLOW_RESTRICT dual,
                        const float* VARIFLOW_RESTRICT value1, const float* VARIFLOW_RESTRICT along_x1,
                        const float* VARIFLOW_RESTRICT along_y1, float* VARIFLOW_RESTRICT dual1,
                        const float* VARIFLOW_RESTRICT value2, const float* VARIFLOW_RESTRICT along_x2,
                        const float* VARIFLOW_RESTRICT along_y2, float* VARIFLOW_RESTRICT dual2,
                        const float* VARIFLOW_RESTRICT joint_stiffness, const float* VARIFLOW_RESTRICT joint_keep,
                        const float* VARIFLOW_RESTRICT joint_bound, float* VARIFLOW_RESTRICT u,
                        float* VARIFLOW_RESTRICT v, float* VARIFLOW_RESTRICT extrapolated_u,
                        float* VARIFLOW_RESTRICT extrapolated_v, int64_t begin, int64_t end, float step) {
    for (int64_t x = begin; x < end; ++x) {
        const float jx1 = along_x1[x], jy1 = along_y1[x], jx2 = along_x2[x], jy2 = along_y2[x];
        const float before1 = dual1[x], before2 = dual2[x];
        float next_u = extrapolated_u[x] - step * (before1 * jx1 + before2 * jx2);
        float next_v = extrapolated_v[x] - step * (before1 * jy1 + before2 * jy2);
        threshold_at(value[x], along_x[x], along_y[x], stiffness[x], bound[x], step, dual[x], next_u, next_v);
        const float residual1 = value1[x] + jx1 * next_u + jy1 * next_v;
        const float residual2 = value2[x] + jx2 * next_u + jy2 * next_v;
        const float next1 = joint_keep[x] * before1 + joint_stiffness[x] * residual1;
        const float next2 = joint_keep[x] * before2 + joint_stiffness[x] * residual2;
        const float scale = into_ball(next1 * next1 + next2 * next2, joint_bound[x]);
        dual1[x] = scale * next1;
        dual2[x] = scale * next2;
        const float change1 = scale * next1 - before1, change2 = scale * next2 - before2;
        next_u -= step * (change1 * jx1 + change2 * jx2);
        next_v -= step * (change1 * jy1 + change2 * jy2);
        extrapolated_u[x] = 2.0f * next_u - u[x];
        extrapolated_v[x] = 2.0f * next_v - v[x];
        u[x] = next_u;
        v[x] = next_v;
    }
}

// The value at zero flow, and the Jacobian; if `normalisation` is above 0, both divided by the Jacobian's length.
VARIFLOW_CLONES
void prepare_residual(const float* VARIFLOW_RESTRICT value, const float* VARIFLOW_RESTRICT along_x,
                      const float* VARIFLOW_RESTRICT along_y, const float* VARIFLOW_RESTRICT u,
                      const float* VARIFLOW_RESTRICT v, float normalisation, float* VARIFLOW_RESTRICT out,
                      float* VARIFLOW_RESTRICT out_x, float* VARIFLOW_RESTRICT out_y,
                      float* VARIFLOW_RESTRICT squared, int64_t begin, int64_t end) {
    const auto prepare = [&](int64_t i, float scale) VARIFLOW_INLINE_LAMBDA {
        const float jx = scale * along_x[i], jy = scale * along_y[i];
        out[i] = scale * value[i] - jx * u[i] - jy * v[i];
        out_x[i] = jx;
        out_y[i] = jy;
        squared[i] += jx * jx + jy * jy;
    };
    if (normalisation > 0.0f) {
        const float zeta2 = normalisation * normalisation;
        for (int64_t i = begin; i < end; ++i) {
            prepare(i, 1.0f / std::sqrt(along_x[i] * along_x[i] + along_y[i] * along_y[i] + zeta2));
        }
    } else {
        for (int64_t i = begin; i < end; ++i) prepare(i, 1.0f);
    }
}

// Comes with `keep` as the sum of the squared Jacobian.
VARIFLOW_CLONES
void prepare_answer(const float* VARIFLOW_RESTRICT weights, float factor, float threshold,
                    float* VARIFLOW_RESTRICT stiffness, float* VARIFLOW_RESTRICT keep, float* VARIFLOW_RESTRICT bound,
                    int64_t begin, int64_t end, float step) {
    constexpr float smallest = 1e-9f;  // where the image is flat no residual can be changed
    for (int64_t i = begin; i < end; ++i) {
        const float radius = factor * weights[i], response = step * keep[i];
        const float softness = radius > 0 ? threshold / radius : 0.0f;
        bound[i] = radius;
        stiffness[i] = 1.0f / (response + softness + smallest);
        keep[i] = response * stiffness[i];
    }
}

}  // namespace
}  // namespace variflow
