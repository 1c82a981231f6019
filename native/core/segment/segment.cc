// Visibility and deletes, which growing and sealed segments share.
#include "segment/segment.h"

#include <algorithm>
#include <new>

namespace elanus {

const Schema& SegmentSnapshot::schema() const { return segment_->schema(); }

bool SegmentSnapshot::all_visible(uint64_t read_ts) const {
  return !segment_->deletes().any_at(read_ts) && max_timestamp() <= read_ts;
}

bool SegmentSnapshot::fill_visible(uint64_t read_ts, Bitset* out) const {
  const size_t rows = row_count();
  out->assign(rows, true);
  const bool are_old = max_timestamp() <= read_ts;
  if (!are_old) {
    uint64_t* words = out->words();
    for (size_t c = 0; c < chunk_count(); ++c) {
      const int64_t* timestamps = static_cast<const int64_t*>(column(c, kTimestampField).data);
      const size_t begin = chunk_begin(c);
      for (size_t i = 0; i < chunk_rows(c); ++i) {
        const uint64_t is_late = static_cast<uint64_t>(timestamps[i]) > read_ts;
        words[(begin + i) >> 6] &= ~(is_late << ((begin + i) & 63));
      }
    }
  }
  if (!segment_->deletes().any_at(read_ts)) return are_old;
  segment_->deletes().clear_deleted(read_ts, rows, out->words());
  return false;
}

bool SegmentSnapshot::is_visible(size_t row, uint64_t read_ts) const {
  if (timestamp_at(row) > read_ts) return false;
  const uint64_t deleted_at = delete_timestamp_at(row);
  return deleted_at == 0 || deleted_at > read_ts;
}

uint64_t SegmentSnapshot::delete_timestamp_at(size_t row) const {
  return segment_->deletes().timestamp_at(row);
}

Status Segment::delete_keys(const KeySpan& keys, uint64_t timestamp, uint64_t kills_up_to,
                            size_t* count) {
  *count = 0;
  if (timestamp == 0) return {StatusCode::kInvalidParameter, "a delete needs a timestamp"};
  if (keys.size() != 0 && keys.is_string != schema_.has_string_keys()) {
    return {StatusCode::kInvalidParameter, "the keys are not of the primary key's type"};
  }
  const std::unique_ptr<SegmentSnapshot> rows = snapshot(kReadAll);
  const bool ascending = rows_ascend_by_timestamp();
  try {
    rows->find_rows(keys, [&](size_t, size_t row) {
      if (rows->timestamp_at(row) > kills_up_to) return VisitNext::kRow;
      if (deletes_.mark(row, timestamp)) {
        ++*count;
        return VisitNext::kRow;
      }
      // Rows older than a deleted one went with it.
      return ascending ? VisitNext::kKey : VisitNext::kRow;
    });
  } catch (const std::bad_alloc&) {
    return {StatusCode::kMemoryLimit, "no memory for delete timestamps"};
  }
  return Status::ok();
}

}  // namespace elanus
