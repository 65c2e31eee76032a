// One robust step in one pass: each row of the system is made of the frames and the flow right before the first
// half-sweep over it, and goes no further than the cache.
#include <algorithm>
#include <iterator>
#include <memory>

#include "system/assembly.hpp"
#include "system/constancy.hpp"
#include "system/relaxation.hpp"

namespace variflow {
namespace {

class StepRows : public RowMaker {
public:
    StepRows(const Step& step, const Grid& grid, const Window& window, const Misfit& misfit)
        : step_(step),
          grid_(grid),
          window_(window),
          misfit_(misfit),
          constancy_(step.frames, window, detail_of(step.constancies)),
          stride_((grid.width() + 15) / 16 * 16),
          memory_((tensor_planes + 3) * stride_),
          tensor_(memory_.take(tensor_planes * stride_)),
          right_(memory_.take(stride_)),
          below_{memory_.take(stride_), memory_.take(stride_)} {}

    Row make(int64_t y) override {
        const int64_t height = grid_.height(), width = step_.frames.shape.width, at = y * width + window_.begin;
        const int64_t above = y > 0 ? at - width : at, below = y + 1 < height ? at + width : at;
        const Tensor tensor = tensor_at(tensor_, stride_, 0);
        const auto [u, v] = step_.frames.flow;
        if (!begun_ && y > 0) make_edges(y - 1);
        begun_ = true;
        make_edges(y);
        std::fill_n(tensor_, tensor_planes * stride_, 0.0f);
        constancy_.advance(y);
        constancy_.add(step_.constancies, tensor);
        misfit_row(constancy_, step_.frames.shape, y, window_, misfit_);
        for (const DataTerm& term : step_.data) add(term, at, tensor);
        const Row row{tensor.a11,
                      tensor.a12,
                      tensor.a22,
                      tensor.b1,
                      tensor.b2,
                      right_,
                      y + 1 < height ? edges_below(y) : nullptr,
                      y > 0 ? edges_below(y - 1) : nullptr,
                      u + at,
                      v + at,
                      u + at,
                      v + at,
                      u + above,
                      v + above,
                      u + below,
                      v + below};
        pack_row(row, grid_, y);
        return row;
    }

private:
    static constexpr int64_t tensor_planes = 5;
    float* edges_below(int64_t y) const { return below_[y & 1]; }
    void make_edges(int64_t y) {
        edge_weights_row(step_.smoothness, grid_.height(), step_.frames.shape.width, y, window_.begin, window_.end,
                         step_.frames.flow, right_, edges_below(y));
    }
    void add(const DataTerm& term, int64_t at, const Tensor& tensor) {
        const int64_t pixels = step_.frames.shape.height * step_.frames.shape.width;
        for (int64_t x = 0; x < window_.width(); x += block_size) {
            const int count = static_cast<int>(std::min<int64_t>(block_size, window_.width() - x));
            residuals_of(term, pixels, at + x, residuals_);
            add_block(residuals_, count, constancy_.weights() + x, term.penalisation, tensor_at(tensor, x));
        }
    }

    const Step& step_;
    const Grid& grid_;
    Window window_;
    Misfit misfit_;
    ConstancyRows constancy_;
    int64_t stride_;
    Workspace memory_;
    float *tensor_, *right_, *below_[2];
    std::vector<Residual> residuals_;
    bool begun_ = false;
};

}  // namespace

void robust_step(const Step& step, int cycles, int sweeps, float omega, const Misfit& misfit, float* out) {
    const auto [channels, height, width] = step.frames.shape;
    const Field start = step.frames.flow;
    auto maker = [&](const Grid& grid, const Window& window) -> std::unique_ptr<RowMaker> {
        return std::make_unique<StepRows>(step, grid, window, misfit);
    };
    if (cycles > 0) return cycle_made(height, width, cycles, sweeps, omega, maker, start, out);
    relax_made(height, width, sweeps, omega, maker, start, out);
}

}  // namespace variflow
