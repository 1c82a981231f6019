// Validation of row batches and layout of new ones; docs/formats/row-batch.md is the contract.
#include "segment/row_batch.h"

#include <algorithm>
#include <limits>
#include <new>
#include <string>

#include "vector/vector_type.h"

namespace elanus {

namespace {

Status bad_batch(const std::string& why) {
  return {StatusCode::kDataIntegrity, "row batch: " + why};
}

Status bad_column(const BatchColumn& column, const char* why) {
  return bad_batch("field " + std::to_string(column.field_id) + ": " + why);
}

bool is_known_type(const BatchColumn& column) {
  const bool is_array = column.type == DataType::kArray;
  if (is_vector(column.type) != (column.dim != 0)) return false;
  if (!is_array && column.element_type != DataType::kNone) return false;
  if (is_array) {
    return fixed_width(column.element_type) != 0 || column.element_type == DataType::kVarChar;
  }
  return is_variable_width(column.type) || value_bytes(column.type, column.dim) != 0;
}

bool are_bools(const uint8_t* bytes, size_t count) {
  uint8_t any = 0;
  for (size_t i = 0; i < count; ++i) any |= bytes[i];
  return any <= 1;
}

bool is_string_array(std::string_view blob) {
  if (blob.size() < 4) return false;
  const uint8_t* bytes = reinterpret_cast<const uint8_t*>(blob.data());
  const uint64_t count = load<uint32_t>(bytes);
  const uint64_t head = 4 + 4 * (count + 1);
  if (head > blob.size()) return false;
  uint32_t previous = load<uint32_t>(bytes + 4);
  if (previous != 0) return false;
  for (uint64_t i = 1; i <= count; ++i) {
    const uint32_t next = load<uint32_t>(bytes + 4 + 4 * i);
    if (next < previous) return false;
    previous = next;
  }
  return previous == blob.size() - head;
}

bool is_array_blob(DataType element_type, std::string_view blob) {
  if (blob.empty()) return true;
  if (element_type == DataType::kVarChar) return is_string_array(blob);
  if (blob.size() % fixed_width(element_type) != 0) return false;
  return element_type != DataType::kBool ||
         are_bools(reinterpret_cast<const uint8_t*>(blob.data()), blob.size());
}

// Reads one directory entry; sets pointers only to ranges that lie inside the batch.
class ColumnReader {
 public:
  ColumnReader(const uint8_t* batch, uint64_t size, uint64_t first_byte, uint64_t rows)
      : batch_(batch), size_(size), first_byte_(first_byte), rows_(rows) {}

  Status read(const uint8_t* entry, BatchColumn* column) const {
    column->field_id = load<int64_t>(entry);
    column->type = static_cast<DataType>(entry[8]);
    column->element_type = static_cast<DataType>(entry[9]);
    column->dim = load<uint32_t>(entry + 12);
    column->data_bytes = load<uint64_t>(entry + 40);
    if (column->field_id < 0) return bad_column(*column, "negative id");
    if (entry[10] > 1 || entry[11] != 0) return bad_column(*column, "unknown flags");
    if (!is_known_type(*column)) return bad_column(*column, "unknown data type");
    if (entry[10] == 1) {
      column->validity = range(load<uint64_t>(entry + 16), (rows_ + 7) / 8);
      if (column->validity == nullptr) return bad_column(*column, "validity out of range");
    }
    column->data = range(load<uint64_t>(entry + 32), column->data_bytes);
    if (column->data == nullptr) return bad_column(*column, "data out of range");
    return is_variable_width(column->type) ? read_variable(entry, column) : check_fixed(*column);
  }

 private:
  const uint8_t* range(uint64_t offset, uint64_t bytes) const {
    const bool fits = offset % 8 == 0 && offset >= first_byte_ && offset <= size_ &&
                      bytes <= size_ - offset;
    return fits ? batch_ + offset : nullptr;
  }

  Status check_fixed(const BatchColumn& column) const {
    // rows < 2^32 and a row is below 2^34 bytes, so the product may pass 2^64: divide instead.
    const uint64_t width = value_bytes(column.type, column.dim);
    if (column.data_bytes % width != 0 || column.data_bytes / width != rows_) {
      return bad_column(column, "data bytes do not fit the rows");
    }
    if (column.type == DataType::kBool && !are_bools(column.data, rows_)) {
      return bad_column(column, "bool is neither 0 nor 1");
    }
    return Status::ok();
  }

  Status read_variable(const uint8_t* entry, BatchColumn* column) const {
    column->offsets = range(load<uint64_t>(entry + 24), 4 * (rows_ + 1));
    if (column->offsets == nullptr) return bad_column(*column, "offsets out of range");
    uint32_t previous = column->offset_at(0);
    if (previous != 0) return bad_column(*column, "first offset is not 0");
    for (uint64_t i = 1; i <= rows_; ++i) {
      const uint32_t next = column->offset_at(i);
      if (next < previous) return bad_column(*column, "offsets do not ascend");
      previous = next;
    }
    if (previous != column->data_bytes) return bad_column(*column, "last offset is not the end");
    if (column->type != DataType::kArray) return Status::ok();
    for (uint64_t i = 0; i < rows_; ++i) {
      if (!is_array_blob(column->element_type, column->bytes_at(i))) {
        return bad_column(*column, "malformed array");
      }
    }
    return Status::ok();
  }

  const uint8_t* batch_;
  uint64_t size_;
  uint64_t first_byte_;
  uint64_t rows_;
};

}  // namespace

Status RowBatch::open(const uint8_t* bytes, size_t size, RowBatch* out) {
  if (size < kRowBatchHeaderBytes) return bad_batch("shorter than its header");
  if (load<uint32_t>(bytes) != kRowBatchMagic) return bad_batch("wrong magic number");
  if (load<uint64_t>(bytes + 16) != size || size % 8 != 0) return bad_batch("wrong length");
  if (load<uint32_t>(bytes + 12) != 0 || load<uint64_t>(bytes + 24) != 0) {
    return bad_batch("reserved bytes are not 0");
  }
  const uint64_t columns = load<uint32_t>(bytes + 8);
  if (columns > (size - kRowBatchHeaderBytes) / kRowBatchColumnBytes) {
    return bad_batch("directory out of range");
  }
  RowBatch batch;
  batch.rows_ = load<uint32_t>(bytes + 4);
  batch.columns_.resize(columns);
  const uint64_t first_byte = kRowBatchHeaderBytes + kRowBatchColumnBytes * columns;
  const ColumnReader reader(bytes, size, first_byte, batch.rows_);
  for (uint64_t c = 0; c < columns; ++c) {
    const uint8_t* entry = bytes + kRowBatchHeaderBytes + kRowBatchColumnBytes * c;
    BatchColumn& column = batch.columns_[c];
    if (Status status = reader.read(entry, &column); !status.is_ok()) return status;
    if (c > 0 && column.field_id <= batch.columns_[c - 1].field_id) {
      return bad_column(column, "field ids do not ascend");
    }
  }
  *out = std::move(batch);
  return Status::ok();
}

const BatchColumn* RowBatch::find(int64_t field_id) const {
  const auto found = std::lower_bound(
      columns_.begin(), columns_.end(), field_id,
      [](const BatchColumn& column, int64_t id) { return column.field_id < id; });
  return found != columns_.end() && found->field_id == field_id ? &*found : nullptr;
}

Status RowBatchWriter::layout(size_t rows, std::vector<BatchColumnSpec> specs,
                              uint64_t bytes_max) {
  constexpr uint64_t kMaxU32 = std::numeric_limits<uint32_t>::max();
  if (rows > kMaxU32) return {StatusCode::kInvalidParameter, "a row batch is too long"};
  places_.assign(specs.size(), {});
  uint64_t end = kRowBatchHeaderBytes + kRowBatchColumnBytes * specs.size();
  const auto take = [&end](uint64_t bytes) {
    const uint64_t begin = end;
    end += padded(bytes);
    return begin;
  };
  for (size_t c = 0; c < specs.size(); ++c) {
    BatchColumnSpec& spec = specs[c];
    if (c > 0 && spec.field_id <= specs[c - 1].field_id) {
      return {StatusCode::kInvalidParameter, "columns of a row batch are out of order"};
    }
    if (is_variable_width(spec.type)) {
      if (spec.data_bytes > kMaxU32) {
        return {StatusCode::kInvalidParameter, "a column of a row batch passes 4 GiB: field " +
                                                   std::to_string(spec.field_id)};
      }
      places_[c].offsets = take(4 * (uint64_t{rows} + 1));
    } else {
      spec.data_bytes = value_bytes(spec.type, spec.dim) * rows;
    }
    if (spec.has_validity) places_[c].validity = take((uint64_t{rows} + 7) / 8);
    places_[c].data = take(spec.data_bytes);
  }
  bytes_.size = end;
  if (end > bytes_max) return {StatusCode::kTooLarge, "a row batch passes its limit"};
  bytes_.data.reset(new (std::nothrow) uint8_t[end]());
  if (bytes_.data == nullptr) {
    return {StatusCode::kMemoryLimit,
            "no memory for a row batch of " + std::to_string(end) + " bytes"};
  }
  uint8_t* bytes = bytes_.data.get();
  store<uint32_t>(bytes, kRowBatchMagic);
  store<uint32_t>(bytes + 4, static_cast<uint32_t>(rows));
  store<uint32_t>(bytes + 8, static_cast<uint32_t>(specs.size()));
  store<uint64_t>(bytes + 16, end);
  for (size_t c = 0; c < specs.size(); ++c) {
    uint8_t* entry = bytes + kRowBatchHeaderBytes + kRowBatchColumnBytes * c;
    store<int64_t>(entry, specs[c].field_id);
    entry[8] = static_cast<uint8_t>(specs[c].type);
    entry[9] = static_cast<uint8_t>(specs[c].element_type);
    entry[10] = specs[c].has_validity ? 1 : 0;
    store<uint32_t>(entry + 12, specs[c].dim);
    store<uint64_t>(entry + 16, places_[c].validity);
    store<uint64_t>(entry + 24, places_[c].offsets);
    store<uint64_t>(entry + 32, places_[c].data);
    store<uint64_t>(entry + 40, specs[c].data_bytes);
  }
  return Status::ok();
}

uint8_t* RowBatchWriter::validity(size_t column) {
  return places_[column].validity == 0 ? nullptr : bytes_.data.get() + places_[column].validity;
}

uint32_t* RowBatchWriter::offsets(size_t column) {
  if (places_[column].offsets == 0) return nullptr;
  return reinterpret_cast<uint32_t*>(bytes_.data.get() + places_[column].offsets);
}

uint8_t* RowBatchWriter::data(size_t column) { return bytes_.data.get() + places_[column].data; }

}  // namespace elanus
