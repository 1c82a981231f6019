// Segments and writers as JavaScript holds them: externals with a type tag. A read copies the
// shared pointer, so closing never waits. What JavaScript forgets to close is freed with the
// external.
#pragma once

#include <node_api.h>

#include <memory>
#include <vector>

#include "segment/growing_segment.h"
#include "segment/sealed_segment.h"
#include "segment/segment_writer.h"

namespace elanus {

struct SegmentHandle {
  static constexpr napi_type_tag kTag = {0x656c616e75732e73, 0x65676d656e740001};
  static constexpr const char* kName = "a segment";
  std::shared_ptr<Segment> segment;   // null when closed
  GrowingSegment* growing = nullptr;  // one of the two
  SealedSegment* sealed = nullptr;
  bool is_open() const { return segment != nullptr; }
};

struct WriterHandle {
  static constexpr napi_type_tag kTag = {0x656c616e75732e77, 0x7269746572000001};
  static constexpr const char* kName = "a writer";
  std::shared_ptr<const SegmentWriter> writer;  // null when closed
  bool is_open() const { return writer != nullptr; }
};

// Null after throwing.
napi_value make_segment(napi_env env, std::shared_ptr<GrowingSegment> segment);
napi_value make_segment(napi_env env, std::shared_ptr<SealedSegment> segment);
napi_value make_writer(napi_env env, std::unique_ptr<SegmentWriter> writer);

// The handle, closed or not. Null after throwing: not such a handle.
SegmentHandle* any_segment(napi_env env, napi_value value);
WriterHandle* any_writer(napi_env env, napi_value value);
// Throw for closed ones too.
SegmentHandle* open_segment(napi_env env, napi_value value);
WriterHandle* open_writer(napi_env env, napi_value value);
bool open_segments(napi_env env, napi_value value,
                   std::vector<std::shared_ptr<const Segment>>* out);

}  // namespace elanus
