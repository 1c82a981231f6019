// One segment's share of a search: which rows it may show, and the best of them for each query,
// found by the field's index or by a scan, whichever is cheaper. Which rows of several segments are
// the best: read/search.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/cancel.h"
#include "base/status.h"
#include "base/top_k.h"
#include "filter/plan.h"
#include "index/vector_index.h"
#include "read/visible_set.h"
#include "segment/segment.h"
#include "threads/thread_pool.h"
#include "vector/query_set.h"

namespace elanus {

// Best rows of one query in one segment.
struct HitList {
  std::vector<Hit> hits;  // best first, of equal ones the smallest row first
  size_t asked = 0;
  bool is_cut = false;    // there may be more, none better than the last
  bool has_ties = false;  // those equal to the last that may be shown are all there, in any order
};

class SegmentSearch {
 public:
  // `plan`, `pool` and `cancel` may be null and outlive it, as they do for all calls below.
  Status prepare(const Segment& segment, int64_t field_id, Metric metric, const Plan* plan,
                 uint64_t read_ts, ThreadPool* pool, const CancelToken* cancel);

  const SegmentSnapshot& snapshot() const { return *snapshot_; }
  // Rows that passed filter and visibility, and those of them that have a vector.
  size_t visible_rows() const { return visible_rows_; }
  size_t kept() const { return visible_.kept; }
  bool is_kept(size_t row) const { return visible_.keeps(row); }

  double estimate_ns(const IndexSearchParams& params, size_t ask, size_t queries) const;

  // Fills lists[q] for each query q of the set with its best `ask` rows.
  void search(const QuerySet& queries, const IndexSearchParams& params, size_t ask,
              ThreadPool* pool, HitList* lists) const;

  // Whether rows that a cut list lacks may come before `last` among those with the score of its
  // last hit. Rows of a sealed segment ascend by primary key, and of equal scores scans and walks
  // give the smallest rows: what the list lacks comes no earlier than its last row.
  bool may_hide_ties(const HitList& list, const SegmentSnapshot& last, size_t last_row) const;

  // Looks through all kept rows for those that have exactly the score of the list's last hit; the
  // list gets the first `k` of them in the order of equal scores. One pass, whatever it finds.
  void find_ties(const QuerySet& queries, size_t query, size_t k, ThreadPool* pool,
                 HitList* list) const;

  // The same as `search` for one query of the set, deeper than before.
  void search_deeper(const QuerySet& queries, size_t query, const IndexSearchParams& params,
                     ThreadPool* pool, HitList* list) const;

 private:
  template <typename Body>
  void run(ThreadPool* pool, size_t count, size_t grain, Body&& body) const;
  bool uses_index(const IndexSearchParams& params, size_t ask) const;
  void walk(const QuerySet& queries, size_t query, const IndexSearchParams& params, size_t ask,
            ThreadPool* pool, HitList* list) const;
  void scan(const QuerySet& queries, const IndexSearchParams& params, size_t ask, ThreadPool* pool,
            HitList* lists) const;
  void scan_chunk(size_t chunk, const QuerySet& queries, const IndexSearchParams& params,
                  ThreadPool* pool, TopK* heaps) const;
  size_t rows_with_score(const ExactScorer& scorer, float score, size_t chunk_begin, size_t begin,
                         size_t end, uint32_t* rows) const;
  RowView row_view(size_t chunk, const ColumnView& column) const;
  void keep(TopK& best, size_t ask, HitList* list) const;

  std::unique_ptr<SegmentSnapshot> snapshot_;
  VisibleSet visible_;
  size_t visible_rows_ = 0;
  int64_t field_id_ = 0;
  size_t dim_ = 0;
  const VectorType* type_ = nullptr;
  Metric metric_ = Metric::kL2;
  const VectorIndex* index_ = nullptr;
  const CancelToken* cancel_ = nullptr;
};

}  // namespace elanus
