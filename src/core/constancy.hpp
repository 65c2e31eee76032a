// Rows of the motion tensor of two frames, one after the other down the frame.
#pragma once

#include <cstdint>
#include <vector>

#include "assembly.hpp"
#include "memory.hpp"
#include "relaxation.hpp"

namespace variflow {

class ConstancyRows {
public:
    // In the columns of a window. Near its borders, unless they are the frame's, the tensor is not right.
    ConstancyRows(const FramePair& frames, Field flow, const FrameConstancy* terms, int64_t number, const Window& window);

    // Row y of the tensor; and in the window's wanted columns the weighted temporal difference of all channels,
    // (C, H, W), unless it is null. After the first call each y is one more than the last.
    void make(int64_t y, const Tensor& tensor, float* difference);

    // How much each pixel counts in the row that was made last.
    const float* weights() const { return row_weights_; }

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

        Channel(float* data, int64_t stride)
            : difference(data, stride),
              image(data + image_rows * stride, stride),
              along_x(data + 2 * image_rows * stride, stride),
              along_y(data + (2 * image_rows + gradient_rows) * stride, stride) {
            float* next = data + (rows - 5) * stride;
            for (float** row : {&xx, &xy, &yy, &x_difference, &y_difference}) {
                *row = next;
                next += stride;
            }
        }
    };

    void warp(int64_t y);
    void differentiate(int64_t y);
    void assemble(int64_t y, const Tensor& tensor, float* difference);

    const FramePair& frames_;
    Field flow_;
    const FrameConstancy* terms_;
    int64_t number_;
    Window window_;
    bool with_gradient_;
    int64_t stride_, next_warped_ = -1, next_differentiated_ = -1;
    Workspace memory_;
    float *warped_, *weights_;
    const float* row_weights_ = nullptr;
    std::vector<Channel> channels_;
    std::vector<Residual> residuals_;
};

}  // namespace variflow
