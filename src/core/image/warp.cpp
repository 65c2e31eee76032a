// Warping: out(x, y) = I(x + u(x, y), y + v(x, y)), with coordinates clamped to the frame.
//
// A coordinate is split into the pixel at or before it and a remainder t in [0, 1]. Along one axis, with samples p0 p1
// p2 p3 around the pixel p1,
//
//     bilinear:  p1 + t (p2 - p1)
//     bicubic:   p1 + w0 (p0 - p1) + w2 (p2 - p1) + w3 (p3 - p1)       (Catmull-Rom, that is a = -1/2)
//                w0 = t (-1 + t (2 - t)) / 2,  w2 = t (1 + t (4 - 3 t)) / 2,  w3 = t^2 (t - 1) / 2,
//     spline:    the same sum over the coefficients of a cubic B-spline (image/spline.cpp), mirrored at the border, with
//                w0 = (1 - t)^3 / 6,  w2 = (1 + 3 t (1 + t (1 - t))) / 6,  w3 = t^3 / 6,
//
// and in two dimensions first along y, then along x. Written as differences from p1, the first two give a constant
// image and the image under zero flow bit for bit. A NaN displacement makes its remainder NaN, and so the output.
#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "base/platform.hpp"
#include "base/threads.hpp"
#include "image/image.hpp"
#include "image/rows.hpp"

namespace variflow {
namespace {

// Pixels are handled in blocks whose coordinates, shared by all channels, stay in the first-level cache.
constexpr int block_size = 256;

struct Coordinates {
    alignas(64) int32_t x[block_size], y[block_size];  // the pixel at or before the coordinate
    alignas(64) int32_t corner[block_size];  // of the 4x4 pixels around it, where in the plane the first one is
    alignas(64) int32_t amid[block_size];  // at least 0 where all of them are in the frame
    alignas(64) float rest_x[block_size], rest_y[block_size];  // the remainder
};

struct CubicWeights {
    alignas(64) float w0[block_size], w2[block_size], w3[block_size];
};

// Splitting the displacement instead of the coordinate keeps its precision in large frames. Clamping comes before the
// conversion to int, which is only defined for values that fit.
VARIFLOW_INLINE void split(float displacement, int32_t position, int32_t last, int32_t& pixel, float& rest) {
    const float low = static_cast<float>(-position), high = static_cast<float>(last - position);
    displacement = displacement < low ? low : displacement;
    displacement = displacement > high ? high : displacement;
    const float known = displacement == displacement ? displacement : 0.0f;
    int32_t whole = static_cast<int32_t>(known);
    whole -= known < static_cast<float>(whole) ? 1 : 0;
    pixel = position + whole;
    rest = displacement - static_cast<float>(whole);
}

VARIFLOW_INLINE void look_around(int32_t i, int32_t width, int32_t height, Coordinates& at) {
    const int32_t x = at.x[i] - 1, y = at.y[i] - 1;
    at.corner[i] = y * width + x;
    at.amid[i] = x | (width - 4 - x) | y | (height - 4 - y);
}

VARIFLOW_CLONES
void locate(const float* VARIFLOW_RESTRICT u, const float* VARIFLOW_RESTRICT v, int32_t x, int32_t y, int32_t count,
            int32_t width, int32_t height, Coordinates& VARIFLOW_RESTRICT at) {
    for (int32_t i = 0; i < count; ++i) {
        split(u[i], x + i, width - 1, at.x[i], at.rest_x[i]);
        split(v[i], y, height - 1, at.y[i], at.rest_y[i]);
        look_around(i, width, height, at);
    }
}

VARIFLOW_CLONES
void locate_points(const float* VARIFLOW_RESTRICT u, const float* VARIFLOW_RESTRICT v,
                   const int32_t* VARIFLOW_RESTRICT x, int32_t y, int32_t count, int32_t width, int32_t height,
                   Coordinates& VARIFLOW_RESTRICT at) {
    for (int32_t i = 0; i < count; ++i) {
        split(u[i], x[i], width - 1, at.x[i], at.rest_x[i]);
        split(v[i], y, height - 1, at.y[i], at.rest_y[i]);
        look_around(i, width, height, at);
    }
}

VARIFLOW_CLONES
void bilinear(const float* VARIFLOW_RESTRICT plane, int32_t width, int32_t height,
              const Coordinates& VARIFLOW_RESTRICT at, int32_t count, float* VARIFLOW_RESTRICT out) {
    for (int32_t i = 0; i < count; ++i) {
        const int32_t corner = at.y[i] * width + at.x[i];
        const int32_t right = at.x[i] < width - 1 ? 1 : 0;
        const int32_t below = at.y[i] < height - 1 ? width : 0;
        const float p11 = plane[corner], p12 = plane[corner + right];
        const float p21 = plane[corner + below], p22 = plane[corner + below + right];
        const float left_value = p11 + at.rest_y[i] * (p21 - p11);
        const float right_value = p12 + at.rest_y[i] * (p22 - p12);
        out[i] = left_value + at.rest_x[i] * (right_value - left_value);
    }
}

VARIFLOW_CLONES
void bicubic_weights(const float* VARIFLOW_RESTRICT rest, int32_t count, CubicWeights& VARIFLOW_RESTRICT weights) {
    for (int32_t i = 0; i < count; ++i) {
        const float t = rest[i];
        weights.w0[i] = 0.5f * t * (t * (2.0f - t) - 1.0f);
        weights.w2[i] = 0.5f * t * (t * (4.0f - 3.0f * t) + 1.0f);
        weights.w3[i] = 0.5f * t * t * (t - 1.0f);
    }
}

VARIFLOW_CLONES
void spline_weights(const float* VARIFLOW_RESTRICT rest, int32_t count, CubicWeights& VARIFLOW_RESTRICT weights) {
    constexpr float sixth = 1.0f / 6.0f;
    for (int32_t i = 0; i < count; ++i) {
        const float t = rest[i], s = 1.0f - t;
        weights.w0[i] = sixth * s * s * s;
        weights.w2[i] = sixth * (1.0f + 3.0f * t * (1.0f + t * s));
        weights.w3[i] = sixth * t * t * t;
    }
}

// The sum along one axis of samples p0 ... p3, numbers or vectors of them, for pixel i of the block.
template <typename Value>
VARIFLOW_INLINE Value sum_along(const Value& p0, const Value& p1, const Value& p2, const Value& p3,
                                const CubicWeights& weights, int32_t i) {
    return p1 + weights.w0[i] * (p0 - p1) + weights.w2[i] * (p2 - p1) + weights.w3[i] * (p3 - p1);
}

// The four columns of 4x4 samples, summed along y for pixel i of the block; the first is `p`, rows are `stride` apart.
VARIFLOW_INLINE Four sum_columns(const float* p, int64_t stride, const CubicWeights& y, int32_t i) {
    return sum_along(load_four(p), load_four(p + stride), load_four(p + 2 * stride), load_four(p + 3 * stride), y, i);
}

// So many pixels whose samples lie side by side, as they do where the flow hardly changes.
constexpr int32_t run = 16;

VARIFLOW_INLINE bool is_run(const Coordinates& at, int32_t i) {
    int32_t amid = 0, apart = 0;
    VARIFLOW_LANES for (int32_t lane = 0; lane < run; ++lane) {
        amid |= at.amid[i + lane];
        apart |= at.corner[i + lane] - at.corner[i] - lane;
    }
    return amid >= 0 && apart == 0;
}

VARIFLOW_INLINE void sum_run(const float* VARIFLOW_RESTRICT p, int64_t stride, const CubicWeights& x,
                             const CubicWeights& y, int32_t i, float* VARIFLOW_RESTRICT out) {
    for (int32_t lane = 0; lane < run; ++lane) {
        auto column = [&](int32_t number) VARIFLOW_INLINE_LAMBDA {
            const float* const top = p + lane + number;
            return sum_along(top[0], top[stride], top[2 * stride], top[3 * stride], y, i + lane);
        };
        out[lane] = sum_along(column(0), column(1), column(2), column(3), x, i + lane);
    }
}

// The position inside the frame that stands for one up to two pixels outside: the border's, or the mirror image.
int32_t inside(int32_t position, int32_t last, bool mirrored) {
    if (mirrored) {
        position = std::abs(position);
        position = std::abs(position > last ? 2 * last - position : position);
    }
    return std::clamp(position, 0, last);
}

// One pixel of the block, wherever it is.
VARIFLOW_INLINE float cubic_at(const float* plane, int32_t width, int32_t height, bool mirrored, const Coordinates& at,
                               const CubicWeights& x, const CubicWeights& y, int32_t i) {
    float neighbours[16];
    for (int row = 0; row < 4; ++row) {
        const int64_t inside_y = inside(at.y[i] - 1 + row, height - 1, mirrored);
        for (int column = 0; column < 4; ++column) {
            neighbours[4 * row + column] = plane[inside_y * width + inside(at.x[i] - 1 + column, width - 1, mirrored)];
        }
    }
    const Four column = sum_columns(neighbours, 4, y, i);
    return sum_along<float>(column[0], column[1], column[2], column[3], x, i);
}

VARIFLOW_CLONES
void cubic(const float* VARIFLOW_RESTRICT plane, int32_t width, int32_t height, bool mirrored,
           const Coordinates& VARIFLOW_RESTRICT at, const CubicWeights& VARIFLOW_RESTRICT weights_x,
           const CubicWeights& VARIFLOW_RESTRICT weights_y, int32_t count, float* VARIFLOW_RESTRICT out) {
    auto columns = [&](int32_t i)
                       VARIFLOW_INLINE_LAMBDA { return sum_columns(plane + at.corner[i], width, weights_y, i); };
    for (int32_t begin = 0; begin < count; begin += run) {
        const int32_t end = std::min(begin + run, count);
        if (end == begin + run && is_run(at, begin)) {
            sum_run(plane + at.corner[begin], width, weights_x, weights_y, begin, out + begin);
            continue;
        }
        int32_t i = begin;
        while (i < end) {
            if (i + 4 <= end && (at.amid[i] | at.amid[i + 1] | at.amid[i + 2] | at.amid[i + 3]) >= 0) {
                Four p0 = columns(i), p1 = columns(i + 1), p2 = columns(i + 2), p3 = columns(i + 3);
                transpose(p0, p1, p2, p3);
                const Four value = p1 + load_four(weights_x.w0 + i) * (p0 - p1) +
                                   load_four(weights_x.w2 + i) * (p2 - p1) + load_four(weights_x.w3 + i) * (p3 - p1);
                store_four(value, out + i);
                i += 4;
            } else {
                out[i] = cubic_at(plane, width, height, mirrored, at, weights_x, weights_y, i);
                ++i;
            }
        }
    }
}

}  // namespace

void warp_row(const float* planes, Shape shape, int64_t y, int64_t begin, int64_t end, const float* u, const float* v,
              Interpolation interpolation, float* out, int64_t stride) {
    const auto height = static_cast<int32_t>(shape.height), width = static_cast<int32_t>(shape.width);
    const bool spline = interpolation == Interpolation::spline;
    Coordinates at;
    CubicWeights weights_x, weights_y;
    for (int64_t x = begin; x < end; x += block_size) {
        const auto count = static_cast<int32_t>(std::min<int64_t>(block_size, end - x));
        const int64_t done = x - begin;
        locate(u + done, v + done, static_cast<int32_t>(x), static_cast<int32_t>(y), count, width, height, at);
        if (interpolation != Interpolation::bilinear) {
            const auto weigh = spline ? spline_weights : bicubic_weights;
            weigh(at.rest_x, count, weights_x);
            weigh(at.rest_y, count, weights_y);
        }
        for (int64_t channel = 0; channel < shape.channels; ++channel) {
            const float* plane = planes + channel * shape.height * shape.width;
            float* target = out + channel * stride + done;
            if (interpolation == Interpolation::bilinear) {
                bilinear(plane, width, height, at, count, target);
            } else {
                cubic(plane, width, height, spline, at, weights_x, weights_y, count, target);
            }
        }
    }
}

void warp_points(const float* coefficients, Shape shape, const int32_t* x, int64_t y, int64_t count, const float* u,
                 const float* v, float* out, int64_t stride) {
    const auto height = static_cast<int32_t>(shape.height), width = static_cast<int32_t>(shape.width);
    Coordinates at;
    CubicWeights weights_x, weights_y;
    for (int64_t done = 0; done < count; done += block_size) {
        const auto size = static_cast<int32_t>(std::min<int64_t>(block_size, count - done));
        locate_points(u + done, v + done, x + done, static_cast<int32_t>(y), size, width, height, at);
        spline_weights(at.rest_x, size, weights_x);
        spline_weights(at.rest_y, size, weights_y);
        for (int64_t channel = 0; channel < shape.channels; ++channel) {
            cubic(coefficients + channel * shape.height * shape.width, width, height, true, at, weights_x, weights_y,
                  size, out + channel * stride + done);
        }
    }
}

void warp(const float* planes, Shape shape, const float* u, const float* v, Interpolation interpolation, float* out) {
    const int64_t width = shape.width;
    parallel_for(shape.height, rows_per_chunk(width), [=](int64_t begin, int64_t end) {
        for (int64_t y = begin; y < end; ++y) {
            const int64_t first = y * width;
            warp_row(planes, shape, y, 0, width, u + first, v + first, interpolation, out + first,
                     shape.height * width);
        }
    });
}

}  // namespace variflow
