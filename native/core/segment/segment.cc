// Visibility, deletes and schemas, which growing and sealed segments share.
#include "segment/segment.h"

#include <algorithm>
#include <new>
#include <string>

namespace elanus {

SegmentSnapshot::SegmentSnapshot(std::shared_ptr<const Segment> segment, uint64_t read_ts)
    : segment_(std::move(segment)), schema_(segment_->schema()), read_ts_(read_ts) {}

ColumnView SegmentSnapshot::missing_column(int64_t field_id, size_t rows, size_t rows_max) const {
  if (const Field* field = schema_.find(field_id))
    return segment_->default_columns().view(*field, rows, rows_max);
  ColumnView view;
  view.rows = rows;
  view.all_null = true;
  return view;
}

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

Segment::Segment(Schema schema) {
  schemas_.push_back(std::make_unique<const Schema>(std::move(schema)));
  schema_.store(schemas_.back().get(), std::memory_order_release);
}

Status Segment::update_schema(Schema schema) {
  for (const Field& old : this->schema().fields()) {
    const Field* field = schema.find(old.field_id);
    if (field == nullptr || !is_same_type(*field, old) ||
        field->is_primary_key != old.is_primary_key) {
      return {StatusCode::kInvalidParameter,
              "the new schema changes field " + std::to_string(old.field_id)};
    }
  }
  // Nothing was added: of the many changes of a schema only so many are kept as there are fields.
  if (schema.fields().size() == this->schema().fields().size()) return Status::ok();
  schemas_.push_back(std::make_unique<const Schema>(std::move(schema)));
  schema_.store(schemas_.back().get(), std::memory_order_release);
  return Status::ok();
}

Status Segment::delete_keys(const KeySpan& keys, uint64_t timestamp, uint64_t kills_up_to,
                            size_t* count) {
  *count = 0;
  if (timestamp == 0) return {StatusCode::kInvalidParameter, "a delete needs a timestamp"};
  const KeyDelete one = {timestamp, kills_up_to};
  return mark_rows(keys, [&](size_t) { return one; }, count);
}

Status Segment::delete_keys(const KeySpan& keys, std::span<const KeyDelete> deletes,
                            size_t* count) {
  return mark_rows(keys, [&](size_t key) { return deletes[key]; }, count);
}

template <typename At>
Status Segment::mark_rows(const KeySpan& keys, At&& at, size_t* count) {
  *count = 0;
  if (keys.size() != 0 && keys.is_string != schema().has_string_keys()) {
    return {StatusCode::kInvalidParameter, "the keys are not of the primary key's type"};
  }
  const bool ascending = rows_ascend_by_timestamp();
  try {
    const std::unique_ptr<SegmentSnapshot> rows = snapshot(kReadAll);
    const std::lock_guard lock(delete_mutex_);
    rows->find_rows(keys, [&](size_t key, size_t row) {
      const KeyDelete one = at(key);
      if (rows->timestamp_at(row) > one.kills_up_to) return VisitNext::kRow;
      if (deletes_.mark(row, one.timestamp)) {
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
