// One segment's share of a query: the rows that a filter or a list of primary keys chooses in it.
// Which rows of several segments are the answer: read/query.cc.
#pragma once

#include <cstdint>
#include <vector>

#include "base/cancel.h"
#include "base/status.h"
#include "filter/plan.h"
#include "read/match.h"
#include "segment/segment.h"
#include "threads/thread_pool.h"

namespace elanus {

struct VisibleSet;  // read/visible_set.h

// What is asked of every segment.
struct SegmentQuery {
  const Plan* plan = nullptr;  // null: no filter, or none besides the keys
  uint64_t read_ts = 0;
  uint64_t limit = 0;  // 0: all
  bool count_only = false;
  uint64_t rows_max = 0;  // more rows are too many, whatever they are
  ThreadPool* pool = nullptr;
  const CancelToken* cancel = nullptr;
};

// Of one segment, which is number `source` of all.
class SegmentMatches {
 public:
  SegmentMatches(const SegmentQuery& query, const SegmentSnapshot& rows, uint32_t source)
      : query_(query), rows_(rows), source_(source) {}

  // The rows with these keys, which ascend; of a repeated key the newest that matches.
  Status find_keys(const KeySpan& keys);
  // All rows that match, at most `limit`.
  Status find_all();

  uint64_t count() const { return count_; }  // count_only: rows, those of a repeated key each
  std::vector<Match>& matches() { return matches_; }
  // Whether there are more than `rows_max`, whatever other segments have; not all are listed then.
  bool are_too_many() const { return are_too_many_; }

 private:
  Status find_fitting(const VisibleSet& visible);
  Status find_first();
  bool add_ascending(size_t row, uint64_t most);
  Match match_at(size_t row) const { return Match::of(rows_, source_, row); }

  const SegmentQuery& query_;
  const SegmentSnapshot& rows_;
  const uint32_t source_;
  uint64_t count_ = 0;
  std::vector<Match> matches_;
  bool are_too_many_ = false;
};

}  // namespace elanus
