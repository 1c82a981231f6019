// A pool of worker threads on which requests take turns. No more threads run at a time than the
// pool has slots. A request that has run for a turn (1 ms) while others wait goes to the tail of
// the queue: its thread stops where it is, with all that it has on its stack, and another thread
// goes on in its slot. Slots that no request wants help with the pieces of loops, piece by piece in
// turn. Searches and builds use different pools, with no shared lock.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <vector>

#include "base/cancel.h"
#include "base/status.h"

namespace elanus {

class ThreadPool {
 public:
  struct Options {
    size_t threads = 1;  // slots
    // How many requests may have begun beyond one for each slot; further ones wait until one is
    // done. Each costs a thread, started when it is first needed. With 0 a request keeps its slot
    // until it is done.
    size_t spare_threads = 0;
    // Nice 9 and SCHED_BATCH: about 10 % of a core stays for this pool when a search wants the
    // core.
    bool low_priority = false;
    // An idle worker spins this long before it sleeps, or ten times as long when that would have
    // been enough the last time and a core is left for others: waking a thread takes a tenth of a
    // short search. At most one spins, and none on a single core.
    unsigned spin_us = 50;
    const char* name = "elanus";  // thread name, at most 15 characters
  };

  // Starts as many of the threads as the system gives; the others when they are needed.
  explicit ThreadPool(const Options& options);
  // Runs what is queued, without turns, then joins. Nothing may be submitted meanwhile.
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  size_t thread_count() const { return options_.threads; }

  // Queues a task, which must not throw; it is destroyed as soon as it has run. Without an error it
  // will run, on one of the pool's threads (without slots: at once, here). Errors: kMemoryLimit (no
  // memory for it, or the pool has no thread and the system gives none).
  Status submit(std::function<void()> task);

  // Calls body(begin, end) for pieces of at most `grain` items that cover [0, count) once, on the
  // workers and on the calling thread (also from inside a task); returns when all are done. Between
  // pieces the threads give way. Pieces not yet begun are skipped once `cancel` is raised. At most
  // `max_threads` (0: no limit) threads take part, the caller included. What a body throws, on
  // whichever thread, the caller gets when no thread is in a body any more; pieces not yet begun
  // are skipped then, and of several exceptions the first counts.
  void parallel_for(size_t count, size_t grain,
                    const std::function<void(size_t begin, size_t end)>& body,
                    const CancelToken* cancel = nullptr, size_t max_threads = 0);

  // Lets other requests have their turn when this thread's is over. To be called between the steps
  // of long work, without locks held. Does nothing on a thread that is no pool's.
  static void give_way() noexcept;

 private:
  class Work;
  class SingleTask;
  class Loop;
  struct Worker;
  // A request: one that has not begun, or the worker that has it and waits for its turn.
  struct Entry {
    std::shared_ptr<Work> work;
    Worker* stopped = nullptr;
  };
  // Lists, because their nodes move between queue and worker: no thread of the pool needs memory to
  // stop, to go on or to pass a loop on, so none of that can fail.
  using Queue = std::list<Entry>;
  using HelpQueue = std::list<std::shared_ptr<Work>>;
  using Clock = std::chrono::steady_clock;

  Worker* own_worker() const;
  std::shared_ptr<Work> next(Worker& self);
  std::shared_ptr<Work> take_work(Worker& taker);
  void end_turn(Worker& self);
  void release_slot();
  void wait_for_slot(Worker& self, std::unique_lock<std::mutex>& lock);
  void fill_slots();
  void resume(Queue::iterator entry);
  bool start_worker(const std::shared_ptr<Work>& work);
  bool is_short(Clock::time_point idle_since) const;
  void run_worker(Worker& self);
  void count_queues();

  static thread_local Worker* self_;  // of the calling thread; null when it is no pool's

  const Options options_;
  const unsigned spin_us_;
  const unsigned busy_spin_us_;
  std::mutex mutex_;
  Queue queue_;
  HelpQueue help_;  // loops, a copy for each helper; after all requests
  // For those who look without the lock: how many requests, and entries of both queues.
  std::atomic<size_t> requests_{0};
  std::atomic<size_t> queued_{0};
  size_t free_slots_ = 0;
  std::vector<Worker*> sleepers_;  // have neither slot nor work; the last to fall asleep comes last
  bool spinning_ = false;
  bool is_busy_ = false;  // the last idle time was shorter than the long spin
  bool stopping_ = false;
  std::vector<std::unique_ptr<Worker>> workers_;
};

}  // namespace elanus
