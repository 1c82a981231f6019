// One chunk of a growing segment: the columns of a fixed number of rows in one zero-filled block
// that never moves. The narrow arrays lie first: the few rows of a segment that never grows share
// their pages. Not here: which rows are in it, and how they get there (growing_segment.h).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/zeroed_memory.h"
#include "segment/column.h"
#include "segment/schema.h"

namespace elanus {

class GrowingChunk {
 public:
  struct Column {
    uint8_t* values = nullptr;    // fixed width and vectors
    float* inv_norms = nullptr;   // vectors of a type that has them
    VarRef* refs = nullptr;       // variable width
    VarRef* variants = nullptr;   // JSON
    std::atomic<uint8_t*> validity{nullptr};  // one byte a row; null until the chunk has a null
    ZeroedMemory validity_memory;
    ColumnView variant_view;      // what a JSON column's view points to
  };

  // The columns of these fields, of so many rows. May throw bad_alloc.
  GrowingChunk(std::span<const Field> fields, size_t rows);

  // Bytes of one row, without validity bytes.
  static size_t row_bytes(std::span<const Field> fields);

  size_t rows() const { return rows_; }
  const Column& column(size_t slot) const { return columns_[slot]; }
  Column& column(size_t slot) { return columns_[slot]; }
  int64_t* int64s(size_t slot) const { return reinterpret_cast<int64_t*>(columns_[slot].values); }
  // By row: the older row with the same key.
  uint32_t* next_rows() const { return next_rows_; }

  // Gives a column validity bytes that call all rows valid; returns how many, 0 when it has some.
  // May throw bad_alloc.
  size_t add_validity(size_t slot);

  // Bytes of the block.
  size_t bytes() const { return memory_.size(); }
  // Bytes that the system holds for the block when this many rows have been written: of a mapping
  // only the pages that they lie in.
  size_t held_bytes(size_t used_rows) const;

 private:
  // An array of the block, in the order of the block.
  struct Array {
    size_t begin = 0;
    size_t width = 0;  // bytes of a row
  };

  void place_arrays(std::span<const Field> fields);

  size_t rows_ = 0;
  ZeroedMemory memory_;
  std::vector<Array> arrays_;
  std::unique_ptr<Column[]> columns_;
  uint32_t* next_rows_ = nullptr;
};

}  // namespace elanus
