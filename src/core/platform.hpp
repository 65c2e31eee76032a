// What differs between compilers: run-time choice of the vector width, forced inlining, pointers that do not overlap,
// prefetching, and a vector of four floats.
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

// Before a loop whose passes do not depend on one another. Where pointers of VARIFLOW_RESTRICT would promise the same, GCC
// reads what is used twice twice.
#if defined(__clang__)
#define VARIFLOW_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#elif defined(__GNUC__)
#define VARIFLOW_INDEPENDENT _Pragma("GCC ivdep")
#elif defined(_MSC_VER)
#define VARIFLOW_INDEPENDENT __pragma(loop(ivdep))
#else
#define VARIFLOW_INDEPENDENT
#endif

// Before a short loop over the lanes of a vector: unrolled early, it would not become vector code.
#if defined(__GNUC__)
#define VARIFLOW_LANES _Pragma("GCC unroll 1")
#else
#define VARIFLOW_LANES
#endif

namespace variflow {

// Have memory that will be read soon, and is far from what was read last, brought to the caches.
VARIFLOW_INLINE void prefetch([[maybe_unused]] const void* address) {
#if defined(__GNUC__)
    __builtin_prefetch(address);
#endif
}

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
inline Four operator*(Four a, Four b) {
    for (int i = 0; i < 4; ++i) a.lane[i] *= b.lane[i];
    return a;
}
#else
using Four = float __attribute__((vector_size(16)));
#endif

// Turn four vectors into those of their first, second, third and fourth lanes.
VARIFLOW_INLINE void transpose(Four& a, Four& b, Four& c, Four& d) {
#if defined(_MSC_VER) && !defined(__clang__)
    const Four rows[] = {a, b, c, d};
    for (int i = 0; i < 4; ++i) {
        a.lane[i] = rows[i].lane[0], b.lane[i] = rows[i].lane[1];
        c.lane[i] = rows[i].lane[2], d.lane[i] = rows[i].lane[3];
    }
#else
    const Four ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5), ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
    const Four cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5), cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
    a = __builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5);
    b = __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7);
    c = __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5);
    d = __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7);
#endif
}

VARIFLOW_INLINE Four load_four(const float* from) {
    Four four;
    std::memcpy(&four, from, sizeof four);
    return four;
}

VARIFLOW_INLINE void store_four(Four four, float* to) { std::memcpy(to, &four, sizeof four); }

// The even and the odd lanes of eight floats in two vectors, and back.
VARIFLOW_INLINE void part(Four& first, Four& second) {
#if defined(_MSC_VER) && !defined(__clang__)
    const Four a = first, b = second;
    first = {a[0], a[2], b[0], b[2]}, second = {a[1], a[3], b[1], b[3]};
#else
    const Four even = __builtin_shufflevector(first, second, 0, 2, 4, 6);
    second = __builtin_shufflevector(first, second, 1, 3, 5, 7);
    first = even;
#endif
}

VARIFLOW_INLINE void pair_up(Four& even, Four& odd) {
#if defined(_MSC_VER) && !defined(__clang__)
    const Four a = even, b = odd;
    even = {a[0], b[0], a[1], b[1]}, odd = {a[2], b[2], a[3], b[3]};
#else
    const Four first = __builtin_shufflevector(even, odd, 0, 4, 1, 5);
    odd = __builtin_shufflevector(even, odd, 2, 6, 3, 7);
    even = first;
#endif
}

}  // namespace variflow
