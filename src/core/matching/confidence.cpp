// How much a match is to be trusted: whether the way there and back returns to where it began, whether the match is
// distinct from its surroundings, and whether its neighbours agree.
#include <cmath>
#include <limits>
#include <vector>

#include "base/threads.hpp"
#include "matching/matching.hpp"

namespace variflow {
namespace {

// A match that misses itself by more than this, in pixels, is none.
constexpr float farthest_miss = 2.5f;
// Neighbours agree that differ by less than this, in pixels.
constexpr float alike = 3.0f;

// The odds that a match is right within 3 pixels: those of a distinct one that returns exactly, and their decline with
// each pixel missed and with the ambiguity, by logistic regression over pairs with known flow
// (benchmarks/fit_matching.py).
constexpr float log_odds = 4.1f, decline_by_miss = 0.9f, decline_by_ambiguity = 3.1f;

constexpr int64_t rows_at_once = 16;

// The distance by which the nearest of the seeds around (x, y) of the second frame, followed back, misses.
float miss(float u, float v, float x, float y, const float* backward, int64_t across, int64_t down) {
    const auto left = static_cast<int64_t>(std::floor(x)), top = static_cast<int64_t>(std::floor(y));
    float least = std::numeric_limits<float>::infinity();
    for (int64_t q = top; q <= top + 1; ++q) {
        for (int64_t p = left; p <= left + 1; ++p) {
            if (p < 0 || q < 0 || p >= across || q >= down) continue;
            const float du = u + backward[q * across + p], dv = v + backward[(down + q) * across + p];
            const float distance = std::sqrt(du * du + dv * dv);
            if (distance < least) least = distance;  // false of NaN
        }
    }
    return least;
}

}  // namespace

void match_confidence(const float* forward, const float* backward, int64_t across, int64_t down, int64_t step,
                      float* out) {
    const int64_t count = across * down;
    const float *const u = forward, *const v = forward + count, *const ambiguity = forward + 2 * count;
    std::vector<float> misses(static_cast<size_t>(count));
    parallel_for(down, rows_at_once, [&](int64_t begin, int64_t end) {
        for (int64_t j = begin; j < end; ++j) {
            for (int64_t i = 0; i < across; ++i) {
                const int64_t k = j * across + i;
                const float x = static_cast<float>(i) + u[k] / static_cast<float>(step);
                const float y = static_cast<float>(j) + v[k] / static_cast<float>(step);
                const bool inside =
                    x > -1.0f && y > -1.0f && x < static_cast<float>(across) && y < static_cast<float>(down);
                misses[k] =
                    inside ? miss(u[k], v[k], x, y, backward, across, down) : std::numeric_limits<float>::infinity();
            }
        }
    });
    parallel_for(down, rows_at_once, [&](int64_t begin, int64_t end) {
        for (int64_t j = begin; j < end; ++j) {
            for (int64_t i = 0; i < across; ++i) {
                const int64_t k = j * across + i;
                out[k] = 0.0f;
                if (!(misses[k] <= farthest_miss) || !(ambiguity[k] < 1.0f)) continue;
                float neighbours = 0.0f, agreeing = 0.0f;
                for (int64_t q = j > 0 ? j - 1 : j; q <= j + 1 && q < down; ++q) {
                    for (int64_t p = i > 0 ? i - 1 : i; p <= i + 1 && p < across; ++p) {
                        const int64_t n = q * across + p;
                        if (n == k) continue;
                        neighbours += 1.0f;
                        if (!(misses[n] <= farthest_miss)) continue;
                        const float du = u[n] - u[k], dv = v[n] - v[k];
                        if (du * du + dv * dv < alike * alike) agreeing += 1.0f;
                    }
                }
                if (agreeing < 0.5f * neighbours || neighbours == 0.0f) continue;
                const float support = agreeing / neighbours;
                const float odds =
                    support * support *
                    std::exp(log_odds - decline_by_miss * misses[k] - decline_by_ambiguity * ambiguity[k]);
                out[k] = odds / (1.0f + odds);
            }
        }
    });
}

}  // namespace variflow
