// Memory for values of variable width: 8-byte aligned, never moved, freed with the segment. Blocks
// begin at 4 KiB and double to 1 MiB. The writer only; readers reach values through pointers that
// were published.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace elanus {

class Arena {
 public:
  static constexpr size_t kFirstBlockBytes = 4096;
  static constexpr size_t kLargestBlockBytes = size_t{1} << 20;

  static constexpr size_t padded(size_t bytes) { return (bytes + 7) & ~size_t{7}; }

  // Makes sure that takes of `bytes` in all (each padded to 8) need no memory. May throw bad_alloc.
  void reserve(size_t bytes) {
    if (bytes <= free_) return;
    const size_t block = std::max(bytes, next_block_bytes_);
    blocks_.push_back(std::make_unique_for_overwrite<uint64_t[]>((block + 7) / 8));
    next_ = reinterpret_cast<char*>(blocks_.back().get());
    free_ = block;
    next_block_bytes_ = std::min(kLargestBlockBytes, next_block_bytes_ * 2);
    bytes_.fetch_add(block, std::memory_order_relaxed);
  }
  // Takes reserved memory.
  char* take(size_t bytes) {
    char* taken = next_;
    next_ += padded(bytes);
    free_ -= padded(bytes);
    return taken;
  }
  // Any thread.
  size_t memory_bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  std::vector<std::unique_ptr<uint64_t[]>> blocks_;
  char* next_ = nullptr;
  size_t free_ = 0;
  size_t next_block_bytes_ = kFirstBlockBytes;
  std::atomic<size_t> bytes_{0};
};

}  // namespace elanus
