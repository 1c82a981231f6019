// Lays out one new segment file from the rows of several segments: chooses and sorts the rows,
// fixes the size of each buffer, and then yields any byte range of any buffer, so that a file of
// many GiB is written in pieces. Holds its inputs and their row counts; deletes that arrive later
// are not in the output (R3).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/cancel.h"
#include "segment/segment.h"

namespace elanus {

// Names as BufferName of src/index/native.ts, in its order.
enum class SegmentBuffer : uint8_t {
  kValidity,
  kOffsets,
  kData,
  kVariantOffsets,
  kVariantData,
  kChildOffsets,
  kChildData,
};

// Sizes of one column's buffers in bytes before padding (NativeColumnPlan of src/index/native.ts).
// Fixed-width scalars and vectors: data. Bool: data as bits. VarChar, JSON: offsets int64 × (rows +
// 1) and data. Array: list offsets and, for fixed-width elements, data (the child's values, Bool as
// bits); for VarChar elements child_offsets int64 × (child_rows + 1) and child_data.
struct ColumnPlan {
  Field field;
  size_t null_count = 0;
  uint64_t validity_bytes = 0;  // 0 when no row is null
  uint64_t offsets_bytes = 0;
  uint64_t data_bytes = 0;
  uint64_t child_rows = 0;
  uint64_t variant_offsets_bytes = 0;
  uint64_t variant_data_bytes = 0;
  uint64_t child_offsets_bytes = 0;
  uint64_t child_data_bytes = 0;
};

class SegmentWriter {
 public:
  // Takes all rows of the inputs but those deleted at or before `drop_deleted_up_to`, ascending by
  // (primary key, timestamp), equal ones in the order of the inputs. Columns: row id, timestamp,
  // and every field that an input knows; rows of an input that does not know a field are null
  // there, those of one that knows it without having a column have its default. Cost: O(rows · (log
  // rows + columns)) and about 32 bytes a row, at worst twice that, while sorting, 8 · (1 + columns
  // of variable width) afterwards. `cancel` may be null. Errors: kInvalidParameter (no input, key
  // kinds or field types that differ, over 2^32 - 1 rows), kMemoryLimit, kCanceled.
  static Status create(std::vector<std::shared_ptr<const Segment>> inputs,
                       uint64_t drop_deleted_up_to, std::unique_ptr<SegmentWriter>* out,
                       const CancelToken* cancel = nullptr);
  ~SegmentWriter();

  size_t rows() const;
  // Ascending by field id.
  const std::vector<ColumnPlan>& columns() const;
  // Copies bytes [offset, offset + length) of one buffer to `out`. Several threads may read at
  // once. Errors: as check_range.
  Status read_buffer(int64_t field_id, SegmentBuffer buffer, uint64_t offset, uint64_t length,
                     uint8_t* out) const;
  // Whether there are such bytes: for a caller who must make room for them first. Errors:
  // kInvalidParameter (field, buffer or range).
  Status check_range(int64_t field_id, SegmentBuffer buffer, uint64_t offset,
                     uint64_t length) const;

 private:
  struct State;
  explicit SegmentWriter(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace elanus
