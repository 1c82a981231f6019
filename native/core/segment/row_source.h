// What the filter evaluator and the vector scans read: the rows of one segment as they were when
// the read began. Growing segments give several chunks, mapped ones a single chunk. Everything it
// returns stays valid and unchanged while the source is held, while other threads append and
// delete.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "segment/column.h"

namespace elanus {

class JsonPathIndex;  // scalar/json_path_index.h
class ScalarIndex;    // scalar/scalar_index.h
struct PathStep;      // filter/plan.h

// A row of several sources read as one: the source's position in their list, then the row in it.
struct RowRef {
  uint32_t source = 0;
  uint32_t row = 0;
};

class RowSource {
 public:
  virtual ~RowSource() = default;
  // Rows visible to this read's snapshot of the segment's length (not yet filtered by timestamp).
  virtual size_t row_count() const = 0;
  virtual size_t chunk_count() const = 0;
  // First row of the chunk and its number of rows; chunk begins are multiples of 64.
  virtual size_t chunk_begin(size_t chunk) const = 0;
  virtual size_t chunk_rows(size_t chunk) const = 0;
  // The field's values in that chunk; a field that the segment has no column for gives its
  // default in each row, else an all-null view.
  virtual ColumnView column(size_t chunk, int64_t field_id) const = 0;
  // The field's scalar index over all rows of the source, or nullptr.
  virtual const ScalarIndex* scalar_index(int64_t field_id) const = 0;
  // The index over the values of that type at the path of a JSON field, or nullptr.
  virtual const JsonPathIndex* json_index(int64_t field_id, const std::vector<PathStep>& path,
                                          DataType cast_type) const {
    (void)field_id, (void)path, (void)cast_type;
    return nullptr;
  }
};

}  // namespace elanus
