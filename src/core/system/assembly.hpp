// A block of pixels of the motion tensor.
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

// Add what `number` residuals of `count` pixels, at most a block, contribute.
void add_block(const Residual* residuals, int64_t number, int count, const float* weights, const Constancy& term,
               const Tensor& tensor);

// Add what a data term contributes in `count` pixels from `first` on, of `pixels` in all; `residuals` is for its use.
void add_block(const DataTerm& term, int64_t pixels, int64_t first, int count, const float* weights,
               std::vector<Residual>& residuals, const Tensor& tensor);

// The weights of the edges of the pixels from `begin` on and before `end` of row y: to the right, 0 in the last column
// of the frame, and below, 0 in its last row.
void edge_weights_row(const SmoothnessTerm& term, int64_t height, int64_t width, int64_t y, int64_t begin, int64_t end,
                      Field flow, float* right, float* below);

}  // namespace variflow
