// The two planes of a flow as pairs, the way that flows are handed out.
#include "base/pairs.hpp"
#include "base/threads.hpp"
#include "image/image.hpp"

namespace variflow {

void interleave(const float* u, const float* v, int64_t count, float* out) {
    parallel_for(count, rows_per_chunk(1), [=](int64_t begin, int64_t end) {
        pair_up_row(u + begin, v + begin, 2 * (end - begin), out + 2 * begin);
    });
}

}  // namespace variflow
