// Index files of a sealed segment: maps one, finds out what it is by its first bytes, and attaches
// it to its field.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "distance/metric.h"
#include "index/vector_index.h"
#include "segment/sealed_segment.h"
#include "util/status.h"

namespace elanus {

// Maps the file for as long as the segment or a read holds it. Replaces an earlier index of the
// field, or, when it is over a path of a JSON field, of that path and cast type. Errors: kIo,
// kDataIntegrity (not an index, or not one of this segment's rows), kInvalidParameter (the field).
Status attach_index_file(SealedSegment& segment, int64_t field_id, const std::string& path);
// Leaves the indexes over paths of the field: SealedSegment::detach_json_index.
void detach_index(SealedSegment& segment, int64_t field_id);

// The metric of an index that came from a file; nothing for one that was attached without.
std::optional<Metric> metric_of(const VectorIndex& index);

}  // namespace elanus
