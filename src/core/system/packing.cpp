// Writing a linear system into the fields of a grid, and reading the solution from it.
#include <algorithm>
#include <array>

#include "base/pairs.hpp"
#include "base/platform.hpp"
#include "base/threads.hpp"
#include "system/relaxation.hpp"

namespace variflow {
namespace {

constexpr int64_t vector_size = 16;

constexpr int64_t round_up(int64_t value, int64_t multiple) { return (value + multiple - 1) / multiple * multiple; }

constexpr int block_size = 512;

// What the equations at a block of one row's pixels are made of.
struct BlockInput : Row {
    bool at_left, at_right;  // whether the block's first or last pixel is the row's
};

// A block of one of the fields.
struct alignas(64) Plane {
    float value[block_size];
};

constexpr float zeros[block_size] = {};

BlockInput block_input(const Row& row, int64_t column, int count, int64_t width) {
    auto from = [&](const float* plane) { return plane + column; };
    auto edges = [&](const float* plane) { return plane ? plane + column : zeros; };
    return {{from(row.a11), from(row.a12), from(row.a22), from(row.b1), from(row.b2), from(row.edge_x),
             edges(row.edge_y), edges(row.edge_above), from(row.u0), from(row.v0), from(row.u), from(row.v),
             from(row.u_above), from(row.v_above), from(row.u_below), from(row.v_below)},
            column == 0,
            column + count == width};
}

// Call store(i, r1, r2, total) for each pixel of a block: the right minus the left side of its equations, and the sum of
// its edges.
template <typename Store>
VARIFLOW_INLINE void for_residuals(const BlockInput& in, int count, Store&& store) {
    const float *a11 = in.a11, *a12 = in.a12, *a22 = in.a22, *b1 = in.b1, *b2 = in.b2;
    const float *edge_x = in.edge_x, *edge_y = in.edge_y, *edge_above = in.edge_above;
    const float *u0 = in.u0, *v0 = in.v0, *u = in.u, *v = in.v;
    const float *u_above = in.u_above, *v_above = in.v_above, *u_below = in.u_below, *v_below = in.v_below;
    auto compute = [&](int i, float left, float right, int before, int after) VARIFLOW_INLINE_LAMBDA {
        const float below = edge_y[i], above = edge_above[i];
        const float du = u[i] - u0[i], dv = v[i] - v0[i];
        const float r1 = left * (u[before] - u[i]) + right * (u[after] - u[i]) + above * (u_above[i] - u[i]) +
                         below * (u_below[i] - u[i]) - (b1[i] + a11[i] * du + a12[i] * dv);
        const float r2 = left * (v[before] - v[i]) + right * (v[after] - v[i]) + above * (v_above[i] - v[i]) +
                         below * (v_below[i] - v[i]) - (b2[i] + a12[i] * du + a22[i] * dv);
        store(i, r1, r2, left + right + above + below);
    };
    auto border = [&](int i) VARIFLOW_INLINE_LAMBDA {
        const bool no_left = in.at_left && i == 0, no_right = in.at_right && i == count - 1;
        compute(i, no_left ? 0.0f : edge_x[i - 1], no_right ? 0.0f : edge_x[i], no_left ? i : i - 1,
                no_right ? i : i + 1);
    };
    border(0);
    for (int i = 1; i < count - 1; ++i) compute(i, edge_x[i - 1], edge_x[i], i - 1, i + 1);
    if (count > 1) border(count - 1);
}

VARIFLOW_CLONES
void residual_block(const BlockInput& in, int count, float* VARIFLOW_RESTRICT r1, float* VARIFLOW_RESTRICT r2) {
    for_residuals(in, count, [&](int i, float first, float second, float) VARIFLOW_INLINE_LAMBDA {
        r1[i] = first, r2[i] = second;
    });
}

// The residuals, and the elimination's factors, at each pixel of a block. Where edges are so weak beside the data that
// single precision would find the motion along an image edge in rounding errors, they are taken as stronger; the increment
// is drawn towards zero there, by a millionth of the data's strength.
VARIFLOW_CLONES
void eliminate_block(const BlockInput& in, int count, float omega, float* VARIFLOW_RESTRICT c1,
                     float* VARIFLOW_RESTRICT c2, float* VARIFLOW_RESTRICT ratio, float* VARIFLOW_RESTRICT inverse1,
                     float* VARIFLOW_RESTRICT inverse2) {
    const float *a11 = in.a11, *a12 = in.a12, *a22 = in.a22;
    for_residuals(in, count, [&](int i, float r1, float r2, float total) VARIFLOW_INLINE_LAMBDA {
        const float least = 1e-6f * (a11[i] + a22[i]) + 1e-20f;
        const float smooth = total > least ? total : least;
        const float inverse = 1.0f / (a11[i] + smooth);
        const float quotient = a12[i] * inverse;
        const float rest = a22[i] + smooth - a12[i] * quotient;
        c1[i] = r1, c2[i] = r2;
        ratio[i] = quotient;
        inverse1[i] = omega * inverse;
        inverse2[i] = omega / (rest > smooth ? rest : smooth);
    });
}

}  // namespace

Grid::Grid(int64_t height, int64_t width, float omega, int64_t fields, Memory memory)
    : height_(height),
      width_(width),
      fields_(fields),
      stride_(round_up((width + 1) / 2 + 1, vector_size)),
      count_(round_up((width + 1) / 2, vector_size)),
      omega_(omega),
      memory_((1 + (memory == Memory::own ? height : 0)) * row_size()),
      rows_(static_cast<size_t>(height + 2), nullptr) {
    std::fill_n(memory_.data(), row_size(), 0.0f);
    place(-1, memory_.data());
    place(height, memory_.data());
    if (memory == Memory::placed) return;
    for (int64_t row = 0; row < height; ++row) place(row, memory_.data() + (1 + row) * row_size());
}

void Grid::place(int64_t row, float* memory) {
    std::fill_n(memory, lead, 0.0f);
    rows_[static_cast<size_t>(row + 1)] = memory + lead;
}

Row row_of(const System& system, Field flow, int64_t row, int64_t first_column) {
    const int64_t pixels = system.height * system.width, at = row * system.width + first_column;
    const int64_t above = row > 0 ? at - system.width : at, below = row + 1 < system.height ? at + system.width : at;
    const float* const tensor = system.tensor + at;
    return {tensor,
            tensor + pixels,
            tensor + 2 * pixels,
            tensor + 3 * pixels,
            tensor + 4 * pixels,
            system.edges + at,
            row + 1 < system.height ? system.edges + pixels + at : nullptr,
            row > 0 ? system.edges + pixels + above : nullptr,
            system.around.u + at,
            system.around.v + at,
            flow.u + at,
            flow.v + at,
            flow.u + above,
            flow.v + above,
            flow.u + below,
            flow.v + below};
}

void pack_row(const Row& input, const Grid& grid, int64_t row) {
    const int64_t width = grid.width(), stride = grid.stride();
    std::array<Plane, 5> computed;  // c1, c2, ratio, inverse1, inverse2
    float* const even = grid.row(row, row & 1);
    float* const odd = grid.row(row, 1 - (row & 1));
    for (float* fields : {even, odd}) {
        std::fill_n(fields, Grid::c1 * stride, 0.0f);
        const int64_t further = grid.fields() - Grid::relaxation_fields;
        std::fill_n(fields + Grid::relaxation_fields * stride, further * stride, 0.0f);
    }
    for (int64_t column = 0; column < width; column += block_size) {
        const int count = static_cast<int>(std::min<int64_t>(block_size, width - column));
        const bool at_right = column + count == width;
        const int64_t first = column / 2, pairs = at_right ? stride - first : block_size / 2;
        const BlockInput in = block_input(input, column, count, width);
        eliminate_block(in, count, grid.omega(), computed[0].value, computed[1].value, computed[2].value,
                        computed[3].value, computed[4].value);
        // Of some values of a row; the rest is 0.
        auto store = [&](const float* values, int number, int field) {
            float* const fields[] = {even + field * stride + first, odd + field * stride + first};
            const int whole = number / 2;
            part_row(values, whole, fields[0], fields[1]);
            std::fill_n(fields[0] + whole, pairs - whole, 0.0f);
            std::fill_n(fields[1] + whole, pairs - whole, 0.0f);
            if (number % 2) fields[0][whole] = values[number - 1];
        };
        for (int i = 0; i < 5; ++i) store(computed[static_cast<size_t>(i)].value, count, Grid::c1 + i);
        store(in.edge_x, at_right ? count - 1 : count, Grid::edge_x);
        store(in.edge_y, count, Grid::edge_y);
    }
}

void pack(const System& system, Field start, const Grid& grid) {
    parallel_for(grid.height(), rows_per_chunk(grid.width()), [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row) pack_row(row_of(system, start, row, 0), grid, row);
    });
}

void unpack_row(const Grid& grid, int64_t field, int64_t row, const Window& window, int64_t width, Field start,
                float* out) {
    const int64_t pixels = grid.height() * width, at = row * width + window.first;
    const int64_t number = window.last - window.first, skipped = (window.first - window.begin) / 2;
    const float* even = grid.row(row, row & 1) + field * grid.stride() + skipped;
    const float* odd = grid.row(row, 1 - (row & 1)) + field * grid.stride() + skipped;
    for (const float* component : {start.u, start.v}) {
        pair_up_and_add_row(even, odd, component + at, number, out + at);
        even += grid.stride(), odd += grid.stride(), out += pixels;
    }
}

void unpack(const Grid& grid, int64_t field, Field start, float* out) {
    const int64_t width = grid.width();
    parallel_for(grid.height(), rows_per_chunk(width), [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row) {
            unpack_row(grid, field, row, {0, width, 0, width}, width, start, out);
        }
    });
}

void residual(const System& system, Field flow, float* out) {
    const int64_t width = system.width, pixels = system.height * width;
    parallel_for(system.height, rows_per_chunk(width), [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row) {
            for (int64_t column = 0; column < width; column += block_size) {
                const int count = static_cast<int>(std::min<int64_t>(block_size, width - column));
                float* const at = out + row * width + column;
                residual_block(block_input(row_of(system, flow, row, 0), column, count, width), count, at, at + pixels);
            }
        }
    });
}

}  // namespace variflow
