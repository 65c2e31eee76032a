// Which of two flows to take where they differ: so small things that move by themselves survive a filter.
#include <algorithm>

#include "base/memory.hpp"
#include "base/platform.hpp"
#include "base/threads.hpp"
#include "filter/filters.hpp"

namespace variflow {
namespace {

VARIFLOW_CLONES
void limit(const float* VARIFLOW_RESTRICT values, float most, int64_t count, float* VARIFLOW_RESTRICT out) {
    for (int64_t i = 0; i < count; ++i) out[i] = values[i] < most ? values[i] : most;
}

VARIFLOW_CLONES
void choose(const float* VARIFLOW_RESTRICT u, const float* VARIFLOW_RESTRICT v,
            const float* VARIFLOW_RESTRICT filtered_u, const float* VARIFLOW_RESTRICT filtered_v,
            const float* VARIFLOW_RESTRICT visible, const float* VARIFLOW_RESTRICT before,
            const float* VARIFLOW_RESTRICT after, KeepingRule rule, int64_t count, float* VARIFLOW_RESTRICT out_u,
            float* VARIFLOW_RESTRICT out_v) {
    for (int64_t i = 0; i < count; ++i) {
        const float du = filtered_u[i] - u[i], dv = filtered_v[i] - v[i];
        const bool keep = (du * du + dv * dv > rule.far * rule.far) & (visible[i] > rule.visible) &
                          (after[i] > rule.worse * before[i] + rule.least);
        const float kept_u = u[i], kept_v = v[i], new_u = filtered_u[i], new_v = filtered_v[i];
        out_u[i] = keep ? kept_u : new_u;
        out_v[i] = keep ? kept_v : new_v;
    }
}

}  // namespace

void keep_what_matches(const float* flow, const float* filtered, Misfits misfits, Shape shape, KeepingRule rule,
                       float* out) {
    const int64_t pixels = shape.height * shape.width;
    // The planes are visibility, the mismatch before, and that after.
    const Workspace limited_memory(3 * pixels), means_memory(3 * pixels);
    float *const limited = limited_memory.data(), *const means = means_memory.data();
    parallel_for(pixels, rows_per_chunk(1), [=](int64_t begin, int64_t end) {
        const int64_t count = end - begin;
        std::copy_n(misfits.visibility + begin, count, limited + begin);
        limit(misfits.before + begin, rule.most, count, limited + pixels + begin);
        limit(misfits.after + begin, rule.most, count, limited + 2 * pixels + begin);
    });
    box_mean(limited, {3, shape.height, shape.width}, rule.window / 2, means);
    parallel_for(pixels, rows_per_chunk(1), [=](int64_t begin, int64_t end) {
        choose(flow + begin, flow + pixels + begin, filtered + begin, filtered + pixels + begin, means + begin,
               means + pixels + begin, means + 2 * pixels + begin, rule, end - begin, out + begin,
               out + pixels + begin);
    });
}

}  // namespace variflow
