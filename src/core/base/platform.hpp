// What differs between compilers: run-time choice of the vector width, forced inlining, pointers that do not overlap,
// prefetching, and vectors of a few floats.
#pragma once

#include <cstring>

// A function marked VARIFLOW_CLONES is compiled for several vector widths; the loader picks the best the CPU has. Where the
// compiler cannot do that, the whole core is compiled several times instead (CMakeLists.txt). GCC keeps the promise of
// VARIFLOW_RESTRICT in the copies only for parameters, not for local pointers.
#if defined(VARIFLOW_HAS_CLONES)
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

// As many floats as half of the widest vectors hold, so that short rows have vectors, too; or as a vector of the baseline
// holds, where there is nothing wider.
#if defined(VARIFLOW_HAS_CLONES) || defined(__AVX__)
constexpr int pack_size = 8;
#else
constexpr int pack_size = 4;
#endif

#if defined(_MSC_VER) && !defined(__clang__)
template <int size>
struct Lanes {
    float lane[size];
    float operator[](int i) const { return lane[i]; }
};
template <int size>
Lanes<size> operator+(Lanes<size> a, Lanes<size> b) {
    for (int i = 0; i < size; ++i) a.lane[i] += b.lane[i];
    return a;
}
template <int size>
Lanes<size> operator-(Lanes<size> a, Lanes<size> b) {
    for (int i = 0; i < size; ++i) a.lane[i] -= b.lane[i];
    return a;
}
template <int size>
Lanes<size> operator*(float factor, Lanes<size> a) {
    for (int i = 0; i < size; ++i) a.lane[i] *= factor;
    return a;
}
template <int size>
Lanes<size> operator*(Lanes<size> a, Lanes<size> b) {
    for (int i = 0; i < size; ++i) a.lane[i] *= b.lane[i];
    return a;
}
using Four = Lanes<4>;
using Pack = Lanes<pack_size>;
#else
using Four = float __attribute__((vector_size(16)));
using Pack = float __attribute__((vector_size(pack_size * sizeof(float))));
#endif

// Four of the eight lanes of two vectors, by their numbers.
#if defined(__clang__)
#define VARIFLOW_SHUFFLE(a, b, i, j, k, l) __builtin_shufflevector(a, b, i, j, k, l)
#elif defined(__GNUC__)
using FourNumbers = int __attribute__((vector_size(16)));
#define VARIFLOW_SHUFFLE(a, b, i, j, k, l) __builtin_shuffle(a, b, FourNumbers{i, j, k, l})
#else
#define VARIFLOW_SHUFFLE(a, b, i, j, k, l) lanes_of(a, b, i, j, k, l)
inline Four lanes_of(Four a, Four b, int i, int j, int k, int l) {
    const float all[] = {a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3]};
    return {all[i], all[j], all[k], all[l]};
}
#endif

// Turn four vectors into those of their first, second, third and fourth lanes.
VARIFLOW_INLINE void transpose(Four& a, Four& b, Four& c, Four& d) {
    const Four ab_low = VARIFLOW_SHUFFLE(a, b, 0, 4, 1, 5), ab_high = VARIFLOW_SHUFFLE(a, b, 2, 6, 3, 7);
    const Four cd_low = VARIFLOW_SHUFFLE(c, d, 0, 4, 1, 5), cd_high = VARIFLOW_SHUFFLE(c, d, 2, 6, 3, 7);
    a = VARIFLOW_SHUFFLE(ab_low, cd_low, 0, 1, 4, 5);
    b = VARIFLOW_SHUFFLE(ab_low, cd_low, 2, 3, 6, 7);
    c = VARIFLOW_SHUFFLE(ab_high, cd_high, 0, 1, 4, 5);
    d = VARIFLOW_SHUFFLE(ab_high, cd_high, 2, 3, 6, 7);
}

VARIFLOW_INLINE Four load_four(const float* from) {
    Four four;
    std::memcpy(&four, from, sizeof four);
    return four;
}

VARIFLOW_INLINE void store_four(Four four, float* to) { std::memcpy(to, &four, sizeof four); }

// Packs go by reference: how they are returned depends on the vectors that are enabled.
VARIFLOW_INLINE void load_pack(const float* from, Pack& pack) { std::memcpy(&pack, from, sizeof pack); }
VARIFLOW_INLINE void store_pack(const Pack& pack, float* to) { std::memcpy(to, &pack, sizeof pack); }

// The even and the odd lanes of eight floats in two vectors, and back.
VARIFLOW_INLINE void part(Four& first, Four& second) {
    const Four even = VARIFLOW_SHUFFLE(first, second, 0, 2, 4, 6);
    second = VARIFLOW_SHUFFLE(first, second, 1, 3, 5, 7);
    first = even;
}

VARIFLOW_INLINE void pair_up(Four& even, Four& odd) {
    const Four first = VARIFLOW_SHUFFLE(even, odd, 0, 4, 1, 5);
    odd = VARIFLOW_SHUFFLE(even, odd, 2, 6, 3, 7);
    even = first;
}

}  // namespace variflow
