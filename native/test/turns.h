// How often others had their turn while something long ran. A pool of one slot runs the long work;
// short requests are put in beside it one after another, and each that is answered before the work
// ends has had its turn.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <thread>

#include "check.h"
#include "threads/thread_pool.h"

namespace elanus {

inline size_t answered_during(const std::function<void(ThreadPool*)>& work) {
  ThreadPool pool({.threads = 1, .spare_threads = 4});
  std::atomic<bool> has_begun{false};
  std::atomic<bool> is_done{false};
  CHECK(pool.submit([&] {
              has_begun = true;
              work(&pool);
              is_done = true;
            }).is_ok());
  while (!has_begun) std::this_thread::yield();
  size_t answered = 0;
  while (!is_done) {
    std::atomic<bool> is_answered{false};
    CHECK(pool.submit([&] {
                answered += is_done ? 0 : 1;
                is_answered = true;
              }).is_ok());
    while (!is_answered) std::this_thread::yield();
  }
  return answered;
}

}  // namespace elanus
