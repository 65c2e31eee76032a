// The motion tensor of brightness and gradient constancy, straight from the frames.
//
// With W the warped second frame and F the first, T = W - F is the temporal difference, and A the image whose
// derivatives are taken (their average, say). Brightness constancy compares Ax du + Ay dv + T, gradient constancy
// Axx du + Axy dv + Tx and Axy du + Ayy dv + Ty. The few rows of T, A, Ax and Ay that the derivatives of a row need are
// kept, so nothing but the tensor is ever written to main memory.
#include "system/constancy.hpp"

#include <algorithm>
#include <cmath>

#include "base/platform.hpp"
#include "base/threads.hpp"
#include "image/rows.hpp"

namespace variflow {
namespace {

// The temporal difference, and the average of both frames.
VARIFLOW_CLONES
void compare(const float* VARIFLOW_RESTRICT first, const float* VARIFLOW_RESTRICT warped, int64_t count,
             float* VARIFLOW_RESTRICT difference, float* VARIFLOW_RESTRICT average) {
    for (int64_t i = 0; i < count; ++i) {
        difference[i] = warped[i] - first[i];
        average[i] = 0.5f * (first[i] + warped[i]);
    }
}

VARIFLOW_CLONES
bool any_still(const float* VARIFLOW_RESTRICT u, const float* VARIFLOW_RESTRICT v, int64_t count) {
    int32_t number = 0;
    for (int64_t i = 0; i < count; ++i) number += (u[i] == 0.0f) & (v[i] == 0.0f) ? 1 : 0;
    return number > 0;
}

// Where nothing moves the frame is what it is; a spline returns it with rounding errors only.
VARIFLOW_CLONES
void keep_still(const float* VARIFLOW_RESTRICT u, const float* VARIFLOW_RESTRICT v,
                const float* VARIFLOW_RESTRICT frame, int64_t count, float* VARIFLOW_RESTRICT warped) {
    for (int64_t i = 0; i < count; ++i) {
        const float still = frame[i];
        warped[i] = (u[i] == 0.0f) & (v[i] == 0.0f) ? still : warped[i];
    }
}

// Row y of every channel of the second frame in a window, warped; `stride` floats apart.
void warp_frame_row(const FramePair& frames, int64_t y, const Window& window, float* out, int64_t stride) {
    const auto [channels, height, width] = frames.shape;
    const int64_t at = y * width + window.begin;
    const float *u = frames.flow.u + at, *v = frames.flow.v + at;
    warp_row(frames.samples, frames.shape, y, window.begin, window.end, u, v, frames.interpolation, out, stride);
    if (frames.interpolation != Interpolation::spline || !any_still(u, v, window.width())) return;
    for (int64_t c = 0; c < channels; ++c) {
        keep_still(u, v, frames.second + c * height * width + at, window.width(), out + c * stride);
    }
}

// 1 where the target of the flow from (x + i, y) lies inside the frame, else 0.
VARIFLOW_CLONES
void mark_inside(const float* VARIFLOW_RESTRICT u, const float* VARIFLOW_RESTRICT v, int32_t x, int32_t y,
                 int32_t count, int32_t width, int32_t height, float* VARIFLOW_RESTRICT out) {
    const float last_x = static_cast<float>(width - 1), last_y = static_cast<float>(height - 1);
    const float from_y = static_cast<float>(y);
    for (int32_t i = 0; i < count; ++i) {
        const float to_x = static_cast<float>(x + i) + u[i], to_y = from_y + v[i];
        out[i] = (to_x >= 0.0f) & (to_x <= last_x) & (to_y >= 0.0f) & (to_y <= last_y) ? 1.0f : 0.0f;
    }
}

void inside_row(const float* u, const float* v, int64_t x, int64_t y, int64_t count, Shape frame, float* out) {
    auto narrow = [](int64_t value) { return static_cast<int32_t>(value); };  // which vectors of them are numbers from
    mark_inside(u, v, narrow(x), narrow(y), narrow(count), narrow(frame.width), narrow(frame.height), out);
}

// The weights of a row, from column x on, but 0 at the outermost pixels. A derivative sees the border twice there and is half
// of what it is, and steps would be twice as long.
void leave_out_outermost(const float* weights, int64_t x, int64_t y, int64_t count, const FramePair& frames,
                         float* out) {
    const Shape frame = frames.shape;
    const int64_t rows = frames.whole_height >= fewest_inner ? 1 : 0;
    const int64_t columns = frames.whole_width >= fewest_inner ? 1 : 0;
    const bool whole = y < rows || y >= frame.height - rows;
    const int64_t left = whole ? count : std::clamp<int64_t>(columns - x, 0, count);
    const int64_t right = std::clamp<int64_t>(frame.width - columns - x, 0, count);
    std::copy_n(weights, count, out);
    std::fill(out, out + left, 0.0f);
    std::fill(out + right, out + count, 0.0f);
}

VARIFLOW_CLONES
void multiply(const float* VARIFLOW_RESTRICT a, const float* VARIFLOW_RESTRICT b, int64_t count,
              float* VARIFLOW_RESTRICT out) {
    for (int64_t i = 0; i < count; ++i) out[i] = a[i] * b[i];
}

VARIFLOW_CLONES
void multiply_by(const float* VARIFLOW_RESTRICT factors, int64_t count, float* VARIFLOW_RESTRICT products) {
    for (int64_t i = 0; i < count; ++i) products[i] *= factors[i];
}

// Of one channel: the square of how far the gradients differ, and of how fast they change.
VARIFLOW_CLONES
void add_change_and_slope(const float* VARIFLOW_RESTRICT along_x, const float* VARIFLOW_RESTRICT along_y,
                          const float* VARIFLOW_RESTRICT xx, const float* VARIFLOW_RESTRICT xy,
                          const float* VARIFLOW_RESTRICT yy, int64_t count, float* VARIFLOW_RESTRICT change,
                          float* VARIFLOW_RESTRICT slope) {
    for (int64_t i = 0; i < count; ++i) {
        change[i] += along_x[i] * along_x[i] + along_y[i] * along_y[i];
        slope[i] += xx[i] * xx[i] + 2.0f * xy[i] * xy[i] + yy[i] * yy[i];
    }
}

VARIFLOW_CLONES
void root_of_quotient(const float* VARIFLOW_RESTRICT change, const float* VARIFLOW_RESTRICT slope,
                      const float* VARIFLOW_RESTRICT weights, int64_t count, float* VARIFLOW_RESTRICT out) {
    for (int64_t i = 0; i < count; ++i) out[i] = weights[i] > 0.0f ? std::sqrt(change[i] / slope[i]) : 0.0f;
}

// The derivative along y of the rows of a ring, at one of them; rows outside the frame are those of its border.
template <typename Rows>
void across(const Rows& ring, int64_t y, int64_t height, int64_t width, float* out) {
    auto at = [&](int64_t offset) { return ring[std::clamp<int64_t>(y + offset, 0, height - 1)]; };
    derivative_across_rows(at(-2), at(-1), at(1), at(2), width, out);
}

}  // namespace

ConstancyRows::ConstancyRows(const FramePair& frames, const Window& window, Detail detail)
    : frames_(frames),
      window_(window),
      detail_(detail),
      stride_((window.width() + 15) / 16 * 16),
      memory_((frames.shape.channels * (Channel::rows + 1) + 2) * stride_),
      warped_(memory_.take(frames.shape.channels * stride_)),
      weights_(memory_.take(stride_)),
      inner_weights_(memory_.take(stride_)) {
    for (int64_t c = 0; c < frames.shape.channels; ++c) channels_.emplace_back(memory_, stride_);
}

void ConstancyRows::advance(int64_t y) {
    const auto [channels, height, width] = frames_.shape;
    const int64_t at = y * width + window_.begin, number = window_.width();
    y_ = y;
    inside_row(frames_.flow.u + at, frames_.flow.v + at, window_.begin, y, number, frames_.shape, weights_);
    if (frames_.weights) multiply_by(frames_.weights + at, number, weights_);
    if (detail_ == Detail::weights) return;
    leave_out_outermost(weights_, window_.begin, y, number, frames_, inner_weights_);
    const bool twice = detail_ == Detail::second_derivatives;
    const int64_t beyond = twice ? derivative_reach : 0;  // rows of Ax and Ay on each side
    if (next_warped_ < 0) {
        next_warped_ = std::max<int64_t>(0, y - beyond - derivative_reach);
        next_differentiated_ = std::max<int64_t>(0, y - beyond);
    }
    const int64_t warped_to = std::min(height, y + beyond + derivative_reach + 1);
    for (; next_warped_ < warped_to; ++next_warped_) warp(next_warped_);
    for (; next_differentiated_ < std::min(height, y + beyond + 1); ++next_differentiated_) {
        differentiate(next_differentiated_);
    }
    if (twice) {
        for (Channel& channel : channels_) {
            derivative_along_row(channel.along_x[y], number, channel.xx);
            across(channel.along_x, y, height, number, channel.xy);
            across(channel.along_y, y, height, number, channel.yy);
            derivative_along_row(channel.difference[y], number, channel.x_difference);
            across(channel.difference, y, height, number, channel.y_difference);
        }
    }
}

void ConstancyRows::warp(int64_t y) {
    const auto [channels, height, width] = frames_.shape;
    const int64_t number = window_.width();
    warp_frame_row(frames_, y, window_, warped_, stride_);
    for (int64_t c = 0; c < channels; ++c) {
        const float* const warped = warped_ + c * stride_;
        const int64_t at = (c * height + y) * width + window_.begin;
        Channel& channel = channels_[static_cast<size_t>(c)];
        float* const image = channel.image[y];
        compare(frames_.first + at, warped, number, channel.difference[y], image);
        switch (frames_.derivative) {
            case Derivative::average:
                break;
            case Derivative::first:
                std::copy_n(frames_.first + at, number, image);
                break;
            case Derivative::second:
                std::copy_n(frames_.second + at, number, image);
                break;
            case Derivative::warped:
                std::copy_n(warped, number, image);
                break;
        }
    }
}

void ConstancyRows::differentiate(int64_t y) {
    for (Channel& channel : channels_) {
        derivative_along_row(channel.image[y], window_.width(), channel.along_x[y]);
        across(channel.image, y, frames_.shape.height, window_.width(), channel.along_y[y]);
    }
}

const float* ConstancyRows::row(FramePlane plane, int64_t number) const {
    const Channel& channel = channels_[static_cast<size_t>(number)];
    switch (plane) {
        case FramePlane::Ix:
            return channel.along_x[y_];
        case FramePlane::Iy:
            return channel.along_y[y_];
        case FramePlane::It:
            return channel.difference[y_];
        case FramePlane::Ixx:
            return channel.xx;
        case FramePlane::Ixy:
            return channel.xy;
        case FramePlane::Iyy:
            return channel.yy;
        case FramePlane::Ixt:
            return channel.x_difference;
        case FramePlane::Iyt:
            return channel.y_difference;
    }
    return nullptr;
}

void ConstancyRows::gather(ConstancyKind kind, int64_t x) {
    residuals_.clear();
    for (const Channel& channel : channels_) {
        if (kind == ConstancyKind::gradient) {
            residuals_.push_back({channel.xx + x, channel.xy + x, channel.x_difference + x});
            residuals_.push_back({channel.xy + x, channel.yy + x, channel.y_difference + x});
        } else {
            residuals_.push_back({channel.along_x[y_] + x, channel.along_y[y_] + x, channel.difference[y_] + x});
        }
    }
}

void ConstancyRows::add(const std::vector<Constancy>& terms, const Tensor& tensor) {
    for (int64_t x = 0; x < window_.width(); x += block_size) {
        const int count = static_cast<int>(std::min<int64_t>(block_size, window_.width() - x));
        for (const Constancy& term : terms) {
            gather(term.kind, x);
            add_block(residuals_, count, inner_weights_ + x, term.penalisation, tensor_at(tensor, x));
        }
    }
}

ConstancyRows::Detail detail_of(const std::vector<Constancy>& terms) {
    using enum ConstancyRows::Detail;
    const bool of_gradient = std::any_of(terms.begin(), terms.end(),
                                         [](const Constancy& term) { return term.kind == ConstancyKind::gradient; });
    return terms.empty() ? weights : of_gradient ? second_derivatives : first_derivatives;
}

void weighted_row(const ConstancyRows& rows, FramePlane plane, Shape shape, int64_t y, const Window& window,
                  float* out) {
    const int64_t skipped = window.first - window.begin;
    const float* const weights = plane == FramePlane::It ? rows.weights() : rows.inner_weights();
    for (int64_t c = 0; c < shape.channels; ++c) {
        multiply(rows.row(plane, c) + skipped, weights + skipped, window.last - window.first,
                 out + (c * shape.height + y) * shape.width + window.first);
    }
}

void mismatch_row(const ConstancyRows& rows, Shape shape, int64_t y, const Window& window, float floor, float* out) {
    using enum FramePlane;
    constexpr int64_t most = 512;
    float change[most], slope[most];
    for (int64_t x = window.first; x < window.last; x += most) {
        const int64_t count = std::min(most, window.last - x), skipped = x - window.begin;
        std::fill_n(change, count, 0.0f);
        std::fill_n(slope, count, floor * floor);
        for (int64_t c = 0; c < shape.channels; ++c) {
            auto at = [&](FramePlane plane) { return rows.row(plane, c) + skipped; };
            add_change_and_slope(at(Ixt), at(Iyt), at(Ixx), at(Ixy), at(Iyy), count, change, slope);
        }
        root_of_quotient(change, slope, rows.weights() + skipped, count, out + y * shape.width + x);
    }
}

void misfit_row(const ConstancyRows& rows, Shape shape, int64_t y, const Window& window, const Misfit& misfit) {
    if (misfit.difference) weighted_row(rows, FramePlane::It, shape, y, window, misfit.difference);
    if (misfit.mismatch) mismatch_row(rows, shape, y, window, mismatch_floor, misfit.mismatch);
}

namespace {

// Each band warps a few rows of its neighbours as well, so bands are not to be narrow.
template <typename Visit>
void visit_rows(const FramePair& frames, ConstancyRows::Detail detail, Visit&& visit) {
    constexpr int64_t least_rows = 24, most_bands = 8;
    const int64_t height = frames.shape.height, grain = std::max(least_rows, (height + most_bands - 1) / most_bands);
    const Window window{0, frames.shape.width, 0, frames.shape.width};
    parallel_for(height, grain, [&](int64_t begin, int64_t end) {
        ConstancyRows rows(frames, window, detail);
        for (int64_t y = begin; y < end; ++y) {
            rows.advance(y);
            visit(rows, y, window);
        }
    });
}

}  // namespace

void inside(Field flow, int64_t height, int64_t width, float* out) {
    parallel_for(height, rows_per_chunk(width), [=](int64_t begin, int64_t end) {
        for (int64_t y = begin; y < end; ++y) {
            const int64_t at = y * width;
            inside_row(flow.u + at, flow.v + at, 0, y, width, {1, height, width}, out + at);
        }
    });
}

void warp_second(const FramePair& frames, float* out) {
    const int64_t height = frames.shape.height, width = frames.shape.width;
    parallel_for(height, rows_per_chunk(width), [&](int64_t begin, int64_t end) {
        for (int64_t y = begin; y < end; ++y) {
            warp_frame_row(frames, y, {0, width, 0, width}, out + y * width, height * width);
        }
    });
}

void constancy_tensor(const FramePair& frames, const std::vector<Constancy>& terms, float* tensor,
                      const Misfit& misfit) {
    const int64_t width = frames.shape.width, pixels = frames.shape.height * width;
    visit_rows(frames, detail_of(terms), [&](ConstancyRows& rows, int64_t y, const Window& window) {
        for (int64_t plane = 0; plane < 5; ++plane) std::fill_n(tensor + plane * pixels + y * width, width, 0.0f);
        rows.add(terms, tensor_at(tensor, pixels, y * width));
        misfit_row(rows, frames.shape, y, window, misfit);
    });
}

void mismatch(const FramePair& frames, float floor, float* out) {
    visit_rows(frames, ConstancyRows::Detail::second_derivatives,
               [&](ConstancyRows& rows, int64_t y, const Window& window) {
                   mismatch_row(rows, frames.shape, y, window, floor, out);
               });
}

void frame_planes(const FramePair& frames, const std::vector<FramePlane>& wanted, float* out) {
    using enum ConstancyRows::Detail;
    const bool twice =
        std::any_of(wanted.begin(), wanted.end(), [](FramePlane plane) { return plane >= FramePlane::Ixx; });
    const int64_t size = frames.shape.channels * frames.shape.height * frames.shape.width;
    const auto detail = twice ? second_derivatives : first_derivatives;
    visit_rows(frames, detail, [&](ConstancyRows& rows, int64_t y, const Window& window) {
        float* planes = out;
        for (const FramePlane plane : wanted) {
            weighted_row(rows, plane, frames.shape, y, window, planes);
            planes += size;
        }
    });
}

}  // namespace variflow
