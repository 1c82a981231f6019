// Of the rows of one snapshot that have the same score, those that a search shows: with the
// smallest primary keys, of each key the newest row. Rows come one by one and in any order; memory
// stays in proportion to the number wanted however many there are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "segment/segment.h"

namespace elanus {

// The order of equal scores: -1, 0 or 1 by primary key.
int compare_keys(const SegmentSnapshot& a, size_t row_a, const SegmentSnapshot& b, size_t row_b);
// By primary key, the newest row of a key first.
bool is_row_before(const SegmentSnapshot& a, size_t row_a, const SegmentSnapshot& b, size_t row_b);

class TiedRows {
 public:
  TiedRows(const SegmentSnapshot& rows, size_t wanted) : rows_(rows), wanted_(wanted) {}

  void add(uint32_t row);
  // At most as many as wanted, each key once, in the order above.
  std::vector<uint32_t> take();

 private:
  void compact();

  const SegmentSnapshot& rows_;
  const size_t wanted_;
  std::vector<uint32_t> kept_;
  bool has_enough_ = false;  // the first `wanted_` of kept_ are sorted and distinct
};

}  // namespace elanus
