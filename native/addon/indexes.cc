// Index files: building one, and attaching it to a segment.
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "functions.h"
#include "handles.h"
#include "js.h"
#include "runtime.h"
#include "index/registry.h"
#include "read/visible_set.h"
#include "scalar/json_path_index.h"
#include "scalar/scalar_index.h"
#include "segment/index_file.h"

namespace elanus {
namespace {

// A handle of a sealed segment, or null after throwing.
SegmentHandle* sealed_segment(napi_env env, napi_value value) {
  SegmentHandle* handle = open_segment(env, value);
  if (handle == nullptr || handle->sealed != nullptr) return handle;
  js::throw_status(env, {StatusCode::kInternal, "a growing segment has no index"});
  return nullptr;
}

// A path into a JSON field and the type of the values there, as JavaScript gives them; absent when
// the path is undefined.
class JsonTarget {
 public:
  bool read(napi_env env, napi_value path, napi_value cast_type) {
    is_present_ = !js::is_undefined(env, path);
    if (!is_present_) return true;
    if (!js::is_undefined(env, cast_type)) {
      uint32_t number = 0;
      if (!js::read(env, cast_type, "jsonCastType", &number)) return false;
      cast_type_ = number < 256 ? static_cast<DataType>(number) : DataType::kNone;
      if (!JsonPathIndex::is_cast_type(cast_type_))
        return js::refuse(env, "jsonCastType", "Bool, Double or VarChar");
    }
    return read_path(env, path);
  }
  bool is_present() const { return is_present_; }
  DataType cast_type() const { return cast_type_; }  // kNone when undefined
  // Views into this object.
  std::vector<PathStep> path() const {
    std::vector<PathStep> path;
    for (const Step& step : steps_) path.push_back({step.is_key, step.index, step.key});
    return path;
  }

 private:
  struct Step {
    bool is_key = false;
    uint32_t index = 0;
    std::string key;
  };

  bool read_path(napi_env env, napi_value path) {
    bool is_array = false;
    uint32_t length = 0;
    napi_is_array(env, path, &is_array);
    if (!is_array || napi_get_array_length(env, path, &length) != napi_ok)
      return js::refuse(env, "jsonPath", "an array of strings and numbers");
    for (uint32_t i = 0; i < length; ++i) {
      napi_value item = nullptr;
      napi_valuetype type = napi_undefined;
      if (napi_get_element(env, path, i, &item) != napi_ok ||
          napi_typeof(env, item, &type) != napi_ok) {
        return js::refuse(env, "jsonPath", "an array of strings and numbers");
      }
      Step& step = steps_.emplace_back();
      step.is_key = type == napi_string;
      const bool is_read = step.is_key ? js::read(env, item, "jsonPath", &step.key)
                                       : js::read(env, item, "jsonPath", &step.index);
      if (!is_read) return false;
    }
    return true;
  }

  bool is_present_ = false;
  DataType cast_type_ = DataType::kNone;
  std::vector<Step> steps_;
};

class AttachJob final : public Job {
 public:
  explicit AttachJob(const SegmentHandle& handle)
      : segment_(handle.segment), sealed_(handle.sealed) {}

  bool read(napi_env env, const js::Arguments<4>& args) {
    return js::read_int64(env, args[1], "fieldId", &field_id_) &&
           js::read(env, args[2], "path", &path_) &&
           (js::is_undefined(env, args[3]) ||
            js::read(env, args[3], "crc32c", &crc32c_.emplace()));
  }
  Status run(ThreadPool*) override {
    Status status = attach_index_file(*sealed_, field_id_, path_, crc32c_);
    segment_.reset();
    return status;
  }
  napi_value result(napi_env env) override { return js::undefined(env); }

 private:
  std::shared_ptr<Segment> segment_;
  SealedSegment* sealed_;
  int64_t field_id_ = 0;
  std::string path_;
  std::optional<uint32_t> crc32c_;
};

napi_value attach_index(napi_env env, napi_callback_info info) {
  const js::Arguments<4> args(env, info);
  const SegmentHandle* handle = sealed_segment(env, args[0]);
  if (handle == nullptr) return nullptr;
  auto job = std::make_unique<AttachJob>(*handle);
  if (!job->read(env, args)) return nullptr;
  return Runtime::of(env).start(std::move(job), Runtime::Pool::kFile);
}

napi_value detach(napi_env env, napi_callback_info info) {
  const js::Arguments<4> args(env, info);
  const SegmentHandle* handle = sealed_segment(env, args[0]);
  int64_t field_id = 0;
  JsonTarget json;
  if (handle == nullptr || !js::read_int64(env, args[1], "fieldId", &field_id) ||
      !json.read(env, args[2], args[3])) {
    return nullptr;
  }
  if (json.is_present()) {
    handle->sealed->detach_json_index(field_id, json.path(), json.cast_type());
  } else {
    detach_index(*handle->sealed, field_id);
  }
  return nullptr;
}

// NativeIndexParams.
struct BuildParams {
  const IndexKind* kind = nullptr;  // null: a scalar index
  IndexBuildParams vector;          // of a vector index
  JsonTarget json;

  bool read(napi_env env, napi_value params) {
    std::string name;
    if (!js::read(env, js::get(env, params, "kind"), "kind", &name) ||
        !json.read(env, js::get(env, params, "jsonPath"), js::get(env, params, "jsonCastType"))) {
      return false;
    }
    if (name == "SCALAR") {
      if (json.is_present() && json.cast_type() == DataType::kNone)
        return js::refuse(env, "jsonCastType", "Bool, Double or VarChar");
      return true;
    }
    if (json.is_present()) return js::refuse(env, "kind", "SCALAR for a jsonPath");
    kind = find_index_kind(name);
    if (kind == nullptr) return js::refuse(env, "kind", "SCALAR or the name of a vector index");
    return read_vector(env, params);
  }

 private:
  bool read_vector(napi_env env, napi_value params) {
    std::string name;
    if (!js::read(env, js::get(env, params, "metric"), "metric", &name) ||
        !js::read_bag(env, js::get(env, params, "params"), "params", &vector.bag)) {
      return false;
    }
    const MetricTraits* metric = find_metric(name);
    if (metric == nullptr) return js::refuse(env, "metric", "the name of a metric");
    vector.metric = metric->metric;
    return true;
  }
};

class BuildJob final : public Job {
 public:
  BuildJob(Runtime& runtime, double job_id)
      : runtime_(runtime), job_id_(job_id), cancel_(runtime.begin_job(job_id)) {}
  ~BuildJob() override { runtime_.end_job(job_id_); }

  bool read(napi_env env, const std::shared_ptr<Segment>& segment, const js::Arguments<5>& args) {
    segment_ = segment;
    return js::read_int64(env, args[1], "fieldId", &field_id_) && params_.read(env, args[2]) &&
           js::read(env, args[3], "path", &path_);
  }

  Status run(ThreadPool* pool) override {
    Status status = build(pool);
    segment_.reset();
    return status;
  }

  napi_value result(napi_env env) override {
    napi_value result = nullptr;
    napi_create_object(env, &result);
    js::set(env, result, "bytes", js::number(env, static_cast<double>(bytes_)));
    js::set(env, result, "crc32c", js::number(env, crc32c_));
    return result;
  }

 private:
  Status build(ThreadPool* pool) {
    const Field* field = segment_->schema().find(field_id_);
    if (field == nullptr) {
      return {StatusCode::kInvalidParameter,
              "the segment has no field " + std::to_string(field_id_)};
    }
    if (cancel_.is_canceled()) return {StatusCode::kCanceled, "the build was canceled"};
    std::unique_ptr<SectionFileWriter> out;
    if (Status s = SectionFileWriter::create(path_, &cancel_, &out); !s.is_ok()) return s;
    const std::unique_ptr<SegmentSnapshot> rows = segment_->snapshot(kReadAll);
    Status status = params_.kind == nullptr ? build_scalar(*rows, *field, out.get())
                                            : build_vector(*rows, *field, pool, out.get());
    if (!status.is_ok()) return status;
    bytes_ = out->bytes();
    crc32c_ = out->crc32c();
    return status;
  }

  Status build_scalar(const SegmentSnapshot& rows, const Field& field, SectionFileWriter* out) {
    const JsonTarget& json = params_.json;
    if (json.is_present())
      return build_json_path_index(rows, field_id_, json.path(), json.cast_type(), out,
                                   &cancel_);
    return build_scalar_index(rows, field_id_, field.type, field.element_type, out, &cancel_);
  }

  Status build_vector(const SegmentSnapshot& rows, const Field& field, ThreadPool* pool,
                      SectionFileWriter* out) {
    const ColumnView column = rows.column(0, field_id_);
    const VectorType* type = find_vector_type(field.type);
    if (type == nullptr || column.all_null) {
      return {StatusCode::kInvalidParameter,
              "field " + std::to_string(field_id_) + " has no vectors in this segment"};
    }
    IndexBuildControl control;
    control.pool = pool;
    control.cancel = &cancel_;
    VisibleSet present;
    present.kept = rows.row_count();
    hide_nulls(rows, field_id_, &present);
    control.present = present.words();
    const RowView vectors = dense_rows(*type, column.data, rows.row_count(), field.dim);
    return build_vector_index(*params_.kind, params_.vector, vectors, control, out);
  }

  Runtime& runtime_;
  double job_id_;
  CancelToken cancel_;
  std::shared_ptr<const Segment> segment_;
  int64_t field_id_ = 0;
  BuildParams params_;
  std::string path_;
  uint64_t bytes_ = 0;
  uint32_t crc32c_ = 0;
};

napi_value build_index(napi_env env, napi_callback_info info) {
  const js::Arguments<5> args(env, info);
  const SegmentHandle* handle = sealed_segment(env, args[0]);
  double job_id = 0;
  if (handle == nullptr || !js::read(env, args[4], "jobId", &job_id)) return nullptr;
  Runtime& runtime = Runtime::of(env);
  auto job = std::make_unique<BuildJob>(runtime, job_id);
  if (!job->read(env, handle->segment, args)) return nullptr;
  return runtime.start(std::move(job), Runtime::Pool::kBuild);
}

napi_value build_bytes(napi_env env, napi_callback_info info) {
  const js::Arguments<3> args(env, info);
  BuildParams params;
  uint64_t rows = 0;
  uint32_t dim = 0;
  if (!params.read(env, args[0]) || !js::read_size(env, args[1], "rows", &rows) ||
      !js::read(env, args[2], "dim", &dim)) {
    return nullptr;
  }
  if (params.kind == nullptr) {
    js::refuse(env, "kind", "the name of a vector index");
    return nullptr;
  }
  const uint64_t bytes = params.kind->build_bytes(params.vector.bag, rows, dim);
  return js::number(env, static_cast<double>(bytes));
}

}  // namespace

void add_index_functions(napi_env env, napi_value exports) {
  add_functions(env, exports,
                {{"attachIndex", attach_index},
                 {"detachIndex", detach},
                 {"buildIndex", build_index},
                 {"indexBuildBytes", build_bytes}});
}

}  // namespace elanus
