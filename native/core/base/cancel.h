// A flag that its holder may raise to stop work that runs elsewhere. Copies share the flag. Work
// looks at it about once a millisecond and then returns early; the caller decides what a canceled
// result means.
#pragma once

#include <atomic>
#include <memory>

namespace elanus {

class CancelToken {
 public:
  CancelToken() : flag_(std::make_shared<std::atomic<bool>>(false)) {}
  void cancel() const { flag_->store(true, std::memory_order_relaxed); }
  bool is_canceled() const { return flag_->load(std::memory_order_relaxed); }

 private:
  std::shared_ptr<std::atomic<bool>> flag_;
};

inline bool is_canceled(const CancelToken* token) {
  return token != nullptr && token->is_canceled();
}

}  // namespace elanus
