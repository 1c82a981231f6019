#include "threads/thread_pool.h"

#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <iterator>
#include <new>
#include <thread>
#include <utility>

#include "base/cpu.h"

namespace elanus {
namespace {

// The scheduler's weight 137 against 1,024 of a normal thread: 11.8 %.
constexpr int kBuildNice = 9;

constexpr std::chrono::milliseconds kTurn{1};
constexpr unsigned kBusySpin = 10;  // times the spin of a pool that is not busy

void lower_priority_of_this_thread() {
  // Both may be refused in a sandbox; then the build is merely less polite.
  const sched_param param{};
  (void)sched_setscheduler(0, SCHED_BATCH, &param);
  (void)setpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid)), kBuildNice);
}

}  // namespace

// What a worker runs: a whole request, or a loop that it helps with.
class ThreadPool::Work {
 public:
  virtual ~Work() = default;
  // Runs one piece; false when none is left.
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
    if (!is_canceled(cancel_) && !has_failed_.load(std::memory_order_relaxed)) run_piece(piece);
    if (done_.fetch_add(1, std::memory_order_acq_rel) + 1 == pieces_) {
      const std::lock_guard<std::mutex> lock(mutex_);
      all_done_.notify_all();
    }
    return piece + 1 < pieces_;
  }

  // Whether all is done before the time is over.
  bool spin(unsigned spin_us) const {
    const auto until = Clock::now() + std::chrono::microseconds(spin_us);
    while (!is_done()) {
      cpu_relax();
      if (Clock::now() >= until) return false;
    }
    return true;
  }

  void wait() {
    std::unique_lock<std::mutex> lock(mutex_);
    all_done_.wait(lock, [this] { return is_done(); });
  }

  // Throws what a piece threw. Only when all is done.
  void rethrow() const {
    if (error_ != nullptr) std::rethrow_exception(error_);
  }

 private:
  void run_piece(size_t piece) {
    try {
      body_(piece * grain_, std::min(count_, (piece + 1) * grain_));
    } catch (...) {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (error_ == nullptr) error_ = std::current_exception();
      has_failed_.store(true, std::memory_order_relaxed);
    }
  }
  bool is_done() const { return done_.load(std::memory_order_acquire) == pieces_; }

  const size_t count_;
  const size_t grain_;
  const size_t pieces_;
  const std::function<void(size_t, size_t)>& body_;
  const CancelToken* cancel_;
  std::atomic<size_t> next_{0};
  std::atomic<size_t> done_{0};
  std::atomic<bool> has_failed_{false};
  std::exception_ptr error_;
  std::mutex mutex_;
  std::condition_variable all_done_;
};

struct ThreadPool::Worker {
  explicit Worker(ThreadPool& owner) : pool(owner), place(1, Entry{nullptr, this}) {}

  ThreadPool& pool;
  std::thread thread;
  std::condition_variable wake;
  bool has_slot = false;       // given to it while it waited
  std::shared_ptr<Work> work;  // given to it, with a slot, while it slept
  Queue place;                 // its entry, except while that is in the queue
  HelpQueue help;              // the node of the loop that it helps with
  Clock::time_point turn_began;
};

thread_local ThreadPool::Worker* ThreadPool::self_ = nullptr;

ThreadPool::ThreadPool(const Options& options)
    : options_(options),
      spin_us_(usable_cores() > 1 ? options.spin_us : 0),
      busy_spin_us_(options.threads < usable_cores() ? kBusySpin * spin_us_ : spin_us_) {
  const std::lock_guard<std::mutex> lock(mutex_);
  workers_.reserve(options.threads + options.spare_threads);
  sleepers_.reserve(workers_.capacity());
  for (size_t i = 0; i < options.threads; ++i) {
    // A slot without a thread is free until somebody needs it.
    if (!start_worker(nullptr)) ++free_slots_;
  }
}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
    for (Worker* sleeper : sleepers_) sleeper->wake.notify_one();
  }
  for (const auto& worker : workers_) worker->thread.join();
}

Status ThreadPool::submit(std::function<void()> task) {
  if (options_.threads == 0) {
    task();
    return Status::ok();
  }
  Queue entry;
  try {
    entry.push_back({std::make_shared<SingleTask>(std::move(task)), nullptr});
  } catch (const std::bad_alloc&) {
    return {StatusCode::kMemoryLimit, "out of memory"};
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  queue_.splice(queue_.end(), entry);
  fill_slots();
  if (!workers_.empty()) return Status::ok();
  entry.splice(entry.end(), queue_, std::prev(queue_.end()));
  count_queues();
  return {StatusCode::kMemoryLimit, "the system gives no thread"};
}

void ThreadPool::parallel_for(size_t count, size_t grain,
                              const std::function<void(size_t, size_t)>& body,
                              const CancelToken* cancel, size_t max_threads) {
  if (count == 0) return;
  grain = std::max<size_t>(1, grain);
  Worker* const self = own_worker();
  const size_t others = options_.threads - (self != nullptr ? 1 : 0);
  size_t helpers = std::min(others, (count + grain - 1) / grain - 1);
  if (max_threads != 0) helpers = std::min(helpers, max_threads - 1);
  if (helpers == 0) {
    for (size_t begin = 0; begin < count && !is_canceled(cancel); begin += grain) {
      if (begin != 0) give_way();
      body(begin, std::min(count, begin + grain));
    }
    return;
  }
  const auto loop = std::make_shared<Loop>(count, grain, body, cancel);
  HelpQueue copies(helpers, loop);
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    help_.splice(help_.end(), copies);
    fill_slots();
  }
  while (loop->run_one()) give_way();
  if (!loop->spin(spin_us_)) {
    if (self != nullptr) release_slot();
    loop->wait();
    if (self != nullptr) {
      std::unique_lock<std::mutex> lock(mutex_);
      wait_for_slot(*self, lock);
    }
  }
  loop->rethrow();
}

void ThreadPool::give_way() noexcept {
  if (self_ == nullptr || self_->pool.requests_.load(std::memory_order_relaxed) == 0) return;
  if (Clock::now() - self_->turn_began >= kTurn) self_->pool.end_turn(*self_);
}

// The calling thread's worker, or null when it is not one of this pool's.
ThreadPool::Worker* ThreadPool::own_worker() const {
  return self_ != nullptr && &self_->pool == this ? self_ : nullptr;
}

void ThreadPool::count_queues() {
  requests_.store(queue_.size(), std::memory_order_relaxed);
  queued_.store(queue_.size() + help_.size(), std::memory_order_release);
}

// The next work for a thread that has none: not to be called when a stopped worker is next.
std::shared_ptr<ThreadPool::Work> ThreadPool::take_work(Worker& taker) {
  std::shared_ptr<Work> work;
  if (queue_.empty()) {
    taker.help.splice(taker.help.end(), help_, help_.begin());
    work = std::move(taker.help.front());
  } else {
    work = std::move(queue_.front().work);
    queue_.pop_front();
  }
  count_queues();
  return work;
}

void ThreadPool::end_turn(Worker& self) {
  std::unique_lock<std::mutex> lock(mutex_);
  self.turn_began = Clock::now();
  // With a free slot, what waits is about to be taken, or there is no thread for it.
  if (free_slots_ > 0 || stopping_) return;
  ++free_slots_;
  wait_for_slot(self, lock);
}

void ThreadPool::release_slot() {
  const std::lock_guard<std::mutex> lock(mutex_);
  ++free_slots_;
  fill_slots();
}

// Waits at the tail of the queue, then begins a new turn.
void ThreadPool::wait_for_slot(Worker& self, std::unique_lock<std::mutex>& lock) {
  queue_.splice(queue_.end(), self.place);
  fill_slots();
  self.wake.wait(lock, [&self] { return self.has_slot; });
  self.has_slot = false;
  self.turn_began = Clock::now();
}

// Gives the free slots to the first requests, then to helpers. New work needs a thread: one that
// sleeps or, for a request, a new one. When there is none, requests that have not begun wait and
// those that have begun take their turn; so a slot never stays free while a stopped worker could
// have it, and what waits for that worker will go on.
void ThreadPool::fill_slots() {
  while (free_slots_ > 0 && !(queue_.empty() && help_.empty())) {
    if (!queue_.empty() && queue_.front().stopped != nullptr) {
      resume(queue_.begin());
    } else if (spinning_ && queue_.size() + help_.size() == 1) {
      break;  // the spinning worker looks at the queues once more, under the lock
    } else if (!sleepers_.empty()) {
      Worker& sleeper = *sleepers_.back();
      sleepers_.pop_back();
      --free_slots_;
      sleeper.work = take_work(sleeper);
      sleeper.wake.notify_one();
    } else if (queue_.empty()) {
      break;  // the loop's caller does it all
    } else if (start_worker(queue_.front().work)) {
      queue_.pop_front();
      --free_slots_;
    } else {
      const auto stopped = std::find_if(queue_.begin(), queue_.end(), [](const Entry& entry) {
        return entry.stopped != nullptr;
      });
      if (stopped == queue_.end()) break;
      resume(stopped);
    }
  }
  count_queues();
}

void ThreadPool::resume(Queue::iterator entry) {
  Worker& worker = *entry->stopped;
  worker.place.splice(worker.place.end(), queue_, entry);
  --free_slots_;
  worker.has_slot = true;
  worker.wake.notify_one();
}

// Starts a thread that has a slot and this work, or neither. False when there are as many threads
// as there may be, or the system gives no more.
bool ThreadPool::start_worker(const std::shared_ptr<Work>& work) {
  if (stopping_ || workers_.size() >= options_.threads + options_.spare_threads) return false;
  try {
    auto worker = std::make_unique<Worker>(*this);
    worker->work = work;
    worker->thread = std::thread([this, self = worker.get()] { run_worker(*self); });
    workers_.push_back(std::move(worker));  // has room
  } catch (const std::exception&) {
    return false;
  }
  return true;
}

bool ThreadPool::is_short(Clock::time_point idle_since) const {
  return Clock::now() - idle_since < std::chrono::microseconds(busy_spin_us_);
}

// Gives the worker's slot back; returns the next work, with a slot, or null when the pool stops.
// One idle worker spins; the others sleep.
std::shared_ptr<ThreadPool::Work> ThreadPool::next(Worker& self) {
  std::unique_lock<std::mutex> lock(mutex_);
  ++free_slots_;
  Clock::time_point idle_since;
  for (bool has_spun = false;;) {
    while (free_slots_ > 0 && !(queue_.empty() && help_.empty())) {
      if (queue_.empty() || queue_.front().stopped == nullptr) {
        --free_slots_;
        if (has_spun) is_busy_ = is_short(idle_since);
        return take_work(self);
      }
      resume(queue_.begin());
      count_queues();
    }
    if (stopping_) return nullptr;
    if (spin_us_ > 0 && !spinning_ && !has_spun && free_slots_ > 0) {
      has_spun = true;
      spinning_ = true;
      idle_since = Clock::now();
      const auto until =
          idle_since + std::chrono::microseconds(is_busy_ ? busy_spin_us_ : spin_us_);
      lock.unlock();
      while (queued_.load(std::memory_order_acquire) == 0 && Clock::now() < until) cpu_relax();
      lock.lock();
      spinning_ = false;
      continue;
    }
    sleepers_.push_back(&self);
    self.wake.wait(lock, [&] { return self.work != nullptr || stopping_; });
    if (self.work != nullptr) {
      if (has_spun) is_busy_ = is_short(idle_since);
      return std::move(self.work);
    }
    std::erase(sleepers_, &self);
  }
}

void ThreadPool::run_worker(Worker& self) {
  pthread_setname_np(pthread_self(), options_.name);
  if (options_.low_priority) lower_priority_of_this_thread();
  self_ = &self;
  std::shared_ptr<Work> work = std::move(self.work);
  if (work == nullptr) work = next(self);
  for (; work != nullptr; work = next(self)) {
    self.turn_began = Clock::now();
    const bool has_more = work->run_one();
    if (!has_more) {
      // Before the thread may sleep: what a task holds must not wait for the next one.
      self.help.clear();
      work.reset();
      continue;
    }
    const std::lock_guard<std::mutex> lock(mutex_);
    self.help.front() = std::move(work);
    help_.splice(help_.end(), self.help);
    count_queues();
  }
}

}  // namespace elanus
