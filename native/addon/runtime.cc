#include "runtime.h"

#include <new>
#include <string>
#include <utility>

#include "js.h"
#include "util/cpu.h"

namespace elanus {
namespace {

// Searches and queries that take turns beside one for each thread. Builds take none: two that share
// a thread need the memory of both and the first ends no sooner.
constexpr size_t kSpareSearchThreads = 32;
// Deletes of one key, whose clients wait, beside the many that a segment being opened lacks.
constexpr size_t kSpareWriteThreads = 8;

Status run_guarded(Job& job, ThreadPool* pool) {
  try {
    return job.run(pool);
  } catch (const std::bad_alloc&) {
    return {StatusCode::kMemoryLimit, "out of memory"};
  } catch (const std::exception& error) {
    return {StatusCode::kInternal, std::string("native: ") + error.what()};
  }
}

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
  std::unique_ptr<ThreadPool>& pool = which == Pool::kSearch  ? search_pool_
                                      : which == Pool::kBuild ? build_pool_
                                                              : write_pool_;
  if (pool == nullptr) {
    ThreadPool::Options options;
    if (which == Pool::kSearch) {
      options.threads = search_threads_;
      options.spare_threads = kSpareSearchThreads;
      options.name = "elanus-search";
    } else if (which == Pool::kBuild) {
      options.threads = build_threads_;
      options.low_priority = true;
      options.spin_us = 0;
      options.name = "elanus-build";
    } else {
      options.threads = 1;
      options.spare_threads = kSpareWriteThreads;
      options.spin_us = 0;
      options.name = "elanus-write";
    }
    pool = std::make_unique<ThreadPool>(options);
  }
  return *pool;
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
  napi_value promise = nullptr;
  if (napi_create_promise(env_, &job->deferred_, &promise) != napi_ok) {
    job->release(env_);
    return nullptr;
  }
  ThreadPool& workers = pool(which);
  if (pending_++ == 0) napi_ref_threadsafe_function(env_, wake_);
  workers.submit([this, &workers, owned = job.release()] {
    owned->status_ = shutdown_.is_canceled() ? Status(StatusCode::kCanceled, "the process ends")
                                             : run_guarded(*owned, &workers);
    finish(owned);
  });
  return promise;
}

napi_value Runtime::run_here(std::unique_ptr<Job> job) {
  napi_value promise = nullptr;
  if (napi_create_promise(env_, &job->deferred_, &promise) != napi_ok) {
    job->release(env_);
    return nullptr;
  }
  job->status_ = run_guarded(*job, nullptr);
  settle(std::move(job));
  return promise;
}

void Runtime::finish(Job* job) {
  bool is_first;
  {
    const std::lock_guard lock(done_mutex_);
    is_first = done_.empty();
    done_.emplace_back(job);
  }
  if (is_first) napi_call_threadsafe_function(wake_, nullptr, napi_tsfn_nonblocking);
}

void Runtime::deliver() {
  std::vector<std::unique_ptr<Job>> done;
  {
    const std::lock_guard lock(done_mutex_);
    done.swap(done_);
  }
  pending_ -= done.size();
  if (pending_ == 0 && !done.empty()) napi_unref_threadsafe_function(env_, wake_);
  for (std::unique_ptr<Job>& job : done) {
    napi_handle_scope scope = nullptr;
    napi_open_handle_scope(env_, &scope);
    settle(std::move(job));
    napi_close_handle_scope(env_, scope);
  }
}

void Runtime::settle(std::unique_ptr<Job> job) {
  napi_value value = nullptr;
  if (job->status_.is_ok()) {
    value = job->result(env_);
    if (value == nullptr) {
      // What was refused is memory for the result.
      napi_value pending = nullptr;
      bool is_pending = false;
      napi_is_exception_pending(env_, &is_pending);
      if (is_pending) napi_get_and_clear_last_exception(env_, &pending);
      job->status_ = {StatusCode::kMemoryLimit, "no memory for the result"};
    }
  }
  job->release(env_);
  if (job->status_.is_ok()) {
    napi_resolve_deferred(env_, job->deferred_, value);
  } else {
    napi_reject_deferred(env_, job->deferred_, js::make_error(env_, job->status_));
  }
}

void Runtime::drop(std::shared_ptr<const void> object) {
  if (build_pool_ == nullptr || object == nullptr) return;
  build_pool_->submit([object = std::move(object)] {});
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
  for (const std::unique_ptr<Job>& job : done_) job->release(env_);
  done_.clear();
  napi_release_threadsafe_function(wake_, napi_tsfn_abort);
}

}  // namespace elanus
