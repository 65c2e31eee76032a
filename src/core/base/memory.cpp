// Blocks that are given back are kept, the newest few of them, and given out again to who wants about their size.
#include "base/memory.hpp"

#include <algorithm>
#include <atomic>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif
#if defined(__GLIBC__)
#include <malloc.h>
#endif
#if !defined(_WIN32)
#include <unistd.h>
#endif

namespace variflow {
namespace {

constexpr std::align_val_t alignment{64};
constexpr size_t huge_page = size_t{1} << 21;       // larger blocks ask for huge pages, of which they need fewer
constexpr size_t smallest_kept = size_t{1} << 16;   // smaller blocks are cheap to get
constexpr int slots = 512;

// Bytes kept in all, unless `keep_at_most` says otherwise. Estimates of frames of 4096 x 2160 are not slower than with
// all that they work with, which is twice to three times as much; with half of it, fast ones are.
size_t memory_to_keep() {
    constexpr size_t most = size_t{1} << 30;
#if defined(_SC_PHYS_PAGES)
    const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    if (pages > 0 && page > 0) return std::min(most, static_cast<size_t>(pages) / 4 * static_cast<size_t>(page));
#endif
    return most;
}
std::atomic<size_t> most_kept{memory_to_keep()};

// Stands before the block.
struct alignas(64) Header {
    size_t bytes;
};

// The kept blocks, oldest first. Guarded by `busy`; who finds it busy goes without, so a child forked at a bad moment
// has no cache, and works.
Header* kept[slots];
int count = 0;
size_t total = 0;
std::atomic<bool> busy{false};

class Lock {
public:
    Lock() : owned_(!busy.exchange(true, std::memory_order_acquire)) {}
    Lock(const Lock&) = delete;
    Lock& operator=(const Lock&) = delete;
    ~Lock() {
        if (owned_) busy.store(false, std::memory_order_release);
    }
    explicit operator bool() const { return owned_; }

private:
    bool owned_;
};

void remove(int slot) {
    total -= kept[slot]->bytes;
    std::copy(kept + slot + 1, kept + count, kept + slot);
    --count;
}

std::align_val_t alignment_of(size_t bytes) { return bytes < huge_page ? alignment : std::align_val_t{huge_page}; }

void free_block(Header* header) noexcept { ::operator delete(header, alignment_of(header->bytes)); }

void free_oldest() {
    Header* const oldest = kept[0];
    remove(0);
    free_block(oldest);
}

void ask_for_huge_pages([[maybe_unused]] void* block, [[maybe_unused]] size_t bytes) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    if (bytes >= huge_page) madvise(block, bytes / huge_page * huge_page, MADV_HUGEPAGE);  // a wish: it may fail
#endif
}

}  // namespace

void* allocate(size_t bytes) {
    if (bytes >= smallest_kept) {
        if (const Lock lock; lock) {
            // The newest block of almost this size is the most likely to be in a cache.
            for (int slot = count; slot-- > 0;) {
                Header* const header = kept[slot];
                if (header->bytes < bytes || header->bytes - bytes > bytes / 8) continue;
                remove(slot);
                return header + 1;
            }
        }
    }
    void* const block = ::operator new(sizeof(Header) + bytes, alignment_of(bytes));
    ask_for_huge_pages(block, bytes);
    auto* const header = static_cast<Header*>(block);
    header->bytes = bytes;
    return header + 1;
}

void release(void* memory) noexcept {
    if (!memory) return;
    Header* const header = static_cast<Header*>(memory) - 1;
    if (header->bytes < smallest_kept || header->bytes > most_kept) return free_block(header);
    const Lock lock;
    if (!lock) return free_block(header);
    while (count == slots || (count > 0 && total + header->bytes > most_kept)) free_oldest();
    kept[count++] = header;
    total += header->bytes;
}

void keep_at_most(size_t bytes) { most_kept = bytes; }

size_t release_kept() {
    size_t bytes = 0;
    if (const Lock lock; lock) {
        bytes = total;
        while (count > 0) free_oldest();
    }
#if defined(__GLIBC__)
    malloc_trim(0);
#endif
    return bytes;
}

}  // namespace variflow
