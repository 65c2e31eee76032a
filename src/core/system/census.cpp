// Census constancy: the signs of the differences between a pixel and its neighbours stay, whatever a change of light
// does to the differences themselves. In place of the sign of the difference d to a neighbour stands
//
//     c = d / sqrt(d^2 + (softness m)^2 + noise^2),
//
// where m is the root mean square of the differences to all neighbours; it can be differentiated, and a gain or an
// offset of the frame leaves it as it is, as far as contrasts exceed the noise. The residuals are the differences of c
// between the frames, and their Jacobian is the spatial derivative of the mean of both.
#include <algorithm>
#include <cmath>
#include <vector>

#include "base/memory.hpp"
#include "base/platform.hpp"
#include "base/threads.hpp"
#include "system/local.hpp"

namespace variflow {
namespace {

// A row of a plane with its border values repeated on both sides, and likewise rows above and below the plane.
class PaddedRows {
public:
    PaddedRows(const float* plane, Shape shape, int64_t reach)
        : plane_(plane), shape_(shape), reach_(reach), row_(static_cast<size_t>(shape.width + 2 * reach)) {}

    // Column 0 of row y, valid until the next call.
    const float* row(int64_t y) {
        const float* const from = plane_ + std::clamp<int64_t>(y, 0, shape_.height - 1) * shape_.width;
        float* const inside = row_.data() + reach_;
        std::fill(row_.data(), inside, from[0]);
        std::copy_n(from, shape_.width, inside);
        std::fill_n(inside + shape_.width, reach_, from[shape_.width - 1]);
        return inside;
    }

private:
    const float* plane_;
    Shape shape_;
    int64_t reach_;
    std::vector<float> row_;
};

VARIFLOW_CLONES
void add_squared_difference(const float* VARIFLOW_RESTRICT centre, const float* VARIFLOW_RESTRICT neighbour,
                            float factor, int64_t width, float* VARIFLOW_RESTRICT sums) {
    for (int64_t x = 0; x < width; ++x) {
        const float d = neighbour[x] - centre[x];
        sums[x] += factor * d * d;
    }
}

// The mean and the difference of both frames' soft signs.
VARIFLOW_CLONES
void compare(const float* VARIFLOW_RESTRICT centre0, const float* VARIFLOW_RESTRICT neighbour0,
             const float* VARIFLOW_RESTRICT scale0, const float* VARIFLOW_RESTRICT centre1,
             const float* VARIFLOW_RESTRICT neighbour1, const float* VARIFLOW_RESTRICT scale1, int64_t width,
             float* VARIFLOW_RESTRICT mean, float* VARIFLOW_RESTRICT difference) {
    for (int64_t x = 0; x < width; ++x) {
        const float d0 = neighbour0[x] - centre0[x], d1 = neighbour1[x] - centre1[x];
        const float c0 = d0 / std::sqrt(d0 * d0 + scale0[x]), c1 = d1 / std::sqrt(d1 * d1 + scale1[x]);
        mean[x] = 0.5f * (c0 + c1);
        difference[x] = c1 - c0;
    }
}

// (softness m)^2 + noise^2 at each pixel of a plane.
void scales(const float* plane, Shape shape, CensusRule rule, float* out) {
    const int64_t width = shape.width, side = 2 * rule.radius + 1;
    const float factor = rule.softness * rule.softness / static_cast<float>(side * side - 1);
    parallel_for(shape.height, rows_per_chunk(width), [=](int64_t begin, int64_t end) {
        PaddedRows rows(plane, shape, rule.radius);
        for (int64_t y = begin; y < end; ++y) {
            std::fill_n(out + y * width, width, rule.noise * rule.noise);
            for (int64_t dy = -rule.radius; dy <= rule.radius; ++dy) {
                const float* const row = rows.row(y + dy);
                for (int64_t dx = -rule.radius; dx <= rule.radius; ++dx) {
                    add_squared_difference(plane + y * width, row + dx, factor, width, out + y * width);
                }
            }
        }
    });
}

}  // namespace

void census(const float* frame0, const float* frame1, Shape shape, CensusRule rule, float* jx, float* jy, float* r) {
    const int64_t height = shape.height, width = shape.width, pixels = height * width;
    const int64_t side = 2 * rule.radius + 1, centre = (side * side - 1) / 2, neighbours = side * side - 1;
    const Workspace scale0(pixels), scale1(pixels), mean(neighbours * pixels);
    for (int64_t channel = 0; channel < shape.channels; ++channel) {
        const float *const plane0 = frame0 + channel * pixels, *const plane1 = frame1 + channel * pixels;
        scales(plane0, shape, rule, scale0.data());
        scales(plane1, shape, rule, scale1.data());
        const int64_t first = channel * neighbours * pixels;
        parallel_for(height, rows_per_chunk(width), [&](int64_t begin, int64_t end) {
            PaddedRows rows0(plane0, shape, rule.radius), rows1(plane1, shape, rule.radius);
            for (int64_t y = begin; y < end; ++y) {
                const int64_t at = y * width;
                for (int64_t k = 0; k < side * side; ++k) {
                    const int64_t dy = k / side - rule.radius, dx = k % side - rule.radius;
                    if (dy == 0 && dx == 0) continue;
                    const int64_t plane = (k < centre ? k : k - 1) * pixels + at;
                    compare(plane0 + at, rows0.row(y + dy) + dx, scale0.data() + at, plane1 + at,
                            rows1.row(y + dy) + dx, scale1.data() + at, width, mean.data() + plane, r + first + plane);
                }
            }
        });
        derivative(mean.data(), {neighbours, height, width}, Axis::x, jx + first);
        derivative(mean.data(), {neighbours, height, width}, Axis::y, jy + first);
    }
}

}  // namespace variflow
