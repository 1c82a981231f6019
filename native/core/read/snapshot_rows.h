// Rows of snapshots as reduce.h orders them. Keys and timestamps are read where the order needs
// them: most candidates of a search are told apart by their scores.
#pragma once

#include <cstddef>
#include <cstdint>

#include "read/reduce.h"
#include "segment/segment.h"

namespace elanus {

inline int compare_keys(const SegmentSnapshot& a, size_t row_a, const SegmentSnapshot& b,
                        size_t row_b) {
  return a.schema().has_string_keys() ? order_of(a.key_string_at(row_a), b.key_string_at(row_b))
                                      : order_of(a.key_at(row_a), b.key_at(row_b));
}

inline bool insert_key(const SegmentSnapshot& rows, size_t row, KeySet* keys) {
  return rows.schema().has_string_keys() ? keys->insert(rows.key_string_at(row))
                                         : keys->insert(rows.key_at(row));
}

// Rows of one snapshot with equal scores, by number.
class TiedOrder {
 public:
  static constexpr bool kByKey = true;
  explicit TiedOrder(const SegmentSnapshot& rows) : rows_(rows) {}

  float score(uint32_t) const { return 0; }
  int compare_keys(uint32_t a, uint32_t b) const {
    return elanus::compare_keys(rows_, a, rows_, b);
  }
  uint64_t timestamp(uint32_t row) const { return rows_.timestamp_at(row); }
  RowRef ref(uint32_t row) const { return {0, row}; }

 private:
  const SegmentSnapshot& rows_;
};

}  // namespace elanus
