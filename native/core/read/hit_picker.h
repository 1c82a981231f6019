// Of the lists that segments have found for one query the best k rows with distinct keys. Where a
// list ends too early for that its segment is asked for more rows; where only equal scores may
// follow, for those (P4).
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/cancel.h"
#include "index/vector_index.h"
#include "read/segment_search.h"
#include "segment/row_source.h"
#include "threads/thread_pool.h"

namespace elanus {

struct PickedHit {
  float score = 0;
  RowRef ref;
};

class HitPicker {
 public:
  // All outlive it; `pool` and `cancel` may be null.
  HitPicker(std::span<const SegmentSearch> parts, size_t k, const IndexSearchParams& params,
            ThreadPool* pool, const CancelToken* cancel)
      : parts_(parts), k_(k), params_(params), pool_(pool), cancel_(cancel) {}

  // lists[i * stride] is the query's list of parts[i], and may become longer. `picked` gets the
  // rows, best first; nothing that means anything when canceled.
  void pick(const QuerySet& queries, size_t query, HitList* lists, size_t stride,
            std::vector<PickedHit>* picked) const;

 private:
  bool search_deeper(const QuerySet& queries, size_t query, HitList* lists, size_t stride,
                     const std::vector<PickedHit>& picked) const;
  bool find_ties(const QuerySet& queries, size_t query, HitList* lists, size_t stride,
                 const std::vector<PickedHit>& picked) const;

  std::span<const SegmentSearch> parts_;
  const size_t k_;
  const IndexSearchParams& params_;
  ThreadPool* const pool_;
  const CancelToken* const cancel_;
};

}  // namespace elanus
