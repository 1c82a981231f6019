// A segment: rows of one partition in native memory (growing) or in a mapped file (sealed), with a
// delete timestamp per row. Readers work on a snapshot, which keeps the segment alive and its row
// count fixed (R15). One writer at a time (append, delete, attach, a new schema); any number of
// readers beside it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bitset.h"
#include "base/cancel.h"
#include "base/status.h"
#include "segment/column.h"
#include "segment/default_columns.h"
#include "segment/delete_log.h"
#include "segment/row_source.h"
#include "segment/schema.h"

namespace elanus {

class VectorIndex;  // index/vector_index.h
class Segment;

// Reads every row, deleted ones too; for writers of files and for statistics.
inline constexpr uint64_t kReadAll = ~uint64_t{0};

struct SegmentStats {
  size_t rows = 0;
  size_t deleted_rows = 0;
  size_t bytes = 0;  // column data, mapped or anonymous
  // 0 without rows, and for a sealed segment: that would take a pass over its column, and whoever
  // wrote the file knows them.
  uint64_t min_timestamp = 0;
  uint64_t max_timestamp = 0;
};

// What `find_rows` does after a row: the same key's next older row, the next key, or nothing more.
enum class VisitNext : uint8_t { kRow, kKey, kStop };
// Called with the key's position in the span and a row that has the key.
using RowVisitor = std::function<VisitNext(size_t key, size_t row)>;

// The rows of a segment as one read sees them. Every pointer and reference it gives lives as long
// as it does. Any thread may use it; the object itself holds no mutable state.
class SegmentSnapshot : public RowSource {
 public:
  SegmentSnapshot(std::shared_ptr<const Segment> segment, uint64_t read_ts);

  const Segment& segment() const { return *segment_; }
  // The segment's schema when the read began.
  const Schema& schema() const { return schema_; }
  // The timestamp it was opened with. Rows past `row_count()` are later than that or were not there
  // yet.
  uint64_t read_ts() const { return read_ts_; }

  // Chunk that holds the row, row < row_count().
  virtual size_t chunk_of(size_t row) const = 0;

  // Whether a read at `read_ts` sees every row of the snapshot. O(1), or one pass over the
  // timestamps of a sealed segment the first time. May say no although all are visible, never the
  // reverse.
  bool all_visible(uint64_t read_ts) const;
  // Sets `out` to row_count() bits: 1 = timestamp <= read_ts and not deleted at or before read_ts.
  // Returns true when it knows without counting that all bits are set.
  bool fill_visible(uint64_t read_ts, Bitset* out) const;
  // The same for one row.
  bool is_visible(size_t row, uint64_t read_ts) const;

  virtual uint64_t timestamp_at(size_t row) const = 0;
  // 0 when the row is not deleted. May be later than any read timestamp in use.
  uint64_t delete_timestamp_at(size_t row) const;
  // The primary key of an Int64 collection, of a VarChar collection.
  virtual int64_t key_at(size_t row) const = 0;
  virtual std::string_view key_string_at(size_t row) const = 0;
  // Visits all rows of the snapshot, visible or not, with each of the keys: keys in the order
  // given, the rows of one key newest first. Keys of the wrong kind find nothing. Cost: O(1)
  // (growing) or O(log rows) a key.
  virtual void find_rows(const KeySpan& keys, const RowVisitor& visit) const = 0;

  // 1 / |x| (0 for a zero or null vector) per row of the chunk, for COSINE; nullptr when the
  // segment has no such vector field. Sealed: computed by the first callers together, which costs
  // one pass over the column; they give way meanwhile, and `cancel` (or null) ends it, with
  // nullptr.
  virtual const float* inv_norms(size_t chunk, int64_t field_id,
                                 const CancelToken* cancel) const = 0;
  // The field's attached vector index, pinned by the snapshot, or nullptr.
  virtual const VectorIndex* vector_index(int64_t field_id) const = 0;

 protected:
  // Largest timestamp of the snapshot's rows, or something larger.
  virtual uint64_t max_timestamp() const = 0;
  // A field that the segment has no column for, in `rows` rows: its default, else null (R25).
  // `rows_max`: see DefaultColumns::view.
  ColumnView missing_column(int64_t field_id, size_t rows, size_t rows_max) const;

 private:
  std::shared_ptr<const Segment> segment_;
  const Schema& schema_;
  uint64_t read_ts_;
};

// When a key is deleted, and the latest timestamp of its rows that go.
struct KeyDelete {
  uint64_t timestamp = 0;
  uint64_t kills_up_to = 0;
};

class Segment : public std::enable_shared_from_this<Segment> {
 public:
  virtual ~Segment() = default;
  Segment(const Segment&) = delete;
  Segment& operator=(const Segment&) = delete;

  // Lives as long as the segment, also when a newer one has replaced it.
  const Schema& schema() const { return *schema_.load(std::memory_order_acquire); }
  // Gives the segment fields that were added to its collection. It has no columns for them: reads
  // that begin afterwards see their defaults, else nulls. Errors: kInvalidParameter (a field that
  // it has is missing or has another type).
  Status update_schema(Schema schema);
  virtual bool is_growing() const = 0;
  // Opens a read. Rows later than `read_ts` may be left out of it. The segment must be held by a
  // shared_ptr.
  virtual std::unique_ptr<SegmentSnapshot> snapshot(uint64_t read_ts) const = 0;
  // Marks the rows that have one of the keys, a timestamp <= kills_up_to and no delete yet as
  // deleted at `timestamp`; `count` gets how many. Errors: kInvalidParameter (key kind, timestamp
  // 0), kMemoryLimit (some rows may be marked; calling again is safe).
  Status delete_keys(const KeySpan& keys, uint64_t timestamp, uint64_t kills_up_to, size_t* count);
  // The same with a delete of its own for each key; deletes of one key in the order of time.
  // Deletes may come from several threads, each call for itself.
  Status delete_keys(const KeySpan& keys, std::span<const KeyDelete> deletes, size_t* count);
  virtual SegmentStats stats() const = 0;
  // Anonymous memory held, allocated capacity included; mapped pages do not count (R19).
  virtual size_t memory_bytes() const = 0;
  const DeleteLog& deletes() const { return deletes_; }
  const DefaultColumns& default_columns() const { return default_columns_; }

 protected:
  explicit Segment(Schema schema);
  // Whether a deleted row of a key means that all older rows of that key are deleted too, so that a
  // walk from the newest may stop there.
  virtual bool rows_ascend_by_timestamp() const = 0;

 private:
  // `at(k)`: the delete of key k.
  template <typename At>
  Status mark_rows(const KeySpan& keys, At&& at, size_t* count);

  std::vector<std::unique_ptr<const Schema>> schemas_;  // every one that it has had
  std::atomic<const Schema*> schema_;
  DefaultColumns default_columns_;
  DeleteLog deletes_;
  std::mutex delete_mutex_;  // one writer of `deletes_` at a time
};

}  // namespace elanus
