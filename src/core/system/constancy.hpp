// What two frames show along a flow, and the motion tensor of it, in one row after the other down the frame.
#pragma once

#include <cstdint>
#include <vector>

#include "base/memory.hpp"
#include "system/assembly.hpp"
#include "system/relaxation.hpp"

namespace variflow {

class ConstancyRows {
public:
    // What of a row is asked for: the weights alone, or all that is shown but derivatives of derivatives, or these too.
    enum class Detail { weights, first_derivatives, second_derivatives };

    // In the columns of a window. Near its borders, unless they are the frame's, derivatives are not right.
    ConstancyRows(const FramePair& frames, const Window& window, Detail detail);

    // Go to row y; after the first call each y is one more than the last.
    void advance(int64_t y);

    // What the frames show in that row of a channel; how much each pixel counts, and how much derivatives there do.
    const float* row(FramePlane plane, int64_t channel) const;
    const float* weights() const { return weights_; }
    const float* inner_weights() const { return inner_weights_; }

    // Add that row of the motion tensor of some terms.
    void add(const std::vector<Constancy>& terms, const Tensor& tensor);

private:
    static constexpr int64_t derivative_reach = 2;

    // The latest rows of something, found by their number in the frame.
    template <int64_t rows>
    class Ring {
    public:
        Ring(float* data, int64_t stride) : data_(data), stride_(stride) {}
        float* operator[](int64_t row) const { return data_ + (row & (rows - 1)) * stride_; }

    private:
        float* data_;
        int64_t stride_;
    };

    static constexpr int64_t image_rows = 16, gradient_rows = 8;  // powers of 2 above 8 and 4

    // What one thread holds of one channel.
    struct Channel {
        Ring<image_rows> difference, image;        // T, A
        Ring<gradient_rows> along_x, along_y;      // Ax, Ay
        float *xx, *xy, *yy, *x_difference, *y_difference;

        static constexpr int64_t rows = 2 * image_rows + 2 * gradient_rows + 5;

        Channel(Workspace& memory, int64_t stride)
            : difference(memory.take(image_rows * stride), stride),
              image(memory.take(image_rows * stride), stride),
              along_x(memory.take(gradient_rows * stride), stride),
              along_y(memory.take(gradient_rows * stride), stride) {
            for (float** row : {&xx, &xy, &yy, &x_difference, &y_difference}) *row = memory.take(stride);
        }
    };

    // What a term compares, from column x of the window on, in `residuals_`.
    void gather(ConstancyKind kind, int64_t x);
    void warp(int64_t y);
    void differentiate(int64_t y);

    const FramePair& frames_;
    Window window_;
    Detail detail_;
    int64_t stride_, y_ = 0, next_warped_ = -1, next_differentiated_ = -1;
    Workspace memory_;
    float *warped_, *weights_, *inner_weights_;
    std::vector<Channel> channels_;
    std::vector<Residual> residuals_;
};

// What terms ask for.
ConstancyRows::Detail detail_of(const std::vector<Constancy>& terms);

// A row, times the weights, in the wanted columns of planes (C, H, W).
void weighted_row(const ConstancyRows& rows, FramePlane plane, Shape shape, int64_t y, const Window& window,
                  float* out);

// A row of a mismatch, in the wanted columns of a plane (H, W); from second derivatives.
void mismatch_row(const ConstancyRows& rows, Shape shape, int64_t y, const Window& window, float floor, float* out);

// A row of what is wanted of a misfit, from what its terms asked for.
void misfit_row(const ConstancyRows& rows, Shape shape, int64_t y, const Window& window, const Misfit& misfit);

}  // namespace variflow
