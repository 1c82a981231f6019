// Index files of a sealed segment: opens one, sees in its header what it is, and attaches it to its
// field.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/status.h"
#include "segment/sealed_segment.h"

namespace elanus {

// The file stays mapped for as long as the segment or a read holds the index. Replaces an earlier
// index of the field, or, when it is over a path of a JSON field, of that path and cast type. Reads
// pages of the file that may be cold: not for the JavaScript thread (R16). `crc` is what was noted
// of the file when it was built, if that is known. Errors: kIo, kDataIntegrity (not an index, not
// one of this segment's rows, not the file that was noted), kInvalidParameter (the field).
Status attach_index_file(SealedSegment& segment, int64_t field_id, const std::string& path,
                         std::optional<uint32_t> crc = std::nullopt);
// Leaves the indexes over paths of the field: SealedSegment::detach_json_index.
void detach_index(SealedSegment& segment, int64_t field_id);

}  // namespace elanus
