// Rows of pairs taken apart and put together. Compilers do it with the widest vectors, whose halves some processors
// exchange so slowly that four floats at a time are several times as fast.
#pragma once

#include <cstdint>

#include "platform.hpp"

namespace variflow {

// The even and the odd values of a row.
inline void part_row(const float* row, int64_t pairs, float* VARIFLOW_RESTRICT even, float* VARIFLOW_RESTRICT odd) {
    int64_t i = 0;
    for (; i + 4 <= pairs; i += 4) {
        Four first = load_four(row + 2 * i), second = load_four(row + 2 * i + 4);
        part(first, second);
        store_four(first, even + i);
        store_four(second, odd + i);
    }
    for (; i < pairs; ++i) even[i] = row[2 * i], odd[i] = row[2 * i + 1];
}

// A row of `count` values from its even and its odd ones.
inline void pair_up_row(const float* even, const float* odd, int64_t count, float* VARIFLOW_RESTRICT row) {
    int64_t i = 0;
    for (; i + 4 <= count / 2; i += 4) {
        Four first = load_four(even + i), second = load_four(odd + i);
        pair_up(first, second);
        store_four(first, row + 2 * i);
        store_four(second, row + 2 * i + 4);
    }
    for (; i < count / 2; ++i) row[2 * i] = even[i], row[2 * i + 1] = odd[i];
    if (count % 2) row[count - 1] = even[count / 2];
}

}  // namespace variflow
