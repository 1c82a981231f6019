// Applies a batch of deletes to segments: each row gets the timestamp of the first delete that
// removes it. Keys are looked up in ascending order, so that a batch walks a mapped key column once
// instead of jumping in it for each key; the deletes of one key stay in the order of time.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "base/cancel.h"
#include "base/status.h"
#include "segment/delete_batch.h"
#include "segment/segment.h"

namespace elanus {

struct DeleteTarget {
  std::shared_ptr<Segment> segment;
  int64_t partition_id = 0;
  uint64_t deletes_up_to = 0;  // its file lacks the rows of deletes up to here (R3)
};

// Gives way between pieces. A reader older than the deletes sees none of them meanwhile. Cost:
// O(keys log keys) once, and O(keys · log(rows / keys)) for each sealed segment, O(keys) for a
// growing one. Errors: kInvalidParameter (kind of keys), kMemoryLimit (some rows may be marked;
// calling again is safe), kCanceled.
Status apply_deletes(const DeleteBatch& batch, std::span<const DeleteTarget> targets,
                     const CancelToken* cancel);

}  // namespace elanus
