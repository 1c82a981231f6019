#include "util/thread_pool.h"

#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "util/cpu.h"

namespace elanus {
namespace {

constexpr int kBuildNice =
    9;  // the scheduler's weight 137 against 1,024 of a normal thread: 11.8 %

void lower_priority_of_this_thread() {
  // Both may be refused in a sandbox; then the build is merely less polite.
  const sched_param param{};
  (void)sched_setscheduler(0, SCHED_BATCH, &param);
  (void)setpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid)), kBuildNice);
}

}  // namespace

// A request. The queue holds one copy of it for each worker that may run it at the same time.
class ThreadPool::Work {
 public:
  virtual ~Work() = default;
  // Runs one piece; false when none is left, and then the copy does not go back to the queue.
  virtual bool run_one() = 0;
};

class ThreadPool::SingleTask : public Work {
 public:
  explicit SingleTask(std::function<void()> task) : task_(std::move(task)) {}
  bool run_one() override {
    task_();
    return false;
  }

 private:
  std::function<void()> task_;
};

class ThreadPool::Loop : public Work {
 public:
  Loop(size_t count, size_t grain, const std::function<void(size_t, size_t)>& body,
       const CancelToken* cancel)
      : count_(count),
        grain_(grain),
        pieces_((count + grain - 1) / grain),
        body_(body),
        cancel_(cancel) {}

  // `body_` and `cancel_` belong to the caller, who waits for every piece that exists, so a claim
  // past the end must not touch them.
  bool run_one() override {
    const size_t piece = next_.fetch_add(1, std::memory_order_relaxed);
    if (piece >= pieces_) return false;
    if (!is_canceled(cancel_)) body_(piece * grain_, std::min(count_, (piece + 1) * grain_));
    if (done_.fetch_add(1, std::memory_order_acq_rel) + 1 == pieces_) {
      const std::lock_guard<std::mutex> lock(mutex_);
      all_done_.notify_all();
    }
    return piece + 1 < pieces_;
  }

  void wait(unsigned spin_us) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::microseconds(spin_us);
    while (!is_done()) {
      cpu_relax();
      if (std::chrono::steady_clock::now() >= until) break;
    }
    std::unique_lock<std::mutex> lock(mutex_);
    all_done_.wait(lock, [this] { return is_done(); });
  }

 private:
  bool is_done() const { return done_.load(std::memory_order_acquire) == pieces_; }

  const size_t count_;
  const size_t grain_;
  const size_t pieces_;
  const std::function<void(size_t, size_t)>& body_;
  const CancelToken* cancel_;
  std::atomic<size_t> next_{0};
  std::atomic<size_t> done_{0};
  std::mutex mutex_;
  std::condition_variable all_done_;
};

ThreadPool::ThreadPool(const Options& options)
    : spin_us_(usable_cores() > 1 ? options.spin_us : 0) {
  threads_.reserve(options.threads);
  for (size_t i = 0; i < options.threads; ++i) {
    threads_.emplace_back(
        [this, low = options.low_priority, name = options.name] { run_worker(low, name); });
  }
}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ThreadPool::submit(std::function<void()> task) {
  if (threads_.empty()) {
    task();
    return;
  }
  enqueue(std::make_shared<SingleTask>(std::move(task)), 1);
}

void ThreadPool::parallel_for(size_t count, size_t grain,
                              const std::function<void(size_t, size_t)>& body,
                              const CancelToken* cancel, size_t max_threads) {
  if (count == 0) return;
  grain = std::max<size_t>(1, grain);
  size_t helpers = std::min(threads_.size(), (count + grain - 1) / grain - 1);
  if (max_threads != 0) helpers = std::min(helpers, max_threads - 1);
  if (helpers == 0) {
    for (size_t begin = 0; begin < count && !is_canceled(cancel); begin += grain) {
      body(begin, std::min(count, begin + grain));
    }
    return;
  }
  const auto loop = std::make_shared<Loop>(count, grain, body, cancel);
  enqueue(loop, helpers);
  while (loop->run_one()) {
  }
  loop->wait(spin_us_);
}

// Wakes as many sleepers as there is work for. A spinning worker needs no waking: it looks at the
// queue once more, under the lock, before it sleeps.
void ThreadPool::enqueue(const std::shared_ptr<Work>& work, size_t copies) {
  size_t wake;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    queue_.insert(queue_.end(), copies, work);
    queued_.store(queue_.size(), std::memory_order_release);
    wake = std::min(sleeping_, queue_.size() - (spinning_ ? 1 : 0));
  }
  for (; wake > 0; --wake) wake_.notify_one();
}

// Wakes nobody: the worker that puts work back takes the next one itself.
void ThreadPool::put_back(std::shared_ptr<Work> work) {
  const std::lock_guard<std::mutex> lock(mutex_);
  queue_.push_back(std::move(work));
  queued_.store(queue_.size(), std::memory_order_release);
}

std::shared_ptr<ThreadPool::Work> ThreadPool::take_front() {
  std::shared_ptr<Work> work = std::move(queue_.front());
  queue_.pop_front();
  queued_.store(queue_.size(), std::memory_order_relaxed);
  return work;
}

// The next work, or null when the pool stops. One idle worker spins; the others sleep.
std::shared_ptr<ThreadPool::Work> ThreadPool::next() {
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    if (!queue_.empty()) return take_front();
    if (stopping_) return nullptr;
    if (spin_us_ > 0 && !spinning_) {
      spinning_ = true;
      lock.unlock();
      const auto until = std::chrono::steady_clock::now() + std::chrono::microseconds(spin_us_);
      while (queued_.load(std::memory_order_acquire) == 0 &&
             std::chrono::steady_clock::now() < until) {
        cpu_relax();
      }
      lock.lock();
      spinning_ = false;
      if (!queue_.empty()) return take_front();
      if (stopping_) return nullptr;
    }
    ++sleeping_;
    wake_.wait(lock);
    --sleeping_;
  }
}

void ThreadPool::run_worker(bool low_priority, const char* name) {
  pthread_setname_np(pthread_self(), name);
  if (low_priority) lower_priority_of_this_thread();
  while (std::shared_ptr<Work> work = next()) {
    if (work->run_one()) put_back(std::move(work));
  }
}

}  // namespace elanus
