// A pool of threads for loops over rows.
#pragma once

#include <cstdint>
#include <memory>
#include <type_traits>

namespace variflow {

// The number of CPUs this process may run on, at least 1.
int usable_cpus();

// How many threads, the caller's included, a loop may use.
int get_threads();
void set_threads(int count);

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
