// Median of each pixel's 3x3 or 5x5 neighbourhood, borders replicated; the input has no NaN.
//
// No branches, so that a loop over x becomes minima and maxima of whole vectors. Each column of the window is sorted
// once and shared by the windows that contain it: rank k is a row of the k-th smallest of each column. If the ranks of
// an n x n window were sorted as well, the element in row i and column j (counted from 1) would have at least i j - 1
// elements not above it and (n + 1 - i)(n + 1 - j) - 1 not below it. Elements that cannot be in the middle are dropped,
// as many small as large ones, and the median of the rest is the median of the window. What stays:
//
//     3x3: of rank 1 the largest, of rank 2 the middle, of rank 3 the smallest;
//     5x5: of rank 1 the 2 largest, of 2 the 3 largest, of 3 the middle 3, of 4 the 3 smallest, of 5 the 2 smallest.
#include <algorithm>
#include <vector>

#include "base/platform.hpp"
#include "base/threads.hpp"
#include "image/image.hpp"

namespace variflow {
namespace {

VARIFLOW_INLINE float smaller(float a, float b) { return a < b ? a : b; }
VARIFLOW_INLINE float larger(float a, float b) { return a > b ? a : b; }

VARIFLOW_INLINE void sort2(float& a, float& b) {
    const float low = smaller(a, b), high = larger(a, b);
    a = low;
    b = high;
}

// Of five values, the two or three largest (upper) or smallest (not upper), in no order. The five are not kept.
template <bool upper>
VARIFLOW_INLINE void keep2(float* VARIFLOW_RESTRICT a, float* VARIFLOW_RESTRICT kept) {
    auto outer = [](float p, float q) { return upper ? larger(p, q) : smaller(p, q); };
    auto inner = [](float p, float q) { return upper ? smaller(p, q) : larger(p, q); };
    const float p = outer(a[0], a[1]), p_rest = inner(a[0], a[1]);
    const float q = outer(a[2], a[3]), q_rest = inner(a[2], a[3]);
    kept[0] = outer(p, q);
    kept[1] = outer(outer(inner(p, q), outer(p_rest, q_rest)), a[4]);
}

template <bool upper>
VARIFLOW_INLINE void keep3(float* VARIFLOW_RESTRICT a, float* VARIFLOW_RESTRICT kept) {
    auto sort = [](float& p, float& q) { upper ? sort2(p, q) : sort2(q, p); };
    sort(a[0], a[1]);
    sort(a[2], a[3]);
    sort(a[0], a[2]);
    sort(a[0], a[4]);  // a[0] is the first to go
    sort(a[1], a[2]);
    sort(a[1], a[3]);
    sort(a[1], a[4]);  // a[1] is the second
    kept[0] = a[2], kept[1] = a[3], kept[2] = a[4];
}

VARIFLOW_INLINE void keep_middle3(float* VARIFLOW_RESTRICT a, float* VARIFLOW_RESTRICT kept) {
    sort2(a[0], a[1]);
    sort2(a[2], a[3]);
    sort2(a[0], a[2]);
    sort2(a[1], a[3]);
    kept[0] = a[1], kept[1] = a[2];
    kept[2] = smaller(larger(a[0], a[4]), a[3]);
}

VARIFLOW_INLINE float median3(float a, float b, float c) { return larger(smaller(a, b), smaller(larger(a, b), c)); }

// Put the smallest and the largest of a[0] ... a[count - 1] at its ends.
template <int count>
VARIFLOW_INLINE void extremes_to_ends(float* a) {
    for (int i = 0; i < count / 2; ++i) sort2(a[i], a[count - 1 - i]);
    for (int i = 1; i < (count + 1) / 2; ++i) sort2(a[0], a[i]);
    for (int i = count / 2; i < count - 1; ++i) sort2(a[i], a[count - 1]);
}

// Forgetful selection: of more than half of the values, here the first `count` of `a`, neither the smallest nor the
// largest is the median of all. So put the next of `rest` in the place of one, leave out the other, and go on.
template <int count>
VARIFLOW_INLINE float forget(float* a, const float* rest) {
    if constexpr (count == 3) {
        return median3(a[0], a[1], a[2]);
    } else {
        extremes_to_ends<count>(a);
        a[0] = *rest;
        return forget<count - 1>(a, rest + 1);
    }
}

VARIFLOW_INLINE float median13(float* a) { return forget<8>(a, a + 8); }

// Sort each column of some rows; the k-th smallest of them go into row k of `sorted`, which are so far apart.
VARIFLOW_CLONES
void sort_columns3(const float* const* rows, int64_t width, float* sorted, int64_t apart) {
    const float *const r0 = rows[0], *const r1 = rows[1], *const r2 = rows[2];
    float *const s0 = sorted, *const s1 = s0 + apart, *const s2 = s1 + apart;
    VARIFLOW_INDEPENDENT
    for (int64_t x = 0; x < width; ++x) {
        float a = r0[x], b = r1[x], c = r2[x];
        sort2(a, b);
        sort2(b, c);
        sort2(a, b);
        s0[x] = a, s1[x] = b, s2[x] = c;
    }
}

VARIFLOW_CLONES
void sort_columns5(const float* const* rows, int64_t width, float* sorted, int64_t apart) {
    const float *const r0 = rows[0], *const r1 = rows[1], *const r2 = rows[2], *const r3 = rows[3], *const r4 = rows[4];
    float *const s0 = sorted, *const s1 = s0 + apart, *const s2 = s1 + apart, *const s3 = s2 + apart;
    float* const s4 = s3 + apart;
    VARIFLOW_INDEPENDENT
    for (int64_t x = 0; x < width; ++x) {
        float a = r0[x], b = r1[x], c = r2[x], d = r3[x], e = r4[x];
        sort2(a, b);
        sort2(d, e);
        sort2(c, e);
        sort2(c, d);
        sort2(a, d);
        sort2(a, c);
        sort2(b, e);
        sort2(b, d);
        sort2(b, c);
        s0[x] = a, s1[x] = b, s2[x] = c, s3[x] = d, s4[x] = e;
    }
}

VARIFLOW_CLONES
void middle3(const float* s0, const float* s1, const float* s2, int64_t width, float* VARIFLOW_RESTRICT out) {
    for (int64_t x = 0; x < width; ++x) {
        const float low = larger(larger(s0[x], s0[x + 1]), s0[x + 2]);
        const float middle = median3(s1[x], s1[x + 1], s1[x + 2]);
        const float high = smaller(smaller(s2[x], s2[x + 1]), s2[x + 2]);
        out[x] = median3(low, middle, high);
    }
}

VARIFLOW_CLONES
void middle5(const float* s0, const float* s1, const float* s2, const float* s3, const float* s4, int64_t width,
             float* VARIFLOW_RESTRICT out) {
    for (int64_t x = 0; x < width; ++x) {
        float w0[5] = {s0[x], s0[x + 1], s0[x + 2], s0[x + 3], s0[x + 4]};
        float w1[5] = {s1[x], s1[x + 1], s1[x + 2], s1[x + 3], s1[x + 4]};
        float w2[5] = {s2[x], s2[x + 1], s2[x + 2], s2[x + 3], s2[x + 4]};
        float w3[5] = {s3[x], s3[x + 1], s3[x + 2], s3[x + 3], s3[x + 4]};
        float w4[5] = {s4[x], s4[x + 1], s4[x + 2], s4[x + 3], s4[x + 4]};
        float kept[13];
        keep2<true>(w0, kept);
        keep3<true>(w1, kept + 2);
        keep_middle3(w2, kept + 5);
        keep3<false>(w3, kept + 8);
        keep2<false>(w4, kept + 11);
        out[x] = median13(kept);
    }
}

}  // namespace

void median(const float* planes, Shape shape, int size, float* out) {
    const int64_t channels = shape.channels, height = shape.height, width = shape.width;
    const int64_t reach = size / 2, padded = width + 2 * reach;
    parallel_for(channels * height, rows_per_chunk(width), [=](int64_t begin, int64_t end) {
        // Row k of `ranks`: the k-th smallest of each column, between copies of its first and its last value.
        std::vector<float> ranks(static_cast<size_t>(size * padded));
        float* const s = ranks.data();
        const float* r[5];
        for (int64_t row = begin; row < end; ++row) {
            const int64_t y = row % height;
            for (int64_t k = 0; k < size; ++k) {
                r[k] = planes + (row - y + std::clamp<int64_t>(y + k - reach, 0, height - 1)) * width;
            }
            (size == 3 ? sort_columns3 : sort_columns5)(r, width, s + reach, padded);
            for (int64_t k = 0; k < size; ++k) {
                float* const rank = s + k * padded;
                std::fill_n(rank, reach, rank[reach]);
                std::fill_n(rank + reach + width, reach, rank[reach + width - 1]);
            }
            float* const target = out + row * width;
            if (size == 3) {
                middle3(s, s + padded, s + 2 * padded, width, target);
            } else {
                middle5(s, s + padded, s + 2 * padded, s + 3 * padded, s + 4 * padded, width, target);
            }
        }
    });
}

}  // namespace variflow
