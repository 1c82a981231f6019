#include "runtime.h"

#include <functional>
#include <utility>

#include "js.h"
#include "base/cpu.h"
#include "base/guard.h"

namespace elanus {
namespace {

// Searches and queries that take turns beside one for each thread.
constexpr size_t kSpareSearchThreads = 32;
// What must not wait for an index build that has the only thread: the layout of a segment to be
// flushed, a file's checksum, memory to be freed. Of builds one runs at a time.
constexpr size_t kSpareBuildThreads = 4;
// Deletes of one key, whose clients wait, beside the many that a segment being opened lacks.
constexpr size_t kSpareWriteThreads = 8;
// Files are opened a few pages at a time: two overlap their waiting for the disk.
constexpr size_t kFileThreads = 2;

}  // namespace

Runtime* Runtime::create(napi_env env) {
  auto runtime = std::unique_ptr<Runtime>(new Runtime(env));
  runtime->search_threads_ = default_search_threads();
  runtime->build_threads_ = usable_cores();
  const auto deliver = [](napi_env live, napi_value, void* self, void*) {
    if (live != nullptr) static_cast<Runtime*>(self)->deliver();
  };
  const napi_value name = js::string(env, "elanus");
  // The cleanup hook is added after the function so that it runs before the function goes.
  const bool is_made =
      napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, nullptr, nullptr,
                                      runtime.get(), deliver, &runtime->wake_) == napi_ok &&
      napi_unref_threadsafe_function(env, runtime->wake_) == napi_ok &&
      napi_add_env_cleanup_hook(
          env, [](void* self) { static_cast<Runtime*>(self)->stop(); }, runtime.get()) == napi_ok &&
      napi_set_instance_data(
          env, runtime.get(),
          [](napi_env, void* self, void*) { delete static_cast<Runtime*>(self); },
          nullptr) == napi_ok;
  if (is_made) return runtime.release();
  napi_throw_error(env, nullptr, "elanus: the addon cannot start");
  return nullptr;
}

Runtime& Runtime::of(napi_env env) {
  void* self = nullptr;
  napi_get_instance_data(env, &self);
  return *static_cast<Runtime*>(self);
}

ThreadPool& Runtime::pool(Pool which) {
  ThreadPool::Options options;
  std::unique_ptr<ThreadPool>* pool = nullptr;
  switch (which) {
    case Pool::kSearch:
      pool = &search_pool_;
      options.name = "elanus-search";
      options.threads = search_threads_;
      options.spare_threads = kSpareSearchThreads;
      break;
    case Pool::kBuild:
      pool = &build_pool_;
      options.name = "elanus-build";
      options.threads = build_threads_;
      options.spare_threads = kSpareBuildThreads;
      options.low_priority = true;
      options.spin_us = 0;
      break;
    case Pool::kWrite:
      pool = &write_pool_;
      options.name = "elanus-write";
      options.threads = 1;
      options.spare_threads = kSpareWriteThreads;
      options.spin_us = 0;
      break;
    case Pool::kFile:
      pool = &file_pool_;
      options.name = "elanus-file";
      options.threads = kFileThreads;
      options.spin_us = 0;
      break;
  }
  if (*pool == nullptr) *pool = std::make_unique<ThreadPool>(options);
  return **pool;
}

Status Runtime::configure_threads(size_t search_threads, size_t build_threads) {
  if (search_pool_ != nullptr || build_pool_ != nullptr) {
    return {StatusCode::kInternal, "threads are configured before the first search and build"};
  }
  if (search_threads != 0) search_threads_ = search_threads;
  if (build_threads != 0) build_threads_ = build_threads;
  return Status::ok();
}

napi_value Runtime::start(std::unique_ptr<Job> job, Pool which) {
  ThreadPool& workers = pool(which);
  const std::function<void()> task = [this, &workers, owned = job.get()] {
    owned->status_ = guarded([&]() -> Status {
      if (shutdown_.is_canceled()) return {StatusCode::kCanceled, "the process ends"};
      return owned->run(&workers);
    });
    finish(owned);
  };
  napi_value promise = nullptr;
  if (napi_create_promise(env_, &job->deferred_, &promise) != napi_ok) return nullptr;
  if (Status status = guarded([&] { return workers.submit(task); }); !status.is_ok()) {
    job->status_ = std::move(status);
    settle(std::move(job));
    return promise;
  }
  (void)job.release();  // the task's, until it is done
  if (pending_++ == 0) napi_ref_threadsafe_function(env_, wake_);
  return promise;
}

napi_value Runtime::run_here(std::unique_ptr<Job> job) {
  napi_value promise = nullptr;
  if (napi_create_promise(env_, &job->deferred_, &promise) != napi_ok) return nullptr;
  job->status_ = guarded([&] { return job->run(nullptr); });
  settle(std::move(job));
  return promise;
}

void Runtime::finish(Job* job) noexcept {
  bool is_first;
  {
    const std::lock_guard lock(done_mutex_);
    is_first = first_done_ == nullptr;
    (is_first ? first_done_ : last_done_->next_done_) = job;
    last_done_ = job;
  }
  if (is_first) napi_call_threadsafe_function(wake_, nullptr, napi_tsfn_nonblocking);
}

void Runtime::deliver() {
  Job* next;
  {
    const std::lock_guard lock(done_mutex_);
    next = std::exchange(first_done_, nullptr);
  }
  while (next != nullptr) {
    std::unique_ptr<Job> job(next);
    next = job->next_done_;
    if (--pending_ == 0) napi_unref_threadsafe_function(env_, wake_);
    napi_handle_scope scope = nullptr;
    napi_open_handle_scope(env_, &scope);
    settle(std::move(job));
    napi_close_handle_scope(env_, scope);
  }
}

void Runtime::settle(std::unique_ptr<Job> job) {
  napi_value value = nullptr;
  Status status = std::move(job->status_);
  if (status.is_ok()) {
    status = guarded([&]() -> Status {
      value = job->result(env_);
      if (value != nullptr) return Status::ok();
      // What was refused is memory for the result.
      napi_value pending = nullptr;
      bool is_pending = false;
      napi_is_exception_pending(env_, &is_pending);
      if (is_pending) napi_get_and_clear_last_exception(env_, &pending);
      return {StatusCode::kMemoryLimit, "no memory for the result"};
    });
  }
  if (status.is_ok()) {
    napi_resolve_deferred(env_, job->deferred_, value);
  } else {
    napi_reject_deferred(env_, job->deferred_, js::make_error(env_, status));
  }
}

void Runtime::drop(std::shared_ptr<const void> object) {
  if (build_pool_ == nullptr || object == nullptr) return;
  // Refused, it is freed here.
  (void)guarded([&] { return build_pool_->submit([object = std::move(object)] {}); });
}

CancelToken Runtime::begin_job(double job_id) {
  return job_id == 0 ? shutdown_ : jobs_[job_id] = CancelToken();
}

void Runtime::end_job(double job_id) { jobs_.erase(job_id); }

void Runtime::cancel_job(double job_id) {
  const auto found = jobs_.find(job_id);
  if (found != jobs_.end()) found->second.cancel();
}

// Nothing runs after this; promises that still wait are never settled.
void Runtime::stop() {
  shutdown_.cancel();
  for (const auto& [id, token] : jobs_) token.cancel();
  search_pool_.reset();
  build_pool_.reset();
  write_pool_.reset();
  file_pool_.reset();
  while (first_done_ != nullptr) {
    const std::unique_ptr<Job> job(std::exchange(first_done_, first_done_->next_done_));
  }
  napi_release_threadsafe_function(wake_, napi_tsfn_abort);
}

}  // namespace elanus
