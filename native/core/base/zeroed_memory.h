// Zero-filled memory, 64-byte aligned. From kMappedFromBytes on it is a mapping of its own: pages
// that nobody has written cost nothing, and all of it is the system's again the moment it is freed,
// which memory of the allocator's heap is not. Movable, not copyable. Not for short-lived memory: a
// mapping costs two system calls and a fault for each page.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

namespace elanus {

class ZeroedMemory {
 public:
  static constexpr size_t kMappedFromBytes = 16 << 10;
  static constexpr size_t kPageBytes = 4096;

  ZeroedMemory() = default;
  // Throws bad_alloc when the memory is refused.
  explicit ZeroedMemory(size_t bytes);
  ~ZeroedMemory();
  ZeroedMemory(ZeroedMemory&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)),
        size_(std::exchange(other.size_, 0)),
        is_mapped_(other.is_mapped_) {}
  ZeroedMemory& operator=(ZeroedMemory&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(is_mapped_, other.is_mapped_);
    return *this;
  }

  uint8_t* data() const { return data_; }
  size_t size() const { return size_; }
  // Whether pages come with their first write; else all of it is held from the start.
  bool is_mapped() const { return is_mapped_; }

 private:
  uint8_t* data_ = nullptr;
  size_t size_ = 0;
  bool is_mapped_ = false;
};

}  // namespace elanus
