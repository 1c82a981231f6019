// Columns that a segment was written without, because their fields were added later (R25): the
// field's default in every row, in anonymous memory. A column is made when it is first read and
// lives as long as the segment, so that views of it stay valid.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "segment/column.h"
#include "segment/schema.h"

namespace elanus {

class DefaultColumns {
 public:
  // The field in `rows` rows: its default, or null when it has none. `rows_max` is the same for
  // all calls and no call asks for more. The first call for a field with a default takes one pass
  // over rows_max values, for which other threads wait. Throws bad_alloc. Any thread.
  ColumnView view(const Field& field, size_t rows, size_t rows_max) const;
  // Anonymous memory of the columns made so far. Any thread.
  size_t memory_bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  struct Column {
    std::string value;
    std::unique_ptr<uint8_t[]> rows;  // fixed-width values, or VarRefs to `value`
  };
  const Column& column_of(const Field& field, size_t rows_max) const;

  mutable std::mutex mutex_;
  mutable std::map<int64_t, Column> columns_;  // by field id; nodes never move
  mutable std::atomic<size_t> bytes_{0};
};

}  // namespace elanus
