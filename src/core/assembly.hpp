// A block of pixels of the motion tensor.
#pragma once

#include <cstdint>

#include "system.hpp"

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

// Add what `number` residuals of `count` pixels, at most a block, contribute.
void add_block(const Residual* residuals, int64_t number, int count, const float* weights, const Constancy& term,
               const Tensor& tensor);

// One row of the weights of the edges: to the right, 0 in the last column, and below, 0 in the last row.
void edge_weights_row(const SmoothnessTerm& term, int64_t height, int64_t width, int64_t y, Field flow, float* right,
                      float* below);

}  // namespace variflow
