// Rows with equal vectors. A graph has one node for all of them, the smallest row; the others are
// its twins. As nodes of their own they would fill each other's lists, and those that found no room
// could not be reached: a search under a filter that shows only such rows would miss them. What
// makes vectors equal is their bytes, so 0 and -0 differ, and so do rows of one direction.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/cancel.h"
#include "vector/row_view.h"

namespace elanus {

// As an index file has them: twins of heads[i] are rows[begins[i]] to rows[begins[i + 1] - 1].
// Heads ascend, and so do the twins of each; a head is smaller than its twins.
struct TwinLists {
  std::vector<uint32_t> heads;
  std::vector<uint32_t> begins;  // heads.size() + 1, empty without heads
  std::vector<uint32_t> rows;
};

// Groups the rows that `candidates` lists, ascending, and leaves in it one row of each group.
// Memory: up to 16 bytes a row meanwhile. False when canceled.
bool find_twins(const RowView& rows, const CancelToken* cancel,
                std::vector<uint32_t>* candidates, TwinLists* twins);

// The lists in a mapped file. A damaged one gives wrong rows, which the reader compares with the
// number of rows, and no access outside.
class Twins {
 public:
  Twins() = default;
  Twins(std::span<const uint32_t> heads, const uint32_t* begins, std::span<const uint32_t> rows)
      : heads_(heads), begins_(begins), rows_(rows) {}

  bool empty() const { return heads_.empty(); }
  size_t row_count() const { return rows_.size(); }
  // Of a node. O(log heads).
  std::span<const uint32_t> of(uint32_t node) const;

 private:
  std::span<const uint32_t> heads_;
  const uint32_t* begins_ = nullptr;
  std::span<const uint32_t> rows_;
};

}  // namespace elanus
