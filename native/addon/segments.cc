// Segments: making, opening, appending, new fields, closing. All on the calling thread but opening,
// which reads a file.
#include <optional>
#include <string>
#include <vector>

#include "functions.h"
#include "handles.h"
#include "js.h"
#include "runtime.h"

namespace elanus {
namespace {

bool read_default(napi_env env, napi_value value, std::optional<std::string>* out) {
  if (js::is_undefined(env, value)) return true;
  std::span<const uint8_t> bytes;
  if (!js::read_bytes(env, value, "defaultValue", &bytes)) return false;
  out->emplace(bytes.begin(), bytes.end());
  return true;
}

bool read_field(napi_env env, napi_value object, Field* field) {
  uint32_t type = 0;
  uint32_t element_type = 0;
  const bool is_read =
      js::read_property(env, object, "fieldId", &field->field_id, js::read_int64) &&
      js::read(env, js::get(env, object, "dataType"), "dataType", &type) &&
      js::read(env, js::get(env, object, "elementType"), "elementType", &element_type) &&
      js::read(env, js::get(env, object, "dim"), "dim", &field->dim) &&
      js::read(env, js::get(env, object, "nullable"), "nullable", &field->nullable) &&
      js::read(env, js::get(env, object, "isPrimaryKey"), "isPrimaryKey", &field->is_primary_key) &&
      read_default(env, js::get(env, object, "defaultValue"), &field->default_value);
  if (!is_read) return false;
  if (type > 255 || element_type > 255) return js::refuse(env, "dataType", "a data type");
  field->type = static_cast<DataType>(type);
  field->element_type = static_cast<DataType>(element_type);
  return true;
}

bool read_schema(napi_env env, napi_value value, Schema* schema) {
  uint32_t count = 0;
  if (napi_get_array_length(env, value, &count) != napi_ok)
    return js::refuse(env, "fields", "an array");
  std::vector<Field> fields(count);
  for (uint32_t i = 0; i < count; ++i) {
    napi_value item = nullptr;
    napi_get_element(env, value, i, &item);
    if (!read_field(env, item, &fields[i])) return false;
  }
  const Status status = Schema::create(std::move(fields), schema);
  if (!status.is_ok()) js::throw_status(env, status);
  return status.is_ok();
}

napi_value create_growing(napi_env env, napi_callback_info info) {
  const js::Arguments<1> args(env, info);
  Schema schema;
  if (!read_schema(env, args[0], &schema)) return nullptr;
  return make_segment(env, GrowingSegment::create(std::move(schema)));
}

// The growing segment and the batch of a call, null after throwing.
GrowingSegment* read_rows(napi_env env, napi_value segment, napi_value rows,
                          std::span<const uint8_t>* batch) {
  const SegmentHandle* handle = open_segment(env, segment);
  if (handle == nullptr || !js::read_bytes(env, rows, "batch", batch)) return nullptr;
  if (handle->growing == nullptr) js::refuse(env, "segment", "a growing segment");
  return handle->growing;
}

napi_value reserve_rows(napi_env env, napi_callback_info info) {
  const js::Arguments<2> args(env, info);
  std::span<const uint8_t> batch;
  GrowingSegment* growing = read_rows(env, args[0], args[1], &batch);
  if (growing == nullptr) return nullptr;
  const Status status = growing->reserve(batch.data(), batch.size());
  if (!status.is_ok()) js::throw_status(env, status);
  return nullptr;
}

napi_value cancel_rows(napi_env env, napi_callback_info info) {
  const js::Arguments<2> args(env, info);
  std::span<const uint8_t> batch;
  GrowingSegment* growing = read_rows(env, args[0], args[1], &batch);
  if (growing != nullptr) growing->cancel(batch.data());
  return nullptr;
}

napi_value append_rows(napi_env env, napi_callback_info info) {
  const js::Arguments<3> args(env, info);
  std::span<const uint8_t> batch;
  uint64_t timestamp = 0;
  GrowingSegment* growing = read_rows(env, args[0], args[1], &batch);
  if (growing == nullptr || !js::read_uint64(env, args[2], "timestamp", &timestamp)) {
    return nullptr;
  }
  const Status status = growing->append(batch.data(), batch.size(), timestamp);
  if (status.is_ok()) return js::number(env, static_cast<double>(growing->memory_bytes()));
  js::throw_status(env, status);
  return nullptr;
}

bool read_number(napi_env env, napi_value object, const char* name, uint64_t* out) {
  return js::read_property(env, object, name, out, js::read_size);
}

bool read_var_layout(napi_env env, napi_value object, const char* name,
                     std::optional<VarLayout>* out) {
  const napi_value value = js::get(env, object, name);
  if (js::is_undefined(env, value)) return true;
  VarLayout& layout = out->emplace();
  return read_number(env, value, "offsetsOffset", &layout.offsets_offset) &&
         read_number(env, value, "offsetsBytes", &layout.offsets_bytes) &&
         read_number(env, value, "dataOffset", &layout.data_offset) &&
         read_number(env, value, "dataBytes", &layout.data_bytes);
}

bool read_layout(napi_env env, napi_value object, ColumnLayout* layout) {
  return js::read_property(env, object, "fieldId", &layout->field_id, js::read_int64) &&
         read_number(env, object, "validityOffset", &layout->validity_offset) &&
         read_number(env, object, "validityBytes", &layout->validity_bytes) &&
         read_number(env, object, "offsetsOffset", &layout->offsets_offset) &&
         read_number(env, object, "offsetsBytes", &layout->offsets_bytes) &&
         read_number(env, object, "dataOffset", &layout->data_offset) &&
         read_number(env, object, "dataBytes", &layout->data_bytes) &&
         read_var_layout(env, object, "variant", &layout->variant) &&
         read_var_layout(env, object, "child", &layout->child);
}

class OpenJob final : public Job {
 public:
  bool read(napi_env env, const js::Arguments<4>& args) {
    uint32_t count = 0;
    if (!read_schema(env, args[0], &schema_) || !js::read(env, args[1], "path", &path_) ||
        !js::read_size(env, args[2], "rows", &rows_)) {
      return false;
    }
    if (napi_get_array_length(env, args[3], &count) != napi_ok)
      return js::refuse(env, "layout", "an array");
    layouts_.resize(count);
    for (uint32_t i = 0; i < count; ++i) {
      napi_value item = nullptr;
      napi_get_element(env, args[3], i, &item);
      if (!read_layout(env, item, &layouts_[i])) return false;
    }
    return true;
  }
  Status run(ThreadPool*) override {
    return SealedSegment::open(std::move(schema_), path_, rows_, layouts_, &segment_);
  }
  napi_value result(napi_env env) override { return make_segment(env, std::move(segment_)); }

 private:
  Schema schema_;
  std::string path_;
  uint64_t rows_ = 0;
  std::vector<ColumnLayout> layouts_;
  std::shared_ptr<SealedSegment> segment_;
};

napi_value open_sealed(napi_env env, napi_callback_info info) {
  const js::Arguments<4> args(env, info);
  auto job = std::make_unique<OpenJob>();
  if (!job->read(env, args)) return nullptr;
  return Runtime::of(env).start(std::move(job), Runtime::Pool::kFile);
}

napi_value update_schema(napi_env env, napi_callback_info info) {
  const js::Arguments<2> args(env, info);
  const SegmentHandle* handle = open_segment(env, args[0]);
  Schema schema;
  if (handle == nullptr || !read_schema(env, args[1], &schema)) return nullptr;
  const Status status = handle->segment->update_schema(std::move(schema));
  if (!status.is_ok()) js::throw_status(env, status);
  return nullptr;
}

napi_value segment_stats(napi_env env, napi_callback_info info) {
  const js::Arguments<1> args(env, info);
  const SegmentHandle* handle = open_segment(env, args[0]);
  if (handle == nullptr) return nullptr;
  const SegmentStats stats = handle->segment->stats();
  napi_value result = nullptr;
  napi_create_object(env, &result);
  js::set(env, result, "rows", js::number(env, static_cast<double>(stats.rows)));
  js::set(env, result, "deletedRows", js::number(env, static_cast<double>(stats.deleted_rows)));
  js::set(env, result, "bytes", js::number(env, static_cast<double>(stats.bytes)));
  const auto memory_bytes = static_cast<double>(handle->segment->memory_bytes());
  js::set(env, result, "memoryBytes", js::number(env, memory_bytes));
  js::set(env, result, "minTimestamp", js::bigint(env, stats.min_timestamp));
  js::set(env, result, "maxTimestamp", js::bigint(env, stats.max_timestamp));
  return result;
}

napi_value delete_stats(napi_env env, napi_callback_info info) {
  const js::Arguments<2> args(env, info);
  const SegmentHandle* handle = open_segment(env, args[0]);
  uint64_t horizon = 0;
  if (handle == nullptr || !js::read_uint64(env, args[1], "horizon", &horizon)) return nullptr;
  const DeleteLog& deletes = handle->segment->deletes();
  const size_t droppable = deletes.count_at(horizon);
  napi_value result = nullptr;
  napi_create_object(env, &result);
  js::set(env, result, "droppableRows", js::number(env, static_cast<double>(droppable)));
  js::set(env, result, "lastDeleted", js::bigint(env, deletes.last_timestamp()));
  return result;
}

napi_value close_segment(napi_env env, napi_callback_info info) {
  const js::Arguments<1> args(env, info);
  SegmentHandle* handle = any_segment(env, args[0]);
  if (handle == nullptr) return nullptr;
  Runtime::of(env).drop(std::move(handle->segment));
  *handle = {};
  return nullptr;
}

}  // namespace

void add_segment_functions(napi_env env, napi_value exports) {
  add_functions(env, exports,
                {{"createGrowing", create_growing},
                 {"reserveRows", reserve_rows},
                 {"cancelRows", cancel_rows},
                 {"appendRows", append_rows},
                 {"openSealed", open_sealed},
                 {"updateSchema", update_schema},
                 {"segmentStats", segment_stats},
                 {"deleteStats", delete_stats},
                 {"closeSegment", close_segment}});
}

}  // namespace elanus
