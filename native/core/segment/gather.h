// Copies chosen rows of several segments into one row batch: the output of search and query.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "segment/row_batch.h"
#include "segment/segment.h"
#include "util/cancel.h"
#include "util/status.h"

namespace elanus {

// A row of one of the sources: its position in the list, then the row inside it.
struct RowRef {
  uint32_t source = 0;
  uint32_t row = 0;
};

// Makes a batch of these rows in this order, columns ascending by field id: timestamp (field 1),
// the primary key and the fields named, each once. JSON comes as the client's text. A source that
// does not know a field gives null; a field that no source knows has no column. Without sources the
// batch has no columns. `cancel` may be null. Errors: kInvalidParameter (a column of over 4 GiB of
// variable width, field types that differ), kMemoryLimit, kCanceled.
Status gather_rows(std::span<const SegmentSnapshot* const> sources, std::span<const RowRef> rows,
                   std::span<const int64_t> field_ids, OwnedBytes* out,
                   const CancelToken* cancel = nullptr);

}  // namespace elanus
