// What the addon keeps for one JavaScript environment: its threads and the promises that wait for
// them. Finished jobs are delivered in batches: one wake-up of the event loop takes all that is
// done by then.
#pragma once

#include <node_api.h>

#include <atomic>
#include <map>
#include <memory>
#include <mutex>

#include "base/cancel.h"
#include "base/status.h"
#include "threads/thread_pool.h"

namespace elanus {

class Runtime;

// Work behind a promise. Made and destroyed on the JavaScript thread, whose memory it may hold.
// What `run` or `result` throws rejects the promise.
class Job {
 public:
  virtual ~Job() = default;
  // On a worker, or on the JavaScript thread for a short one. `pool` is the worker's own; null for
  // a short job.
  virtual Status run(ThreadPool* pool) = 0;
  // On the JavaScript thread, after a run without error: what the promise resolves with.
  virtual napi_value result(napi_env env) = 0;

 private:
  friend class Runtime;
  napi_deferred deferred_ = nullptr;
  Status status_;
  Job* next_done_ = nullptr;
};

class Runtime {
 public:
  // Null after throwing. The environment owns it.
  static Runtime* create(napi_env env);
  static Runtime& of(napi_env env);

  // Search: reads. Build: long work, at low priority. Write: deletes. File: opening files, which
  // waits for the disk and computes little; it must neither hold up searches nor wait for a build.
  enum class Pool { kSearch, kBuild, kWrite, kFile };
  // Queues the job and returns its promise; one that cannot be queued is rejected.
  napi_value start(std::unique_ptr<Job> job, Pool pool);
  // Runs the job at once and returns its settled promise.
  napi_value run_here(std::unique_ptr<Job> job);

  Status configure_threads(size_t search_threads, size_t build_threads);
  // Frees what may be large on a worker.
  void drop(std::shared_ptr<const void> object);

  // A token for one job: its own, raised by cancel_job and when the environment goes; of id 0, of
  // jobs that nobody cancels, shutdown().
  CancelToken begin_job(double job_id);
  void end_job(double job_id);
  void cancel_job(double job_id);
  // Raised when the environment goes.
  const CancelToken& shutdown() const { return shutdown_; }

 private:
  explicit Runtime(napi_env env) : env_(env) {}
  ThreadPool& pool(Pool which);
  void finish(Job* job) noexcept;
  void deliver();
  void settle(std::unique_ptr<Job> job);
  void stop();

  napi_env env_;
  napi_threadsafe_function wake_ = nullptr;
  size_t search_threads_;
  size_t build_threads_;
  std::unique_ptr<ThreadPool> search_pool_;
  std::unique_ptr<ThreadPool> build_pool_;
  std::unique_ptr<ThreadPool> write_pool_;
  std::unique_ptr<ThreadPool> file_pool_;
  size_t pending_ = 0;  // promises not settled; while there are any, the process stays
  CancelToken shutdown_;
  std::map<double, CancelToken> jobs_;  // those that can be canceled
  std::mutex done_mutex_;
  // Finished jobs, owned, the first one first. Linked through the jobs: a worker that has finished
  // one needs no memory to say so.
  Job* first_done_ = nullptr;
  Job* last_done_ = nullptr;
};

}  // namespace elanus
