// The two planes of a flow as pairs, the way that flows are handed out.
#include "kernels.hpp"
#include "platform.hpp"
#include "threads.hpp"

namespace variflow {
namespace {

VARIFLOW_CLONES
void pair_up(const float* VARIFLOW_RESTRICT u, const float* VARIFLOW_RESTRICT v, int64_t count,
             float* VARIFLOW_RESTRICT out) {
    for (int64_t i = 0; i < count; ++i) {
        out[2 * i] = u[i];
        out[2 * i + 1] = v[i];
    }
}

}  // namespace

void interleave(const float* u, const float* v, int64_t count, float* out) {
    parallel_for(count, rows_per_chunk(1), [=](int64_t begin, int64_t end) {
        pair_up(u + begin, v + begin, end - begin, out + 2 * begin);
    });
}

}  // namespace variflow
