// The deviation of the noise of planes, from where they show little else.
//
// The second difference along x of the second difference along y of a smooth image is next to nothing; that of white
// noise has six times its deviation (Immerkaer, Fast noise variance estimation, CVIU 64, 1996). Its mean square over a
// small block is the noise's where a block holds no edges and no texture: so a low percentile of the blocks is taken
// (much as in Tai and Yang, A fast method for image noise estimation using Laplacian operator and adaptive edge
// detection, 2008, who leave edges out). Blocks do not count if more than a few of their pixels come near the least
// or the greatest value that occurs, where noise may have been cut off, nor if they hold anything not finite. If few others
// are left, they may well be the one part of the frame that has texture everywhere, as a rough wall beside particles over
// dark ground. Then the blocks that were cut off tell the most that the noise can be: half of its deviation is left where
// half of it is cut off.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "base/platform.hpp"
#include "image/image.hpp"

namespace variflow {
namespace {

constexpr int64_t side = 8, outer = side + 2;  // of a block, and with what its differences look at
constexpr int64_t most_blocks = 1024, fewest_blocks = 16;
constexpr double percentile = 0.05;
// Below the first share of all blocks those that count tell nothing; from the second on they tell the noise, but no more than
// so many times what all blocks say; and from the third on whatever the others say.
constexpr double share_for_nothing = 0.125, share_for_bounded = 0.25, share_for_all = 0.5;
constexpr double most_times = 2.0;
// A value is near another if it is no farther from it than this share of the range, a grey level of a camera. So a little
// noise on frames that were cut off does not change which blocks count.
constexpr float near_share = 1.0f / 256.0f;
// By how much that percentile is too low for white noise, found by simulation (benchmarks/fit_noise.py).
constexpr double to_white_noise = 1.336;

// More pixels than these are more than a few. Where noise is strong, hardly any block is without some.
constexpr int64_t few = outer * outer / 8;

struct BlockStatistics {
    float mean_square, least, most;
    const float* corner;
};

VARIFLOW_CLONES
BlockStatistics statistics(const float* VARIFLOW_RESTRICT corner, int64_t width) {
    float along[outer][side], squares[side] = {}, least[outer], most[outer];
    std::fill_n(least, outer, corner[0]);
    std::fill_n(most, outer, corner[0]);
    for (int64_t y = 0; y < outer; ++y) {
        const float* row = corner + y * width;
        for (int64_t x = 0; x < side; ++x) along[y][x] = row[x] - 2.0f * row[x + 1] + row[x + 2];
        for (int64_t x = 0; x < outer; ++x) {
            least[x] = row[x] < least[x] ? row[x] : least[x];
            most[x] = row[x] > most[x] ? row[x] : most[x];
        }
    }
    for (int64_t y = 0; y < side; ++y) {
        for (int64_t x = 0; x < side; ++x) {
            const float difference = along[y][x] - 2.0f * along[y + 1][x] + along[y + 2][x];
            squares[x] += difference * difference;
        }
    }
    float sum = 0.0f;
    for (const float square : squares) sum += square;
    return {sum / static_cast<float>(side * side), *std::min_element(least, least + outer),
            *std::max_element(most, most + outer), corner};
}

bool is_cut_off(const BlockStatistics& block, int64_t width, float low, float high) {
    if (block.least > low && block.most < high) return false;
    int64_t outside = 0;
    for (int64_t y = 0; y < outer; ++y) {
        const float* row = block.corner + y * width;
        for (int64_t x = 0; x < outer; ++x) outside += row[x] <= low || row[x] >= high;
    }
    return outside > few;
}

double find_low(std::vector<float>& squares) {
    const auto low = squares.begin() + static_cast<int64_t>(percentile * static_cast<double>(squares.size()));
    std::nth_element(squares.begin(), low, squares.end());
    return static_cast<double>(*low);
}

// 0 up to the first value, 1 from the second on, and even between them.
double rise(double value, double from, double to) { return std::clamp((value - from) / (to - from), 0.0, 1.0); }

double variance(const float* plane, int64_t height, int64_t width) {
    const double blocks_in_all = static_cast<double>(height / outer * (width / outer));
    const auto every = std::max<int64_t>(1, std::llround(std::ceil(std::sqrt(blocks_in_all / most_blocks))));
    std::vector<BlockStatistics> blocks;
    float least = std::numeric_limits<float>::infinity(), most = -least;
    for (int64_t y = 0; y + outer <= height; y += every * outer) {
        for (int64_t x = 0; x + outer <= width; x += every * outer) {
            const auto found = statistics(plane + y * width + x, width);
            if (!std::isfinite(found.mean_square)) continue;
            blocks.push_back(found);
            least = std::min(least, found.least);
            most = std::max(most, found.most);
        }
    }
    const float margin = near_share * (most - least);
    std::vector<float> all, counting;
    for (const auto& block : blocks) {
        all.push_back(block.mean_square);
        if (!is_cut_off(block, width, least + margin, most - margin)) counting.push_back(block.mean_square);
    }
    if (static_cast<int64_t>(counting.size()) < fewest_blocks) return 0.0;
    const double share = static_cast<double>(counting.size()) / static_cast<double>(all.size());
    const double found = find_low(counting), bounded = std::min(found, most_times * most_times * find_low(all));
    const double told = rise(share, share_for_nothing, share_for_bounded) *
                        (bounded + rise(share, share_for_bounded, share_for_all) * (found - bounded));
    return told * to_white_noise * to_white_noise / 36.0;
}

}  // namespace

double noise(const float* planes, Shape shape) {
    double sum = 0.0;
    for (int64_t channel = 0; channel < shape.channels; ++channel) {
        sum += variance(planes + channel * shape.height * shape.width, shape.height, shape.width);
    }
    return std::sqrt(sum / static_cast<double>(shape.channels));
}

}  // namespace variflow
