// From matches to a dense field: at each place an affine motion fitted to the matches around it.
//
// How much a match counts at a place decays with the way between both, which is longer across edges of the guide. Such
// weights need not be known: sums over all matches with weights that decay along rows, and then along columns, are what
// recursive filters compute (Gastal and Oliveira, Domain transform for edge-aware image and video processing, 2011).
// The sums of the normal equations are filtered so, and each place solves its own. The fits are repeated with less
// weight on the matches that deviate from them.
#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "base/platform.hpp"
#include "base/threads.hpp"
#include "base/vector_math.hpp"
#include "matching/matching.hpp"

namespace variflow {
namespace {

// Sums over matches of w, wx, wy, wxx, wxy, wyy, and of w, wx, wy times u and v.
constexpr int moments = 12;

// So much do all matches count everywhere, beside those around; where there are none, they decide.
constexpr double everywhere = 1e-12;

// The part of a sum that arrives at the next place.
VARIFLOW_CLONES
void add_decayed(const double* VARIFLOW_RESTRICT from, const float* VARIFLOW_RESTRICT decay, int64_t places,
                 double* VARIFLOW_RESTRICT to) {
    for (int64_t i = 0; i < places; ++i) {
        const double part = decay[i];
        for (int k = 0; k < moments; ++k) to[i * moments + k] += part * from[i * moments + k];
    }
}

VARIFLOW_CLONES
void sum_along_row(const float* VARIFLOW_RESTRICT decay, int64_t width, double* VARIFLOW_RESTRICT row,
                   double* VARIFLOW_RESTRICT backward) {
    double sum[moments] = {};
    for (int64_t x = width - 1; x >= 0; --x) {
        for (int k = 0; k < moments; ++k) {
            backward[x * moments + k] = sum[k];  // without the place itself
            sum[k] = (sum[k] + row[x * moments + k]) * (x > 0 ? decay[x - 1] : 0.0f);
        }
    }
    for (int k = 0; k < moments; ++k) sum[k] = 0.0;
    for (int64_t x = 0; x < width; ++x) {
        for (int k = 0; k < moments; ++k) {
            sum[k] += row[x * moments + k];
            row[x * moments + k] = sum[k] + backward[x * moments + k];
            sum[k] *= x + 1 < width ? decay[x] : 0.0f;
        }
    }
}

// exp(-(1 + contrast * difference) / reach) between neighbours.
VARIFLOW_CLONES
void to_decay(float contrast, float reach, int64_t count, float* VARIFLOW_RESTRICT differences_then_decay) {
    for (int64_t i = 0; i < count; ++i) {
        const float way = (1.0f + contrast * differences_then_decay[i]) / reach;
        differences_then_decay[i] = exponential(-(way < 20.0f ? way : 20.0f));
    }
}

struct Fit {
    double u, v;
};

// Solve the normal equations at (x, y).
Fit fit_at(const double* sums, double x, double y, double ridge) {
    const double w = sums[0];
    if (!(w > 0.0)) return {0.0, 0.0};
    // About the centre of the matches.
    const double mx = sums[1] / w, my = sums[2] / w, mu = sums[6] / w, mv = sums[9] / w;
    const double xx = sums[3] / w - mx * mx + ridge, xy = sums[4] / w - mx * my, yy = sums[5] / w - my * my + ridge;
    const double determinant = xx * yy - xy * xy;
    auto along = [&](const double* s, double mean) {
        const double xs = s[1] / w - mx * mean, ys = s[2] / w - my * mean;
        const double slope_x = (yy * xs - xy * ys) / determinant, slope_y = (xx * ys - xy * xs) / determinant;
        return mean + slope_x * (x - mx) + slope_y * (y - my);
    };
    return {along(sums + 6, mu), along(sums + 9, mv)};
}

}  // namespace

void fill_affine(const FillPlanes& planes, Shape shape, FillRule rule, float* out) {
    const int64_t height = shape.height, width = shape.width, places = height * width;
    std::vector<float> across(static_cast<size_t>(places), 0.0f), down(static_cast<size_t>(places), 0.0f);
    for (int64_t y = 0; y < height; ++y) {
        for (int64_t x = 0; x < width; ++x) {
            const int64_t p = y * width + x;
            float right = 0.0f, below = 0.0f;
            for (int64_t c = 0; c < shape.channels; ++c) {
                const float* const guide = planes.guide + c * places;
                if (x + 1 < width) right += (guide[p + 1] - guide[p]) * (guide[p + 1] - guide[p]);
                if (y + 1 < height) below += (guide[p + width] - guide[p]) * (guide[p + width] - guide[p]);
            }
            across[p] = std::sqrt(right), down[p] = std::sqrt(below);
        }
    }
    to_decay(rule.contrast, rule.reach, places, across.data());
    to_decay(rule.contrast, rule.reach, places, down.data());

    std::vector<float> weights(planes.weight, planes.weight + places);
    std::vector<double> sums(static_cast<size_t>(places * moments)), above(sums.size());
    const double cx = 0.5 * static_cast<double>(width), cy = 0.5 * static_cast<double>(height);
    for (int64_t round = 0; round < rule.rounds; ++round) {
        std::array<double, moments> total{};
        for (int64_t p = 0; p < places; ++p) {
            double* const s = sums.data() + p * moments;
            const double w = weights[p];
            if (w > 0.0) {
                const double x = planes.x[p] - cx, y = planes.y[p] - cy;
                const double u = planes.u[p], v = planes.v[p];
                const double terms[moments] = {w,     w * x,     w * y,     w * x * x, w * x * y, w * y * y,
                                               w * u, w * u * x, w * u * y, w * v,     w * v * x, w * v * y};
                std::copy_n(terms, moments, s);
                for (int k = 0; k < moments; ++k) total[k] += terms[k];
            } else {
                std::fill_n(s, moments, 0.0);
            }
        }
        for (int64_t turn = 0; turn < rule.turns; ++turn) {
            parallel_for(height, 8, [&](int64_t begin, int64_t end) {
                std::vector<double> backward(static_cast<size_t>(width * moments));
                for (int64_t y = begin; y < end; ++y) {
                    sum_along_row(across.data() + y * width, width, sums.data() + y * width * moments, backward.data());
                }
            });
            parallel_for(width, 32, [&](int64_t begin, int64_t end) {
                const int64_t count = end - begin;
                auto at = [&](std::vector<double>& of, int64_t y) { return of.data() + (y * width + begin) * moments; };
                std::fill_n(at(above, 0), count * moments, 0.0);
                for (int64_t y = 1; y < height; ++y) {
                    // What comes from above, the row above itself included.
                    std::fill_n(at(above, y), count * moments, 0.0);
                    add_decayed(at(above, y - 1), down.data() + (y - 1) * width + begin, count, at(above, y));
                    add_decayed(at(sums, y - 1), down.data() + (y - 1) * width + begin, count, at(above, y));
                }
                for (int64_t y = height - 2; y >= 0; --y) {
                    add_decayed(at(sums, y + 1), down.data() + y * width + begin, count, at(sums, y));
                }
                for (int64_t y = 1; y < height; ++y) {
                    double *const to = at(sums, y), *const from = at(above, y);
                    for (int64_t k = 0; k < count * moments; ++k) to[k] += from[k];
                }
            });
        }
        const bool last = round + 1 == rule.rounds;
        parallel_for(height, 8, [&](int64_t begin, int64_t end) {
            for (int64_t p = begin * width; p < end * width; ++p) {
                double s[moments];
                for (int k = 0; k < moments; ++k) s[k] = sums[p * moments + k] + everywhere * total[k];
                double du = 0.0, dv = 0.0;
                if (planes.weight[p] > 0.0f) {
                    const Fit fit = fit_at(s, planes.x[p] - cx, planes.y[p] - cy, rule.ridge);
                    du = planes.u[p] - fit.u, dv = planes.v[p] - fit.v;
                }
                if (last) {
                    const Fit fit =
                        fit_at(s, static_cast<double>(p % width) - cx, static_cast<double>(p / width) - cy, rule.ridge);
                    out[p] = static_cast<float>(fit.u), out[places + p] = static_cast<float>(fit.v);
                    out[2 * places + p] = static_cast<float>(du), out[3 * places + p] = static_cast<float>(dv);
                } else {
                    const double scale = static_cast<double>(rule.tolerance) * rule.tolerance;
                    const double part = scale / (scale + du * du + dv * dv);
                    weights[p] = static_cast<float>(planes.weight[p] * part * part);
                }
            }
        });
    }
}

}  // namespace variflow
