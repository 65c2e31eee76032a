// Red-black successive over-relaxation of the linear system of a step.
//
// A half-sweep updates the pixels of one colour. Its result at a row depends on the half-sweep before it at that row and
// the two beside it, so several half-sweeps can run over the frame together, each a row behind the one before it, with
// the rows between the first and the last in the second-level cache; the making of a row goes before the first, and the
// reading of its solution after the last.
//
// Bands of rows are given to the threads. First each band does what it can alone: one row less at both ends for every
// half-sweep. Then what is missing around the borders between bands. No row is computed twice, and every update sees the
// same values as in plain sweeps. A band's rows are forgotten when they are done, but for those that the borders need.
//
// Where rows are too long for the cache, one window of columns is relaxed after the other, each with as much of its
// neighbours as it takes for the wanted columns to come out the same.
#include "system/relaxation.hpp"

#include <algorithm>
#include <bit>

#include "base/platform.hpp"
#include "base/threads.hpp"

namespace variflow {
namespace {

constexpr int64_t most_together = 20;  // half-sweeps, one row behind the other
constexpr int64_t making = 30;  // takes as long as so many half-sweeps
constexpr int64_t cached_floats = 160 * 1024;  // in the second-level cache, with room to spare

// Update the pixels of one colour in a row. `own` is all fields of that row; `other` those of the other colour, `above` and
// `below` those in the rows beside it.
VARIFLOW_CLONES
void update(float* own, const float* other, const float* above, const float* below, int64_t stride, int64_t count,
            int64_t odd, float omega) {
    auto field = [=](const float* of, Grid::FieldName name) VARIFLOW_INLINE_LAMBDA { return of + name * stride; };
    float *const x = own + Grid::x * stride, *const y = own + Grid::y * stride;
    const float *c1 = field(own, Grid::c1), *c2 = field(own, Grid::c2), *ratio = field(own, Grid::ratio);
    const float *inverse1 = field(own, Grid::inverse1), *inverse2 = field(own, Grid::inverse2);
    const float *edge_right = field(own, Grid::edge_x), *edge_below = field(own, Grid::edge_y);
    const float *edge_left = field(other, Grid::edge_x) - 1 + odd, *edge_above = field(above, Grid::edge_y);
    const float *x_left = field(other, Grid::x) - 1 + odd, *y_left = field(other, Grid::y) - 1 + odd;
    const float *x_above = field(above, Grid::x), *y_above = field(above, Grid::y);
    const float *x_below = field(below, Grid::x), *y_below = field(below, Grid::y);
    const float kept = 1.0f - omega;
    VARIFLOW_INDEPENDENT
    for (int64_t i = 0; i < count; ++i) {
        const float right1 = c1[i] + edge_left[i] * x_left[i] + edge_right[i] * x_left[i + 1] +
                             edge_above[i] * x_above[i] + edge_below[i] * x_below[i];
        const float right2 = c2[i] + edge_left[i] * y_left[i] + edge_right[i] * y_left[i + 1] +
                             edge_above[i] * y_above[i] + edge_below[i] * y_below[i];
        const float new_y = inverse2[i] * (right2 - ratio[i] * right1);
        const float new_x = inverse1[i] * right1 - ratio[i] * new_y;
        x[i] = kept * x[i] + new_x;
        y[i] = kept * y[i] + new_y;
    }
}

struct HalfSweeps {
    int64_t count, first_color;
};

// The rows that stage 0, the making, and stage s > 0, half-sweep s - 1, are applied to; with every stage the borders
// move by their slopes.
struct Rows {
    int64_t upper, lower, upper_slope, lower_slope;

    int64_t first(int64_t stage) const { return upper + upper_slope * stage; }
    int64_t last(int64_t stage) const { return lower + lower_slope * stage; }
    bool contain(int64_t row, int64_t stage) const { return row >= first(stage) && row < last(stage); }
};

void update_row(const Grid& grid, int64_t row, int64_t color) {
    update(grid.row(row, color), grid.row(row, 1 - color), grid.row(row - 1, 1 - color), grid.row(row + 1, 1 - color),
           grid.stride(), grid.count(), parity(row, color), grid.omega());
}

// All half-sweeps over some rows; `make(row)` comes before the first, `finish(row)` after the last.
template <typename Make, typename Finish>
void relax_rows(const Grid& grid, HalfSweeps sweeps, Rows rows, Make&& make, Finish&& finish) {
    int64_t after = 0;
    do {
        const int64_t before = after;
        after = std::min(before + most_together, sweeps.count);
        const int64_t behind = after - before;
        const int64_t top = std::min(rows.first(before), rows.first(after));
        const int64_t bottom = std::max(rows.last(before), rows.last(after));
        for (int64_t step = top; step < bottom + behind; ++step) {
            if (before == 0 && rows.contain(step, 0)) make(step);
            for (int64_t stage = before + 1; stage <= after; ++stage) {
                const int64_t row = step - (stage - before);
                if (rows.contain(row, stage)) update_row(grid, row, (sweeps.first_color + stage - 1) & 1);
            }
            if (after == sweeps.count && rows.contain(step - behind, after)) finish(step - behind);
        }
    } while (after < sweeps.count);
}

// How the rows of a frame are divided into bands for so many half-sweeps.
class Bands {
public:
    Bands(int64_t height, int64_t width, int64_t half_sweeps, bool made)
        : height_(height),
          half_sweeps_(half_sweeps),
          number_(1),
          worth_it_(height * width * (half_sweeps + (made ? making : 0)) >= enough_for_threads) {
        if (!worth_it_) return;
        // The making of a band's rows begins some rows outside it, so few bands are best; but where half-sweeps go over a
        // band more than once, it should stay in a cache.
        const bool once = half_sweeps <= most_together;
        const int64_t wanted = std::max<int64_t>((once ? 1 : 4) * get_threads(), height / (once ? 256 : 128));
        const int64_t most = height / (2 * half_sweeps + 2);
        // A power of two, so that threads have the same number of them.
        number_ = static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(std::clamp<int64_t>(most, 1, wanted))));
    }

    // Whether there is enough work for threads.
    bool worth_it() const { return worth_it_; }

    int64_t number() const { return number_; }
    int64_t border(int64_t band) const { return band * height_ / number_; }
    Rows inside(int64_t band) const {
        return {border(band), border(band + 1), band > 0 ? 1 : 0, band + 1 < number_ ? -1 : 0};
    }
    Rows around(int64_t border_above) const { return {border(border_above), border(border_above), -1, 1}; }
    // Rows of a band at each of its borders that are not done when the band is.
    int64_t undone() const { return half_sweeps_ + 1; }

private:
    static constexpr int64_t enough_for_threads = 1 << 17;  // half-sweeps over a pixel
    int64_t height_, half_sweeps_, number_;
    bool worth_it_;
};

// Place the rows of one band: those beside its borders in `at_borders`, which belongs to all bands, the others in memory
// of its own, in turns if each is done when the next needs its place.
Workspace placed_band(Grid& grid, const Bands& bands, int64_t band, int64_t half_sweeps, float* at_borders) {
    const Rows rows = bands.inside(band);
    const int64_t first = rows.upper + rows.upper_slope * bands.undone();
    const int64_t last = rows.lower + rows.lower_slope * bands.undone();
    const int64_t places = half_sweeps <= most_together ? std::min(half_sweeps + 2, last - first) : last - first;
    const int64_t size = grid.row_size();
    Workspace between(places * size);
    for (int64_t row = first; row < last; ++row) grid.place(row, between.data() + (row - first) % places * size);
    // Above each border and below it, border after border.
    const int64_t below_upper = (2 * band - 1) * bands.undone(), above_lower = 2 * band * bands.undone();
    for (int64_t row = rows.upper; row < first; ++row)
        grid.place(row, at_borders + (below_upper + row - rows.upper) * size);
    for (int64_t row = last; row < rows.lower; ++row) grid.place(row, at_borders + (above_lower + row - last) * size);
    return between;
}

void relax_window(int64_t height, int64_t width, const Window& window, HalfSweeps sweeps, float omega,
                  const MakerOfRows& maker, Field start, float* out) {
    const Bands bands(height, window.width(), sweeps.count, true);
    if (bands.number() == 1 && bands.worth_it()) {
        // Too low for bands that are done in one go: make all rows first.
        const Grid grid(height, window.width(), omega);
        parallel_for(height, (height + 7) / 8, [&](int64_t begin, int64_t end) {
            const std::unique_ptr<RowMaker> rows = maker(grid, window);
            for (int64_t row = begin; row < end; ++row) rows->make(row);
        });
        relax(grid, sweeps.count, sweeps.first_color);
        for (int64_t row = 0; row < height; ++row) unpack_row(grid, Grid::x, row, window, width, start, out);
        return;
    }
    Grid grid(height, window.width(), omega, Grid::relaxation_fields, Grid::Memory::placed);
    const Workspace at_borders(2 * (bands.number() - 1) * bands.undone() * grid.row_size());
    auto unpack = [&](int64_t row) { unpack_row(grid, Grid::x, row, window, width, start, out); };
    parallel_for(bands.number(), 1, [&](int64_t band, int64_t) {
        const Workspace between = placed_band(grid, bands, band, sweeps.count, at_borders.data());
        const std::unique_ptr<RowMaker> rows = maker(grid, window);
        relax_rows(grid, sweeps, bands.inside(band), [&](int64_t row) { rows->make(row); }, unpack);
    });
    parallel_for(bands.number() - 1, 1, [&](int64_t border, int64_t) {
        relax_rows(grid, sweeps, bands.around(border + 1), [](int64_t) {}, unpack);
    });
}

class SystemRows : public RowMaker {
public:
    SystemRows(const System& system, Field start, const Grid& grid, const Window& window)
        : system_(system), start_(start), grid_(grid), window_(window) {}
    Row make(int64_t row) override {
        const Row input = row_of(system_, start_, row, window_.begin);
        pack_row(input, grid_, row);
        return input;
    }

private:
    const System& system_;
    Field start_;
    const Grid& grid_;
    Window window_;
};

}  // namespace

void relax(const Grid& grid, int64_t half_sweeps, int64_t first_color) {
    const int64_t together = std::clamp<int64_t>(grid.height() / 8, 2, most_together);
    for (int64_t done = 0; done < half_sweeps; done += together) {
        const HalfSweeps sweeps{std::min(together, half_sweeps - done), (first_color + done) & 1};
        const Bands bands(grid.height(), grid.width(), sweeps.count, false);
        auto relax_part = [&](Rows rows) { relax_rows(grid, sweeps, rows, [](int64_t) {}, [](int64_t) {}); };
        parallel_for(bands.number(), 1, [&](int64_t band, int64_t) { relax_part(bands.inside(band)); });
        parallel_for(bands.number() - 1, 1, [&](int64_t border, int64_t) { relax_part(bands.around(border + 1)); });
    }
}

void relax_made(int64_t height, int64_t width, int sweeps, float omega, const MakerOfRows& maker, Field start,
                float* out) {
    const HalfSweeps half_sweeps{2 * static_cast<int64_t>(sweeps), 0};
    const int64_t beside =
        (half_sweeps.count + RowMaker::reach + 1) / 2 * 2;  // even, for the colours to be the frame's
    const int64_t rows_together = std::min(half_sweeps.count, most_together) + 2;
    const int64_t widest = std::max(cached_floats / (rows_together * Grid::relaxation_fields), 8 * beside);
    const int64_t windows = width <= widest ? 1 : (width - 1) / (widest - 2 * beside) + 1;
    auto border = [&](int64_t window) { return window == windows ? width : window * width / windows / 2 * 2; };
    for (int64_t number = 0; number < windows; ++number) {
        const int64_t first = border(number), last = border(number + 1);
        const Window window{std::max<int64_t>(first - beside, 0), std::min(last + beside, width), first, last};
        relax_window(height, width, window, half_sweeps, omega, maker, start, out);
    }
}

MakerOfRows rows_of(const System& system, Field start) {
    return [&system, start](const Grid& grid, const Window& window) -> std::unique_ptr<RowMaker> {
        return std::make_unique<SystemRows>(system, start, grid, window);
    };
}

void relax(const System& system, Field start, int sweeps, float omega, float* out) {
    relax_made(system.height, system.width, sweeps, omega, rows_of(system, start), start, out);
}

}  // namespace variflow
