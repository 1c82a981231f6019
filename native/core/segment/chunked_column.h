// One field of a snapshot by row number, whatever its chunks: what gather and the segment writer
// read through.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "segment/segment.h"

namespace elanus {

// A row's place: a view of its chunk and its position there.
struct ColumnCell {
  const ColumnView* view;
  size_t row;

  bool is_valid() const { return view->is_valid(row); }
  // The bytes of a fixed-width value; not for a Bool in bits.
  const char* fixed(size_t width) const {
    return static_cast<const char*>(view->data) + width * row;
  }
};

class ChunkedColumn {
 public:
  // The snapshot must outlive it.
  ChunkedColumn(const SegmentSnapshot& snapshot, int64_t field_id) : snapshot_(&snapshot) {
    const size_t chunks = snapshot.chunk_count();
    views_.reserve(chunks);
    for (size_t c = 0; c < chunks; ++c) views_.push_back(snapshot.column(c, field_id));
  }
  ColumnCell at(size_t row) const {
    const size_t chunk = snapshot_->chunk_of(row);
    return {&views_[chunk], row - snapshot_->chunk_begin(chunk)};
  }
  bool may_have_nulls() const {
    for (const ColumnView& view : views_) {
      if (view.may_have_nulls()) return true;
    }
    return false;
  }

 private:
  const SegmentSnapshot* snapshot_;
  std::vector<ColumnView> views_;
};

// All characters of a VarChar array; they lie one element after another.
inline std::string_view all_strings(const ArrayValue& value) {
  if (value.offsets64 != nullptr) {
    return mapped_string(value.chars, value.char_bytes, value.offsets64[0],
                         value.offsets64[value.count]);
  }
  return {value.chars, value.offsets32 == nullptr ? 0 : value.offsets32[value.count]};
}

// How many of these `total` characters lie before element i <= count. Ascends with i in a sound
// file, and is never more than the total.
inline size_t string_offset(const ArrayValue& value, size_t i, size_t total) {
  if (value.offsets32 != nullptr) return value.offsets32[i];
  if (value.offsets64 == nullptr) return 0;
  const auto offset = static_cast<uint64_t>(value.offsets64[i]);
  return std::min<uint64_t>(offset - static_cast<uint64_t>(value.offsets64[0]), total);
}

}  // namespace elanus
