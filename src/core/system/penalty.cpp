#include "system/penalty.hpp"

#include <algorithm>

namespace variflow {
namespace {

// Between which knots squares lie: the number of the first, and how far it is to the second.
VARIFLOW_CLONES
void find_knots(const float* VARIFLOW_RESTRICT squared, int count, int32_t* VARIFLOW_RESTRICT numbers,
                float* VARIFLOW_RESTRICT parts) {
    constexpr int32_t first = std::bit_cast<int32_t>(PenaltyTable::lowest);
    constexpr int32_t between = int32_t{1} << PenaltyTable::bits_between;
    for (int i = 0; i < count; ++i) {
        const float above = squared[i] > PenaltyTable::lowest ? squared[i] : PenaltyTable::lowest;
        const float inside = above < PenaltyTable::highest ? above : PenaltyTable::highest;
        const int32_t place = std::bit_cast<int32_t>(inside) - first;
        numbers[i] = place >> PenaltyTable::bits_between;
        parts[i] = static_cast<float>(place & (between - 1)) * (1.0f / static_cast<float>(between));
    }
}

VARIFLOW_CLONES
void interpolate(const float* VARIFLOW_RESTRICT before, const float* VARIFLOW_RESTRICT after,
                 const float* VARIFLOW_RESTRICT parts, int count, float factor, float* VARIFLOW_RESTRICT out) {
    for (int i = 0; i < count; ++i) out[i] = factor * (before[i] + parts[i] * (after[i] - before[i]));
}

// Reading from the table stands apart from the loops around it, which become vector code: gathers are no faster.
void look_up(const float* table, const float* squared, int64_t count, float factor, float* out) {
    constexpr int most = 256;
    alignas(64) int32_t numbers[most];
    alignas(64) float parts[most], before[most], after[most];
    for (int64_t first = 0; first < count; first += most) {
        const int number = static_cast<int>(std::min<int64_t>(most, count - first));
        find_knots(squared + first, number, numbers, parts);
        for (int i = 0; i < number; ++i) {
            before[i] = table[numbers[i]];
            after[i] = table[numbers[i] + 1];
        }
        interpolate(before, after, parts, number, factor, out + first);
    }
}

VARIFLOW_CLONES
void penalise_by_formula(const Penalty& penalty, const float* VARIFLOW_RESTRICT squared, int64_t count,
                         float* VARIFLOW_RESTRICT values) {
    with_penalty(penalty, [&](auto function) VARIFLOW_INLINE_LAMBDA {
        for (int64_t i = 0; i < count; ++i) values[i] = function.value(squared[i]);
    });
}

VARIFLOW_CLONES
void weigh_by_formula(const Penalty& penalty, const float* VARIFLOW_RESTRICT squared, int64_t count, float factor,
                      float* VARIFLOW_RESTRICT weights) {
    with_penalty(penalty, [&](auto function) VARIFLOW_INLINE_LAMBDA {
        for (int64_t i = 0; i < count; ++i) weights[i] = factor * function.half_weight(squared[i]);
    });
}

}  // namespace

void penalise(const Penalty& penalty, const float* squared, int64_t count, float* values) {
    if (penalty.kind == PenaltyKind::tabulated) return look_up(penalty.table.values, squared, count, 1.0f, values);
    penalise_by_formula(penalty, squared, count, values);
}

void half_weights(const Penalty& penalty, const float* squared, int64_t count, float factor, float* weights) {
    if (penalty.kind == PenaltyKind::tabulated) {
        return look_up(penalty.table.half_weights, squared, count, factor, weights);
    }
    weigh_by_formula(penalty, squared, count, factor, weights);
}

}  // namespace variflow
