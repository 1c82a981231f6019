// Of the rows of one snapshot that have the same score, those that a search shows: with the
// smallest primary keys, of each key the newest row. Rows come one by one and in any order; memory
// stays in proportion to the number wanted however many there are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "read/snapshot_rows.h"

namespace elanus {

class TiedRows {
 public:
  TiedRows(const SegmentSnapshot& rows, size_t wanted) : order_(rows), wanted_(wanted) {}

  void add(uint32_t row) {
    // Of very many rows most come after the last that is kept.
    if (has_enough_ && !comes_before(order_, row, kept_[wanted_ - 1])) return;
    kept_.push_back(row);
    if (kept_.size() >= 2 * wanted_ + 1024) compact();
  }
  // At most as many as wanted, each key once, in the order above.
  std::vector<uint32_t> take() {
    compact();
    return std::move(kept_);
  }

 private:
  void compact() {
    // Without turns: whoever adds may hold a lock.
    take_distinct(order_, wanted_, 0, nullptr, &kept_);
    has_enough_ = kept_.size() >= wanted_;
  }

  const TiedOrder order_;
  const size_t wanted_;
  std::vector<uint32_t> kept_;
  bool has_enough_ = false;  // the first `wanted_` of kept_ are sorted and distinct
};

}  // namespace elanus
