// Memory for planes and workspaces, recycled: the system takes longer to hand out fresh pages of a large block than a
// kernel takes to fill them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <utility>

namespace variflow {

// A block of at least `bytes` bytes, aligned to 64, with any content. `release` accepts null.
void* allocate(size_t bytes);
void release(void* memory) noexcept;

// Keep no more than this of what is released. Blocks that are kept already stay until another is released.
void keep_at_most(size_t bytes);

// Give back to the system what is kept, and return how many bytes that was.
size_t release_kept();

// Floats with any content, for as long as it lives.
class Workspace {
public:
    explicit Workspace(int64_t count)
        : data_(static_cast<float*>(allocate(static_cast<size_t>(count) * sizeof(float)))), left_(count) {}
    Workspace(Workspace&& other) noexcept
        : data_(std::exchange(other.data_, nullptr)), left_(other.left_), taken_(other.taken_) {}
    Workspace& operator=(Workspace&&) = delete;
    ~Workspace() { release(data_); }

    float* data() const { return data_; }

    // The next so many floats. There must be as many left: a workspace is made for what is taken from it.
    float* take(int64_t count) {
        if (count > left_) std::abort();
        float* const part = data_ + taken_;
        taken_ += count, left_ -= count;
        return part;
    }

private:
    float* data_;
    int64_t left_, taken_ = 0;
};

}  // namespace variflow
