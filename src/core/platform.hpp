// What differs between compilers: run-time choice of the vector width, forced inlining, pointers that do not overlap,
// and a vector of four floats.
#pragma once

#include <cstring>

// A function marked VARIFLOW_CLONES is compiled for several vector widths; the loader picks the best the CPU has. GCC
// keeps the promise of VARIFLOW_RESTRICT in the copies only for parameters, not for local pointers.
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12 && defined(__x86_64__) && defined(__ELF__) && \
    !defined(VARIFLOW_BASELINE)
#define VARIFLOW_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define VARIFLOW_CLONES
#endif

// Helpers of a cloned function must be inlined into it, or they would be compiled for the baseline only. A lambda has
// its mark after its parameters.
#if defined(_MSC_VER)
#define VARIFLOW_INLINE __forceinline
#define VARIFLOW_INLINE_LAMBDA [[msvc::forceinline]]
#define VARIFLOW_RESTRICT __restrict
#else
#define VARIFLOW_INLINE inline __attribute__((always_inline))
#define VARIFLOW_INLINE_LAMBDA __attribute__((always_inline))
#define VARIFLOW_RESTRICT __restrict__
#endif

// Before a short loop over the lanes of a vector: unrolled early, it would not become vector code.
#if defined(__GNUC__)
#define VARIFLOW_LANES _Pragma("GCC unroll 1")
#else
#define VARIFLOW_LANES
#endif

namespace variflow {

#if defined(_MSC_VER) && !defined(__clang__)
struct Four {
    float lane[4];
    float operator[](int i) const { return lane[i]; }
};
inline Four operator+(Four a, Four b) {
    for (int i = 0; i < 4; ++i) a.lane[i] += b.lane[i];
    return a;
}
inline Four operator-(Four a, Four b) {
    for (int i = 0; i < 4; ++i) a.lane[i] -= b.lane[i];
    return a;
}
inline Four operator*(float factor, Four a) {
    for (int i = 0; i < 4; ++i) a.lane[i] *= factor;
    return a;
}
#else
using Four = float __attribute__((vector_size(16)));
#endif

VARIFLOW_INLINE Four load_four(const float* from) {
    Four four;
    std::memcpy(&four, from, sizeof four);
    return four;
}

}  // namespace variflow
