// Columns in place over a mapped file: checks at open, key search, norms and indexes on demand.
#include "segment/sealed_segment.h"

#include <algorithm>
#include <limits>
#include <map>
#include <new>
#include <thread>

#include "filter/json_path.h"
#include "index/vector_index.h"
#include "scalar/json_path_index.h"
#include "threads/thread_pool.h"
#include "vector/row_view.h"

namespace elanus {

namespace {

constexpr uint64_t kMaxRows = std::numeric_limits<uint32_t>::max() - 1;

Status bad_layout(int64_t field_id, const char* why) {
  return {StatusCode::kDataIntegrity,
          "segment file: field " + std::to_string(field_id) + ": " + why};
}

// Hands out ranges of the file that lie inside it, or nullptr.
class RangeReader {
 public:
  explicit RangeReader(const MappedFile& file) : file_(file) {}

  // An empty range is anywhere, because it is never read.
  const uint8_t* range(uint64_t offset, uint64_t bytes, uint64_t alignment) const {
    static constexpr uint64_t kNothing[1] = {0};
    if (bytes == 0) return reinterpret_cast<const uint8_t*>(kNothing);
    const bool fits = offset % alignment == 0 && offset <= file_.size() &&
                      bytes <= file_.size() - offset;
    return fits ? file_.data() + offset : nullptr;
  }

  // Offsets of `count` values; of no values there may be no offset. The first must be 0 and the
  // last is returned in `end`; those between are compared with their bounds when they are used.
  const int64_t* offsets(uint64_t offset, uint64_t bytes, uint64_t count, uint64_t* end) const {
    if (bytes != 8 * (count + 1) && !(count == 0 && bytes == 0)) return nullptr;
    const uint8_t* begin = range(offset, bytes, 8);
    if (begin == nullptr) return nullptr;
    const int64_t* values = reinterpret_cast<const int64_t*>(begin);
    if (values[0] != 0 || values[count] < 0) return nullptr;
    *end = static_cast<uint64_t>(values[count]);
    return values;
  }

  // A LargeUtf8 or LargeBinary column of `count` values.
  bool variable(const VarLayout& layout, uint64_t count, ColumnView* view) const {
    uint64_t end = 0;
    view->offsets = offsets(layout.offsets_offset, layout.offsets_bytes, count, &end);
    if (view->offsets == nullptr || end != layout.data_bytes) return false;
    view->chars = reinterpret_cast<const char*>(range(layout.data_offset, layout.data_bytes, 8));
    view->char_bytes = layout.data_bytes;
    view->rows = count;
    return view->chars != nullptr;
  }

 private:
  const MappedFile& file_;
};

VarLayout own_layout(const ColumnLayout& layout) {
  return {layout.offsets_offset, layout.offsets_bytes, layout.data_offset, layout.data_bytes};
}

// Bytes of `count` values as Arrow has them: Bool as bits.
uint64_t values_bytes(DataType type, uint32_t dim, uint64_t count) {
  return type == DataType::kBool ? (count + 7) / 8 : count * value_bytes(type, dim);
}

}  // namespace

// Inverse norms of a vector column. Whoever needs them computes pieces until there are none left. A
// thread holds nothing that another one waits for while it gives way, and one whose reader has gone
// leaves the rest to the next.
class InverseNorms {
 public:
  // Null when canceled. Throws bad_alloc. What it allocates is added to `held_bytes`.
  const float* get(const RowView& vectors, const CancelToken* cancel,
                   std::atomic<size_t>* held_bytes) {
    const size_t rows = vectors.count;
    if (done_.load(std::memory_order_acquire) == rows) return values_.get();
    {
      const std::lock_guard lock(mutex_);
      if (values_ == nullptr) {
        values_ = std::make_unique_for_overwrite<float[]>(rows);
        held_bytes->fetch_add(rows * sizeof(float), std::memory_order_relaxed);
      }
    }
    // Some 0.2 ms from memory.
    const size_t piece = std::max<size_t>(1, (size_t{1} << 19) / vectors.dim);
    while (!is_canceled(cancel)) {
      const size_t begin = next_.fetch_add(piece, std::memory_order_relaxed);
      if (begin >= rows) break;
      const size_t count = std::min(piece, rows - begin);
      compute_inverse_norms(vectors.part(begin, count), values_.get() + begin);
      done_.fetch_add(count, std::memory_order_release);
      ThreadPool::give_way();
    }
    // The last pieces of others, who are at work on them.
    while (done_.load(std::memory_order_acquire) != rows) {
      if (is_canceled(cancel)) return nullptr;
      std::this_thread::yield();
    }
    return values_.get();
  }

 private:
  std::mutex mutex_;  // of making values_
  std::unique_ptr<float[]> values_;
  std::atomic<size_t> next_{0};
  std::atomic<size_t> done_{0};
};

struct SealedSegment::Column {
  Field field;
  ColumnView view;
  ColumnView variant;   // JSON
  ColumnView elements;  // Array
  mutable InverseNorms norms;
};

struct SealedSegment::Attachments {
  struct Json {
    int64_t field_id;
    std::shared_ptr<const JsonPathIndex> index;

    bool is_of(int64_t field, const std::vector<PathStep>& path, DataType cast_type) const {
      return field_id == field &&
             (cast_type == DataType::kNone || index->cast_type() == cast_type) &&
             is_same_path(index->path(), path);
    }
  };

  std::map<int64_t, std::shared_ptr<const VectorIndex>> vector_indexes;
  std::map<int64_t, std::shared_ptr<const ScalarIndex>> scalar_indexes;
  std::vector<Json> json_indexes;  // at most one of a field, path and cast type
};

namespace {

template <typename Map>
typename Map::mapped_type find_or_null(const Map& map, int64_t field_id) {
  const auto found = map.find(field_id);
  return found == map.end() ? nullptr : found->second;
}

}  // namespace

class SealedSnapshot final : public SegmentSnapshot {
 public:
  SealedSnapshot(std::shared_ptr<const SealedSegment> segment, uint64_t read_ts)
      : SegmentSnapshot(segment, read_ts),
        sealed_(*segment),
        attachments_(segment->attachments()) {}

  size_t row_count() const override { return sealed_.rows_; }
  size_t chunk_count() const override { return sealed_.rows_ == 0 ? 0 : 1; }
  size_t chunk_begin(size_t) const override { return 0; }
  size_t chunk_rows(size_t) const override { return sealed_.rows_; }
  size_t chunk_of(size_t) const override { return 0; }

  ColumnView column(size_t, int64_t field_id) const override {
    if (const SealedSegment::Column* column = sealed_.find_column(field_id)) return column->view;
    return missing_column(field_id, sealed_.rows_, sealed_.rows_);
  }

  const ScalarIndex* scalar_index(int64_t field_id) const override {
    return find_or_null(attachments_->scalar_indexes, field_id).get();
  }
  const JsonPathIndex* json_index(int64_t field_id, const std::vector<PathStep>& path,
                                  DataType cast_type) const override {
    for (const auto& json : attachments_->json_indexes) {
      if (json.is_of(field_id, path, cast_type)) return json.index.get();
    }
    return nullptr;
  }
  const VectorIndex* vector_index(int64_t field_id) const override {
    return find_or_null(attachments_->vector_indexes, field_id).get();
  }

  uint64_t timestamp_at(size_t row) const override { return sealed_.timestamps_[row]; }
  int64_t key_at(size_t row) const override {
    return static_cast<const int64_t*>(sealed_.key_column_->view.data)[row];
  }
  std::string_view key_string_at(size_t row) const override {
    return sealed_.key_column_->view.string_at(row);
  }

  void find_rows(const KeySpan& keys, const RowVisitor& visit) const override {
    if (keys.is_string != schema().has_string_keys()) return;
    for (size_t k = 0; k < keys.size(); ++k) {
      const bool goes_on =
          keys.is_string
              ? visit_key(
                    k, [&](size_t row) { return key_string_at(row).compare(keys.strings[k]); },
                    visit)
              : visit_key(k, [&](size_t row) { return compare(key_at(row), keys.ints[k]); }, visit);
      if (!goes_on) return;
    }
  }

  const float* inv_norms(size_t, int64_t field_id, const CancelToken* cancel) const override {
    const SealedSegment::Column* column = sealed_.find_column(field_id);
    const VectorType* type = column == nullptr ? nullptr : find_vector_type(column->field.type);
    if (type == nullptr) return nullptr;
    const VectorIndex* index = vector_index(field_id);
    if (index != nullptr && index->rows().inv_norms != nullptr) return index->rows().inv_norms;
    const RowView vectors =
        dense_rows(*type, column->view.data, sealed_.rows_, column->field.dim);
    return column->norms.get(vectors, cancel, &sealed_.norm_bytes_);
  }

 protected:
  uint64_t max_timestamp() const override {
    return sealed_.max_timestamp();
  }

 private:
  static int compare(int64_t a, int64_t b) { return a < b ? -1 : (a > b ? 1 : 0); }

  // `order(row)` compares the row's key with the wanted one. Returns false when the visitor stops.
  template <typename Order>
  bool visit_key(size_t k, Order&& order, const RowVisitor& visit) const {
    // First row past the key; its rows lie before it, the newest last.
    size_t low = 0;
    size_t high = sealed_.rows_;
    while (low < high) {
      const size_t middle = low + (high - low) / 2;
      if (order(middle) <= 0) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    for (size_t row = low; row > 0 && order(row - 1) == 0; --row) {
      const VisitNext next = visit(k, row - 1);
      if (next == VisitNext::kStop) return false;
      if (next == VisitNext::kKey) break;
    }
    return true;
  }

  const SealedSegment& sealed_;
  std::shared_ptr<const SealedSegment::Attachments> attachments_;
};

SealedSegment::SealedSegment(Schema schema, std::unique_ptr<MappedFile> file, size_t rows)
    : Segment(std::move(schema)),
      file_(std::move(file)),
      rows_(rows),
      attachments_(std::make_shared<const Attachments>()) {}

SealedSegment::~SealedSegment() = default;

Status SealedSegment::open(Schema schema, const std::string& path, size_t rows,
                           const std::vector<ColumnLayout>& layouts,
                           std::shared_ptr<SealedSegment>* out) {
  if (rows > kMaxRows)
    return {StatusCode::kInvalidParameter, "a segment holds less than 2^32 rows"};
  std::unique_ptr<MappedFile> file;
  if (Status status = MappedFile::open(path, &file); !status.is_ok()) return status;
  std::shared_ptr<SealedSegment> segment(
      new SealedSegment(std::move(schema), std::move(file), rows));
  for (const ColumnLayout& layout : layouts) {
    if (segment->schema().find(layout.field_id) == nullptr) continue;
    if (segment->find_column(layout.field_id) != nullptr) {
      return bad_layout(layout.field_id, "is there twice");
    }
    if (Status status = segment->place_column(layout); !status.is_ok()) return status;
  }
  const Column* timestamps = segment->find_column(kTimestampField);
  if (timestamps == nullptr || timestamps->view.may_have_nulls()) {
    return bad_layout(kTimestampField, "the timestamps are missing");
  }
  segment->timestamps_ = static_cast<const uint64_t*>(timestamps->view.data);
  segment->key_column_ = segment->find_column(segment->schema().primary_key().field_id);
  if (segment->key_column_ == nullptr || segment->key_column_->view.may_have_nulls()) {
    return bad_layout(segment->schema().primary_key().field_id, "the primary key is missing");
  }
  *out = std::move(segment);
  return Status::ok();
}

Status SealedSegment::place_column(const ColumnLayout& layout) {
  auto column = std::make_unique<Column>();
  const Field& field = column->field = *schema().find(layout.field_id);
  const RangeReader reader(*file_);
  ColumnView& view = column->view;
  view.type = field.type;
  view.element_type = field.element_type;
  view.dim = field.dim;
  view.rows = rows_;
  if (layout.validity_bytes != 0) {
    if (layout.validity_bytes < (rows_ + 7) / 8)
      return bad_layout(field.field_id, "validity is short");
    view.valid_bits = reader.range(layout.validity_offset, layout.validity_bytes, 1);
    if (view.valid_bits == nullptr) return bad_layout(field.field_id, "validity is out of range");
  }
  const char* error = nullptr;
  if (field.type == DataType::kArray) {
    error = place_array(layout, column.get());
  } else if (is_variable_width(field.type)) {
    error = place_variable(layout, column.get());
  } else {
    view.bool_bits = field.type == DataType::kBool;
    const uint64_t bytes = values_bytes(field.type, field.dim, rows_);
    view.data = reader.range(layout.data_offset, layout.data_bytes, 8);
    if (layout.data_bytes != bytes || view.data == nullptr) error = "data is out of range";
  }
  if (error != nullptr) return bad_layout(field.field_id, error);
  column_bytes_ += layout.validity_bytes + layout.offsets_bytes + layout.data_bytes;
  for (const std::optional<VarLayout>& part : {layout.variant, layout.child}) {
    if (part.has_value()) column_bytes_ += part->offsets_bytes + part->data_bytes;
  }
  const auto after = std::upper_bound(
      columns_.begin(), columns_.end(), field.field_id,
      [](int64_t id, const std::unique_ptr<Column>& c) { return id < c->field.field_id; });
  columns_.insert(after, std::move(column));
  return Status::ok();
}

const char* SealedSegment::place_variable(const ColumnLayout& layout, Column* column) const {
  const RangeReader reader(*file_);
  if (!reader.variable(own_layout(layout), rows_, &column->view)) return "values are out of range";
  if (column->field.type != DataType::kJson) return nullptr;
  if (!layout.variant.has_value()) return "the binary form is missing";
  column->variant.type = DataType::kVarChar;
  if (!reader.variable(*layout.variant, rows_, &column->variant)) {
    return "the binary form is out of range";
  }
  column->view.json_variant = &column->variant;
  return nullptr;
}

const char* SealedSegment::place_array(const ColumnLayout& layout, Column* column) const {
  const RangeReader reader(*file_);
  const DataType element_type = column->field.element_type;
  uint64_t elements = 0;
  column->view.offsets =
      reader.offsets(layout.offsets_offset, layout.offsets_bytes, rows_, &elements);
  if (column->view.offsets == nullptr) return "list offsets are out of range";
  ColumnView& child = column->elements;
  child.type = element_type;
  child.rows = elements;
  if (element_type == DataType::kVarChar) {
    if (!layout.child.has_value()) return "the elements are missing";
    // An element takes 8 bytes of offsets, so more of them than the file has bytes cannot be.
    if (elements > file_->size() || !reader.variable(*layout.child, elements, &child)) {
      return "elements are out of range";
    }
  } else {
    child.bool_bits = element_type == DataType::kBool;
    child.data = reader.range(layout.data_offset, layout.data_bytes, 8);
    const bool is_possible = elements / 8 <= file_->size();
    if (!is_possible || layout.data_bytes != values_bytes(element_type, 0, elements) ||
        child.data == nullptr) {
      return "elements are out of range";
    }
  }
  column->view.elements = &child;
  return nullptr;
}

const SealedSegment::Column* SealedSegment::find_column(int64_t field_id) const {
  const auto found = std::lower_bound(
      columns_.begin(), columns_.end(), field_id,
      [](const std::unique_ptr<Column>& c, int64_t id) { return c->field.field_id < id; });
  return found != columns_.end() && (*found)->field.field_id == field_id ? found->get() : nullptr;
}

std::shared_ptr<const SealedSegment::Attachments> SealedSegment::attachments() const {
  const std::lock_guard lock(attach_mutex_);
  return attachments_;
}

void SealedSegment::attach_vector_index(int64_t field_id,
                                        std::shared_ptr<const VectorIndex> index) {
  const std::lock_guard lock(attach_mutex_);
  auto changed = std::make_shared<Attachments>(*attachments_);
  changed->vector_indexes[field_id] = std::move(index);
  attachments_ = std::move(changed);
}

void SealedSegment::attach_scalar_index(int64_t field_id,
                                        std::shared_ptr<const ScalarIndex> index) {
  const std::lock_guard lock(attach_mutex_);
  auto changed = std::make_shared<Attachments>(*attachments_);
  changed->scalar_indexes[field_id] = std::move(index);
  attachments_ = std::move(changed);
}

void SealedSegment::attach_json_index(int64_t field_id,
                                      std::shared_ptr<const JsonPathIndex> index) {
  const std::lock_guard lock(attach_mutex_);
  auto changed = std::make_shared<Attachments>(*attachments_);
  std::erase_if(changed->json_indexes, [&](const Attachments::Json& json) {
    return json.is_of(field_id, index->path(), index->cast_type());
  });
  changed->json_indexes.push_back({field_id, std::move(index)});
  attachments_ = std::move(changed);
}

void SealedSegment::detach_json_index(int64_t field_id, const std::vector<PathStep>& path,
                                      DataType cast_type) {
  const std::lock_guard lock(attach_mutex_);
  auto changed = std::make_shared<Attachments>(*attachments_);
  std::erase_if(changed->json_indexes, [&](const Attachments::Json& json) {
    return json.is_of(field_id, path, cast_type);
  });
  attachments_ = std::move(changed);
}

std::shared_ptr<const VectorIndex> SealedSegment::vector_index(int64_t field_id) const {
  return find_or_null(attachments()->vector_indexes, field_id);
}

std::shared_ptr<const ScalarIndex> SealedSegment::scalar_index(int64_t field_id) const {
  return find_or_null(attachments()->scalar_indexes, field_id);
}

uint64_t SealedSegment::max_timestamp() const {
  std::call_once(max_timestamp_once_, [this] {
    if (rows_ != 0) max_timestamp_ = *std::max_element(timestamps_, timestamps_ + rows_);
  });
  return max_timestamp_;
}

std::unique_ptr<SegmentSnapshot> SealedSegment::snapshot(uint64_t read_ts) const {
  return std::make_unique<SealedSnapshot>(
      std::static_pointer_cast<const SealedSegment>(shared_from_this()), read_ts);
}

SegmentStats SealedSegment::stats() const {
  SegmentStats stats;
  stats.rows = rows_;
  stats.deleted_rows = deletes().count();
  stats.bytes = column_bytes_ + default_columns().memory_bytes();
  return stats;
}

size_t SealedSegment::memory_bytes() const {
  return norm_bytes_.load(std::memory_order_relaxed) + default_columns().memory_bytes() +
         deletes().memory_bytes();
}

}  // namespace elanus
