// The local least squares of Lucas and Kanade: at each pixel
//
//     (a11 + r  a12    ) (du)     (b1)
//     (a12      a22 + r) (dv) = - (b2).
//
// The tensor is a sum of squares, so its determinant cannot be negative but by rounding. With the determinant of the
// whole written as det(a) + r (a11 + a22 + r), that of a flat region stays above r^2. At a single edge the products of
// the tensor cancel, and r decides; so it is not added to the tensor, where it would be rounded away.
#include "base/platform.hpp"
#include "base/threads.hpp"
#include "system/local.hpp"

namespace variflow {
namespace {

VARIFLOW_CLONES
void solve(const float* VARIFLOW_RESTRICT a11, const float* VARIFLOW_RESTRICT a12, const float* VARIFLOW_RESTRICT a22,
           const float* VARIFLOW_RESTRICT b1, const float* VARIFLOW_RESTRICT b2, float regularisation, int64_t count,
           float* VARIFLOW_RESTRICT du, float* VARIFLOW_RESTRICT dv) {
    for (int64_t i = 0; i < count; ++i) {
        const float p = a11[i], q = a12[i], s = a22[i];
        const float of_tensor = p * s - q * q;
        const float determinant = (of_tensor > 0.0f ? of_tensor : 0.0f) + regularisation * (p + s + regularisation);
        const float factor = 1.0f / determinant;
        du[i] = factor * ((q * b2[i] - s * b1[i]) - regularisation * b1[i]);
        dv[i] = factor * ((q * b1[i] - p * b2[i]) - regularisation * b2[i]);
    }
}

}  // namespace

void lucas_kanade(const float* tensor, int64_t pixels, float regularisation, float* out) {
    parallel_for(pixels, rows_per_chunk(1), [=](int64_t begin, int64_t end) {
        const float* const a = tensor + begin;
        solve(a, a + pixels, a + 2 * pixels, a + 3 * pixels, a + 4 * pixels, regularisation, end - begin, out + begin,
              out + pixels + begin);
    });
}

}  // namespace variflow
