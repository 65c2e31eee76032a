// One robust step in one pass: each row of the system is made of the frames and the flow right before the first
// half-sweep over it, and goes no further than the cache.
#include <memory>

#include "assembly.hpp"
#include "constancy.hpp"
#include "relaxation.hpp"

namespace variflow {
namespace {

class StepRows : public RowMaker {
public:
    StepRows(const FramePair& frames, Field flow, const FrameConstancy* terms, int64_t number,
             const SmoothnessTerm& smoothness, const Grid& grid, float* difference)
        : flow_(flow),
          smoothness_(smoothness),
          grid_(grid),
          difference_(difference),
          constancy_(frames, flow, terms, number),
          stride_((grid.width() + 15) / 16 * 16),
          memory_(8 * stride_) {}

    void make(int64_t y) override {
        const int64_t height = grid_.height(), width = grid_.width(), row = y * width;
        const int64_t above = y > 0 ? row - width : row, below = y + 1 < height ? row + width : row;
        const Tensor tensor = tensor_at(memory_.data(), stride_, 0);
        if (!begun_ && y > 0) make_edges(y - 1);
        begun_ = true;
        make_edges(y);
        constancy_.make(y, tensor, difference_ + row, height * width);
        pack_row({tensor.a11, tensor.a12, tensor.a22, tensor.b1, tensor.b2, right(),
                  y + 1 < height ? edges_below(y) : nullptr, y > 0 ? edges_below(y - 1) : nullptr, flow_.u + row,
                  flow_.v + row, flow_.u + row, flow_.v + row, flow_.u + above, flow_.v + above, flow_.u + below,
                  flow_.v + below},
                 grid_, y);
    }

private:
    float* right() const { return memory_.data() + 5 * stride_; }
    float* edges_below(int64_t y) const { return memory_.data() + (6 + (y & 1)) * stride_; }
    void make_edges(int64_t y) {
        edge_weights_row(smoothness_, grid_.height(), grid_.width(), y, flow_, right(), edges_below(y));
    }

    Field flow_;
    const SmoothnessTerm& smoothness_;
    const Grid& grid_;
    float* difference_;
    ConstancyRows constancy_;
    int64_t stride_;
    Workspace memory_;
    bool begun_ = false;
};

}  // namespace

void robust_step(const FramePair& frames, Field flow, const FrameConstancy* terms, int64_t number,
                 const SmoothnessTerm& smoothness, int sweeps, float omega, float* difference, float* out) {
    const Grid grid(frames.shape.height, frames.shape.width);
    relax_made(grid, sweeps, omega, [&] {
        return std::make_unique<StepRows>(frames, flow, terms, number, smoothness, grid, difference);
    });
    unpack(grid, Grid::x, flow, out);
}

}  // namespace variflow
