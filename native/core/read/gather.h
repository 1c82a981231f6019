// Copies chosen rows of several segments into one row batch: the output of search and query.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/cancel.h"
#include "base/status.h"
#include "read/read_bounds.h"
#include "segment/row_batch.h"
#include "segment/row_source.h"
#include "segment/segment.h"

namespace elanus {

// The least that a row of this output takes: keys, timestamp and values of fixed width, an offset
// for each of variable width.
uint64_t min_row_bytes(std::span<const SegmentSnapshot* const> sources,
                       std::span<const int64_t> field_ids);
// Makes a batch of these rows in this order, columns ascending by field id: timestamp (field 1),
// the primary key and the fields named, each once. JSON comes as the client's text. A source that
// does not know a field gives null; a field that no source knows has no column. Without sources the
// batch has no columns. `cancel` may be null. Errors: kInvalidParameter (a column of over 4 GiB of
// variable width, field types that differ), kMemoryLimit, kCanceled; kTooLarge for a batch of more
// than `bytes_max`, before anything is allocated, with the size in `out->size`.
Status gather_rows(std::span<const SegmentSnapshot* const> sources, std::span<const RowRef> rows,
                   std::span<const int64_t> field_ids, OwnedBytes* out,
                   const CancelToken* cancel = nullptr, uint64_t bytes_max = ReadBounds::kNone);

}  // namespace elanus
