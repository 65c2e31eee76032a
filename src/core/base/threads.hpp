// A pool of threads for loops over rows.
#pragma once

#include <cstdint>
#include <memory>
#include <type_traits>

namespace variflow {

constexpr int most_threads = 4096;

// How many threads, the caller's included, a loop uses: as many as were asked for, but no more than the limit, nor than
// the CPUs that the calling thread is bound to. More would take turns, and wait for one another.
int get_threads();

// Ask for so many threads; at first, that is for as many as there may be.
void set_threads(int count);

// Let no more than so many threads run, and no more than the CPUs of the calling thread if `within_affinity`.
void limit_threads(int count, bool within_affinity);

// Call body(context, begin, end) for consecutive chunks of [0, count), each `grain` long but the last. The chunks
// depend on nothing but `count` and `grain`, so results are the same for any number of threads. When another thread is
// using the pool, the caller does all the work itself. The first exception of a chunk is thrown again here.
void run_chunks(int64_t count, int64_t grain, void (*body)(void*, int64_t, int64_t), void* context);

template <typename Body>
void parallel_for(int64_t count, int64_t grain, Body&& body) {
    using Plain = std::remove_reference_t<Body>;
    run_chunks(
        count, grain, [](void* context, int64_t begin, int64_t end) { (*static_cast<Plain*>(context))(begin, end); },
        const_cast<void*>(static_cast<const void*>(std::addressof(body))));
}

// Rows in a chunk: enough pixels that handing the chunk to a thread costs little beside the work.
inline int64_t rows_per_chunk(int64_t width) {
    constexpr int64_t pixels = 16384;
    return width >= pixels ? 1 : pixels / width;
}

}  // namespace variflow
