// Replaces operator new of the program that includes it, so that a test can say which allocation is
// the first to be refused: that one and all after it, on every thread or on all but the test's.
#pragma once

#include <atomic>
#include <cstdlib>
#include <limits>
#include <new>

namespace elanus::check {

class FailingNew {
 public:
  // Refuses allocations from now on, after the next `allowed` ones.
  explicit FailingNew(long allowed, bool only_other_threads = false) {
    is_spared = only_other_threads;
    left.store(allowed);
  }
  ~FailingNew() {
    left.store(kNone);
    is_spared = false;
  }
  FailingNew(const FailingNew&) = delete;
  FailingNew& operator=(const FailingNew&) = delete;

  bool has_refused() const { return left.load() < 0; }

  // Null when refused.
  static void* try_allocate(size_t bytes) noexcept {
    const bool counts = left.load(std::memory_order_relaxed) != kNone && !is_spared;
    return counts && left.fetch_sub(1) <= 0 ? nullptr : std::malloc(bytes + (bytes == 0));
  }
  static void* allocate(size_t bytes) {
    void* memory = try_allocate(bytes);
    if (memory == nullptr) throw std::bad_alloc();
    return memory;
  }

 private:
  static constexpr long kNone = std::numeric_limits<long>::max();
  static inline std::atomic<long> left{kNone};
  static inline thread_local bool is_spared = false;
};

}  // namespace elanus::check

void* operator new(size_t bytes) { return elanus::check::FailingNew::allocate(bytes); }
void* operator new[](size_t bytes) { return elanus::check::FailingNew::allocate(bytes); }
void* operator new(size_t bytes, const std::nothrow_t&) noexcept {
  return elanus::check::FailingNew::try_allocate(bytes);
}
void* operator new[](size_t bytes, const std::nothrow_t&) noexcept {
  return elanus::check::FailingNew::try_allocate(bytes);
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, size_t) noexcept { std::free(memory); }
