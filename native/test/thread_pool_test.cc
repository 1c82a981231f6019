// The pool: nothing lost, nothing twice, nested and canceled loops end. Meant to run under
// ThreadSanitizer too.
#include <atomic>
#include <chrono>
#include <fstream>
#include <future>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <dirent.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"
#include "base/cpu.h"
#include "threads/thread_pool.h"

using namespace elanus;

namespace {

ThreadPool::Options with_threads(size_t threads, unsigned spin_us = 40) {
  ThreadPool::Options options;
  options.threads = threads;
  options.spin_us = spin_us;
  return options;
}

}  // namespace

TEST(runs_every_submitted_task_once_before_it_is_destroyed) {
  for (const size_t threads : {0u, 1u, 3u}) {
    for (const unsigned spin_us : {0u, 40u}) {
      std::atomic<int> ran{0};
      {
        ThreadPool::Options options = with_threads(threads, spin_us);
        options.spare_threads = 2;
        ThreadPool pool(options);
        for (int i = 0; i < 2000; ++i) {
          const Status status = pool.submit([&ran, i] {
            // Some are stopped when the end comes.
            if (i % 500 == 0) {
              std::this_thread::sleep_for(std::chrono::milliseconds(2));
              ThreadPool::give_way();
            }
            ran.fetch_add(1);
          });
          CHECK(status.is_ok());
        }
      }
      CHECK_EQ(ran.load(), 2000);
    }
  }
}

TEST(parallel_for_covers_each_item_once_and_waits_for_all) {
  for (const size_t threads : {0u, 1u, 3u}) {
    ThreadPool pool(with_threads(threads));
    for (const size_t count : {0u, 1u, 7u, 64u, 1000u}) {
      for (const size_t grain : {0u, 1u, 3u, 5000u}) {
        std::vector<int> seen(count, 0);  // plain ints: each is written by one thread
        pool.parallel_for(count, grain, [&](size_t begin, size_t end) {
          for (size_t i = begin; i < end; ++i) ++seen[i];
        });
        for (const int times : seen) CHECK_EQ(times, 1);
      }
    }
  }
}

TEST(tasks_may_themselves_run_loops_on_the_pool) {
  ThreadPool pool(with_threads(2));
  std::atomic<size_t> total{0};
  pool.parallel_for(8, 1, [&](size_t, size_t) {
    pool.parallel_for(50, 3, [&](size_t begin, size_t end) { total.fetch_add(end - begin); });
  });
  CHECK_EQ(total.load(), size_t{400});
}

TEST(many_callers_share_the_pool) {
  ThreadPool pool(with_threads(2));
  std::atomic<size_t> total{0};
  std::vector<std::thread> callers;
  for (int c = 0; c < 4; ++c) {
    callers.emplace_back([&] {
      for (int i = 0; i < 200; ++i) {
        pool.parallel_for(10, 1, [&](size_t begin, size_t end) { total.fetch_add(end - begin); });
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  CHECK_EQ(total.load(), size_t{8000});
}

TEST(a_raised_token_skips_what_has_not_begun) {
  ThreadPool pool(with_threads(2));
  const CancelToken token;
  std::atomic<size_t> ran{0};
  pool.parallel_for(
      100000, 1,
      [&](size_t, size_t) {
        if (ran.fetch_add(1) == 10) token.cancel();
      },
      &token);
  CHECK(token.is_canceled());
  CHECK(ran.load() < 1000);
}

TEST(no_more_threads_take_part_than_asked) {
  ThreadPool pool(with_threads(4));
  std::atomic<int> inside{0};
  std::atomic<int> most{0};
  pool.parallel_for(
      400, 1,
      [&](size_t, size_t) {
        const int now = inside.fetch_add(1) + 1;
        int before = most.load();
        while (before < now && !most.compare_exchange_weak(before, now)) {
        }
        sched_yield();
        inside.fetch_sub(1);
      },
      nullptr, 2);
  CHECK(most.load() <= 2);
}

// Each of two callers keeps itself busy with one piece, so that the only worker has all the others.
TEST(r22_requests_take_turns_on_a_worker) {
  constexpr size_t kPieces = 20;
  ThreadPool pool(with_threads(1));
  std::promise<void> busy;
  std::promise<void> begin;
  const Status status = pool.submit([&] {
    busy.set_value();
    begin.get_future().wait();
  });
  CHECK(status.is_ok());
  busy.get_future().wait();
  std::promise<void> worked;
  const std::shared_future<void> all_worked = worked.get_future().share();
  std::atomic<size_t> waiting{0};
  std::string order;  // written by the worker alone
  std::vector<std::thread> callers;
  for (const char name : {'a', 'b'}) {
    callers.emplace_back([&, name] {
      const std::thread::id own = std::this_thread::get_id();
      pool.parallel_for(kPieces + 1, 1, [&, name, own](size_t, size_t) {
        if (std::this_thread::get_id() == own) {
          waiting.fetch_add(1);
          all_worked.wait();
        } else {
          order.push_back(name);
          if (order.size() == 2 * kPieces) worked.set_value();
        }
      });
    });
    while (waiting.load() < callers.size()) std::this_thread::yield();
  }
  begin.set_value();
  for (std::thread& caller : callers) caller.join();
  std::string expected;
  for (size_t i = 0; i < kPieces; ++i) expected += "ab";
  CHECK_EQ(order, expected);
}

// Longer than a turn.
void work_a_turn() {
  const auto until = std::chrono::steady_clock::now() + std::chrono::microseconds(1500);
  while (std::chrono::steady_clock::now() < until) {
  }
}

// Requests that the test waits for: a pool that is being destroyed does not take turns.
class Requests {
 public:
  explicit Requests(ThreadPool& pool) : pool_(pool) {}
  template <typename Body>
  void submit(Body body) {
    auto task = std::make_shared<std::packaged_task<void()>>(std::move(body));
    answers_.push_back(task->get_future());
    CHECK(pool_.submit([task] { (*task)(); }).is_ok());
  }
  void wait() {
    for (std::future<void>& answer : answers_) answer.get();
  }

 private:
  ThreadPool& pool_;
  std::vector<std::future<void>> answers_;
};

// Keeps the only worker of a pool until it is told to let go.
class Blocker {
 public:
  explicit Blocker(ThreadPool& pool) {
    std::promise<void> begun;
    const Status status = pool.submit([&] {
      begun.set_value();
      end_.get_future().wait();
    });
    CHECK(status.is_ok());
    begun.get_future().wait();
  }
  void let_go() { end_.set_value(); }

 private:
  std::promise<void> end_;
};

TEST(r22_requests_take_turns_from_their_first_piece_on) {
  constexpr size_t kPieces = 20;
  std::string order;  // by the one thread that has the slot
  ThreadPool::Options options = with_threads(1);
  options.spare_threads = 2;
  ThreadPool pool(options);
  Requests requests(pool);
  Blocker blocker(pool);
  for (const char name : {'a', 'b', 'c'}) {
    requests.submit([&pool, &order, name] {
      pool.parallel_for(kPieces, 1, [&](size_t, size_t) {
        order.push_back(name);
        work_a_turn();
      });
    });
  }
  blocker.let_go();
  requests.wait();
  std::string expected;
  for (size_t i = 0; i < kPieces; ++i) expected += "abc";
  CHECK_EQ(order, expected);
}

TEST(r22_a_short_request_does_not_wait_for_a_long_one) {
  for (const size_t threads : {1u, 2u}) {
    std::atomic<size_t> answered{0};
    std::atomic<size_t> answered_before_the_end{0};
    ThreadPool::Options options = with_threads(threads);
    options.spare_threads = 2;
    ThreadPool pool(options);
    Requests requests(pool);
    std::promise<void> begun;
    for (size_t i = 0; i < 2; ++i) {
      requests.submit([&, i] {
        if (i == 0) begun.set_value();
        // Ends when the short ones are answered; without turns after many seconds.
        for (size_t piece = 0; piece < 5000 && answered.load() < 10; ++piece) {
          work_a_turn();
          ThreadPool::give_way();
        }
        if (i == 0) answered_before_the_end = answered.load();
      });
    }
    begun.get_future().wait();
    for (int i = 0; i < 10; ++i) requests.submit([&] { answered.fetch_add(1); });
    requests.wait();
    CHECK_EQ(answered_before_the_end.load(), size_t{10});
  }
}

// With fewer spare threads than long requests some wait before they begin; with helpers stopped
// inside loops of loops everybody waits for somebody. All of it ends, each item once.
TEST(r22_loops_of_loops_end_when_threads_stop_inside_them) {
  for (const size_t threads : {1u, 2u, 3u}) {
    for (const size_t spares : {0u, 1u, 4u}) {
      std::atomic<size_t> items{0};
      ThreadPool::Options options = with_threads(threads, threads == 2 ? 0 : 40);
      options.spare_threads = spares;
      ThreadPool pool(options);
      Requests requests(pool);
      for (int request = 0; request < 12; ++request) {
        requests.submit([&] {
          pool.parallel_for(4, 1, [&](size_t, size_t) {
            pool.parallel_for(6, 2, [&](size_t begin, size_t end) {
              work_a_turn();
              items.fetch_add(end - begin);
            });
          });
        });
      }
      requests.wait();
      CHECK_EQ(items.load(), size_t{12 * 4 * 6});
    }
  }
}

TEST(r22_no_more_threads_run_than_the_pool_has_slots) {
  std::atomic<int> inside{0};
  std::atomic<int> most{0};
  ThreadPool::Options options = with_threads(2);
  options.spare_threads = 8;
  ThreadPool pool(options);
  Requests requests(pool);
  for (int request = 0; request < 8; ++request) {
    requests.submit([&] {
      pool.parallel_for(10, 1, [&](size_t, size_t) {
        const int now = inside.fetch_add(1) + 1;
        int before = most.load();
        while (before < now && !most.compare_exchange_weak(before, now)) {
        }
        work_a_turn();
        inside.fetch_sub(1);
      });
    });
  }
  requests.wait();
  CHECK(most.load() <= 2);
}

// How many threads of this name are asleep.
size_t count_sleeping(const std::string& name) {
  size_t sleeping = 0;
  DIR* tasks = opendir("/proc/self/task");
  while (const dirent* entry = readdir(tasks)) {
    const std::string folder = std::string("/proc/self/task/") + entry->d_name;
    std::string comm;
    std::string line;
    std::getline(std::ifstream(folder + "/comm") >> std::ws, comm);
    std::getline(std::ifstream(folder + "/stat") >> std::ws, line);
    if (comm == name && line.find(") S ") != std::string::npos) ++sleeping;
  }
  closedir(tasks);
  return sleeping;
}

// The workers would spin for longer than the test waits for those that may not.
TEST(r22_at_most_one_idle_worker_spins) {
  using std::chrono::steady_clock;
  ThreadPool::Options options = with_threads(4, 5'000'000);
  options.name = "idle-worker";
  ThreadPool pool(options);
  const auto deadline = steady_clock::now() + std::chrono::seconds(4);
  while (count_sleeping("idle-worker") < 3 && steady_clock::now() < deadline) {
    std::this_thread::yield();
  }
  CHECK(count_sleeping("idle-worker") >= 3);
  // Ends the spinning: the pool is being destroyed when this returns.
  CHECK(pool.submit([] { std::this_thread::sleep_for(std::chrono::milliseconds(50)); }).is_ok());
}

TEST(r22_build_threads_are_nice_and_search_threads_are_not) {
  const int own = getpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid)));
  for (const bool low : {false, true}) {
    std::atomic<int> nice{-100};
    {
      ThreadPool::Options options = with_threads(1);
      options.low_priority = low;
      ThreadPool pool(options);
      const Status status = pool.submit(
          [&nice] { nice = getpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid))); });
      CHECK(status.is_ok());
    }
    CHECK_EQ(nice.load(), low ? 9 : own);
  }
}

// No other task comes that would push the old one out of the worker's hands.
TEST(a_task_is_destroyed_when_it_has_run_though_its_worker_goes_idle) {
  for (const unsigned spin_us : {0u, 40u}) {
    ThreadPool pool(with_threads(1, spin_us));
    auto held = std::make_shared<int>(1);
    const std::weak_ptr<int> watched = held;
    CHECK(pool.submit([held = std::move(held)] {}).is_ok());
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!watched.expired() && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::yield();
    }
    CHECK(watched.expired());
  }
}

// A body that throws on the caller must not leave helpers behind that still use the caller's stack,
// and one that throws on a helper must not end the process.
TEST(what_a_loop_throws_reaches_its_caller_when_no_thread_is_in_it_any_more) {
  for (const bool on_caller : {true, false}) {
    for (const bool from_task : {true, false}) {
      ThreadPool pool(with_threads(2));
      std::atomic<int> inside{0};
      std::atomic<size_t> begun{0};
      std::atomic<bool> is_caught{false};
      const auto loop = [&] {
        const std::thread::id own = std::this_thread::get_id();
        std::atomic<bool> is_thrown{false};
        try {
          pool.parallel_for(100000, 1, [&](size_t, size_t) {
            inside.fetch_add(1);
            begun.fetch_add(1);
            const bool is_own = std::this_thread::get_id() == own;
            if (is_own == on_caller && !is_thrown.exchange(true)) {
              inside.fetch_sub(1);
              throw std::bad_alloc();
            }
            // The other side goes on until somebody has thrown, so both are in the loop then.
            while (!is_thrown.load()) std::this_thread::yield();
            inside.fetch_sub(1);
          });
        } catch (const std::bad_alloc&) {
          is_caught = inside.load() == 0;
        }
      };
      if (from_task) {
        Requests requests(pool);
        requests.submit(loop);
        requests.wait();
      } else {
        loop();
      }
      CHECK(is_caught.load());
      CHECK(begun.load() < 100000);
      // The pool has all its slots still.
      std::atomic<size_t> items{0};
      pool.parallel_for(64, 1, [&](size_t begin, size_t end) { items.fetch_add(end - begin); });
      CHECK_EQ(items.load(), size_t{64});
    }
  }
}

TEST(a_loop_without_helpers_passes_on_what_its_body_throws) {
  ThreadPool pool(with_threads(0));
  bool is_caught = false;
  try {
    pool.parallel_for(10, 1, [](size_t begin, size_t) {
      if (begin == 3) throw std::runtime_error("three");
    });
  } catch (const std::runtime_error&) {
    is_caught = true;
  }
  CHECK(is_caught);
}

// A sanitizer's own memory does not fit under a limit.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST(a_pool_without_threads_refuses_tasks_until_the_system_gives_one) {
  // Finished threads' stacks are kept for new ones: these take what there is.
  ThreadPool other(with_threads(64, 0));
  std::ifstream statm("/proc/self/statm");
  rlim_t pages = 0;
  statm >> pages;
  rlimit before{};
  getrlimit(RLIMIT_AS, &before);
  // Room for small memory and for no stack.
  const rlimit tight{pages * static_cast<rlim_t>(sysconf(_SC_PAGESIZE)) + (4 << 20),
                     before.rlim_max};
  setrlimit(RLIMIT_AS, &tight);
  std::atomic<int> ran{0};
  {
    ThreadPool pool(with_threads(2, 0));
    const Status refused = pool.submit([&ran] { ran.fetch_add(1); });
    std::atomic<size_t> items{0};
    pool.parallel_for(10, 1, [&](size_t begin, size_t end) { items.fetch_add(end - begin); });
    setrlimit(RLIMIT_AS, &before);
    CHECK(refused.code() == StatusCode::kMemoryLimit);
    CHECK_EQ(items.load(), size_t{10});  // by the caller alone
    CHECK(pool.submit([&ran] { ran.fetch_add(1); }).is_ok());
  }
  CHECK_EQ(ran.load(), 1);
}
#endif

TEST(r22_there_is_a_core_to_use) {
  CHECK(usable_cores() >= 1);
  CHECK(default_search_threads() >= 1);
  CHECK(default_search_threads() <= usable_cores());
}

CHECK_MAIN()
