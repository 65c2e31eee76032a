// Blocks of pixels of the motion tensor, and of the edges.
#pragma once

#include <cstdint>
#include <vector>

#include "system/system.hpp"

namespace variflow {

// Pixels are handled in blocks that stay in the first-level cache.
constexpr int block_size = 512;

struct alignas(64) Block {
    float value[block_size];
};

struct Residual {
    const float *jx, *jy, *r;
};

struct Tensor {
    float *a11, *a12, *a22, *b1, *b2;
};

// Where the planes of a tensor of `pixels` pixels hold the pixel `first`.
inline Tensor tensor_at(float* tensor, int64_t pixels, int64_t first) {
    float* const at = tensor + first;
    return {at, at + pixels, at + 2 * pixels, at + 3 * pixels, at + 4 * pixels};
}

inline Tensor tensor_at(const Tensor& tensor, int64_t first) {
    return {tensor.a11 + first, tensor.a12 + first, tensor.a22 + first, tensor.b1 + first, tensor.b2 + first};
}

// The residuals of a data term from the pixel `first` on, of `pixels` in all.
void residuals_of(const DataTerm& term, int64_t pixels, int64_t first, std::vector<Residual>& residuals);

// Add what the residuals of `count` pixels, at most a block, contribute.
void add_block(const std::vector<Residual>& residuals, int count, const float* weights, const Penalisation& term,
               const Tensor& tensor);

// The mean over the residuals of `count` pixels of their squares, normalised.
void mean_square(const std::vector<Residual>& residuals, int count, float normalisation, float* squared);

// The weights of the edges of the pixels from `begin` on and before `end` of row y: to the right, 0 in the last column
// of the frame, and below, 0 in its last row.
void edge_weights_row(const SmoothnessTerm& term, int64_t height, int64_t width, int64_t y, int64_t begin, int64_t end,
                      Field flow, float* right, float* below);

// The squared differences over the edges that start in one block of a row, to the right and below, and what they count.
struct Differences {
    Block along[2];
    int count, counts[2];
    const float* guides[2];  // null where they all count 1
};
struct Place {
    int64_t height, width;  // of the frame
    int64_t x, y;
};
void differences(const SmoothnessTerm& term, const Place& at, int64_t count, Field flow, Differences& out);

// The differences of each pixel's two edges together; the guide weighs them inside the penalty.
void join(Differences& edges, float* squared);

// squared += theta r^2
void square(const Residual& residual, int count, float normalisation, float* squared);
void scale(float* values, int count, float factor);
void multiply(float* values, const float* factors, int count);

}  // namespace variflow
