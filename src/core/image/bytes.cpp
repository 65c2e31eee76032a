// Images of bytes, (H, W, C) with the channels last, as cameras and files hand them out.
#include <algorithm>
#include <array>
#include <cstring>

#include "base/platform.hpp"
#include "base/threads.hpp"
#include "image/image.hpp"

namespace variflow {
namespace {

constexpr int64_t values = 256;

// Tables are read one by one, without clones: vector instructions that gather take twice as long.
// out[i] = table[bytes[i * step]]
void look_up_row(const uint8_t* VARIFLOW_RESTRICT bytes, int64_t step, const float* VARIFLOW_RESTRICT table,
                 int64_t count, float* VARIFLOW_RESTRICT out) {
    for (int64_t i = 0; i < count; ++i) out[i] = table[bytes[i * step]];
}

void add_row(const uint8_t* VARIFLOW_RESTRICT bytes, int64_t step, const float* VARIFLOW_RESTRICT table, int64_t count,
             float* VARIFLOW_RESTRICT out) {
    for (int64_t i = 0; i < count; ++i) out[i] += table[bytes[i * step]];
}

// The sum of the entries of three channels, in the order of `add_row`.
void sum_three(const uint8_t* VARIFLOW_RESTRICT bytes, const float* VARIFLOW_RESTRICT tables, int64_t count,
               float* VARIFLOW_RESTRICT out) {
    for (int64_t i = 0; i < count; ++i) {
        out[i] = tables[bytes[3 * i]] + tables[values + bytes[3 * i + 1]] + tables[2 * values + bytes[3 * i + 2]];
    }
}

}  // namespace

void look_up(const uint8_t* bytes, Shape shape, const float* tables, bool sum, float* out) {
    const int64_t channels = shape.channels, height = shape.height, width = shape.width;
    parallel_for(height, rows_per_chunk(width), [=](int64_t begin, int64_t end) {
        for (int64_t y = begin; y < end; ++y) {
            if (sum && channels == 3) {
                sum_three(bytes + y * width * channels, tables, width, out + y * width);
                continue;
            }
            for (int64_t c = 0; c < channels; ++c) {
                const uint8_t* const row = bytes + y * width * channels + c;
                float* const target = out + (sum ? 0 : c * height * width) + y * width;
                const auto fill = sum && c > 0 ? add_row : look_up_row;
                fill(row, channels, tables + c * values, width, target);
            }
        }
    });
}

void histogram(const uint8_t* bytes, int64_t rows, int64_t row_size, int64_t step, int64_t* counts) {
    // Equal bytes often follow one another: in separate tables they do not wait for one another.
    constexpr int64_t tables = 8;
    std::array<std::array<int64_t, values>, tables> parts{};
    for (int64_t row = 0; row < rows; row += step) {
        const uint8_t* const at = bytes + row * row_size;
        int64_t i = 0;
        for (; i + tables <= row_size; i += tables) {
            for (int64_t k = 0; k < tables; ++k) ++parts[static_cast<size_t>(k)][at[i + k]];
        }
        for (; i < row_size; ++i) ++parts[0][at[i]];
    }
    for (const auto& part : parts) {
        for (int64_t value = 0; value < values; ++value) counts[value] += part[static_cast<size_t>(value)];
    }
}

void histogram_at(const uint8_t* bytes, int64_t channels, const int32_t* places, int64_t number, int64_t* counts) {
    for (int64_t i = 0; i < number; ++i) {
        const uint8_t* const pixel = bytes + places[i] * channels;
        for (int64_t c = 0; c < channels; ++c) ++counts[pixel[c]];
    }
}

void copy_bytes(const uint8_t* bytes, int64_t count, uint8_t* out) {
    constexpr int64_t at_once = 1 << 17;
    parallel_for(count, at_once, [=](int64_t begin, int64_t end) {
        std::memcpy(out + begin, bytes + begin, static_cast<size_t>(end - begin));
    });
}

}  // namespace variflow
