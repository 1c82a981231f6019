// Copies chosen rows of several segments into one row batch: the output of search and query.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/cancel.h"
#include "base/status.h"
#include "segment/row_batch.h"
#include "segment/row_source.h"
#include "segment/segment.h"

namespace elanus {

// How large the rows of one read may get, in bytes of its row batch.
struct ReadBounds {
  static constexpr uint64_t kNone = ~uint64_t{0};
  // Of what the client gets. Counted by the fixed width of the rows while they are being found, so
  // that an answer that is too large is not searched to its end.
  uint64_t reply_bytes_max = kNone;
  // Rows (of each query vector) that are found and do not go into the reply: of the pages before
  // it, or for lists that are merged.
  uint64_t spare_rows = 0;
  // Of all rows that are found, with their values of any width: the memory that was taken for them.
  // Counted before they are copied.
  uint64_t gather_bytes_max = kNone;
};

// The least that a row of this output takes: keys, timestamp and values of fixed width, an offset
// for each of variable width.
uint64_t min_row_bytes(std::span<const SegmentSnapshot* const> sources,
                       std::span<const int64_t> field_ids);
// The refusals of a read, in Milvus' words; `what`: "search" or "query". The first of one whose
// reply is too large (kTooLarge), the second of one that finds more than there is memory for
// (kMemoryLimit).
Status output_too_large(const char* what, uint64_t got, uint64_t limit);
Status gather_too_large(const char* what, uint64_t need, uint64_t have);

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
