// Primal-dual minimisation after Chambolle and Pock (A first-order primal-dual algorithm for convex problems, 2011) of
//
//     sum_g factor_g weights rho_g(|r_g + J_g d|) + weight * smoothness(flow + d)
//
// over the increment d, with the smoothness in its dual form (variables p, and q and w for the second order) and steps
// preconditioned by the row and column sums of the differences (Pock and Chambolle, Diagonal preconditioning, 2011).
// The energy is divided by the weight of the smoothness, so that p lies in the unit ball.
//
// The proximal step of the data is itself solved in the dual: with the others fixed, the best dual variable y of one
// group of residuals has a closed form (thresholding, for a single residual). One such step per group and iteration,
// from the y of the iteration before, is exact for one group of one residual; for more it takes about a third of the
// iterations that y as a further dual variable of the whole problem takes.
//
// Row by row, an iteration needs the extrapolated flow of the iteration before at its own pixel, to the right and
// below, and the new p at its own pixel, to the left and above. So it can be done in place, and pixel (x, y) in
// iteration t belongs to the tile of (x + t, y + t): a tile depends on none to its right or below, which lets it run
// through many iterations while it stays in the cache. Nothing is computed twice, and the result is that of the plain
// order to the last bit.
#include "primal_dual/primal_dual.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <memory>
#include <thread>
#include <utility>

#include "base/memory.hpp"
#include "base/threads.hpp"
#include "primal_dual/rows.hpp"

namespace variflow {
namespace {

// Steps: of the flow and w, `balance` divided by the sum of the moduli of a column of the operator from (u, v, w) to
// (gradient - w, symmetric gradient of w); of p and q, 1 / `balance` divided by that of a row. These are the largest
// that converge. w is measured in its own unit `scale_w`, about as large as it becomes. Any `balance` and `scale_w`
// above 0 lead to the minimum; with these the flow on real frames is best after few iterations, if p fills its ball. If
// it stays much shorter, as where rho is quadratic, `balance` is as much larger.
struct Steps {
    float flow, w, p, q;
};
constexpr float usual_balance = 1.4f, scale_w = 0.02f;
constexpr Steps first_order(float balance) { return {balance / 4, 0, 1 / (2 * balance), 0}; }
constexpr Steps second_order(float balance) {
    return {balance / 4, balance * scale_w / (3 + 2 * root_half), 1 / ((2 + scale_w) * balance),
            1 / (4 * root_half * scale_w * balance)};
}
// With the flow held fixed there is one product of steps to choose.
constexpr float step_w = 0.01f;
constexpr Steps slopes_alone{0, step_w / (3 + 2 * root_half), 1 / step_w, 1 / (4 * root_half * step_w)};

// A tile of this many pixels and iterations fits the second-level cache. Threads wait for the tiles above theirs, and do so
// seldom if a row has more tiles than there are threads: so tiles of small frames are narrower, but not so narrow that a
// loop over their pixels is not worth while.
constexpr int64_t tile_width = 256, tile_height = 8, least_width = 48, least_columns = 4;
constexpr int64_t cache = 640 * 1024;
constexpr int64_t most_iterations_per_tile = 15;

// One group of residuals, prepared.
struct Group {
    std::vector<Residual> residuals;
    Answer answer;
};

// Between planes, so that the same pixel of all of them does not compete for the same few lines of a cache.
constexpr int64_t apart = 80;

// Nobody waits for a row of tiles that is left by an exception.
struct Release {
    std::atomic<int64_t>& done;
    const int64_t columns;
    ~Release() { done.store(columns, std::memory_order_release); }
};

// What is minimised: no data if only slopes are looked for.
struct Energy {
    const std::vector<Residuals>& data;
    const float* weights;
    const Variation& variation;
};

// Everything that the sweeps read and write.
class Sweeps {
public:
    Sweeps(const Start& start, const Energy& energy, Steps steps, const Reached& reached)
        : height_(start.height),
          width_(start.width),
          second_(energy.variation.second),
          steps_(steps),
          shrink_(1.0f / (1.0f + steps.p * energy.variation.threshold)),
          u_(reached.u),
          v_(reached.v) {
        place_state(reached.state, energy);
        place_scratch(energy);
        std::fill(zeros_, zeros_ + width_, 0.0f);
        std::fill(ones_, ones_ + width_, 1.0f);
        std::fill(inside_, inside_ + width_, 1.0f);
        inside_[width_ - 1] = 0.0f;
        const int64_t size = height_ * width_, planes = state_planes(energy.data, energy.variation);
        parallel_for(height_, rows_per_chunk(width_), [&](int64_t first, int64_t last) {
            const int64_t begin = first * width_, end = last * width_;
            copy(start.u, u_, begin, end);
            copy(start.v, v_, begin, end);
            for (int64_t plane = 0; plane < planes; ++plane) {
                const float* from = start.state ? start.state + plane * size : nullptr;
                copy(from, reached.state + plane * size, begin, end);
            }
            for (int64_t y = first; y < last; ++y) prepare(energy, y);
        });
    }

    void run(int64_t iterations) {
        int64_t together = 1;
        while (together < most_iterations_per_tile &&
               bytes_ * (tile_width + together) * (tile_height + together) < cache) {
            ++together;
        }
        while (iterations > 0) {
            const int64_t rounds = (iterations + together - 1) / together;
            const int64_t now = (iterations + rounds - 1) / rounds;  // an even share of what is left
            run_tiles(now);
            iterations -= now;
        }
    }

private:
    static void copy(const float* from, float* to, int64_t begin, int64_t end) {
        if (from) {
            std::copy(from + begin, from + end, to + begin);
        } else {
            std::fill(to + begin, to + end, 0.0f);
        }
    }

    void place_state(float* state, const Energy& energy) {
        const int64_t size = height_ * width_;
        const auto take = [&] { return std::exchange(state, state + size); };
        for (float*& plane : p_) plane = take();
        if (second_ > 0) {
            for (float*& plane : q_) plane = take();
            for (float*& plane : w_) plane = take();
        }
        for (const Residuals& term : energy.data) {
            Group& group = groups_.emplace_back();
            group.residuals.resize(static_cast<size_t>(term.count));
            for (Residual& residual : group.residuals) residual.dual = take();
            largest_group_ = std::max(largest_group_, term.count);
        }
    }

    void place_scratch(const Energy& energy) {
        const int64_t size = height_ * width_, extended = height_ * (width_ + 1);
        const bool guided = energy.variation.edges_x != nullptr;
        int64_t planes = guided ? 2 : 0;
        for (const Group& group : groups_) planes += 3 * static_cast<int64_t>(group.residuals.size()) + 3;
        const int64_t extended_planes = second_ > 0 ? 6 : 2;
        const int64_t count = planes * (size + apart) + extended_planes * (extended + apart) + 3 * (width_ + apart);
        bytes_ = static_cast<int64_t>(sizeof(float)) * (planes + extended_planes + 2 + (second_ > 0 ? 14 : 4));
        scratch_ = std::make_unique<Workspace>(count);
        const auto take = [&](int64_t length) { return scratch_->take(length + apart); };
        extrapolated_u_ = take(extended);
        extrapolated_v_ = take(extended);
        if (second_ > 0) {
            for (float*& plane : extrapolated_w_) plane = take(extended);
        }
        for (Group& group : groups_) {
            for (Residual& residual : group.residuals) {
                for (float** plane : {&residual.value, &residual.along_x, &residual.along_y}) *plane = take(size);
            }
            for (float** plane : {&group.answer.stiffness, &group.answer.keep, &group.answer.bound})
                *plane = take(size);
        }
        if (guided) {
            edges_x_ = take(size);
            edges_y_ = take(size);
        }
        for (float** row : {&zeros_, &ones_, &inside_}) *row = take(width_);
    }

    void prepare(const Energy& energy, int64_t y) {
        const auto& [data, weights, variation] = energy;
        const int64_t begin = y * width_, end = begin + width_;
        auto extend = [&](const float* plane, float* extended) {
            float* row = extended + y * (width_ + 1);
            std::copy(plane + begin, plane + end, row);
            row[width_] = 0.0f;  // read, and multiplied by 0
        };
        extend(u_, extrapolated_u_);
        extend(v_, extrapolated_v_);
        if (second_ > 0) {
            for (int i = 0; i < 4; ++i) extend(w_[i], extrapolated_w_[i]);
        }
        for (size_t g = 0; g < groups_.size(); ++g) {
            const auto& [residuals, answer] = groups_[g];
            const Residuals& term = data[g];
            std::fill(answer.keep + begin, answer.keep + end, 0.0f);
            for (size_t k = 0; k < residuals.size(); ++k) {
                const int64_t plane = static_cast<int64_t>(k) * height_ * width_;
                prepare_residual({term.value + plane, term.along_x + plane, term.along_y + plane}, {u_, v_},
                                 term.normalisation, residuals[k], answer.keep, {begin, end});
            }
            const float* const own = term.weights ? term.weights : weights;
            prepare_answer(own, term.factor / variation.weight, term.threshold, answer, {begin, end}, steps_.flow);
        }
        if (edges_x_) {
            for (int64_t i = begin; i < end; ++i) edges_x_[i] = std::sqrt(variation.edges_x[i]);
            for (int64_t i = begin; i < end; ++i) edges_y_[i] = std::sqrt(variation.edges_y[i]);
            edges_x_[end - 1] = 0.0f;
            if (y == height_ - 1) std::fill(edges_y_ + begin, edges_y_ + end, 0.0f);
        }
    }

    // Rows of the factors of the differences. There are none beyond the last column and row.
    const float* inside_y(int64_t y) const { return y >= 0 && y < height_ - 1 ? ones_ : zeros_; }
    const float* along_x(int64_t y) const { return edges_x_ ? edges_x_ + y * width_ : inside_; }
    const float* along_y(int64_t y) const { return edges_y_ && y >= 0 ? edges_y_ + y * width_ : inside_y(y); }

    void run_tiles(int64_t iterations) {
        auto divided = [](int64_t length, int64_t parts) { return (length + parts - 1) / parts; };
        const int64_t span = width_ + iterations - 1;
        const int64_t wanted = std::max(divided(span, tile_width), least_columns);
        const int64_t across = std::max(divided(span, wanted), least_width), columns = divided(span, across);
        const int64_t rows = (height_ + iterations - 1 + tile_height - 1) / tile_height;
        const auto done = std::make_unique<std::atomic<int64_t>[]>(static_cast<size_t>(rows));
        // Chunks are handed out in order, so the row of tiles above is done or in work, and can be waited for.
        parallel_for(rows, 1, [&](int64_t first, int64_t last) {
            for (int64_t row = first; row < last; ++row) {
                const Release release{done[row], columns};
                const Workspace temporary((1 + largest_group_) * width_);
                for (int64_t column = 0; column < columns; ++column) {
                    while (row > 0 && done[row - 1].load(std::memory_order_acquire) <= column) {
                        std::this_thread::yield();
                    }
                    tile(row * tile_height, column * across, across, iterations, temporary.data());
                    done[row].store(column + 1, std::memory_order_release);
                }
            }
        });
    }

    // The tile whose first pixel is (x, y) in iteration 0, so many pixels across.
    void tile(int64_t y, int64_t x, int64_t across, int64_t iterations, float* temporary) {
        for (int64_t t = 0; t < iterations; ++t) {
            const int64_t top = std::max<int64_t>(y - t, 0), bottom = std::min(y - t + tile_height, height_);
            const int64_t begin = std::max<int64_t>(x - t, 0), end = std::min(x - t + across, width_);
            if (begin >= end) continue;
            for (int64_t row = top; row < bottom; ++row) {
                ascend(row, {begin, end});
                descend(row, {begin, end}, temporary);
            }
        }
    }

    Flow extrapolated(int64_t at) const { return {extrapolated_u_ + at, extrapolated_v_ + at}; }
    Slopes extrapolated_w(int64_t at) const {
        const auto& [ux, uy, vx, vy] = extrapolated_w_;
        return Slopes{ux, uy, vx, vy}.at(at);
    }

    void ascend(int64_t y, Span span) {
        const int64_t at = y * width_, here = y * (width_ + 1), below = y < height_ - 1 ? here + width_ + 1 : here;
        const auto& [ux, uy, vx, vy] = p_;
        const Gradient p = Gradient{ux, uy, vx, vy}.at(at);
        const Edges edges{along_x(y), along_y(y)};
        if (!(second_ > 0)) {
            ascend_p(extrapolated(here), extrapolated(below), edges, p, span, steps_.p, shrink_);
            return;
        }
        ascend_p_second(extrapolated(here), extrapolated(below), edges, extrapolated_w(here), p, span, steps_.p,
                        shrink_);
        const auto& [u_xx, u_yy, u_xy, v_xx, v_yy, v_xy] = q_;
        const SymmetricGradient q = SymmetricGradient{u_xx, u_yy, u_xy, v_xx, v_yy, v_xy}.at(at);
        ascend_q(extrapolated_w(here), extrapolated_w(below), {inside_, inside_y(y)}, q, span, steps_.q, second_);
    }

    void descend(int64_t y, Span span, float* temporary) {
        const int64_t at = y * width_, above = y > 0 ? at - width_ : at, here = y * (width_ + 1);
        const MovingFlow flow{u_ + at, v_ + at, extrapolated_u_ + here, extrapolated_v_ + here};
        const auto& [ux, uy, vx, vy] = p_;
        const float *edges_x = along_x(y), *edges_y = along_y(y), *edges_y_above = along_y(y - 1);
        add_divergence(flow.u, ux + at, uy + at, uy + above, edges_x, edges_y, edges_y_above, flow.extrapolated_u, span,
                       steps_.flow);
        add_divergence(flow.v, vx + at, vy + at, vy + above, edges_x, edges_y, edges_y_above, flow.extrapolated_v, span,
                       steps_.flow);
        follow_data(at, flow, span, temporary);
        if (!(second_ > 0)) return;
        const Parts inside{inside_, inside_y(y), inside_y(y - 1)};
        for (int i = 0; i < 4; ++i) {  // wx: xx along x and xy along y; wy: xy along x and yy along y
            const float *straight = q_[3 * (i / 2) + i % 2], *mixed = q_[3 * (i / 2) + 2];
            const bool is_x = i % 2 == 0;
            const float *along = is_x ? straight : mixed, *down = is_x ? mixed : straight;
            const ForceOnSlope force{p_[i] + at, is_x ? edges_x : edges_y, {along + at, down + at, down + above},
                                     inside,     is_x ? 1.0f : root_half,  is_x ? root_half : 1.0f};
            descend_w(force, w_[i] + at, extrapolated_w_[i] + here, span, steps_.w);
        }
    }

    // The proximal step of the data, from a flow that the smoothness has moved, and the extrapolation.
    void follow_data(int64_t at, MovingFlow flow, Span span, float* temporary) const {
        const bool one = !groups_.empty() && groups_[0].residuals.size() == 1;
        if (one && groups_.size() == 1) {
            follow_one(groups_[0].residuals[0].at(at), groups_[0].answer.at(at), flow, span, steps_.flow);
        } else if (one && groups_.size() == 2 && groups_[1].residuals.size() == 2) {
            const Group &a = groups_[0], &b = groups_[1];
            follow_one_and_two(
                {a.residuals[0].at(at), a.answer.at(at), b.residuals[0].at(at), b.residuals[1].at(at), b.answer.at(at)},
                flow, span, steps_.flow);
        } else {
            follow_any_data(at, flow.extrapolated_u, flow.extrapolated_v, span, temporary);
            extrapolate(flow.u, flow.extrapolated_u, span);
            extrapolate(flow.v, flow.extrapolated_v, span);
        }
    }

    void follow_any_data(int64_t at, float* u, float* v, Span span, float* temporary) const {
        const bool single = !groups_.empty() && groups_[0].residuals.size() == 1;
        for (size_t g = single ? 1 : 0; g < groups_.size(); ++g) {
            for (const Residual& residual : groups_[g].residuals) pull(residual.at(at), u, v, span, steps_.flow);
        }
        if (single) threshold(groups_[0].residuals[0].at(at), groups_[0].answer.at(at), u, v, span, steps_.flow);
        float *norm = temporary, *next = temporary + width_;
        for (size_t g = single ? 1 : 0; g < groups_.size(); ++g) {
            const auto& [residuals, whole_answer] = groups_[g];
            const Answer answer = whole_answer.at(at);
            std::fill(norm + span.begin, norm + span.end, 0.0f);
            for (size_t k = 0; k < residuals.size(); ++k) {
                float* const own = next + static_cast<int64_t>(k) * width_;
                respond(residuals[k].at(at), answer, {u, v}, own, norm, span);
            }
            for (size_t k = 0; k < residuals.size(); ++k) {
                const float* const own = next + static_cast<int64_t>(k) * width_;
                project_and_pull(residuals[k].at(at), answer.bound, own, norm, u, v, span, steps_.flow);
            }
        }
    }

    const int64_t height_, width_;
    const float second_;
    const Steps steps_;
    const float shrink_;
    int64_t bytes_, largest_group_ = 0;  // bytes_: of a pixel, in the cache
    std::unique_ptr<Workspace> scratch_;
    float *u_, *v_, *p_[4], *q_[6], *w_[4];
    float *extrapolated_u_, *extrapolated_v_, *extrapolated_w_[4];  // rows one longer than the frame's
    std::vector<Group> groups_;
    float *edges_x_ = nullptr, *edges_y_ = nullptr;
    float *zeros_, *ones_, *inside_;  // single rows
};

}  // namespace

void primal_dual(const Start& start, const std::vector<Residuals>& data, const float* weights,
                 const Variation& variation, int64_t iterations, const Reached& reached) {
    const float balance = usual_balance / variation.reach;
    const Steps steps = variation.second > 0 ? second_order(balance) : first_order(balance);
    Sweeps(start, {data, weights, variation}, steps, reached).run(iterations);
}

void slopes(const Start& start, const Variation& variation, int64_t iterations, float* w) {
    const int64_t size = start.height * start.width, planes = state_planes({}, variation);
    const Workspace flow(2 * size), state(planes * size);
    Sweeps({start.height, start.width, start.u, start.v, nullptr}, {{}, nullptr, variation}, slopes_alone,
           {flow.data(), flow.data() + size, state.data()})
        .run(iterations);
    std::copy_n(state.data() + (planes - 4) * size, 4 * size, w);
}

}  // namespace variflow
