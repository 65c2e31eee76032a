// Floats brought into another order: rows of pairs taken apart and put together, rows as columns. Compilers do it with the
// widest vectors, whose halves some processors exchange so slowly that four floats at a time are several times as fast.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/platform.hpp"

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

// The same, plus what `start` holds.
inline void pair_up_and_add_row(const float* even, const float* odd, const float* start, int64_t count,
                                float* VARIFLOW_RESTRICT row) {
    int64_t i = 0;
    for (; i + 4 <= count / 2; i += 4) {
        Four first = load_four(even + i), second = load_four(odd + i);
        pair_up(first, second);
        store_four(load_four(start + 2 * i) + first, row + 2 * i);
        store_four(load_four(start + 2 * i + 4) + second, row + 2 * i + 4);
    }
    for (; i < count / 2; ++i) row[2 * i] = start[2 * i] + even[i], row[2 * i + 1] = start[2 * i + 1] + odd[i];
    if (count % 2) row[count - 1] = start[count - 1] + even[count / 2];
}

// to(column, row) = from(row, column); rows of both are so many floats apart.
inline void swap_axes(const float* from, int64_t from_stride, int64_t rows, int64_t columns, float* to,
                      int64_t to_stride) {
    for (int64_t row = 0; row < rows; row += 4) {
        for (int64_t column = 0; column < columns; column += 4) {
            const float* const corner = from + row * from_stride + column;
            float* const target = to + column * to_stride + row;
            if (row + 4 <= rows && column + 4 <= columns) {
                Four a = load_four(corner), b = load_four(corner + from_stride);
                Four c = load_four(corner + 2 * from_stride), d = load_four(corner + 3 * from_stride);
                transpose(a, b, c, d);
                store_four(a, target);
                store_four(b, target + to_stride);
                store_four(c, target + 2 * to_stride);
                store_four(d, target + 3 * to_stride);
                continue;
            }
            for (int64_t i = 0; i < std::min<int64_t>(4, rows - row); ++i) {
                for (int64_t k = 0; k < std::min<int64_t>(4, columns - column); ++k) {
                    target[k * to_stride + i] = corner[i * from_stride + k];
                }
            }
        }
    }
}

}  // namespace variflow
