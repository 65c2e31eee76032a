// What is asked of every flow that a solver finds, without new planes: whether it is finite, and whether it moved.
#include <algorithm>
#include <atomic>
#include <bit>

#include "base/platform.hpp"
#include "base/threads.hpp"
#include "image/image.hpp"

namespace variflow {
namespace {

// Not 0 if a value is infinite or NaN: all bits of its exponent are set.
VARIFLOW_CLONES
int32_t find_not_finite(const float* VARIFLOW_RESTRICT values, int64_t count) {
    constexpr int32_t exponent = 0x7f800000;
    int32_t found = 0;
    for (int64_t i = 0; i < count; ++i) found |= (std::bit_cast<int32_t>(values[i]) & exponent) == exponent ? 1 : 0;
    return found;
}

// Chunks are small enough for numbers of 32 bits, of which vectors hold more.
VARIFLOW_CLONES
int32_t count_longer(const float* VARIFLOW_RESTRICT u0, const float* VARIFLOW_RESTRICT v0,
                     const float* VARIFLOW_RESTRICT u, const float* VARIFLOW_RESTRICT v, int32_t count, float squared) {
    int32_t longer = 0;
    for (int32_t i = 0; i < count; ++i) {
        const float du = u[i] - u0[i], dv = v[i] - v0[i];
        longer += du * du + dv * dv > squared ? 1 : 0;
    }
    return longer;
}

}  // namespace

bool are_finite(const float* values, int64_t count) {
    std::atomic<int32_t> found{0};
    parallel_for(count, rows_per_chunk(1), [&](int64_t begin, int64_t end) {
        if (find_not_finite(values + begin, end - begin)) found.store(1);
    });
    return found.load() == 0;
}

int64_t count_moved(const float* u0, const float* v0, const float* u, const float* v, int64_t count, float least) {
    std::atomic<int64_t> moved{0};
    parallel_for(count, rows_per_chunk(1), [&](int64_t begin, int64_t end) {
        moved += count_longer(u0 + begin, v0 + begin, u + begin, v + begin, static_cast<int32_t>(end - begin),
                              least * least);
    });
    return moved.load();
}

}  // namespace variflow
