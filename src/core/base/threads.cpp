#include "base/threads.hpp"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif
#if defined(__linux__)
#include <sched.h>
#endif
#if !defined(_WIN32)
#include <pthread.h>
#endif

namespace variflow {
namespace {

// Kernels follow one another closely: a thread looks for news this often before it sleeps (about a hundred microseconds).
constexpr int looks_before_sleep = 10000, looks_between_yields = 1000;

inline void pause() {
#if defined(__x86_64__) || defined(_M_X64)
    _mm_pause();
#elif defined(__aarch64__) && !defined(_MSC_VER)
    __asm__ __volatile__("yield");
#endif
}

// Between looks, let others have the CPU from time to time: they may be what all wait for.
inline void rest(int look) {
    if (look % looks_between_yields == looks_between_yields - 1) {
        std::this_thread::yield();
    } else {
        pause();
    }
}

class Pool {
public:
    explicit Pool(int threads) : threads_(threads) {
        try {
            workers_.reserve(static_cast<size_t>(threads - 1));
            for (int i = 1; i < threads; ++i) workers_.emplace_back([this] { work(); });
        } catch (const std::exception&) {
            // The system gives no more threads: go on with those there are.
        }
    }

    ~Pool() {
        {
            std::lock_guard lock(mutex_);
            stopping_ = true;
            round_.fetch_add(1);
        }
        wake_.notify_all();
        for (std::thread& worker : workers_) worker.join();
    }

    int threads() const { return threads_; }

    void run(int64_t count, int64_t grain, void (*body)(void*, int64_t, int64_t), void* context) {
        {
            std::lock_guard lock(mutex_);
            count_ = count;
            grain_ = grain;
            body_ = body;
            context_ = context;
            next_.store(0);
            open_ = true;
            round_.fetch_add(1);
        }
        wake_.notify_all();
        take_chunks();
        // Workers that did not wake in time find the job closed; only those inside it are waited for.
        for (int look = 0; look < looks_before_sleep && inside_.load() != 0; ++look) rest(look);
        std::unique_lock lock(mutex_);
        open_ = false;
        left_.wait(lock, [this] { return inside_.load() == 0; });
        if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
    }

private:
    void work() {
        uint64_t seen = 0;
        for (;;) {
            for (int look = 0; look < looks_before_sleep && round_.load() == seen; ++look) rest(look);
            {
                std::unique_lock lock(mutex_);
                wake_.wait(lock, [&] { return round_.load() != seen; });
                if (stopping_) return;
                seen = round_.load();
                if (!open_) continue;
                inside_.fetch_add(1);
            }
            take_chunks();
            std::lock_guard lock(mutex_);
            if (inside_.fetch_sub(1) == 1) left_.notify_one();
        }
    }

    void take_chunks() {
        for (;;) {
            const int64_t begin = next_.fetch_add(grain_);
            if (begin >= count_) return;
            try {
                body_(context_, begin, std::min(begin + grain_, count_));
            } catch (...) {
                std::lock_guard lock(mutex_);
                if (!failure_) failure_ = std::current_exception();
                next_.store(count_);
            }
        }
    }

    const int threads_;
    std::mutex mutex_;
    std::condition_variable wake_, left_;
    std::atomic<uint64_t> round_{0};
    std::atomic<int> inside_{0};
    std::atomic<int64_t> next_{0};
    bool open_ = false, stopping_ = false;
    int64_t count_ = 0, grain_ = 1;
    void (*body_)(void*, int64_t, int64_t) = nullptr;
    void* context_ = nullptr;
    std::exception_ptr failure_;
    std::vector<std::thread> workers_;  // last: a worker uses the members above
};

std::atomic<int> asked{most_threads}, limit{most_threads};
std::atomic<bool> bound{true};
std::atomic<bool> busy{false};

// Guarded by `busy`. Never deleted at exit: sleeping workers end with the process, and nothing has to be joined.
Pool* pool = nullptr;

#if !defined(_WIN32)
// A forked child has none of the parent's workers: leave the old pool alone and start a new one when it is needed.
void after_fork_in_child() {
    pool = nullptr;
    busy.store(false);
}
const int registered = pthread_atfork(nullptr, nullptr, after_fork_in_child);
#endif

// The number of CPUs the calling thread may run on, at least 1. It may change at any time.
int usable_cpus() {
#if defined(__linux__)
    cpu_set_t cpus;
    if (sched_getaffinity(0, sizeof cpus, &cpus) == 0) return std::max(1, CPU_COUNT(&cpus));
#endif
    return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

struct Ownership {
    ~Ownership() { busy.store(false, std::memory_order_release); }
};

}  // namespace

int get_threads() {
    const int most = std::min(asked.load(), limit.load());
    return most > 1 && bound.load() ? std::min(most, usable_cpus()) : most;
}

void set_threads(int count) { asked.store(std::max(1, count)); }

void limit_threads(int count, bool within_affinity) {
    limit.store(std::max(1, count));
    bound.store(within_affinity);
}

void run_chunks(int64_t count, int64_t grain, void (*body)(void*, int64_t, int64_t), void* context) {
    const int threads = count > grain ? get_threads() : 1;
    if (threads > 1 && !busy.exchange(true, std::memory_order_acquire)) {
        const Ownership ownership;
        if (!pool || pool->threads() != threads) {
            delete pool;
            pool = nullptr;
            pool = new Pool(threads);
        }
        pool->run(count, grain, body, context);
        return;
    }
    for (int64_t begin = 0; begin < count; begin += grain) body(context, begin, std::min(begin + grain, count));
}

}  // namespace variflow
