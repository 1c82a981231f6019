// A growing array whose elements never move: one writer grows it while readers index it without
// locks. Level l holds 2^l elements, so 32 levels reach 2^32 - 1 of them and the empty array costs
// 32 pointers.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace elanus {

// T must be default-constructible; a new level's elements are value-initialised.
template <typename T, size_t kLevels = 32>
class StableArray {
 public:
  StableArray() = default;
  StableArray(const StableArray&) = delete;
  StableArray& operator=(const StableArray&) = delete;
  ~StableArray() {
    for (std::atomic<T*>& level : levels_) delete[] level.load(std::memory_order_relaxed);
  }

  // The element, or nullptr when no writer has reached its level. Any thread.
  T* find(size_t index) const {
    const size_t level = level_of(index);
    T* elements = levels_[level].load(std::memory_order_acquire);
    return elements == nullptr ? nullptr : elements + (index + 1 - (size_t{1} << level));
  }
  // The element, made when it is new. The writer only; may throw bad_alloc and then has changed
  // nothing.
  T& grow_to(size_t index) {
    const size_t level = level_of(index);
    T* elements = levels_[level].load(std::memory_order_relaxed);
    if (elements == nullptr) {
      elements = std::make_unique<T[]>(size_t{1} << level).release();
      levels_[level].store(elements, std::memory_order_release);
    }
    return elements[index + 1 - (size_t{1} << level)];
  }

 private:
  static size_t level_of(size_t index) {
    return static_cast<size_t>(std::bit_width(static_cast<uint64_t>(index) + 1)) - 1;
  }
  std::array<std::atomic<T*>, kLevels> levels_{};
};

}  // namespace elanus
