#include "handles.h"

#include <string>
#include <utility>

#include "js.h"

namespace elanus {
namespace {

template <typename Handle>
napi_value make(napi_env env, std::unique_ptr<Handle> handle) {
  napi_value value = nullptr;
  const auto free_handle = [](napi_env, void* forgotten, void*) {
    delete static_cast<Handle*>(forgotten);
  };
  if (napi_create_external(env, handle.get(), free_handle, nullptr, &value) != napi_ok)
    return nullptr;
  (void)handle.release();  // the external's now
  if (napi_type_tag_object(env, value, &Handle::kTag) != napi_ok) return nullptr;
  return value;
}

template <typename Handle>
Handle* find(napi_env env, napi_value value) {
  napi_valuetype type = napi_undefined;
  bool is_tagged = false;
  void* data = nullptr;
  if (value != nullptr && napi_typeof(env, value, &type) == napi_ok && type == napi_external &&
      napi_check_object_type_tag(env, value, &Handle::kTag, &is_tagged) == napi_ok && is_tagged) {
    napi_get_value_external(env, value, &data);
  }
  if (data == nullptr) js::refuse(env, "the handle", Handle::kName);
  return static_cast<Handle*>(data);
}

template <typename Handle>
Handle* find_open(napi_env env, napi_value value) {
  Handle* handle = find<Handle>(env, value);
  if (handle == nullptr || handle->is_open()) return handle;
  js::throw_status(
      env, {StatusCode::kInternal, std::string(Handle::kName) + " was used after it was closed"});
  return nullptr;
}

}  // namespace

napi_value make_segment(napi_env env, std::shared_ptr<GrowingSegment> segment) {
  auto handle = std::make_unique<SegmentHandle>();
  handle->growing = segment.get();
  handle->segment = std::move(segment);
  return make(env, std::move(handle));
}

napi_value make_segment(napi_env env, std::shared_ptr<SealedSegment> segment) {
  auto handle = std::make_unique<SegmentHandle>();
  handle->sealed = segment.get();
  handle->segment = std::move(segment);
  return make(env, std::move(handle));
}

napi_value make_writer(napi_env env, std::unique_ptr<SegmentWriter> writer) {
  auto handle = std::make_unique<WriterHandle>();
  handle->writer = std::move(writer);
  return make(env, std::move(handle));
}

SegmentHandle* any_segment(napi_env env, napi_value value) {
  return find<SegmentHandle>(env, value);
}
WriterHandle* any_writer(napi_env env, napi_value value) { return find<WriterHandle>(env, value); }
SegmentHandle* open_segment(napi_env env, napi_value value) {
  return find_open<SegmentHandle>(env, value);
}
WriterHandle* open_writer(napi_env env, napi_value value) {
  return find_open<WriterHandle>(env, value);
}

bool open_segments(napi_env env, napi_value value,
                   std::vector<std::shared_ptr<const Segment>>* out) {
  uint32_t count = 0;
  if (napi_get_array_length(env, value, &count) != napi_ok)
    return js::refuse(env, "segments", "an array");
  out->reserve(count);
  for (uint32_t i = 0; i < count; ++i) {
    napi_value item = nullptr;
    napi_get_element(env, value, i, &item);
    const SegmentHandle* handle = open_segment(env, item);
    if (handle == nullptr) return false;
    out->push_back(handle->segment);
  }
  return true;
}

}  // namespace elanus
