// Rows that a filter or a list of primary keys chooses, over several segments read as one.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/cancel.h"
#include "base/status.h"
#include "filter/plan.h"
#include "read/read_bounds.h"
#include "segment/row_batch.h"
#include "segment/segment.h"
#include "threads/thread_pool.h"

namespace elanus {

struct QueryRequest {
  // Null: no filter. Keys that it lists and nothing else are looked up.
  const Plan* plan = nullptr;
  std::optional<KeySpan> keys;  // only rows with these keys, besides the filter
  uint64_t read_ts = 0;
  uint64_t limit = 0;  // rows at most, smallest keys first; 0: all
  bool count_only = false;
  std::vector<int64_t> output_fields;
  ReadBounds bounds;
};

struct QueryResult {
  // count_only: matching rows, those of a repeated key each; else rows returned.
  uint64_t count = 0;
  // A row batch ascending by primary key, of a repeated key the newest matching row.
  OwnedBytes rows;
};

// The calling thread takes part; `pool` and `cancel` may be null.
// Errors: kInvalidParameter (filter, key kinds), kCanceled; kTooLarge, kMemoryLimit past a bound,
// without keeping more matches than twice what fits.
Status query_segments(std::span<const std::shared_ptr<const Segment>> segments,
                      const QueryRequest& request, ThreadPool* pool, const CancelToken* cancel,
                      QueryResult* result);

}  // namespace elanus
