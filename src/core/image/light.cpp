// By what gain and offset the light of two frames differs; frames/light.py says what for.
#include "image/light.hpp"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "base/platform.hpp"
#include "base/sums.hpp"

namespace variflow {
namespace {

struct Moments {
    double mean, spread;
};

// Of values that count 1 or 0.
VARIFLOW_CLONES
Moments moments(const float* values, const float* counts, int64_t number) {
    const double total =
        sum_of(number, [=](int64_t i) VARIFLOW_INLINE_LAMBDA { return static_cast<double>(counts[i]); });
    const double mean = sum_of(number,
                               [=](int64_t i) VARIFLOW_INLINE_LAMBDA {
                                   return static_cast<double>(counts[i]) * static_cast<double>(values[i]);
                               }) /
                        total;
    const double squares = sum_of(number, [=](int64_t i) VARIFLOW_INLINE_LAMBDA {
        const double apart = static_cast<double>(values[i]) - mean;
        return static_cast<double>(counts[i]) * apart * apart;
    });
    return {mean, std::sqrt(squares / total)};
}

// How far a fit leaves a value from its target.
VARIFLOW_INLINE double apart(float target, float value, double gain, double offset) {
    return std::fabs(static_cast<double>(target) - gain * static_cast<double>(value) - offset);
}

// The mean of |target - gain values - offset| where they count.
VARIFLOW_CLONES
double mean_difference(const float* target, const float* values, const float* counts, int64_t number, double gain,
                       double offset) {
    const double total =
        sum_of(number, [=](int64_t i) VARIFLOW_INLINE_LAMBDA { return static_cast<double>(counts[i]); });
    return sum_of(number,
                  [=](int64_t i) VARIFLOW_INLINE_LAMBDA {
                      return static_cast<double>(counts[i]) * apart(target[i], values[i], gain, offset);
                  }) /
           total;
}

VARIFLOW_CLONES
void keep_near(const float* target, const float* values, int64_t number, double gain, double offset, double most,
               float* VARIFLOW_RESTRICT kept) {
    for (int64_t i = 0; i < number; ++i) kept[i] = apart(target[i], values[i], gain, offset) <= most ? 1.0f : 0.0f;
}

}  // namespace

LightFit fit_light(const std::vector<float>& target, const std::vector<float>& values, const LightRule& rule) {
    const auto number = static_cast<int64_t>(target.size());
    const std::vector<float> all(target.size(), 1.0f);
    LightFit fit{1.0, 0.0, all};
    const double tolerated = 0.01 * moments(target.data(), all.data(), number).spread;
    for (int64_t round = 0; round < rule.rounds; ++round) {
        const Moments of_target = moments(target.data(), fit.kept.data(), number);
        const Moments of_values = moments(values.data(), fit.kept.data(), number);
        fit.gain = of_values.spread > 0.0
                       ? std::clamp(of_target.spread / of_values.spread, rule.least_gain, rule.largest_gain)
                       : 1.0;
        fit.offset = of_target.mean - fit.gain * of_values.mean;
        const double mean = mean_difference(target.data(), values.data(), all.data(), number, fit.gain, fit.offset);
        keep_near(target.data(), values.data(), number, fit.gain, fit.offset, 2.0 * mean + tolerated, fit.kept.data());
    }
    return fit;
}

LightChange light_change(const float* first, const float* second, const float* usable, Shape shape, int64_t every,
                         float margin, int64_t fewest, const LightRule& rule) {
    const auto [channels, height, width] = shape;
    LightChange light{0.0, 0.0, 0.0};
    for (int64_t channel = 0; channel < channels; ++channel) {
        const auto sampled = static_cast<size_t>(((height + every - 1) / every) * ((width + every - 1) / every));
        std::vector<float> target(sampled), value(sampled), counts(sampled);
        size_t i = 0;
        for (int64_t y = 0; y < height; y += every) {
            for (int64_t x = 0; x < width; x += every, ++i) {
                const int64_t pixel = y * width + x, at = channel * height * width + pixel;
                target[i] = first[at];
                value[i] = second[at];
                counts[i] = usable[pixel];
            }
        }
        // What lies close to the ends of the values may be saturated.
        const auto inner = [=](const std::vector<float>& of) {
            const auto [least, most] = std::minmax_element(of.begin(), of.end());
            return std::pair{*least + margin, *most - margin};
        };
        const auto targets = inner(target), values = inner(value);
        const auto within = [](float of, std::pair<float, float> ends) { return of > ends.first && of < ends.second; };
        size_t number = 0;
        for (i = 0; i < sampled; ++i) {
            if (counts[i] == 0.0f || !within(target[i], targets) || !within(value[i], values)) continue;
            target[number] = target[i];
            value[number++] = value[i];
        }
        target.resize(number);
        value.resize(number);
        if (static_cast<int64_t>(number) < fewest) continue;
        const LightFit fit = fit_light(target, value, rule);
        const auto difference = [&](double gain, double offset) {
            return mean_difference(target.data(), value.data(), fit.kept.data(), static_cast<int64_t>(number), gain,
                                   offset);
        };
        light.before += difference(1.0, 0.0);
        light.after += difference(fit.gain, fit.offset);
        const Moments of_values = moments(value.data(), fit.kept.data(), static_cast<int64_t>(number));
        for (const double side : {-2.0, 2.0}) {
            const double moved = (fit.gain - 1.0) * (of_values.mean + side * of_values.spread) + fit.offset;
            light.change = std::max(light.change, std::fabs(moved));
        }
    }
    return light;
}

}  // namespace variflow
