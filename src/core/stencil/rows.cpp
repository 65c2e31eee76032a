#include "stencil/rows.hpp"

#include <array>
#include <cmath>

#include "base/platform.hpp"

namespace variflow::stencil {
namespace {

// So many summands are read in one pass, which keeps what it writes in a register meanwhile.
constexpr size_t most_at_once = 4;

template <size_t count, bool fresh>
VARIFLOW_INLINE void sum_up(const Summand* all, const Columns& columns, float* out) {
    std::array<const float*, count> from;
    std::array<float, count> factor;
    for (size_t j = 0; j < count; ++j) from[j] = all[j].from, factor[j] = all[j].factor;
    VARIFLOW_INDEPENDENT
    for (int64_t i = columns.first; i < columns.last; ++i) {
        float sum = fresh ? 0.0f : out[i];
        for (size_t j = 0; j < count; ++j) sum += factor[j] * from[j][i];
        out[i] = sum;
    }
}

template <bool fresh>
VARIFLOW_INLINE void sum_up(const Summand* all, size_t count, const Columns& columns, float* out) {
    if (count == 1) return sum_up<1, fresh>(all, columns, out);
    if (count == 2) return sum_up<2, fresh>(all, columns, out);
    if (count == 3) return sum_up<3, fresh>(all, columns, out);
    return sum_up<most_at_once, fresh>(all, columns, out);
}

// out = or += the sum of up to `most_at_once` summands
VARIFLOW_CLONES
void set_sum(const Summand* all, size_t count, const Columns& columns, float* out) {
    sum_up<true>(all, count, columns, out);
}
VARIFLOW_CLONES
void add_sum(const Summand* all, size_t count, const Columns& columns, float* out) {
    sum_up<false>(all, count, columns, out);
}

VARIFLOW_CLONES
void add_product_of_three(const float* VARIFLOW_RESTRICT a, const float* VARIFLOW_RESTRICT b,
                          const float* VARIFLOW_RESTRICT c, float factor, int64_t count, float* VARIFLOW_RESTRICT to) {
    for (int64_t i = 0; i < count; ++i) to[i] += factor * (a[i] * b[i] * c[i]);
}

}  // namespace

void RowSum::write(int64_t width, float* out) {
    Columns common{0, width};
    for (const Summand& row : rows_) {
        common = {std::max(common.first, row.columns.first), std::min(common.last, row.columns.last)};
    }
    if (rows_.empty()) std::fill_n(out, width, 0.0f);
    if (common.first >= common.last) common = {width, width};  // narrow grids
    auto write_column = [&](int64_t i) {
        float sum = 0.0f;
        for (const Summand& row : rows_) {
            if (i >= row.columns.first && i < row.columns.last) sum += row.factor * row.from[i];
        }
        out[i] = sum;
    };
    for (int64_t i = 0; i < common.first; ++i) write_column(i);
    for (int64_t i = common.last; i < width; ++i) write_column(i);
    for (size_t j = 0; j < rows_.size(); j += most_at_once) {
        const size_t count = std::min(most_at_once, rows_.size() - j);
        (j == 0 ? set_sum : add_sum)(rows_.data() + j, count, common, out);
    }
    for (const auto& [from, factor, columns, second, third] : products_) {
        const auto [first, last] = columns;
        if (third) {
            add_product_of_three(from + first, second + first, third + first, factor, last - first, out + first);
        } else {
            add_product(from + first, second + first, factor, last - first, out + first);
        }
    }
    rows_.clear();
    products_.clear();
}

void copy_planes(const Grid& grid, int count, const float* from, float* to) {
    for_rows(grid, Cost::little, [&](int64_t row) {
        for (int64_t at = row * grid.width; at < count * grid.size(); at += grid.size()) {
            std::copy_n(from + at, grid.width, to + at);
        }
    });
}

void clear_planes(const Grid& grid, int count, float* to) {
    for_rows(grid, Cost::little, [&](int64_t row) {
        for (int64_t at = row * grid.width; at < count * grid.size(); at += grid.size()) {
            std::fill_n(to + at, grid.width, 0.0f);
        }
    });
}

double dot_of_row(const Grid& grid, int count, int64_t row, const float* a, const float* b) {
    double total = 0.0;
    for (int64_t at = row * grid.width; at < count * grid.size(); at += grid.size()) {
        total += dot(a + at, b + at, grid.width);
    }
    return total;
}

VARIFLOW_CLONES
void add_scaled(const float* VARIFLOW_RESTRICT from, float factor, int64_t count, float* VARIFLOW_RESTRICT to) {
    for (int64_t i = 0; i < count; ++i) to[i] += factor * from[i];
}

VARIFLOW_CLONES
void add_product(const float* VARIFLOW_RESTRICT a, const float* VARIFLOW_RESTRICT b, float factor, int64_t count,
                 float* VARIFLOW_RESTRICT to) {
    for (int64_t i = 0; i < count; ++i) to[i] += factor * (a[i] * b[i]);
}

VARIFLOW_CLONES
void add_modulus(const float* VARIFLOW_RESTRICT a, int64_t count, float* VARIFLOW_RESTRICT out) {
    for (int64_t i = 0; i < count; ++i) out[i] += std::abs(a[i]);
}

}  // namespace variflow::stencil
