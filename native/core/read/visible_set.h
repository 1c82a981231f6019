// Which rows of a snapshot a read keeps: the filter's truth and visibility at the read timestamp,
// one bit a row. Without a filter and with every row visible there are no bits at all.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/bitset.h"
#include "base/cancel.h"
#include "base/status.h"
#include "filter/plan.h"
#include "segment/segment.h"
#include "threads/thread_pool.h"

namespace elanus {

struct VisibleSet {
  bool all = true;  // every row is kept and `bits` is empty
  Bitset bits;      // one a row
  size_t kept = 0;

  const uint64_t* words() const { return all ? nullptr : bits.words(); }
  bool keeps(size_t row) const { return all || bits.test(row); }
};

// `plan` null: no filter. `pool` null: on the calling thread. Errors: those of the filter.
Status make_visible_set(const SegmentSnapshot& snapshot, const Plan* plan, uint64_t read_ts,
                     ThreadPool* pool, const CancelToken* cancel, VisibleSet* mask);

// Hides rows whose value of the field is null. Returns whether the field may have any.
bool hide_nulls(const SegmentSnapshot& snapshot, int64_t field_id, VisibleSet* mask);

}  // namespace elanus
