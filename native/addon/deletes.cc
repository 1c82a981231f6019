// Deletes: of growing segments at once, of mapped ones on the write thread, because the JavaScript
// thread never reads mapped bytes (R16); and the merging of delete files.
#include <vector>

#include "functions.h"
#include "handles.h"
#include "js.h"
#include "runtime.h"
#include "segment/apply_deletes.h"
#include "segment/delete_batch.h"

namespace elanus {
namespace {

bool open_growing(napi_env env, napi_value value, std::vector<std::shared_ptr<Segment>>* out) {
  uint32_t count = 0;
  if (napi_get_array_length(env, value, &count) != napi_ok)
    return js::refuse(env, "segments", "an array");
  for (uint32_t i = 0; i < count; ++i) {
    napi_value item = nullptr;
    napi_get_element(env, value, i, &item);
    const SegmentHandle* handle = open_segment(env, item);
    if (handle == nullptr) return false;
    if (handle->growing == nullptr) return js::refuse(env, "segments", "growing segments");
    out->push_back(handle->segment);
  }
  return true;
}

Status delete_at_once(const std::vector<std::shared_ptr<Segment>>& segments,
                      std::span<const uint8_t> bytes, uint64_t timestamp, uint64_t kills_up_to,
                      size_t* total) {
  KeyColumn keys;
  if (Status status = KeyColumn::open(bytes, &keys); !status.is_ok()) return status;
  for (const std::shared_ptr<Segment>& segment : segments) {
    size_t count = 0;
    Status status =
        segment->delete_keys(keys.span(0, keys.size()), timestamp, kills_up_to, &count);
    if (!status.is_ok()) return status;
    *total += count;
  }
  return Status::ok();
}

napi_value delete_keys(napi_env env, napi_callback_info info) {
  const js::Arguments<4> args(env, info);
  std::vector<std::shared_ptr<Segment>> segments;
  std::span<const uint8_t> keys;
  uint64_t timestamp = 0;
  uint64_t kills_up_to = 0;
  if (!open_growing(env, args[0], &segments) || !js::read_bytes(env, args[1], "keys", &keys) ||
      !js::read_uint64(env, args[2], "timestamp", &timestamp) ||
      !js::read_uint64(env, args[3], "killsUpTo", &kills_up_to)) {
    return nullptr;
  }
  size_t count = 0;
  const Status status = delete_at_once(segments, keys, timestamp, kills_up_to, &count);
  if (status.is_ok()) return js::number(env, static_cast<double>(count));
  js::throw_status(env, status);
  return nullptr;
}

bool read_targets(napi_env env, napi_value value, std::vector<DeleteTarget>* out) {
  uint32_t count = 0;
  if (napi_get_array_length(env, value, &count) != napi_ok)
    return js::refuse(env, "targets", "an array");
  out->resize(count);
  for (uint32_t i = 0; i < count; ++i) {
    napi_value item = nullptr;
    napi_get_element(env, value, i, &item);
    DeleteTarget& target = (*out)[i];
    const SegmentHandle* handle = open_segment(env, js::get(env, item, "segment"));
    if (handle == nullptr ||
        !js::read_property(env, item, "partitionId", &target.partition_id, js::read_int64) ||
        !js::read_property(env, item, "deletesUpTo", &target.deletes_up_to, js::read_uint64)) {
      return false;
    }
    target.segment = handle->segment;
  }
  return true;
}

class ApplyJob final : public Job {
 public:
  explicit ApplyJob(const CancelToken& shutdown) : shutdown_(shutdown) {}

  bool read(napi_env env, napi_value targets, napi_value batch) {
    return read_targets(env, targets, &targets_) && batch_.pin(env, batch, "batch");
  }
  Status run(ThreadPool*) override {
    DeleteBatch batch;
    Status status = DeleteBatch::open(batch_.bytes(), &batch);
    if (status.is_ok()) status = apply_deletes(batch, targets_, &shutdown_);
    // Not on the JavaScript thread: it may free a segment that was closed meanwhile.
    targets_.clear();
    return status;
  }
  napi_value result(napi_env env) override { return js::undefined(env); }

 private:
  const CancelToken& shutdown_;
  std::vector<DeleteTarget> targets_;
  js::PinnedBytes batch_;
};

class MergeJob final : public Job {
 public:
  bool read(napi_env env, napi_value batches, napi_value after) {
    uint32_t count = 0;
    if (napi_get_array_length(env, batches, &count) != napi_ok)
      return js::refuse(env, "batches", "an array");
    inputs_ = std::vector<js::PinnedBytes>(count);
    for (uint32_t i = 0; i < count; ++i) {
      napi_value item = nullptr;
      napi_get_element(env, batches, i, &item);
      if (!inputs_[i].pin(env, item, "batch")) return false;
    }
    return js::read_uint64(env, after, "after", &after_);
  }
  Status run(ThreadPool*) override {
    std::vector<DeleteBatch> batches(inputs_.size());
    for (size_t i = 0; i < inputs_.size(); ++i) {
      Status status = DeleteBatch::open(inputs_[i].bytes(), &batches[i]);
      if (!status.is_ok()) return status;
    }
    return merge_delete_batches(batches, after_, &merged_);
  }
  napi_value result(napi_env env) override {
    return js::uint8_array(env, std::move(merged_.data), merged_.size);
  }

 private:
  std::vector<js::PinnedBytes> inputs_;
  uint64_t after_ = 0;
  OwnedBytes merged_;
};

napi_value apply_batch(napi_env env, napi_callback_info info) {
  const js::Arguments<2> args(env, info);
  auto job = std::make_unique<ApplyJob>(Runtime::of(env).shutdown());
  if (!job->read(env, args[0], args[1])) return nullptr;
  return Runtime::of(env).start(std::move(job), Runtime::Pool::kWrite);
}

napi_value merge_batches(napi_env env, napi_callback_info info) {
  const js::Arguments<2> args(env, info);
  auto job = std::make_unique<MergeJob>();
  if (!job->read(env, args[0], args[1])) return nullptr;
  return Runtime::of(env).start(std::move(job), Runtime::Pool::kWrite);
}

}  // namespace

void add_delete_functions(napi_env env, napi_value exports) {
  add_functions(env, exports,
                {{"deleteKeys", delete_keys},
                 {"applyDeletes", apply_batch},
                 {"mergeDeletes", merge_batches}});
}

}  // namespace elanus
