// The linear system of one robust step, in planes of one size (height, width).
//
//     data:    sum over pixels of a11 du^2 + 2 a12 du dv + a22 dv^2 + 2 b1 du + 2 b2 dv   (the motion tensor, 5 planes)
//     smooth:  sum over edges of e |difference of (u0 + du, v0 + dv) over the edge|^2      (edges, 2 planes: to the right
//              neighbour and to the one below; what stands in the last column and row does not count)
//
// Its minimum (u, v) = (u0 + du, v0 + dv) satisfies, at each pixel and with the sums over its edges,
//
//     a11 (u - u0) + a12 (v - v0) + sum e (u - u_neighbour) = -b1
//     a12 (u - u0) + a22 (v - v0) + sum e (v - v_neighbour) = -b2.
#pragma once

#include <cstdint>
#include <vector>

#include "image/image.hpp"
#include "system/penalty.hpp"

namespace variflow {

// A flow, or an increment.
struct Field {
    const float *u, *v;
};

// How the residuals r + jx du + jy dv of a pixel are penalised: jointly, by the mean of their squares.
struct Penalisation {
    Penalty penalty;
    float normalisation;  // 0, or zeta: each squared residual is divided by jx^2 + jy^2 + zeta^2
    float weight;
};

// What one data term compares: K residuals per pixel, planes (K, H, W).
struct DataTerm {
    const float *jx, *jy, *r;
    int64_t residuals;
    Penalisation penalisation;
};

// What of two frames stays the same along the flow, in all their channels jointly.
enum class ConstancyKind { brightness, gradient };
struct Constancy {
    ConstancyKind kind;
    Penalisation penalisation;
};

// Whose derivatives a linearisation takes.
enum class Derivative { average, first, second, warped };

// Two frames that are compared along a flow.
struct FramePair {
    const float *first, *second;  // (C, H, W)
    const float* samples;  // what is warped: the second frame, or the coefficients of its spline
    Shape shape;
    Field flow;
    const float* weights;  // (H, W), counted where the flow stays inside the frame; or null: 1
    Interpolation interpolation;
    Derivative derivative;
    int64_t whole_height, whole_width;  // of the frames that these are a part of, or their own
};

// What one smoothness term penalises: differences over edges, or, of each pixel, over its two edges jointly.
struct SmoothnessTerm {
    const float *guide_x, *guide_y;  // (H, W) factors of the edges, or null
    bool per_pixel;
    Penalty penalty;
    float weight;
};

struct System {
    const float* tensor;  // (5, H, W)
    const float* edges;  // (2, H, W)
    Field around;  // u0, v0
    int64_t height, width;
};

// What two frames show along a flow: the temporal difference (warped second minus first), derivatives along x and y, and
// derivatives of those.
enum class FramePlane { It, Ix, Iy, Ixx, Ixy, Iyy, Ixt, Iyt };

// Derivatives do not count at the outermost rows and columns of whole frames that have at least so many: smaller frames have
// too few others.
constexpr int64_t fewest_inner = 64;

// How fast gradients change at least, per pixel, where a mismatch is judged: what is less is as likely noise.
constexpr float mismatch_floor = 6.0f / 255.0f;

// What comes with a linearisation, each unless null: if there are terms, the temporal difference (C, H, W), times the
// weights; if one is of the gradient, how far the flow is, in pixels, from where the gradients agree, (H, W), 0 where the
// weights are.
struct Misfit {
    float *difference = nullptr, *mismatch = nullptr;
};

// system/constancy.cpp: the motion tensor of terms that compare two frames, linearised around their flow, 5 planes, and
// the misfit. The mismatch alone. Planes of what the frames show, each (C, H, W) and times the weights, one after the
// other. And 1 where the target of a flow lies inside the frame, 0 elsewhere.
void inside(Field flow, int64_t height, int64_t width, float* out);
void constancy_tensor(const FramePair& frames, const std::vector<Constancy>& terms, float* tensor,
                      const Misfit& misfit);
void mismatch(const FramePair& frames, float floor, float* out);
// The second frame, warped; where nothing moves it is what it is.
void warp_second(const FramePair& frames, float* out);
void frame_planes(const FramePair& frames, const std::vector<FramePlane>& wanted, float* out);

// system/assembly.cpp: what a data term adds to the motion tensor, and the edges of a smoothness term.
void add_data(const DataTerm& term, const float* weights, int64_t pixels, float* tensor);
void edge_weights(const SmoothnessTerm& term, int64_t height, int64_t width, Field flow, float* edges);
void image_edges(const float* guide, Shape shape, float contrast, float least, float* edges);

// system/energies.cpp: energies, summed in double precision. And what the terms penalise:
// the mean of the squared residuals of each pixel (H, W); the squared differences of each pixel's two edges, together
// (H, W) or, if edges are penalised one by one, apart (2, H, W), where no guide weighs them.
double data_energy(const DataTerm& term, const float* weights, int64_t pixels, Field increment);
double smoothness_energy(const SmoothnessTerm& term, int64_t height, int64_t width, Field flow);
void mean_squares(const DataTerm& term, int64_t pixels, Field increment, float* out);
void squared_differences(const SmoothnessTerm& term, int64_t height, int64_t width, Field flow, float* out);

// system/relaxation.cpp: the right side minus the left side of the equations above, 2 planes; and sweeps of red-black
// successive over-relaxation.
void residual(const System& system, Field flow, float* out);
void relax(const System& system, Field start, int sweeps, float omega, float* out);

// system/step.cpp: a robust step of data terms, from frames to flow (2, H, W): what the functions above do one after the other,
// in one pass. With cycles, it ends with `cycle`.
struct Step {
    FramePair frames;
    std::vector<Constancy> constancies;
    std::vector<DataTerm> data;
    SmoothnessTerm smoothness;
};
void robust_step(const Step& step, int cycles, int sweeps, float omega, const Misfit& misfit, float* out);

// system/multigrid.cpp: conjugate gradients, each step one multigrid cycle; they end early once the error, in the norm of the
// energy, is estimated to be `tolerance` times that of the start.
void multigrid(const System& system, Field start, int cycles, float tolerance, float* out);
// Plain cycles without a sweep before the coarser grids, and with so many sweeps of relaxation after them.
void cycle(const System& system, Field start, int cycles, int sweeps, float omega, float* out);

}  // namespace variflow
