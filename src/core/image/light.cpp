// By what gain and offset the light of two frames differs; frames/light.py says what for.
#include "image/light.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

namespace variflow {
namespace {

struct Moments {
    double mean, spread;
};

Moments moments(const std::vector<float>& values) {
    double sum = 0.0, squares = 0.0;
    for (const float value : values) sum += value;
    const double mean = sum / static_cast<double>(values.size());
    for (const float value : values) squares += (value - mean) * (value - mean);
    return {mean, std::sqrt(squares / static_cast<double>(values.size()))};
}

// Of both rows those that are kept.
void keep(const std::vector<bool>& kept, std::vector<float>& target, std::vector<float>& values) {
    size_t number = 0;
    for (size_t i = 0; i < kept.size(); ++i) {
        if (!kept[i]) continue;
        target[number] = target[i];
        values[number++] = values[i];
    }
    target.resize(number);
    values.resize(number);
}

// The mean of |target - gain values - offset|.
double mean_difference(const std::vector<float>& target, const std::vector<float>& values, double gain, double offset) {
    double sum = 0.0;
    for (size_t i = 0; i < target.size(); ++i) sum += std::fabs(target[i] - gain * values[i] - offset);
    return sum / static_cast<double>(target.size());
}

}  // namespace

LightFit fit_light(const std::vector<float>& target, const std::vector<float>& values, const LightRule& rule) {
    const double tolerated = 0.01 * moments(target).spread;
    LightFit fit{1.0, 0.0, std::vector<bool>(target.size(), true)};
    for (int64_t round = 0; round < rule.rounds; ++round) {
        std::vector<float> kept_target = target, kept_values = values;
        keep(fit.kept, kept_target, kept_values);
        const Moments of_target = moments(kept_target), of_values = moments(kept_values);
        fit.gain = of_values.spread > 0.0
                       ? std::clamp(of_target.spread / of_values.spread, rule.least_gain, rule.largest_gain)
                       : 1.0;
        fit.offset = of_target.mean - fit.gain * of_values.mean;
        const double most = 2.0 * mean_difference(target, values, fit.gain, fit.offset) + tolerated;
        for (size_t i = 0; i < target.size(); ++i) {
            fit.kept[i] = std::fabs(target[i] - fit.gain * values[i] - fit.offset) <= most;
        }
    }
    return fit;
}

LightChange light_change(const float* first, const float* second, const float* usable, Shape shape, int64_t every,
                         float margin, int64_t fewest, const LightRule& rule) {
    const auto [channels, height, width] = shape;
    LightChange light{0.0, 0.0, 0.0};
    for (int64_t channel = 0; channel < channels; ++channel) {
        struct Sample {
            float target, value;
            bool usable;
        };
        std::vector<Sample> samples;
        for (int64_t y = 0; y < height; y += every) {
            for (int64_t x = 0; x < width; x += every) {
                const int64_t pixel = y * width + x, at = channel * height * width + pixel;
                samples.push_back({first[at], second[at], usable[pixel] != 0.0f});
            }
        }
        // What lies close to the ends of the values may be saturated.
        auto inner = [&](float Sample::* of) {
            const auto [least, most] = std::minmax_element(
                samples.begin(), samples.end(), [=](const Sample& a, const Sample& b) { return a.*of < b.*of; });
            return std::pair{(*least).*of + margin, (*most).*of - margin};
        };
        const auto targets = inner(&Sample::target), values = inner(&Sample::value);
        auto within = [](float value, std::pair<float, float> ends) {
            return value > ends.first && value < ends.second;
        };
        std::vector<float> target, value;
        for (const Sample& sample : samples) {
            if (!sample.usable || !within(sample.target, targets) || !within(sample.value, values)) continue;
            target.push_back(sample.target);
            value.push_back(sample.value);
        }
        if (static_cast<int64_t>(target.size()) < fewest) continue;
        const LightFit fit = fit_light(target, value, rule);
        keep(fit.kept, target, value);
        light.before += mean_difference(target, value, 1.0, 0.0);
        light.after += mean_difference(target, value, fit.gain, fit.offset);
        const Moments of_values = moments(value);
        for (const double side : {-2.0, 2.0}) {
            const double moved = (fit.gain - 1.0) * (of_values.mean + side * of_values.spread) + fit.offset;
            light.change = std::max(light.change, std::fabs(moved));
        }
    }
    return light;
}

}  // namespace variflow
