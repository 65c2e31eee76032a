// Red-black successive over-relaxation of the linear system of a step.
//
// A half-sweep updates the pixels of one colour. Its result at a row depends on the half-sweep before it at that row and
// the two beside it, so several half-sweeps can run over the frame together, each a row behind the one before it, with
// the rows between the first and the last in the second-level cache; the making of a row goes before the first. Where
// rows are long, they do so in tiles of columns, whose borders move to the left with every half-sweep so that everything
// a tile needs is there.
//
// Bands of rows are given to the threads. First each band does what it can alone: one row less at both ends for every
// half-sweep. Then what is missing around the borders between bands. Nothing is computed twice, and every update sees the
// same values as in plain sweeps.
#include "relaxation.hpp"

#include <algorithm>
#include <array>

#include "platform.hpp"
#include "threads.hpp"

namespace variflow {
namespace {

constexpr int64_t vector_size = 16;

constexpr int64_t round_up(int64_t value, int64_t multiple) { return (value + multiple - 1) / multiple * multiple; }

// Packing

constexpr int block_size = 512;

// What the equations at a block of one row's pixels are made of.
struct BlockInput : Row {
    bool at_left, at_right;  // whether the block's first or last pixel is the row's
};

// One block of each, with room for the rest of a vector of both colours.
struct alignas(64) Plane {
    float value[block_size + 4 * vector_size];
};

constexpr float zeros[block_size] = {};

BlockInput block_input(Row row, int64_t column, int count, int64_t width) {
    for (const float** plane : {&row.a11, &row.a12, &row.a22, &row.b1, &row.b2, &row.edge_x, &row.u0, &row.v0, &row.u,
                                &row.v, &row.u_above, &row.v_above, &row.u_below, &row.v_below}) {
        *plane += column;
    }
    for (const float** edge : {&row.edge_y, &row.edge_above}) *edge = *edge ? *edge + column : zeros;
    return {row, column == 0, column + count == width};
}

// The right minus the left side of the equations at each pixel of a block, and the sum of its edges.
VARIFLOW_CLONES
void residual_block(const BlockInput& in, int count, float* VARIFLOW_RESTRICT r1, float* VARIFLOW_RESTRICT r2,
                    float* VARIFLOW_RESTRICT total) {
    const float *a11 = in.a11, *a12 = in.a12, *a22 = in.a22, *b1 = in.b1, *b2 = in.b2;
    const float *edge_x = in.edge_x, *edge_y = in.edge_y, *edge_above = in.edge_above;
    const float *u0 = in.u0, *v0 = in.v0, *u = in.u, *v = in.v;
    const float *u_above = in.u_above, *v_above = in.v_above, *u_below = in.u_below, *v_below = in.v_below;
    auto compute = [&](int i, float left, float right, int before, int after) VARIFLOW_INLINE_LAMBDA {
        const float below = edge_y[i], above = edge_above[i];
        const float du = u[i] - u0[i], dv = v[i] - v0[i];
        r1[i] = left * (u[before] - u[i]) + right * (u[after] - u[i]) + above * (u_above[i] - u[i]) +
                below * (u_below[i] - u[i]) - (b1[i] + a11[i] * du + a12[i] * dv);
        r2[i] = left * (v[before] - v[i]) + right * (v[after] - v[i]) + above * (v_above[i] - v[i]) +
                below * (v_below[i] - v[i]) - (b2[i] + a12[i] * du + a22[i] * dv);
        total[i] = left + right + above + below;
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

// The elimination's factors at each pixel of a block. Where edges are so weak beside the data that single precision
// would find the motion along an image edge in rounding errors, they are taken as stronger; the increment is drawn
// towards zero there, by a millionth of the data's strength.
VARIFLOW_CLONES
void eliminate_block(const float* VARIFLOW_RESTRICT a11, const float* VARIFLOW_RESTRICT a12,
                     const float* VARIFLOW_RESTRICT a22, const float* VARIFLOW_RESTRICT total, int count,
                     float* VARIFLOW_RESTRICT ratio, float* VARIFLOW_RESTRICT inverse1,
                     float* VARIFLOW_RESTRICT inverse2) {
    for (int i = 0; i < count; ++i) {
        const float least = 1e-6f * (a11[i] + a22[i]) + 1e-20f;
        const float smooth = total[i] > least ? total[i] : least;
        const float inverse = 1.0f / (a11[i] + smooth);
        const float quotient = a12[i] * inverse;
        const float rest = a22[i] + smooth - a12[i] * quotient;
        ratio[i] = quotient;
        inverse1[i] = inverse;
        inverse2[i] = 1.0f / (rest > smooth ? rest : smooth);
    }
}

VARIFLOW_CLONES
void split(const float* VARIFLOW_RESTRICT values, int64_t pairs, float* VARIFLOW_RESTRICT even,
           float* VARIFLOW_RESTRICT odd) {
    for (int64_t i = 0; i < pairs; ++i) {
        even[i] = values[2 * i];
        odd[i] = values[2 * i + 1];
    }
}

// out = start + the increments of both colours; `count` pixels.
VARIFLOW_CLONES
void add_merged(const float* VARIFLOW_RESTRICT even, const float* VARIFLOW_RESTRICT odd,
                const float* VARIFLOW_RESTRICT start, int64_t count, float* VARIFLOW_RESTRICT out) {
    for (int64_t i = 0; i < count / 2; ++i) {
        out[2 * i] = start[2 * i] + even[i];
        out[2 * i + 1] = start[2 * i + 1] + odd[i];
    }
    if (count % 2) out[count - 1] = start[count - 1] + even[count / 2];
}

// Half-sweeps

// Update the pixels of one colour in a part of a row, number `begin` to `end`. `own` is the constant fields of that row,
// from c1 on; `other` all fields of the other colour, `above` and `below` those in the rows beside it.
VARIFLOW_CLONES
void update(float* VARIFLOW_RESTRICT x, float* VARIFLOW_RESTRICT y, const float* VARIFLOW_RESTRICT own,
            const float* VARIFLOW_RESTRICT other, const float* VARIFLOW_RESTRICT above,
            const float* VARIFLOW_RESTRICT below, int64_t stride, int64_t begin, int64_t end, int64_t odd,
            float omega) {
    auto constant = [=](Grid::FieldName field) VARIFLOW_INLINE_LAMBDA { return own + (field - Grid::c1) * stride; };
    const float *c1 = constant(Grid::c1), *c2 = constant(Grid::c2), *ratio = constant(Grid::ratio);
    const float *inverse1 = constant(Grid::inverse1), *inverse2 = constant(Grid::inverse2);
    const float *edge_right = constant(Grid::edge_x), *edge_below = constant(Grid::edge_y);
    const float *edge_left = other + Grid::edge_x * stride - 1 + odd, *edge_above = above + Grid::edge_y * stride;
    const float *x_left = other + Grid::x * stride - 1 + odd, *y_left = other + Grid::y * stride - 1 + odd;
    const float *x_above = above + Grid::x * stride, *y_above = above + Grid::y * stride;
    const float *x_below = below + Grid::x * stride, *y_below = below + Grid::y * stride;
    for (int64_t i = begin; i < end; ++i) {
        const float right1 = c1[i] + edge_left[i] * x_left[i] + edge_right[i] * x_left[i + 1] +
                             edge_above[i] * x_above[i] + edge_below[i] * x_below[i];
        const float right2 = c2[i] + edge_left[i] * y_left[i] + edge_right[i] * y_left[i + 1] +
                             edge_above[i] * y_above[i] + edge_below[i] * y_below[i];
        const float new_y = inverse2[i] * (right2 - ratio[i] * right1);
        const float new_x = inverse1[i] * right1 - ratio[i] * new_y;
        x[i] += omega * (new_x - x[i]);
        y[i] += omega * (new_y - y[i]);
    }
}

struct HalfSweeps {
    int64_t count, first_color;
    float omega;
};

// Stage 0 prepares a row, stage s > 0 is half-sweep s - 1; each is applied to the rows from first(stage) to
// last(stage) - 1, in one tile of columns after the other.
template <typename First, typename Last, typename Prepare>
void relax_rows(const Grid& grid, HalfSweeps sweeps, int64_t tile, First&& first, Last&& last, Prepare&& prepare) {
    const int64_t stride = grid.stride();
    const int64_t top = std::min(first(0), first(sweeps.count)), bottom = std::max(last(0), last(sweeps.count));
    for (int64_t left = 0; left < grid.count(); left += tile) {
        const bool at_right = left + tile >= grid.count();
        for (int64_t step = top; step < bottom + sweeps.count; ++step) {
            if (left == 0 && step >= first(0) && step < last(0)) prepare(step);
            for (int64_t stage = 1; stage <= sweeps.count; ++stage) {
                const int64_t row = step - stage;
                if (row < first(stage) || row >= last(stage)) continue;
                const int64_t begin = std::max<int64_t>(0, left - stage * vector_size);
                const int64_t end = at_right ? grid.count() : left + tile - stage * vector_size;
                if (begin >= end) continue;
                const int64_t color = (sweeps.first_color + stage - 1) & 1;
                float* const own = grid.row(row, color);
                update(own + Grid::x * stride, own + Grid::y * stride, own + Grid::c1 * stride,
                       grid.row(row, 1 - color), grid.row(row - 1, 1 - color), grid.row(row + 1, 1 - color), stride,
                       begin, end, parity(row, color), sweeps.omega);
            }
        }
    }
}

// Half-sweeps over the whole grid. `maker()` returns what makes the rows of a band, as a function of the row.
template <typename Maker>
void relax_grid(const Grid& grid, HalfSweeps all, Maker&& maker) {
    constexpr int64_t most_together = 20, most_bands = 8, work_for_threads = 1 << 17;
    constexpr int64_t cached_floats = 160 * 1024;  // in the second-level cache, with room to spare
    const int64_t height = grid.height(), pixels = height * grid.width();
    int64_t done = 0;
    do {
        const bool parallel = pixels * (1 + std::min(all.count - done, most_together)) >= work_for_threads;
        const int64_t together = parallel ? std::clamp<int64_t>(height / 8, 2, most_together) : most_together;
        const HalfSweeps sweeps{std::min(together, all.count - done), (all.first_color + done) & 1, all.omega};
        const int64_t rows_between = sweeps.count + 2;
        const int64_t tile =
            std::max(cached_floats / (rows_between * 2 * Grid::relaxation_fields) / vector_size, int64_t{4}) *
            vector_size;
        const int64_t bands = parallel ? std::clamp<int64_t>(height / (2 * sweeps.count + 2), 1, most_bands) : 1;
        auto border = [&](int64_t band) { return band * height / bands; };
        parallel_for(bands, 1, [&](int64_t band, int64_t) {
            const int64_t upper = border(band), lower = border(band + 1);
            const int64_t shrink_upper = band > 0, shrink_lower = band + 1 < bands;
            auto first = [=](int64_t stage) { return upper + shrink_upper * stage; };
            auto last = [=](int64_t stage) { return lower - shrink_lower * stage; };
            if (done == 0) {
                relax_rows(grid, sweeps, tile, first, last, maker());
            } else {
                relax_rows(grid, sweeps, tile, first, last, [](int64_t) {});
            }
        });
        parallel_for(bands - 1, 1, [&](int64_t band, int64_t) {
            const int64_t middle = border(band + 1);
            relax_rows(
                grid, sweeps, tile, [=](int64_t stage) { return middle - stage; },
                [=](int64_t stage) { return middle + stage; }, [](int64_t) {});
        });
        done += sweeps.count;
    } while (done < all.count);
}

}  // namespace

Grid::Grid(int64_t height, int64_t width, int64_t fields)
    : height_(height),
      width_(width),
      fields_(fields),
      stride_(round_up((width + 1) / 2 + 1, vector_size)),
      count_(round_up((width + 1) / 2, vector_size)),
      workspace_(2 * lead + (height + 2) * 2 * fields * stride_) {
    std::fill_n(workspace_.data(), lead + 2 * fields * stride_, 0.0f);
    std::fill_n(row(height, 0), 2 * fields * stride_ + lead, 0.0f);
}

Row row_of(const System& system, Field flow, int64_t row) {
    const int64_t pixels = system.height * system.width, at = row * system.width;
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
    Plane total, edges;
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
        residual_block(in, count, computed[0].value, computed[1].value, total.value);
        eliminate_block(in.a11, in.a12, in.a22, total.value, count, computed[2].value, computed[3].value,
                        computed[4].value);
        auto store = [&](Plane& plane, int field) {
            std::fill(plane.value + count, plane.value + 2 * pairs, 0.0f);
            split(plane.value, pairs, even + field * stride + first, odd + field * stride + first);
        };
        for (int i = 0; i < 5; ++i) store(computed[static_cast<size_t>(i)], Grid::c1 + i);
        std::copy_n(in.edge_x, at_right ? count - 1 : count, edges.value);
        if (at_right) edges.value[count - 1] = 0.0f;
        store(edges, Grid::edge_x);
        std::copy_n(in.edge_y, count, edges.value);
        store(edges, Grid::edge_y);
    }
}

void pack(const System& system, Field start, const Grid& grid) {
    parallel_for(grid.height(), rows_per_chunk(grid.width()), [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row) pack_row(row_of(system, start, row), grid, row);
    });
}

void unpack(const Grid& grid, int64_t field, Field start, float* out) {
    const int64_t width = grid.width(), pixels = grid.height() * width;
    parallel_for(grid.height(), rows_per_chunk(width), [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row) {
            const float* even = grid.row(row, row & 1) + field * grid.stride();
            const float* odd = grid.row(row, 1 - (row & 1)) + field * grid.stride();
            const int64_t at = row * width;
            add_merged(even, odd, start.u + at, width, out + at);
            add_merged(even + grid.stride(), odd + grid.stride(), start.v + at, width, out + pixels + at);
        }
    });
}

void relax(const Grid& grid, int64_t half_sweeps, int64_t first_color, float omega) {
    relax_grid(grid, {half_sweeps, first_color, omega}, [] { return [](int64_t) {}; });
}

void residual(const System& system, Field flow, float* out) {
    const int64_t width = system.width, pixels = system.height * width;
    parallel_for(system.height, rows_per_chunk(width), [&](int64_t begin, int64_t end) {
        Plane total;
        for (int64_t row = begin; row < end; ++row) {
            for (int64_t column = 0; column < width; column += block_size) {
                const int count = static_cast<int>(std::min<int64_t>(block_size, width - column));
                float* const at = out + row * width + column;
                residual_block(block_input(row_of(system, flow, row), column, count, width), count, at, at + pixels, total.value);
            }
        }
    });
}

void relax_made(const Grid& grid, int sweeps, float omega, const std::function<std::unique_ptr<RowMaker>()>& maker) {
    relax_grid(grid, {2 * static_cast<int64_t>(sweeps), 0, omega}, [&] {
        return [rows = std::shared_ptr<RowMaker>(maker())](int64_t row) { rows->make(row); };
    });
}

void relax(const System& system, Field start, int sweeps, float omega, float* out) {
    const Grid grid(system.height, system.width);
    relax_grid(grid, {2 * static_cast<int64_t>(sweeps), 0, omega}, [&] {
        return [&](int64_t row) { pack_row(row_of(system, start, row), grid, row); };
    });
    unpack(grid, Grid::x, start, out);
}

}  // namespace variflow
