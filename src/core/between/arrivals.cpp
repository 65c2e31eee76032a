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

// Rows of a frame that a thread sorts at a time: at least so many, in at most so many chunks.
constexpr int64_t fewest_rows = 16, most_chunks = 128;

struct Place {
    float x, y;
};

struct Pixel {
    int32_t x, y;
};

VARIFLOW_INLINE Place place_of(const Flows& flows, float share, Pixel pixel) {
    const int64_t at = pixel.y * flows.width + pixel.x;
    return {static_cast<float>(pixel.x) + share * flows.there[at],
            static_cast<float>(pixel.y) + share * flows.there[flows.height * flows.width + at]};
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

// The pixels that are near the frame, row of cells by row of cells, and the first of each row.
struct ByRows {
    std::vector<Pixel> pixels;
    std::vector<int32_t> first;
};

ByRows sort_by_rows(const Flows& flows, float share, int64_t rows) {
    const int64_t height = flows.height, width = flows.width;
    const int64_t at_once = std::max(fewest_rows, (height + most_chunks - 1) / most_chunks);
    const int64_t chunks = (height + at_once - 1) / at_once;
    const auto visit = [&](int64_t chunk, auto&& take) {
        for (int64_t y = chunk * at_once; y < std::min(height, (chunk + 1) * at_once); ++y) {
            for (int64_t x = 0; x < width; ++x) take(Pixel{static_cast<int32_t>(x), static_cast<int32_t>(y)});
        }
    };
    // The row of each pixel, or -1. It is computed once: rounded in another way, it might be another one.
    std::vector<int32_t> row_of(static_cast<size_t>(height * width)), next(static_cast<size_t>(chunks * rows));
    parallel_for(chunks, 1, [&](int64_t chunk, int64_t) {
        visit(chunk, [&](Pixel pixel) {
            const Place place = place_of(flows, share, pixel);
            const int32_t row = is_near(place, height, width) ? cell_of(place.y) : -1;
            row_of[static_cast<size_t>(pixel.y * width + pixel.x)] = row;
            if (row >= 0) ++next[static_cast<size_t>(chunk * rows + row)];
        });
    });
    ByRows sorted;
    int32_t before = 0;
    for (int64_t row = 0; row < rows; ++row) {
        sorted.first.push_back(before);
        for (int64_t chunk = 0; chunk < chunks; ++chunk) {
            before += std::exchange(next[static_cast<size_t>(chunk * rows + row)], before);
        }
    }
    sorted.first.push_back(before);
    sorted.pixels.resize(static_cast<size_t>(before));
    parallel_for(chunks, 1, [&](int64_t chunk, int64_t) {
        visit(chunk, [&](Pixel pixel) {
            const int32_t row = row_of[static_cast<size_t>(pixel.y * width + pixel.x)];
            if (row < 0) return;
            sorted.pixels[static_cast<size_t>(next[static_cast<size_t>(chunk * rows + row)]++)] = pixel;
        });
    });
    return sorted;
}

// Sort some pixels by columns of cells, and return their order. The first of each column is counted from `before` on.
void sort_by_columns(const Flows& flows, float share, const Pixel* pixels, size_t count, int64_t columns,
                     int32_t before, int32_t* first, std::vector<size_t>& order) {
    std::vector<int32_t> column_of(count), next(static_cast<size_t>(columns));
    for (size_t i = 0; i < count; ++i) {
        const int32_t column = cell_of(place_of(flows, share, pixels[i]).x);
        column_of[i] = std::clamp(column, 0, static_cast<int32_t>(columns - 1));
        ++next[static_cast<size_t>(column_of[i])];
    }
    int32_t place = 0;
    for (int64_t column = 0; column < columns; ++column) {
        first[column] = before + place;
        place += std::exchange(next[static_cast<size_t>(column)], place);
    }
    first[columns] = before + place;
    order.resize(count);
    for (size_t i = 0; i < count; ++i) order[static_cast<size_t>(next[static_cast<size_t>(column_of[i])]++)] = i;
}

}  // namespace

Arrivals::Arrivals(const Flows& flows, float share, float sign)
    : height(flows.height),
      width(flows.width),
      stride_(flows.width + 2 * reach),
      values_(5 * (flows.height * flows.width + 3)),
      first_(static_cast<size_t>((flows.height + 2 * reach - 1) * stride_)) {
    const int64_t size = height * width, rows = height + 2 * reach - 1, columns = width + 2 * reach - 1;
    const ByRows sorted = sort_by_rows(flows, share, rows);
    const Workspace trusts(size);
    find_trust(flows, trusts.data());
    float* to[5];
    for (float*& values : to) {
        values = values_.take(size + 3);
        std::fill_n(values + sorted.pixels.size(), 3, 0.0f);
    }
    x = to[0], y = to[1], u = to[2], v = to[3], trust = to[4];
    parallel_for(rows, fewest_rows, [&](int64_t begin, int64_t end) {
        std::vector<size_t> order;
        for (int64_t row = begin; row < end; ++row) {
            const int32_t before = sorted.first[static_cast<size_t>(row)];
            const auto count = static_cast<size_t>(sorted.first[static_cast<size_t>(row + 1)] - before);
            const Pixel* const pixels = sorted.pixels.data() + before;
            sort_by_columns(flows, share, pixels, count, columns, before, first_.data() + row * stride_, order);
            for (size_t i = 0; i < count; ++i) {
                const Pixel pixel = pixels[order[i]];
                const Place place = place_of(flows, share, pixel);
                const int64_t from = pixel.y * width + pixel.x;
                const float values[] = {place.x, place.y, sign * flows.there[from], sign * flows.there[size + from],
                                        trusts.data()[from]};
                for (size_t k = 0; k < 5; ++k) to[k][static_cast<size_t>(before) + i] = values[k];
            }
        }
    });
}

}  // namespace variflow
