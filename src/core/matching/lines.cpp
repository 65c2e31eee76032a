// Matching along epipolar lines: for each seed the depth at which both frames look most alike, where neighbours have
// like depths (Hirschmueller, Stereo processing by semiglobal matching and mutual information, 2008; Yamaguchi,
// McAllester and Urtasun, Robust monocular epipolar flow estimation, 2013).
//
// Surroundings are compared by the census transform (Zabih and Woodfill, Non-parametric local transforms for computing
// visual correspondence, 1994). The costs of all depths are summed along paths that reach each seed from eight sides.
// The sums are whole numbers, so their order does not matter.
#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "base/platform.hpp"
#include "base/threads.hpp"
#include "matching/matching.hpp"

namespace variflow {
namespace {

// The census of a pixel has a bit for each of its neighbours in 7 x 5, and for itself: whether it is darker, by more than
// the noise. One more bit marks a pixel that is not valid.
constexpr int64_t census_x = 3, census_y = 2;
constexpr float census_noise = 1.0f / 512.0f;
constexpr uint64_t compared_bits = (uint64_t{1} << 35) - 1, invalid = uint64_t{1} << 63;

// The cost of a depth is the number of bits that differ, of 175, at the seed and its four neighbours on the diagonals.
// Where there is nothing to compare it is what pixels that do not belong together have.
constexpr int nothing_to_compare = 60;

// What it costs if the next seed on a path has the next depth, or any other; less across an edge of the frame, where
// intensities differ much.
constexpr int next_depth = 30, other_depth = 400, other_depth_least = 100;
constexpr float edge = 6.0f;

// Beyond the first and the last depth of a seed.
constexpr uint16_t never = 1 << 14;

// A plane with a rim that repeats the outermost pixels.
std::vector<float> extend(const float* plane, int64_t height, int64_t width, int64_t rim_y, int64_t rim_x) {
    std::vector<float> out(static_cast<size_t>((height + 2 * rim_y) * (width + 2 * rim_x)));
    auto to = out.begin();
    for (int64_t y = -rim_y; y < height + rim_y; ++y) {
        const float* const row = plane + std::clamp<int64_t>(y, 0, height - 1) * width;
        to = std::fill_n(to, rim_x, row[0]);
        to = std::copy_n(row, width, to);
        to = std::fill_n(to, rim_x, row[width - 1]);
    }
    return out;
}

// The census of the pixels of a row; `centre` is the first of them in a plane with a rim.
VARIFLOW_CLONES
void transform_row(const float* centre, int64_t stride, int64_t width, uint64_t* VARIFLOW_RESTRICT out) {
    for (int64_t x = 0; x < width; ++x) {
        const float darker = centre[x] - census_noise;
        uint64_t bits = 0;
        for (int64_t j = -census_y; j <= census_y; ++j) {
            for (int64_t i = -census_x; i <= census_x; ++i) {
                bits = bits << 1 | static_cast<uint64_t>(centre[j * stride + x + i] < darker);
            }
        }
        out[x] = bits;
    }
}

// The census of each pixel of a frame, and of a rim of one pixel around it.
std::vector<uint64_t> transform(const Lined& frame) {
    const int64_t height = frame.height, width = frame.width, stride = width + 2 * (census_x + 1);
    const std::vector<float> extended = extend(frame.plane, height, width, census_y + 1, census_x + 1);
    std::vector<uint64_t> out(static_cast<size_t>((height + 2) * (width + 2)));
    for (int64_t y = 0; y < height + 2; ++y) {
        transform_row(extended.data() + (y + census_y) * stride + census_x, stride, width + 2,
                      out.data() + y * (width + 2));
    }
    for (int64_t y = 0; y < height; ++y) {
        for (int64_t x = 0; x < width; ++x) {
            if (frame.valid[y * width + x] == 0.0f) out[static_cast<size_t>((y + 1) * (width + 2) + x + 1)] |= invalid;
        }
    }
    return out;
}

VARIFLOW_INLINE int differ(uint64_t a, uint64_t b) { return std::popcount((a ^ b) & compared_bits); }

// Where the second frame shows a seed at each depth: of the 3 x 3 pixels around, the first one's place in a census with a
// rim; or none.
constexpr int32_t nowhere = -1;

VARIFLOW_CLONES
void find_places(const Lined& first, int64_t x, int64_t y, DepthRule rule, int32_t* VARIFLOW_RESTRICT places) {
    const float* const m = first.lines;
    const double px = static_cast<double>(x), py = static_cast<double>(y);
    const double ax = m[0] * px + m[1] * py + m[2], ay = m[4] * px + m[5] * py + m[6],
                 az = m[8] * px + m[9] * py + m[10];
    const double ex = m[3], ey = m[7], ez = m[11], begin = rule.first, interval = rule.interval;
    const double right = static_cast<double>(first.width) - 0.5, below = static_cast<double>(first.height) - 0.5;
    const auto stride = static_cast<int32_t>(first.width + 2), count = static_cast<int32_t>(rule.count);
    for (int32_t l = 0; l < count; ++l) {
        const double depth = begin + static_cast<double>(l) * interval, scale = 1.0 / (az + depth * ez);
        const double tx = (ax + depth * ex) * scale, ty = (ay + depth * ey) * scale;
        const bool inside = (tx > -0.5) & (ty > -0.5) & (tx < right) & (ty < below);
        const auto column = static_cast<int32_t>(inside ? tx + 0.5 : 0.0);
        const auto row = static_cast<int32_t>(inside ? ty + 0.5 : 0.0);
        places[l] = inside ? row * stride + column : nowhere;
    }
}

// The cost of each depth of a seed. The pointer is to the first of the 3 x 3 pixels around it.
VARIFLOW_CLONES
void compare(const uint64_t* VARIFLOW_RESTRICT here, const uint64_t* VARIFLOW_RESTRICT to, int64_t stride,
             const int32_t* VARIFLOW_RESTRICT places, int64_t count, uint8_t* VARIFLOW_RESTRICT costs) {
    const uint64_t around[] = {here[0], here[2], here[stride + 1], here[2 * stride], here[2 * stride + 2]};
    for (int64_t l = 0; l < count; ++l) {
        if (l > 0 && places[l] == places[l - 1]) {
            costs[l] = costs[l - 1];
            continue;
        }
        costs[l] = static_cast<uint8_t>(nothing_to_compare);
        if (places[l] == nowhere) continue;
        const uint64_t* const there = to + places[l];
        if (!(there[stride + 1] & invalid)) {
            costs[l] = static_cast<uint8_t>(
                differ(around[0], there[0]) + differ(around[1], there[2]) + differ(around[2], there[stride + 1]) +
                differ(around[3], there[2 * stride]) + differ(around[4], there[2 * stride + 2]));
        }
    }
}

// One step of a path: what it costs to reach each depth, less the least of these at the seed before. `before` and `after`
// have a place more at either end.
VARIFLOW_CLONES
uint16_t step(const uint8_t* VARIFLOW_RESTRICT costs, const uint16_t* VARIFLOW_RESTRICT before, uint16_t least,
              uint16_t jump, int64_t count, uint16_t* VARIFLOW_RESTRICT after, uint16_t* VARIFLOW_RESTRICT sums) {
    const auto any = static_cast<uint16_t>(least + jump);
    uint16_t lowest = std::numeric_limits<uint16_t>::max();
    VARIFLOW_INDEPENDENT
    for (int64_t l = 0; l < count; ++l) {
        const uint16_t down = before[l], same = before[l + 1], up = before[l + 2];
        const auto next = static_cast<uint16_t>((down < up ? down : up) + next_depth);
        uint16_t best = same < next ? same : next;
        best = best < any ? best : any;
        const auto reached = static_cast<uint16_t>(costs[l] + best - least);
        after[l + 1] = reached;
        sums[l] = static_cast<uint16_t>(sums[l] + reached);
        lowest = reached < lowest ? reached : lowest;
    }
    return lowest;
}

// A row of path costs: of each seed those of all depths, and the least of them.
struct PathRow {
    std::vector<uint16_t> costs, least;
    PathRow(int64_t seeds, int64_t depths)
        : costs(static_cast<size_t>(seeds * (depths + 2)), never), least(static_cast<size_t>(seeds), 0) {}
};

struct Seeds {
    int64_t across, down, depths;
    const uint8_t* costs;
    const float* guide;
    uint16_t* sums;
};

// Add to the sums the paths that run along the rows in order, and those that come to each row from the one before it:
// rows from the first to the last and columns from left to right, or both the other way.
void sweep(const Seeds& seeds, bool backward) {
    const int64_t across = seeds.across, down = seeds.down, depths = seeds.depths, stride = depths + 2;
    // From the left, and from above: left, middle, right.
    std::vector<PathRow> before(4, PathRow(across, depths)), after = before;
    const std::vector<uint16_t> nothing(static_cast<size_t>(stride), 0);
    for (int64_t r = 0; r < down; ++r) {
        const int64_t j = backward ? down - 1 - r : r;
        for (int64_t c = 0; c < across; ++c) {
            const int64_t i = backward ? across - 1 - c : c, k = j * across + i;
            for (int64_t path = 0; path < 4; ++path) {
                const int64_t from = path == 0 ? c - 1 : c + path - 2;  // counted as the sweep goes
                const bool begins = from < 0 || from >= across || (path > 0 && r == 0);
                const int64_t beside = backward ? across - 1 - from : from;
                const int64_t other = (path == 0 ? j : backward ? j + 1 : j - 1) * across + beside;
                const PathRow& row = path == 0 ? after[0] : before[static_cast<size_t>(path)];
                PathRow& to = after[static_cast<size_t>(path)];
                const uint16_t* const reached = begins ? nothing.data() : row.costs.data() + from * stride;
                int jump = 0;
                if (!begins) {
                    const float difference = std::fabs(seeds.guide[k] - seeds.guide[other]);
                    jump = std::max(other_depth_least, static_cast<int>(other_depth / (1.0f + edge * difference)));
                }
                to.least[static_cast<size_t>(c)] =
                    step(seeds.costs + k * depths, reached, begins ? uint16_t{0} : row.least[static_cast<size_t>(from)],
                         static_cast<uint16_t>(jump), depths, to.costs.data() + c * stride, seeds.sums + k * depths);
            }
        }
        std::swap(before, after);
    }
}

// The depth of the least sum, between whole steps where a parabola through its neighbours has its lowest point.
VARIFLOW_CLONES
float choose(const uint16_t* sums, DepthRule rule) {
    uint16_t least = std::numeric_limits<uint16_t>::max();
    for (int64_t l = 0; l < rule.count; ++l) least = sums[l] < least ? sums[l] : least;
    const auto best = static_cast<int64_t>(std::find(sums, sums + rule.count, least) - sums);
    float part = 0.0f;
    if (best > 0 && best + 1 < rule.count) {
        const int left = sums[best - 1] - least, right = sums[best + 1] - least;
        if (left + right > 0) part = 0.5f * static_cast<float>(left - right) / static_cast<float>(left + right);
    }
    return rule.first + (static_cast<float>(best) + part) * rule.interval;
}

void search_one_way(const Lined& first, const uint64_t* here, const uint64_t* there, DepthRule rule, float* out) {
    const SeedAxis columns(first.width, rule.step), rows(first.height, rule.step);
    const int64_t count = columns.count * rows.count, stride = first.width + 2;
    std::vector<uint8_t> costs(static_cast<size_t>(count * rule.count));
    std::vector<uint16_t> sums(costs.size(), 0);
    std::vector<float> guide(static_cast<size_t>(count));
    std::vector<int32_t> places(static_cast<size_t>(rule.count));
    auto is_valid = [&](int64_t x, int64_t y) { return first.valid[y * first.width + x] != 0.0f; };
    for (int64_t j = 0; j < rows.count; ++j) {
        for (int64_t i = 0; i < columns.count; ++i) {
            const int64_t x = columns.position(i), y = rows.position(j), k = j * columns.count + i;
            guide[static_cast<size_t>(k)] = first.plane[y * first.width + x];
            if (is_valid(x, y)) {
                find_places(first, x, y, rule, places.data());
            } else {
                std::fill(places.begin(), places.end(), nowhere);
            }
            compare(here + y * stride + x, there, stride, places.data(), rule.count, costs.data() + k * rule.count);
        }
    }
    const Seeds seeds{columns.count, rows.count, rule.count, costs.data(), guide.data(), sums.data()};
    sweep(seeds, false);
    sweep(seeds, true);
    for (int64_t j = 0; j < rows.count; ++j) {
        for (int64_t i = 0; i < columns.count; ++i) {
            const int64_t k = j * columns.count + i;
            const bool valid = is_valid(columns.position(i), rows.position(j));
            out[k] = valid ? choose(sums.data() + k * rule.count, rule) : std::numeric_limits<float>::quiet_NaN();
        }
    }
}

}  // namespace

void search_lines(const Lined& first, const Lined& second, DepthRule rule, float* forward, float* backward) {
    const Lined* const frames[] = {&first, &second};
    float* const depths[] = {forward, backward};
    std::vector<uint64_t> census[2];
    parallel_for(2, 1, [&](int64_t k, int64_t) { census[k] = transform(*frames[k]); });
    parallel_for(2, 1, [&](int64_t k, int64_t) {
        search_one_way(*frames[k], census[k].data(), census[1 - k].data(), rule, depths[k]);
    });
}

}  // namespace variflow
