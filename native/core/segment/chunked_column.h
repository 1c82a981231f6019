// One field of a snapshot by row number, whatever its chunks: what gather and the segment writer
// read through.
#pragma once

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

// Characters of all elements of a VarChar array.
inline size_t string_bytes(const ArrayValue& value) {
  if (value.offsets64 != nullptr) {
    return static_cast<size_t>(value.offsets64[value.count] - value.offsets64[0]);
  }
  return value.offsets32 == nullptr ? 0 : value.offsets32[value.count];
}

// The first of these characters; they lie one element after another.
inline const char* string_begin(const ArrayValue& value) {
  return value.offsets64 != nullptr ? value.chars + value.offsets64[0] : value.chars;
}

}  // namespace elanus
