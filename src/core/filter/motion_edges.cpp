// Where a flow has edges, and which pixels of the first frame are likely hidden in the second.
#include <algorithm>
#include <cmath>

#include "base/memory.hpp"
#include "base/platform.hpp"
#include "base/threads.hpp"
#include "base/vector_math.hpp"
#include "filter/filters.hpp"

namespace variflow {
namespace {

// Never quite 0, so that a weighted median has a weight to go by wherever it is taken.
constexpr float least_visibility = 1e-4f;
constexpr float most = 10.0f;  // e^-10 is less

// A row of a plane and its neighbours, for central differences with borders replicated.
struct Row {
    const float *above, *at, *below;
};

Row row_of(const float* plane, int64_t y, Shape shape) {
    const int64_t width = shape.width;
    return {plane + std::max<int64_t>(y - 1, 0) * width, plane + y * width,
            plane + std::min(y + 1, shape.height - 1) * width};
}

// Call body(x, before, after) for every column, the positions before and after it kept inside; the loop over the
// inside columns has no conditions.
template <typename Body>
VARIFLOW_INLINE void for_columns(int64_t width, Body body) {
    const int64_t last = width - 1;
    body(int64_t{0}, int64_t{0}, std::min<int64_t>(1, last));
    for (int64_t x = 1; x < last; ++x) body(x, x - 1, x + 1);
    if (last > 0) body(last, last - 1, last);
}

// The differences of a flow's components across a pixel, twice their derivatives.
struct Slopes {
    float ux, uy, vx, vy;

    // The larger of |2 grad u|^2 and |2 grad v|^2.
    VARIFLOW_INLINE float steepest() const {
        const float of_u = ux * ux + uy * uy, of_v = vx * vx + vy * vy;
        return of_u > of_v ? of_u : of_v;
    }
};

VARIFLOW_INLINE Slopes slopes_of(Row u, Row v, int64_t x, int64_t before, int64_t after) {
    return {u.at[after] - u.at[before], u.below[x] - u.above[x], v.at[after] - v.at[before], v.below[x] - v.above[x]};
}

// The larger of |grad u| and |grad v|.
VARIFLOW_CLONES
void gradient_size(Row u, Row v, int64_t width, float* VARIFLOW_RESTRICT out) {
    for_columns(width, [=](int64_t x, int64_t before, int64_t after) VARIFLOW_INLINE_LAMBDA {
        out[x] = 0.5f * std::sqrt(slopes_of(u, v, x, before, after).steepest());
    });
}

VARIFLOW_CLONES
void mark_edges(const float* VARIFLOW_RESTRICT size, float edge, float ratio, int64_t width,
                float* VARIFLOW_RESTRICT mean_then_mark) {
    for (int64_t x = 0; x < width; ++x) {
        mean_then_mark[x] = ((size[x] > edge) & (size[x] > ratio * mean_then_mark[x])) ? 1.0f : 0.0f;
    }
}

VARIFLOW_CLONES
void mark_positive(int64_t width, float* VARIFLOW_RESTRICT values) {
    for (int64_t x = 0; x < width; ++x) values[x] = values[x] > 0.0f ? 1.0f : 0.0f;
}

VARIFLOW_CLONES
void mark_low(const float* VARIFLOW_RESTRICT marks, float least, int64_t width,
              float* VARIFLOW_RESTRICT mean_then_mark) {
    for (int64_t x = 0; x < width; ++x) mean_then_mark[x] = mean_then_mark[x] < least ? 2.0f * marks[x] : marks[x];
}

VARIFLOW_CLONES
void add_squares(const float* VARIFLOW_RESTRICT values, int64_t width, float factor, float* VARIFLOW_RESTRICT sums) {
    for (int64_t x = 0; x < width; ++x) sums[x] += factor * values[x] * values[x];
}

// Where the flow converges, the surface in front covers the pixel; where it is steep, it is a mixture of two motions.
VARIFLOW_CLONES
void doubts_of_slopes(Row u, Row v, int64_t width, float of_divergence, float of_steepness,
                      float* VARIFLOW_RESTRICT out) {
    for_columns(width, [=](int64_t x, int64_t before, int64_t after) VARIFLOW_INLINE_LAMBDA {
        const Slopes slopes = slopes_of(u, v, x, before, after);
        const float divergence = slopes.ux + slopes.vy;
        const float negative = divergence < 0.0f ? divergence : 0.0f;
        out[x] = 0.25f * (of_divergence * negative * negative + of_steepness * slopes.steepest());
    });
}

VARIFLOW_CLONES
void to_visibility(int64_t width, float* VARIFLOW_RESTRICT values) {
    for (int64_t x = 0; x < width; ++x) {
        const float visible = decay(values[x] < most ? values[x] : most);
        values[x] = visible > least_visibility ? visible : least_visibility;
    }
}

float reciprocal_of_double_square(float deviation) { return 0.5f / (deviation * deviation); }

}  // namespace

void motion_edges(const float* flow, Shape shape, EdgeRule rule, float* out) {
    const int64_t height = shape.height, width = shape.width, pixels = height * width;
    const Workspace size(pixels), mean(pixels);
    float *const sizes = size.data(), *const edges = mean.data();
    const Shape plane{1, height, width};
    parallel_for(height, rows_per_chunk(width), [=](int64_t begin, int64_t end) {
        for (int64_t y = begin; y < end; ++y) {
            gradient_size(row_of(flow, y, shape), row_of(flow + pixels, y, shape), width, sizes + y * width);
        }
    });
    box_mean(sizes, plane, rule.window / 2, edges);
    mark_edges(sizes, rule.edge, rule.ratio, pixels, edges);
    box_mean(edges, plane, rule.dilation, out);
    mark_positive(pixels, out);
}

void mark_hidden(const float* edges, const float* visibility, Shape shape, int64_t window, float least, float* out) {
    box_mean(visibility, shape, window / 2, out);
    parallel_for(shape.height, rows_per_chunk(shape.width), [=](int64_t begin, int64_t end) {
        mark_low(edges + begin * shape.width, least, (end - begin) * shape.width, out + begin * shape.width);
    });
}

void visibility(const float* flow, const float* differences, const float* mismatch, Shape shape, Deviations deviations,
                float* out) {
    const int64_t width = shape.width, pixels = shape.height * width;
    const float of_divergence = reciprocal_of_double_square(deviations.divergence);
    const float of_steepness = reciprocal_of_double_square(deviations.steepness);
    const float of_difference = reciprocal_of_double_square(deviations.difference) / static_cast<float>(shape.channels);
    const float of_mismatch = reciprocal_of_double_square(deviations.mismatch);
    parallel_for(shape.height, rows_per_chunk(width), [=](int64_t begin, int64_t end) {
        for (int64_t y = begin; y < end; ++y) {
            float* const row = out + y * width;
            doubts_of_slopes(row_of(flow, y, shape), row_of(flow + pixels, y, shape), width, of_divergence,
                             of_steepness, row);
            for (int64_t channel = 0; channel < shape.channels; ++channel) {
                add_squares(differences + channel * pixels + y * width, width, of_difference, row);
            }
            add_squares(mismatch + y * width, width, of_mismatch, row);
            to_visibility(width, row);
        }
    });
}

}  // namespace variflow
