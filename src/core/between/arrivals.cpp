// Sort the pixels of a frame by where they are after a share of their motion: first by rows of cells, then each row by
// columns. Both keep the order of the pixels, whatever the number of threads, because each place in the result follows
// from counts alone.
#include <algorithm>
#include <utility>
#include <vector>

#include "base/platform.hpp"
#include "base/threads.hpp"
#include "between/between.hpp"
#include "image/rows.hpp"

namespace variflow {
namespace {

// A flow is confirmed by half if the square of the distance by which its point misses, forth and back, is this many
// square pixels plus this share of the squared motions.
constexpr float absolute = 1.0f, relative = 0.005f;

// The rows of a frame that a thread counts at a time.
constexpr int64_t rows_at_once = 16;

struct Place {
    float x, y;
};

struct Pixel {
    int32_t x, y;
};

VARIFLOW_INLINE Place place_of(const Flows& flows, float share, int64_t x, int64_t y) {
    const int64_t at = y * flows.width + x;
    return {static_cast<float>(x) + share * flows.there[at],
            static_cast<float>(y) + share * flows.there[flows.height * flows.width + at]};
}

// Whether any pixel sees it; false where the motion is unknown.
VARIFLOW_INLINE bool is_near(Place place, int64_t height, int64_t width) {
    return place.x >= -reach && place.x < static_cast<float>(width + reach - 1) && place.y >= -reach &&
           place.y < static_cast<float>(height + reach - 1);
}

// The cell of a place that is near, counted from 0.
VARIFLOW_INLINE int32_t cell_of(float position) {
    const auto whole = static_cast<int32_t>(position);
    return whole - (position < static_cast<float>(whole) ? 1 : 0) + reach;
}

VARIFLOW_CLONES
void trust_row(const float* VARIFLOW_RESTRICT u, const float* VARIFLOW_RESTRICT v,
               const float* VARIFLOW_RESTRICT back_u, const float* VARIFLOW_RESTRICT back_v, float y, int64_t height,
               int64_t width, float* VARIFLOW_RESTRICT trust) {
    const float right = static_cast<float>(width) - 0.5f, bottom = static_cast<float>(height) - 0.5f;
    for (int64_t i = 0; i < width; ++i) {
        const float x_after = static_cast<float>(i) + u[i], y_after = y + v[i];
        const float miss_u = u[i] + back_u[i], miss_v = v[i] + back_v[i];
        const float motions = u[i] * u[i] + v[i] * v[i] + back_u[i] * back_u[i] + back_v[i] * back_v[i];
        const float tolerance = absolute + relative * motions;
        const float confirmed = tolerance / (tolerance + miss_u * miss_u + miss_v * miss_v);
        const bool inside = (x_after >= -0.5f) & (x_after <= right) & (y_after >= -0.5f) & (y_after <= bottom);
        const float told =
            confirmed == confirmed ? confirmed : 0.5f;  // an unknown flow back neither confirms nor denies
        trust[i] = inside ? told : 0.0f;
    }
}

void find_trust(const Flows& flows, float* trust) {
    const int64_t width = flows.width, size = flows.height * width;
    parallel_for(flows.height, rows_per_chunk(width), [&](int64_t begin, int64_t end) {
        const Workspace back(2 * width);
        for (int64_t y = begin; y < end; ++y) {
            const float *u = flows.there + y * width, *v = u + size;
            warp_row(flows.back, {2, flows.height, width}, y, 0, width, u, v, Interpolation::bilinear, back.data(),
                     width);
            trust_row(u, v, back.data(), back.data() + width, static_cast<float>(y), flows.height, width,
                      trust + y * width);
        }
    });
}

}  // namespace

Arrivals::Arrivals(const Flows& flows, float share, float sign)
    : height(flows.height),
      width(flows.width),
      stride_(flows.width + 2 * reach),
      values_(5 * (flows.height * flows.width + 3)),
      first_(static_cast<size_t>((flows.height + 2 * reach - 1) * stride_)) {
    sort(flows, share, sign);
}

void Arrivals::sort(const Flows& flows, float share, float sign) {
    const int64_t size = height * width;
    const int64_t rows = height + 2 * reach - 1, columns = width + 2 * reach - 1;
    const int64_t chunks = (height + rows_at_once - 1) / rows_at_once;
    std::vector<int32_t> next(static_cast<size_t>(chunks * rows)), of_row(static_cast<size_t>(rows + 1));
    // The row of cells of each pixel, or -1. It is computed once: rounded in another way, it might be another one.
    std::vector<int32_t> row_of(static_cast<size_t>(size));
    parallel_for(chunks, 1, [&](int64_t chunk, int64_t) {
        int32_t* const counts = next.data() + chunk * rows;
        for (int64_t y = chunk * rows_at_once; y < std::min(height, (chunk + 1) * rows_at_once); ++y) {
            for (int64_t x = 0; x < width; ++x) {
                const Place place = place_of(flows, share, x, y);
                const int32_t row = is_near(place, height, width) ? cell_of(place.y) : -1;
                row_of[static_cast<size_t>(y * width + x)] = row;
                if (row >= 0) ++counts[row];
            }
        }
    });
    int32_t before = 0;
    for (int64_t row = 0; row < rows; ++row) {
        of_row[static_cast<size_t>(row)] = before;
        for (int64_t chunk = 0; chunk < chunks; ++chunk) {
            before += std::exchange(next[static_cast<size_t>(chunk * rows + row)], before);
        }
    }
    of_row[static_cast<size_t>(rows)] = before;

    std::vector<Pixel> sources(static_cast<size_t>(before));
    parallel_for(chunks, 1, [&](int64_t chunk, int64_t) {
        int32_t* const places = next.data() + chunk * rows;
        for (int64_t y = chunk * rows_at_once; y < std::min(height, (chunk + 1) * rows_at_once); ++y) {
            for (int64_t x = 0; x < width; ++x) {
                const int32_t row = row_of[static_cast<size_t>(y * width + x)];
                if (row >= 0)
                    sources[static_cast<size_t>(places[row]++)] = {static_cast<int32_t>(x), static_cast<int32_t>(y)};
            }
        }
    });
    const Workspace trusts(size);
    find_trust(flows, trusts.data());
    float *const to_x = values_.take(size + 3), *const to_y = values_.take(size + 3),
                 *const to_u = values_.take(size + 3);
    float *const to_v = values_.take(size + 3), *const to_trust = values_.take(size + 3);
    x = to_x, y = to_y, u = to_u, v = to_v, trust = to_trust;
    for (float* const values : {to_x, to_y, to_u, to_v, to_trust})
        std::fill(values + before, values + before + 3, 0.0f);
    parallel_for(rows, rows_at_once, [&](int64_t begin, int64_t end) {
        std::vector<int32_t> places(static_cast<size_t>(columns)), column_of;
        for (int64_t row = begin; row < end; ++row) {
            const Pixel* const from = sources.data() + of_row[static_cast<size_t>(row)];
            const auto count =
                static_cast<size_t>(of_row[static_cast<size_t>(row + 1)] - of_row[static_cast<size_t>(row)]);
            column_of.resize(count);
            std::fill(places.begin(), places.end(), 0);
            for (size_t i = 0; i < count; ++i) {
                column_of[i] = std::clamp(cell_of(place_of(flows, share, from[i].x, from[i].y).x), 0,
                                          static_cast<int32_t>(columns - 1));
                ++places[static_cast<size_t>(column_of[i])];
            }
            int32_t place = of_row[static_cast<size_t>(row)];
            int32_t* const first = first_.data() + row * stride_;
            for (int64_t column = 0; column < columns; ++column) {
                first[column] = place;
                place += std::exchange(places[static_cast<size_t>(column)], place);
            }
            first[columns] = place;
            for (size_t i = 0; i < count; ++i) {
                const Place at = place_of(flows, share, from[i].x, from[i].y);
                const int64_t pixel = from[i].y * width + from[i].x;
                const int32_t here = places[static_cast<size_t>(column_of[i])]++;
                to_x[here] = at.x, to_y[here] = at.y;
                to_u[here] = sign * flows.there[pixel], to_v[here] = sign * flows.there[size + pixel];
                to_trust[here] = trusts.data()[pixel];
            }
        }
    });
}

}  // namespace variflow
