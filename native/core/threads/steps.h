// Long loops on a pool's thread: after some 0.2 ms of counted work others get their turn and the
// cancel token is looked at (R22). Pieces of parallel_for are short and need it only where one item
// can take long.
#pragma once

#include <cstddef>

#include "base/cancel.h"
#include "threads/thread_pool.h"

namespace elanus {

class Steps {
 public:
  // `cancel` may be null.
  explicit Steps(const CancelToken* cancel) : cancel_(cancel) {}

  // Counts work of about so many nanoseconds. False when the work shall end.
  bool take(size_t ns) {
    left_ns_ -= static_cast<ptrdiff_t>(ns);
    return left_ns_ > 0 || next();
  }

 private:
  static constexpr ptrdiff_t kStepNs = 200'000;

  bool next() {
    if (is_canceled(cancel_)) return false;  // and so every call from here on
    left_ns_ = kStepNs;
    ThreadPool::give_way();
    return !is_canceled(cancel_);
  }

  const CancelToken* cancel_;
  ptrdiff_t left_ns_ = kStepNs;
};

}  // namespace elanus
