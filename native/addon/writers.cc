// Segment writers: laid out and read on the build threads.
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "functions.h"
#include "handles.h"
#include "js.h"
#include "runtime.h"

namespace elanus {
namespace {

class CreateJob final : public Job {
 public:
  explicit CreateJob(const Runtime& runtime) : cancel_(runtime.shutdown()) {}

  bool read(napi_env env, napi_value segments, napi_value drop_deleted_up_to) {
    return open_segments(env, segments, &segments_) &&
           js::read_uint64(env, drop_deleted_up_to, "dropDeletedUpTo", &drop_deleted_up_to_);
  }
  Status run(ThreadPool*) override {
    return SegmentWriter::create(std::move(segments_), drop_deleted_up_to_, &writer_, &cancel_);
  }
  napi_value result(napi_env env) override { return make_writer(env, std::move(writer_)); }

 private:
  const CancelToken cancel_;
  std::vector<std::shared_ptr<const Segment>> segments_;
  uint64_t drop_deleted_up_to_ = 0;
  std::unique_ptr<SegmentWriter> writer_;
};

napi_value create_writer(napi_env env, napi_callback_info info) {
  const js::Arguments<2> args(env, info);
  Runtime& runtime = Runtime::of(env);
  auto job = std::make_unique<CreateJob>(runtime);
  if (!job->read(env, args[0], args[1])) return nullptr;
  return runtime.start(std::move(job), Runtime::Pool::kBuild);
}

napi_value writer_rows(napi_env env, napi_callback_info info) {
  const js::Arguments<1> args(env, info);
  const WriterHandle* handle = open_writer(env, args[0]);
  return handle == nullptr ? nullptr : js::number(env, static_cast<double>(handle->writer->rows()));
}

napi_value make_plan(napi_env env, const ColumnPlan& plan) {
  napi_value result = nullptr;
  napi_create_object(env, &result);
  js::set(env, result, "fieldId", js::bigint(env, plan.field.field_id));
  const auto set = [&](const char* name, uint64_t value) {
    js::set(env, result, name, js::number(env, static_cast<double>(value)));
  };
  set("nullCount", plan.null_count);
  set("validityBytes", plan.validity_bytes);
  set("offsetsBytes", plan.offsets_bytes);
  set("dataBytes", plan.data_bytes);
  set("childRows", plan.child_rows);
  set("variantOffsetsBytes", plan.variant_offsets_bytes);
  set("variantDataBytes", plan.variant_data_bytes);
  set("childOffsetsBytes", plan.child_offsets_bytes);
  set("childDataBytes", plan.child_data_bytes);
  return result;
}

napi_value writer_columns(napi_env env, napi_callback_info info) {
  const js::Arguments<1> args(env, info);
  const WriterHandle* handle = open_writer(env, args[0]);
  if (handle == nullptr) return nullptr;
  const std::vector<ColumnPlan>& columns = handle->writer->columns();
  napi_value result = nullptr;
  napi_create_array_with_length(env, columns.size(), &result);
  for (size_t i = 0; i < columns.size(); ++i) {
    napi_set_element(env, result, static_cast<uint32_t>(i), make_plan(env, columns[i]));
  }
  return result;
}

// In the order of SegmentBuffer.
constexpr std::array<std::string_view, 7> kBufferNames = {
    "validity", "offsets", "data", "variantOffsets", "variantData", "childOffsets", "childData"};

class ReadJob final : public Job {
 public:
  explicit ReadJob(std::shared_ptr<const SegmentWriter> writer) : writer_(std::move(writer)) {}

  bool read(napi_env env, const js::Arguments<5>& args) {
    std::string name;
    if (!js::read_int64(env, args[1], "fieldId", &field_id_) ||
        !js::read(env, args[2], "buffer", &name) ||
        !js::read_size(env, args[3], "offset", &offset_) ||
        !js::read_size(env, args[4], "length", &length_)) {
      return false;
    }
    for (size_t i = 0; i < kBufferNames.size(); ++i) {
      if (kBufferNames[i] != name) continue;
      buffer_ = static_cast<SegmentBuffer>(i);
      return true;
    }
    return js::refuse(env, "buffer", "the name of a buffer");
  }
  Status run(ThreadPool*) override {
    Status status = writer_->check_range(field_id_, buffer_, offset_, length_);
    if (!status.is_ok()) return status;
    bytes_ = std::make_unique_for_overwrite<uint8_t[]>(length_ + 1);
    status = writer_->read_buffer(field_id_, buffer_, offset_, length_, bytes_.get());
    writer_.reset();
    return status;
  }
  napi_value result(napi_env env) override {
    return js::uint8_array(env, std::move(bytes_), length_);
  }

 private:
  std::shared_ptr<const SegmentWriter> writer_;
  int64_t field_id_ = 0;
  SegmentBuffer buffer_ = SegmentBuffer::kData;
  uint64_t offset_ = 0;
  uint64_t length_ = 0;
  std::unique_ptr<uint8_t[]> bytes_;
};

napi_value read_buffer(napi_env env, napi_callback_info info) {
  const js::Arguments<5> args(env, info);
  const WriterHandle* handle = open_writer(env, args[0]);
  if (handle == nullptr) return nullptr;
  auto job = std::make_unique<ReadJob>(handle->writer);
  if (!job->read(env, args)) return nullptr;
  return Runtime::of(env).start(std::move(job), Runtime::Pool::kBuild);
}

napi_value close_writer(napi_env env, napi_callback_info info) {
  const js::Arguments<1> args(env, info);
  WriterHandle* handle = any_writer(env, args[0]);
  if (handle != nullptr) Runtime::of(env).drop(std::move(handle->writer));
  return nullptr;
}

}  // namespace

void add_writer_functions(napi_env env, napi_value exports) {
  add_functions(env, exports,
                {{"createWriter", create_writer},
                 {"writerRows", writer_rows},
                 {"writerColumns", writer_columns},
                 {"readBuffer", read_buffer},
                 {"closeWriter", close_writer}});
}

}  // namespace elanus
