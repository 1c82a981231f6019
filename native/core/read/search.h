// Nearest neighbours over several segments read as one: filter, visibility, the best k rows with
// distinct primary keys (R7), and their fields.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/cancel.h"
#include "base/param_bag.h"
#include "base/status.h"
#include "filter/plan.h"
#include "metric/metric.h"
#include "read/read_bounds.h"
#include "segment/row_batch.h"
#include "segment/segment.h"
#include "threads/thread_pool.h"

namespace elanus {

// Hits of all queries together that one result holds: 4 bytes of score, 8 of row and some 20 of
// primary key and timestamp each, so about 2 GiB. More are refused before anything is searched.
inline constexpr size_t kSearchHitsMax = size_t{1} << 26;

struct SearchRequest {
  int64_t field_id = 0;
  Metric metric = Metric::kL2;
  size_t nq = 0;
  size_t k = 0;
  std::span<const uint8_t> queries;  // nq vectors of the field's type, at any address
  const Plan* plan = nullptr;        // null: no filter
  uint64_t read_ts = 0;
  ParamBag params;  // of the field's index: its kind reads it
  // In the client's numbers. A hit is better than `radius` and not better than `range_filter`.
  std::optional<float> radius;
  std::optional<float> range_filter;
  std::vector<int64_t> output_fields;
  ReadBounds bounds;
};

struct SearchResult {
  std::vector<int32_t> counts;  // hits of each query, at most k
  std::vector<float> scores;    // the client's, hits of query 0 first, best first
  OwnedBytes rows;              // a row batch, one row a hit: primary key, timestamp, output fields
  uint64_t visible_rows = 0;    // that passed filter and visibility, over all segments
};

// Equal scores come in the order of their primary keys, and at rank k those with the smallest keys
// are shown: exactly for scans, among the rows that a walk found for an index. Of a repeated key
// the best score counts, of equal ones the newest row. Rows whose vector is null are never hits,
// and a query with a NaN has none. The calling thread takes part; `pool` and `cancel` may be null.
// Errors: kInvalidParameter (field, query length, filter), kCanceled, kMemoryLimit (memory; without
// bounds more than kSearchHitsMax hits); kTooLarge and kMemoryLimit past a bound, found after no
// more work than the largest answer within it takes.
Status search_segments(std::span<const std::shared_ptr<const Segment>> segments,
                       const SearchRequest& request, ThreadPool* pool, const CancelToken* cancel,
                       SearchResult* result);

}  // namespace elanus
