// When each row of a segment was deleted. A delete is a timestamp, never a mutable bit: a read at R
// ignores deletes after R. Memory comes with the first delete of a block of 1,024 rows. One writer,
// many readers. The writer stores the bounds, then the row's timestamp, then its bit; a reader
// copies the bits first and looks at the bounds afterwards, so it never takes a later delete for an
// earlier one.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "segment/stable_array.h"

namespace elanus {

class DeleteLog {
 public:
  DeleteLog() = default;
  ~DeleteLog();
  DeleteLog(const DeleteLog&) = delete;
  DeleteLog& operator=(const DeleteLog&) = delete;

  // Marks a row as deleted at `timestamp` (not 0) unless it already is. Returns whether it marked
  // it. The writer only. May throw bad_alloc and then has changed nothing.
  bool mark(size_t row, uint64_t timestamp);
  // The row's delete timestamp, 0 when it is alive. Any thread.
  uint64_t timestamp_at(size_t row) const;
  // Whether some row is deleted for a read at `read_ts`. O(1).
  bool any_at(uint64_t read_ts) const {
    return min_timestamp_.load(std::memory_order_acquire) <= read_ts;
  }
  // Clears the bits of rows that are deleted at or before `read_ts`; `words` holds `rows` bits.
  void clear_deleted(uint64_t read_ts, size_t rows, uint64_t* words) const;
  size_t count() const { return count_.load(std::memory_order_acquire); }
  // How many rows are deleted at or before `timestamp`. O(blocks) when all are, else about 1 ns a
  // deleted row.
  size_t count_at(uint64_t timestamp) const;
  // Of the newest delete; 0 = none.
  uint64_t last_timestamp() const { return max_timestamp_.load(std::memory_order_acquire); }
  size_t memory_bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  static constexpr size_t kBlockRows = 1024;
  struct Block {
    std::atomic<uint64_t> bits[kBlockRows / 64] = {};
    std::atomic<uint64_t> timestamps[kBlockRows] = {};
  };
  Block* block_of(size_t row) const;

  StableArray<std::atomic<Block*>, 24> blocks_;
  std::atomic<size_t> block_end_{0};  // blocks at or past this index do not exist
  std::atomic<uint64_t> min_timestamp_{~uint64_t{0}};
  std::atomic<uint64_t> max_timestamp_{0};
  std::atomic<size_t> count_{0};
  std::atomic<size_t> bytes_{0};
};

}  // namespace elanus
