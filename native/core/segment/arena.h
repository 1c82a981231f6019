// Memory for values of variable width: 8-byte aligned, never moved, freed with the segment. Blocks
// begin at 512 bytes and double to 1 MiB. The writer only; readers reach values through pointers
// that were published.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "base/zeroed_memory.h"

namespace elanus {

class Arena {
 public:
  static constexpr size_t kFirstBlockBytes = 512;
  static constexpr size_t kLargestBlockBytes = size_t{1} << 20;

  // Makes sure that takes of `bytes` in all (each padded to 8) need no memory. May throw bad_alloc.
  void reserve(size_t bytes) {
    if (bytes <= free_) return;
    const size_t block = std::max(bytes, next_block_bytes_);
    const size_t held_before = closed_bytes_ + held_of_last();
    blocks_.emplace_back(block);
    closed_bytes_ = held_before;
    next_ = reinterpret_cast<char*>(blocks_.back().data());
    free_ = block;
    next_block_bytes_ = std::min(kLargestBlockBytes, next_block_bytes_ * 2);
    allocated_bytes_ += block;
    note_held();
  }
  // Takes reserved memory.
  char* take(size_t bytes) {
    char* taken = next_;
    next_ += padded(bytes);
    free_ -= padded(bytes);
    return taken;
  }
  // Counts what was taken. After the takes of an append.
  void note_held() {
    bytes_.store(closed_bytes_ + held_of_last(), std::memory_order_relaxed);
  }
  // Of all blocks, whether they are written or not. The writer only.
  size_t allocated_bytes() const { return allocated_bytes_; }
  // Held as of the last reserve or `note_held`: of a mapped block the pages that were written. Any
  // thread.
  size_t memory_bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  size_t held_of_last() const {
    if (blocks_.empty()) return 0;
    const ZeroedMemory& last = blocks_.back();
    if (!last.is_mapped()) return last.size();
    constexpr size_t kPage = ZeroedMemory::kPageBytes;
    return (last.size() - free_ + kPage - 1) / kPage * kPage;
  }

  std::vector<ZeroedMemory> blocks_;
  char* next_ = nullptr;
  size_t free_ = 0;
  size_t next_block_bytes_ = kFirstBlockBytes;
  size_t allocated_bytes_ = 0;
  size_t closed_bytes_ = 0;  // held of all blocks but the last
  std::atomic<size_t> bytes_{0};
};

}  // namespace elanus
