// A pool of worker threads. Loops take turns: a worker runs one piece (about 1 ms) of the loop at
// the head of the queue and puts the loop back at its tail. Only the worker on which a request
// began stays with that request's loop until it is done, so as many long requests as there are
// workers make all others wait. Searches and builds use different pools, with no shared lock.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "util/cancel.h"

namespace elanus {

class ThreadPool {
 public:
  struct Options {
    size_t threads = 1;
    // Nice 9 and SCHED_BATCH: about 10 % of a core stays for this pool when a search wants the
    // core.
    bool low_priority = false;
    // An idle worker spins this long before it sleeps; at most one spins, and none on a single
    // core.
    unsigned spin_us = 40;
    const char* name = "elanus";  // thread name, at most 15 characters
  };

  explicit ThreadPool(const Options& options);
  // Runs what is queued, then joins. Nothing may be submitted meanwhile.
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  size_t thread_count() const { return threads_.size(); }

  // `task` must not throw.
  void submit(std::function<void()> task);

  // Calls body(begin, end) for pieces of at most `grain` items that cover [0, count) once, on the
  // workers and on the calling thread (also from inside a task); returns when all are done. Pieces
  // not yet begun are skipped once `cancel` is raised. At most `max_threads` (0: no limit) threads
  // take part, the caller included.
  void parallel_for(size_t count, size_t grain,
                    const std::function<void(size_t begin, size_t end)>& body,
                    const CancelToken* cancel = nullptr, size_t max_threads = 0);

 private:
  class Work;
  class SingleTask;
  class Loop;

  void enqueue(const std::shared_ptr<Work>& work, size_t copies);
  std::shared_ptr<Work> next();
  std::shared_ptr<Work> take_front();
  void put_back(std::shared_ptr<Work> work);
  void run_worker(bool low_priority, const char* name);

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::shared_ptr<Work>> queue_;
  std::atomic<size_t> queued_{0};
  size_t sleeping_ = 0;
  bool spinning_ = false;
  bool stopping_ = false;
  unsigned spin_us_;
  std::vector<std::thread> threads_;
};

}  // namespace elanus
