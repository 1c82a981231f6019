// Functions that touch no segment: checksum, JSON check, file lock, kernels, threads.
#include <fcntl.h>
#if defined(__GLIBC__)
#include <malloc.h>
#endif
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <string>

#include "functions.h"
#include "js.h"
#include "runtime.h"
#include "base/crc32c.h"
#include "kernels/dispatch.h"
#include "segment/json_variant.h"
#include "segment/row_batch.h"

namespace elanus {
namespace {

napi_value compute_crc32c(napi_env env, napi_callback_info info) {
  const js::Arguments<2> args(env, info);
  std::span<const uint8_t> bytes;
  uint32_t seed = 0;
  if (!js::read_bytes(env, args[0], "bytes", &bytes) || !js::read(env, args[1], "seed", &seed))
    return nullptr;
  return js::number(env, crc32c(bytes.data(), bytes.size(), seed));
}

napi_value find_invalid_json(napi_env env, napi_callback_info info) {
  const js::Arguments<2> args(env, info);
  std::span<const uint8_t> bytes;
  int64_t field_id = 0;
  if (!js::read_bytes(env, args[0], "batch", &bytes) ||
      !js::read_int64(env, args[1], "fieldId", &field_id)) {
    return nullptr;
  }
  RowBatch batch;
  Status status = RowBatch::open(bytes.data(), bytes.size(), &batch);
  const BatchColumn* column = status.is_ok() ? batch.find(field_id) : nullptr;
  if (status.is_ok() && (column == nullptr || column->type != DataType::kJson)) {
    status = {StatusCode::kDataIntegrity,
              "the row batch has no JSON field " + std::to_string(field_id)};
  }
  if (!status.is_ok()) {
    js::throw_status(env, status);
    return nullptr;
  }
  for (size_t row = 0; row < batch.rows(); ++row) {
    if (column->is_valid(row) && validate_json(column->bytes_at(row)) >= 0) {
      return js::number(env, static_cast<double>(row));
    }
  }
  return js::number(env, -1);
}

// flock belongs to the open file: another process is refused, and so is a second lock in this one;
// the system lets go of it when the process ends, however it ends.
napi_value lock_file(napi_env env, napi_callback_info info) {
  const js::Arguments<1> args(env, info);
  std::string path;
  if (!js::read(env, args[0], "path", &path)) return nullptr;
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0) return js::number(env, fd);
  const int error = errno;
  if (fd >= 0) close(fd);
  const std::string why =
      error == EWOULDBLOCK ? "another process holds the lock" : std::strerror(error);
  js::throw_status(env, {StatusCode::kIo, "cannot lock " + path + ": " + why});
  return nullptr;
}

napi_value unlock_file(napi_env env, napi_callback_info info) {
  const js::Arguments<1> args(env, info);
  uint32_t fd = 0;
  if (js::read(env, args[0], "fd", &fd)) close(static_cast<int>(fd));
  return nullptr;
}

napi_value kernel_set(napi_env env, napi_callback_info) { return js::string(env, kernels().name); }

napi_value cancel_job(napi_env env, napi_callback_info info) {
  const js::Arguments<1> args(env, info);
  double job_id = 0;
  if (js::read(env, args[0], "jobId", &job_id)) Runtime::of(env).cancel_job(job_id);
  return nullptr;
}

napi_value configure_threads(napi_env env, napi_callback_info info) {
  const js::Arguments<2> args(env, info);
  uint32_t search_threads = 0;
  uint32_t build_threads = 0;
  if (!js::read(env, args[0], "searchThreads", &search_threads) ||
      !js::read(env, args[1], "buildThreads", &build_threads)) {
    return nullptr;
  }
  const Status status = Runtime::of(env).configure_threads(search_threads, build_threads);
  if (!status.is_ok()) js::throw_status(env, status);
  return nullptr;
}

// Gives freed memory of the heap back to the system, on a worker: it takes some milliseconds for
// each gigabyte.
class TrimJob final : public Job {
 public:
  Status run(ThreadPool*) override {
#if defined(__GLIBC__)
    malloc_trim(0);
#endif
    return Status::ok();
  }
  napi_value result(napi_env env) override { return js::undefined(env); }
};

napi_value trim_memory(napi_env env, napi_callback_info) {
  return Runtime::of(env).start(std::make_unique<TrimJob>(), Runtime::Pool::kBuild);
}

// Foreign memory that is said to come and go makes V8 look, in small steps, for buffers that nobody
// uses any more; of its own accord an idle process would keep them.
napi_value hint_garbage(napi_env env, napi_callback_info) {
  constexpr int64_t kBytes = int64_t{96} << 20;
  int64_t now = 0;
  napi_adjust_external_memory(env, kBytes, &now);
  napi_adjust_external_memory(env, -kBytes, &now);
  return nullptr;
}

}  // namespace

void add_system_functions(napi_env env, napi_value exports) {
  add_functions(env, exports,
                {{"crc32c", compute_crc32c},
                 {"findInvalidJson", find_invalid_json},
                 {"lockFile", lock_file},
                 {"unlockFile", unlock_file},
                 {"kernelSet", kernel_set},
                 {"configureThreads", configure_threads},
                 {"cancelJob", cancel_job},
                 {"trimMemory", trim_memory},
                 {"hintGarbage", hint_garbage}});
}

}  // namespace elanus
