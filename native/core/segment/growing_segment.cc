// Append and snapshots of growing segments. Append works in two halves: `prepare` may fail
// and changes nothing that a reader can see; what follows only copies and cannot fail (R8).
#include "segment/growing_segment.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <new>
#include <string>

#include "vector/row_view.h"

namespace elanus {

namespace {

constexpr size_t kFirstChunkRows = 64;
constexpr size_t kLargestChunkRows = 8192;
constexpr size_t kLargestChunkBytes = size_t{8} << 20;
constexpr size_t kRowIdSlot = 0;
constexpr size_t kTimestampSlot = 1;
constexpr size_t kNoSlot = std::numeric_limits<size_t>::max();

Status bad_rows(const Field& field, const char* why) {
  return {StatusCode::kDataIntegrity,
          "append: field " + std::to_string(field.field_id) + " " + why};
}

}  // namespace

// A batch between `prepare` and its publication.
struct GrowingSegment::Pending {
  RowBatch batch;
  const uint8_t* bytes = nullptr;  // the batch's
  size_t rows = 0;
  size_t variable_bytes = 0;  // of the arena
  uint64_t timestamp = 0;  // of all rows, or 0
  std::vector<const BatchColumn*> columns;  // by slot, nullptr = the batch lacks it
  // Encoded JSON by slot: row r is bytes [ends[r - 1], ends[r]).
  struct Variants {
    std::vector<char> bytes;
    std::vector<size_t> ends;
    std::string_view at(size_t row) const {
      const size_t begin = row == 0 ? 0 : ends[row - 1];
      return {bytes.data() + begin, ends[row] - begin};
    }
  };
  std::vector<Variants> variants;
};

// Reads chunks that were published before it was made.
class GrowingSnapshot final : public SegmentSnapshot {
 public:
  GrowingSnapshot(std::shared_ptr<const GrowingSegment> segment, uint64_t read_ts)
      : SegmentSnapshot(segment, read_ts), growing_(*segment) {
    rows_ = growing_.published_rows_.load(std::memory_order_acquire);
    ascending_ = growing_.ascending_.load(std::memory_order_acquire);
    if (ascending_ && rows_ != 0 && growing_.timestamp_at(rows_ - 1) > read_ts) {
      size_t low = 0;
      size_t high = rows_ - 1;
      while (low < high) {
        const size_t middle = (low + high) / 2;
        if (growing_.timestamp_at(middle) <= read_ts) {
          low = middle + 1;
        } else {
          high = middle;
        }
      }
      rows_ = low;
    }
  }

  size_t row_count() const override { return rows_; }
  size_t chunk_count() const override { return rows_ == 0 ? 0 : growing_.chunk_of(rows_ - 1) + 1; }
  size_t chunk_begin(size_t chunk) const override { return growing_.chunk_begin(chunk); }
  size_t chunk_rows(size_t chunk) const override {
    return std::min(growing_.chunk_capacity(chunk), rows_ - growing_.chunk_begin(chunk));
  }
  size_t chunk_of(size_t row) const override { return growing_.chunk_of(row); }

  ColumnView column(size_t chunk, int64_t field_id) const override {
    const size_t slot = growing_.slot_of(field_id);
    if (slot == kNoSlot)
      return missing_column(field_id, chunk_rows(chunk), growing_.full_chunk_rows_);
    ColumnView view;
    view.rows = chunk_rows(chunk);
    const Field& field = growing_.columns_[slot];
    const GrowingChunk::Column& data = growing_.chunk(chunk)->column(slot);
    view.type = field.type;
    view.element_type = field.element_type;
    view.dim = field.dim;
    view.valid_bytes = data.validity.load(std::memory_order_acquire);
    view.data = data.values;
    view.refs = data.refs;
    if (data.variants != nullptr) view.json_variant = &data.variant_view;
    return view;
  }

  const ScalarIndex* scalar_index(int64_t) const override { return nullptr; }
  const VectorIndex* vector_index(int64_t) const override { return nullptr; }
  uint64_t timestamp_at(size_t row) const override { return growing_.timestamp_at(row); }
  int64_t key_at(size_t row) const override { return growing_.key_at(row); }
  std::string_view key_string_at(size_t row) const override { return growing_.key_string_at(row); }

  void find_rows(const KeySpan& keys, const RowVisitor& visit) const override {
    if (keys.is_string != schema().has_string_keys()) return;
    for (size_t k = 0; k < keys.size(); ++k) {
      for (uint32_t row = newest_row(keys, k); row != PrimaryKeyTable::kNoRow;
           row = growing_.next_row(row)) {
        if (row >= rows_) continue;  // appended after this read began
        const VisitNext next = visit(k, row);
        if (next == VisitNext::kStop) return;
        if (next == VisitNext::kKey) break;
      }
    }
  }

  const float* inv_norms(size_t chunk, int64_t field_id, const CancelToken*) const override {
    const size_t slot = growing_.slot_of(field_id);
    return slot == kNoSlot ? nullptr : growing_.chunk(chunk)->column(slot).inv_norms;
  }

 protected:
  uint64_t max_timestamp() const override {
    if (rows_ == 0) return 0;
    return ascending_ ? growing_.timestamp_at(rows_ - 1)
                      : growing_.max_timestamp_.load(std::memory_order_acquire);
  }

 private:
  uint32_t newest_row(const KeySpan& keys, size_t k) const {
    if (keys.is_string) {
      const std::string_view key = keys.strings[k];
      return growing_.keys_.find(hash_key(key), [&](uint32_t row) {
        return growing_.key_string_at(row) == key;
      });
    }
    const int64_t key = keys.ints[k];
    return growing_.keys_.find(hash_key(key),
                               [&](uint32_t row) { return growing_.key_at(row) == key; });
  }

  const GrowingSegment& growing_;
  size_t rows_ = 0;
  bool ascending_ = true;
};

std::shared_ptr<GrowingSegment> GrowingSegment::create(Schema schema) {
  return std::shared_ptr<GrowingSegment>(new GrowingSegment(std::move(schema)));
}

GrowingSegment::GrowingSegment(Schema schema) : Segment(std::move(schema)) {
  columns_.push_back(row_id_field());
  columns_.push_back(timestamp_field());
  for (const Field& field : this->schema().fields()) columns_.push_back(field);
  longest_ = std::vector<std::atomic<uint32_t>>(columns_.size());
  key_slot_ = 2 + this->schema().primary_key_index();
  choose_chunk_size();
}

GrowingSegment::~GrowingSegment() {
  for (size_t c = 0; c < chunk_end_; ++c) {
    delete chunks_.find(c)->load(std::memory_order_relaxed);
  }
}

void GrowingSegment::choose_chunk_size() {
  const size_t row_bytes = GrowingChunk::row_bytes(columns_);
  full_chunk_rows_ = kFirstChunkRows;
  while (full_chunk_rows_ < kLargestChunkRows &&
         2 * full_chunk_rows_ * row_bytes <= kLargestChunkBytes) {
    full_chunk_rows_ *= 2;
    ++doubling_chunks_;
  }
}

size_t GrowingSegment::chunk_of(size_t row) const {
  const size_t doubling_rows = full_chunk_rows_ - kFirstChunkRows;
  if (row < doubling_rows) {
    return static_cast<size_t>(std::bit_width(row / kFirstChunkRows + 1)) - 1;
  }
  return doubling_chunks_ + (row - doubling_rows) / full_chunk_rows_;
}

size_t GrowingSegment::chunk_begin(size_t chunk) const {
  if (chunk <= doubling_chunks_) return kFirstChunkRows * ((size_t{1} << chunk) - 1);
  return full_chunk_rows_ - kFirstChunkRows + (chunk - doubling_chunks_) * full_chunk_rows_;
}

size_t GrowingSegment::chunk_capacity(size_t chunk) const {
  return chunk < doubling_chunks_ ? kFirstChunkRows << chunk : full_chunk_rows_;
}

const GrowingChunk* GrowingSegment::chunk(size_t index) const {
  return chunks_.find(index)->load(std::memory_order_acquire);
}

size_t GrowingSegment::slot_of(int64_t field_id) const {
  const auto found = std::lower_bound(
      columns_.begin(), columns_.end(), field_id,
      [](const Field& column, int64_t id) { return column.field_id < id; });
  if (found == columns_.end() || found->field_id != field_id) return kNoSlot;
  return static_cast<size_t>(found - columns_.begin());
}

uint64_t GrowingSegment::timestamp_at(size_t row) const {
  const size_t c = chunk_of(row);
  return static_cast<uint64_t>(chunk(c)->int64s(kTimestampSlot)[row - chunk_begin(c)]);
}

int64_t GrowingSegment::key_at(size_t row) const {
  const size_t c = chunk_of(row);
  return chunk(c)->int64s(key_slot_)[row - chunk_begin(c)];
}

std::string_view GrowingSegment::key_string_at(size_t row) const {
  const size_t c = chunk_of(row);
  const VarRef& ref = chunk(c)->column(key_slot_).refs[row - chunk_begin(c)];
  return {ref.data, ref.bytes};
}

uint32_t GrowingSegment::next_row(size_t row) const {
  const size_t c = chunk_of(row);
  return chunk(c)->next_rows()[row - chunk_begin(c)];
}

Status GrowingSegment::prepare(const uint8_t* bytes, size_t size, uint64_t timestamp,
                               Pending* pending) {
  if (Status status = RowBatch::open(bytes, size, &pending->batch); !status.is_ok()) return status;
  pending->bytes = bytes;
  pending->rows = pending->batch.rows();
  pending->timestamp = timestamp;
  try {
    for (const Field& column : columns_) {
      pending->columns.push_back(pending->batch.find(column.field_id));
    }
    if (Status status = check(*pending); !status.is_ok()) return status;
    if (Status status = encode_json(pending); !status.is_ok()) return status;
    allocate(pending);
  } catch (const std::bad_alloc&) {
    return {StatusCode::kMemoryLimit,
            "no memory to append " + std::to_string(pending->rows) + " rows"};
  }
  return Status::ok();
}

Status GrowingSegment::check(const Pending& pending) const {
  const size_t first = published_rows_.load(std::memory_order_relaxed) + reserved_rows_;
  if (pending.rows > PrimaryKeyTable::kNoRow - 1 - first) {
    return {StatusCode::kInvalidParameter, "append: a segment holds less than 2^32 rows"};
  }
  for (size_t slot = 0; slot < columns_.size(); ++slot) {
    const Field& field = columns_[slot];
    const BatchColumn* column = pending.columns[slot];
    const bool is_needed =
        slot == key_slot_ || (slot == kTimestampSlot && pending.timestamp == 0);
    if (column == nullptr) {
      if (is_needed) return bad_rows(field, "is missing");
      continue;
    }
    if (column->type != field.type || column->element_type != field.element_type ||
        column->dim != field.dim) {
      return bad_rows(field, "has another type than the schema");
    }
    for (size_t row = 0; is_needed && column->validity != nullptr && row < pending.rows; ++row) {
      if (!column->is_valid(row)) return bad_rows(field, "has a null");
    }
  }
  return Status::ok();
}

Status GrowingSegment::encode_json(Pending* pending) {
  pending->variants.resize(columns_.size());
  for (size_t slot = 0; slot < columns_.size(); ++slot) {
    const BatchColumn* column = pending->columns[slot];
    if (column == nullptr || column->type != DataType::kJson) continue;
    Pending::Variants& variants = pending->variants[slot];
    variants.ends.reserve(pending->rows);
    variants.bytes.reserve(column->data_bytes);
    for (size_t row = 0; row < pending->rows; ++row) {
      std::string_view blob;
      if (column->is_valid(row)) {
        if (!encoder_.encode(column->bytes_at(row), &blob)) {
          return {StatusCode::kInvalidParameter,
                  "field " + std::to_string(column->field_id) + " of row " + std::to_string(row) +
                      " is not JSON at byte " + std::to_string(encoder_.error_offset())};
        }
        if (blob.size() > std::numeric_limits<uint32_t>::max()) {
          return {StatusCode::kInvalidParameter, "a JSON value is too large"};
        }
      }
      variants.bytes.insert(variants.bytes.end(), blob.begin(), blob.end());
      variants.ends.push_back(variants.bytes.size());
    }
  }
  return Status::ok();
}

// Everything that the rest of the append needs, beside what is reserved already. What was allocated
// before a failure stays for the next append.
void GrowingSegment::allocate(Pending* pending) {
  if (pending->rows == 0) return;
  const size_t first = published_rows_.load(std::memory_order_relaxed);
  const size_t end = first + reserved_rows_ + pending->rows;
  for (size_t last = chunk_of(end - 1); chunk_end_ <= last;) {
    std::atomic<GrowingChunk*>& place = chunks_.grow_to(chunk_end_);
    auto chunk = std::make_unique<GrowingChunk>(columns_, chunk_capacity(chunk_end_));
    allocated_chunk_bytes_ += chunk->bytes();
    place.store(chunk.release(), std::memory_order_release);
    ++chunk_end_;
  }
  note_held(first);
  for (size_t slot = 0; slot < columns_.size(); ++slot) {
    const BatchColumn* column = pending->columns[slot];
    if (column != nullptr && is_variable_width(column->type)) {
      for (size_t row = 0; row < pending->rows; ++row) {
        if (!column->is_valid(row)) continue;
        pending->variable_bytes += padded(column->bytes_at(row).size());
      }
    }
    for (size_t row = 0; row < pending->variants[slot].ends.size(); ++row) {
      pending->variable_bytes += padded(pending->variants[slot].at(row).size());
    }
    if (slot != kRowIdSlot && slot != kTimestampSlot) reserve_validity(*pending, slot, first, end);
  }
  arena_.reserve(reserved_bytes_ + pending->variable_bytes);
  keys_.reserve(end);
}

// Gives validity bytes to the chunks to which rows [first, end) go, if the batch has a null. Where
// in them its rows will be is not known: a reservation before it may be canceled. The rows already
// there are all valid.
void GrowingSegment::reserve_validity(const Pending& pending, size_t slot, size_t first,
                                      size_t end) {
  const BatchColumn* column = pending.columns[slot];
  bool has_null = column == nullptr && !columns_[slot].default_value.has_value();
  for (size_t row = 0; column != nullptr && !has_null && row < pending.rows; ++row) {
    has_null = !column->is_valid(row);
  }
  if (!has_null) return;
  for (size_t c = chunk_of(first); c <= chunk_of(end - 1); ++c) {
    validity_bytes_ += chunks_.find(c)->load(std::memory_order_relaxed)->add_validity(slot);
  }
}

Status GrowingSegment::reserve(const uint8_t* bytes, size_t size) try {
  auto pending = std::make_unique<Pending>();
  reserved_.reserve(reserved_.size() + 1);
  // Timestamps are not known yet; any that is not 0 leaves field 1 alone.
  Status status = prepare(bytes, size, kReadAll, pending.get());
  if (!status.is_ok()) return status;
  reserved_rows_ += pending->rows;
  reserved_bytes_ += pending->variable_bytes;
  reserved_.push_back(std::move(pending));
  return Status::ok();
} catch (const std::bad_alloc&) {
  return {StatusCode::kMemoryLimit, "no memory to reserve rows"};
}

// Null when these bytes were not reserved.
std::unique_ptr<GrowingSegment::Pending> GrowingSegment::take_reserved(const uint8_t* bytes) {
  const auto found = std::find_if(reserved_.begin(), reserved_.end(),
                                  [&](const auto& pending) { return pending->bytes == bytes; });
  if (found == reserved_.end()) return nullptr;
  std::unique_ptr<Pending> pending = std::move(*found);
  reserved_.erase(found);
  reserved_rows_ -= pending->rows;
  reserved_bytes_ -= pending->variable_bytes;
  return pending;
}

void GrowingSegment::cancel(const uint8_t* bytes) { take_reserved(bytes); }

Status GrowingSegment::append(const uint8_t* bytes, size_t size, uint64_t timestamp) {
  Pending fresh;
  const bool is_next = !reserved_.empty() && reserved_.front()->bytes == bytes && timestamp != 0;
  const std::unique_ptr<Pending> reserved = is_next ? take_reserved(bytes) : nullptr;
  if (!is_next) {
    // The others were to follow the rows that there were.
    reserved_.clear();
    reserved_rows_ = 0;
    reserved_bytes_ = 0;
    if (Status status = prepare(bytes, size, timestamp, &fresh); !status.is_ok()) return status;
  }
  Pending& pending = reserved != nullptr ? *reserved : fresh;
  pending.timestamp = timestamp;
  if (pending.rows == 0) return Status::ok();
  const size_t first = published_rows_.load(std::memory_order_relaxed);
  const size_t end = first + pending.rows;
  for (size_t begin = first; begin < end;) {
    const size_t c = chunk_of(begin);
    Target target;
    target.chunk = chunks_.find(c)->load(std::memory_order_relaxed);
    target.at = begin - chunk_begin(c);
    target.source = begin - first;
    target.rows = std::min(end - begin, chunk_capacity(c) - target.at);
    for (size_t slot = 0; slot < columns_.size(); ++slot) copy_column(pending, slot, target);
    begin += target.rows;
  }
  link_keys(first, pending.rows);
  note_timestamps(first, pending.timestamp != 0 ? 1 : pending.rows);
  arena_.note_held();
  note_held(end);
  published_rows_.store(end, std::memory_order_release);
  return Status::ok();
}

// Counts the chunks' memory when this many rows have been written. Chunks before the last used one
// are full, those after it are untouched.
void GrowingSegment::note_held(size_t rows) {
  while (full_chunks_ < chunk_end_ &&
         chunk_begin(full_chunks_) + chunk_capacity(full_chunks_) <= rows) {
    const GrowingChunk* full = chunks_.find(full_chunks_)->load(std::memory_order_relaxed);
    full_chunk_bytes_ += full->bytes();
    ++full_chunks_;
  }
  size_t bytes = full_chunk_bytes_ + validity_bytes_;
  for (size_t c = full_chunks_; c < chunk_end_; ++c) {
    const size_t begin = chunk_begin(c);
    const GrowingChunk* open = chunks_.find(c)->load(std::memory_order_relaxed);
    bytes += open->held_bytes(rows > begin ? rows - begin : 0);
  }
  chunk_bytes_.store(bytes, std::memory_order_relaxed);
}

void GrowingSegment::copy_column(const Pending& pending, size_t slot, const Target& target) {
  if (slot == kTimestampSlot && pending.timestamp != 0) {
    int64_t* timestamps = target.chunk->int64s(slot) + target.at;
    std::fill_n(timestamps, target.rows, static_cast<int64_t>(pending.timestamp));
    return;
  }
  const BatchColumn* column = pending.columns[slot];
  if (column == nullptr) {
    fill_missing(slot, target);
    return;
  }
  if (is_variable_width(columns_[slot].type)) {
    copy_variable(pending, slot, target);
  } else {
    copy_fixed(pending, slot, target);
  }
  if (slot == kRowIdSlot || slot == kTimestampSlot) return;
  uint8_t* validity = target.chunk->column(slot).validity.load(std::memory_order_relaxed);
  if (validity == nullptr) return;
  for (size_t i = 0; i < target.rows; ++i) {
    validity[target.at + i] = column->is_valid(target.source + i) ? 1 : 0;
  }
}

// Rows of a batch without the column: the field's default, else null. The chunk's memory is zero.
void GrowingSegment::fill_missing(size_t slot, const Target& target) {
  const std::optional<std::string>& value = columns_[slot].default_value;
  GrowingChunk::Column& data = target.chunk->column(slot);
  if (uint8_t* validity = data.validity.load(std::memory_order_relaxed)) {
    std::memset(validity + target.at, value.has_value() ? 1 : 0, target.rows);
  }
  if (!value.has_value()) return;
  const size_t size = value->size();
  if (data.refs != nullptr) {
    // The column's field lives as long as the chunk.
    std::fill_n(data.refs + target.at, target.rows,
                VarRef{value->data(), static_cast<uint32_t>(size)});
    return;
  }
  for (size_t row = target.at; row < target.at + target.rows; ++row) {
    std::memcpy(data.values + size * row, value->data(), size);
  }
}

void GrowingSegment::copy_fixed(const Pending& pending, size_t slot, const Target& target) {
  const BatchColumn* column = pending.columns[slot];
  const Field& field = columns_[slot];
  const size_t width = value_bytes(field.type, field.dim);
  GrowingChunk::Column& data = target.chunk->column(slot);
  uint8_t* values = data.values + width * target.at;
  std::memcpy(values, column->data + width * target.source, width * target.rows);
  if (column->validity != nullptr) {
    // A null is a zero value whatever the batch held, so that its norm is zero too.
    for (size_t i = 0; i < target.rows; ++i) {
      if (!column->is_valid(target.source + i)) std::memset(values + width * i, 0, width);
    }
  }
  if (data.inv_norms == nullptr) return;
  const VectorType& type = *find_vector_type(field.type);
  compute_inverse_norms(dense_rows(type, values, target.rows, field.dim),
                        data.inv_norms + target.at);
}

void GrowingSegment::copy_variable(const Pending& pending, size_t slot, const Target& target) {
  const BatchColumn* column = pending.columns[slot];
  GrowingChunk::Column& data = target.chunk->column(slot);
  const auto copy = [this](std::string_view value, VarRef* ref) {
    char* memory = nullptr;
    if (!value.empty()) {
      memory = arena_.take(value.size());
      std::memcpy(memory, value.data(), value.size());
    }
    *ref = {memory, static_cast<uint32_t>(value.size())};
  };
  uint32_t longest = longest_[slot].load(std::memory_order_relaxed);
  for (size_t i = 0; i < target.rows; ++i) {
    const size_t row = target.source + i;
    const bool is_valid = column->is_valid(row);
    copy(is_valid ? column->bytes_at(row) : std::string_view(), &data.refs[target.at + i]);
    longest = std::max(longest, data.refs[target.at + i].bytes);
    if (data.variants == nullptr) continue;
    copy(is_valid ? pending.variants[slot].at(row) : std::string_view(),
         &data.variants[target.at + i]);
  }
  longest_[slot].store(longest, std::memory_order_relaxed);
}

// Makes the rows reachable by key. Readers whose snapshot is older meet them in a chain and pass
// over them.
void GrowingSegment::link_keys(size_t first, size_t rows) {
  const bool is_string = schema().has_string_keys();
  for (size_t row = first; row < first + rows; ++row) {
    const size_t c = chunk_of(row);
    uint32_t* next = chunks_.find(c)->load(std::memory_order_relaxed)->next_rows() +
                     (row - chunk_begin(c));
    const auto set_next = [next](uint32_t older) { *next = older; };
    const uint32_t row32 = static_cast<uint32_t>(row);
    if (is_string) {
      const std::string_view key = key_string_at(row);
      keys_.put(
          hash_key(key), row32, [&](uint32_t r) { return key_string_at(r) == key; }, set_next);
    } else {
      const int64_t key = key_at(row);
      keys_.put(hash_key(key), row32, [&](uint32_t r) { return key_at(r) == key; }, set_next);
    }
  }
}

void GrowingSegment::note_timestamps(size_t first, size_t rows) {
  uint64_t previous = first == 0 ? 0 : timestamp_at(first - 1);
  uint64_t smallest = min_timestamp_.load(std::memory_order_relaxed);
  uint64_t largest = max_timestamp_.load(std::memory_order_relaxed);
  bool is_ascending = true;
  for (size_t row = first; row < first + rows; ++row) {
    const uint64_t timestamp = timestamp_at(row);
    is_ascending = is_ascending && timestamp >= previous;
    smallest = std::min(smallest, timestamp);
    largest = std::max(largest, timestamp);
    previous = timestamp;
  }
  if (!is_ascending) ascending_.store(false, std::memory_order_release);
  min_timestamp_.store(smallest, std::memory_order_release);
  max_timestamp_.store(largest, std::memory_order_release);
}

std::unique_ptr<SegmentSnapshot> GrowingSegment::snapshot(uint64_t read_ts) const {
  return std::make_unique<GrowingSnapshot>(
      std::static_pointer_cast<const GrowingSegment>(shared_from_this()), read_ts);
}

SegmentStats GrowingSegment::stats() const {
  SegmentStats stats;
  stats.rows = published_rows_.load(std::memory_order_acquire);
  stats.deleted_rows = deletes().count();
  stats.bytes = chunk_bytes_.load(std::memory_order_relaxed) + arena_.memory_bytes() +
                default_columns().memory_bytes();
  if (stats.rows != 0) {
    stats.min_timestamp = min_timestamp_.load(std::memory_order_acquire);
    stats.max_timestamp = max_timestamp_.load(std::memory_order_acquire);
  }
  return stats;
}

size_t GrowingSegment::row_bytes_max(std::span<const int64_t> field_ids) const {
  size_t bytes = 0;
  for (const int64_t field_id : field_ids) {
    const Field* field = schema().find(field_id);
    if (field == nullptr) continue;
    if (!is_variable_width(field->type)) {
      bytes += value_bytes(field->type, field->dim);
    } else {
      const size_t slot = slot_of(field_id);
      const size_t longest =
          slot == kNoSlot ? 0 : longest_[slot].load(std::memory_order_relaxed);
      const size_t missing = field->default_value.has_value() ? field->default_value->size() : 0;
      bytes += std::max(longest, missing);
    }
  }
  return bytes;
}

size_t GrowingSegment::allocated_bytes() const {
  return allocated_chunk_bytes_ + validity_bytes_ + arena_.allocated_bytes() +
         default_columns().memory_bytes() + keys_.memory_bytes() + deletes().memory_bytes();
}

size_t GrowingSegment::memory_bytes() const {
  // A field is here as a column, in the schema and in the schema's order of ids.
  const size_t own_bytes = sizeof(*this) + 3 * sizeof(Field) * columns_.size();
  return own_bytes + chunk_bytes_.load(std::memory_order_relaxed) + arena_.memory_bytes() +
         default_columns().memory_bytes() + keys_.memory_bytes() + deletes().memory_bytes();
}

}  // namespace elanus
