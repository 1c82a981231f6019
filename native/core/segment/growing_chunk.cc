#include "segment/growing_chunk.h"

#include <algorithm>
#include <cstring>

#include "vector/vector_type.h"

namespace elanus {

namespace {

constexpr size_t kAlignment = 64;

constexpr size_t aligned(size_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

bool has_norms(DataType type) {
  const VectorType* vector = find_vector_type(type);
  return vector != nullptr && vector->has_norms();
}

}  // namespace

size_t GrowingChunk::row_bytes(std::span<const Field> fields) {
  size_t bytes = sizeof(uint32_t);
  for (const Field& field : fields) {
    bytes += is_variable_width(field.type) ? sizeof(VarRef) : value_bytes(field.type, field.dim);
    if (field.type == DataType::kJson) bytes += sizeof(VarRef);
    if (has_norms(field.type)) bytes += sizeof(float);
  }
  return bytes;
}

// In this order the constructor takes the pointers.
void GrowingChunk::place_arrays(std::span<const Field> fields) {
  size_t bytes = 0;
  const auto place = [&](size_t width) {
    arrays_.push_back({bytes, width});
    bytes += aligned(rows_ * width);
  };
  place(sizeof(uint32_t));
  for (const Field& field : fields) {
    if (is_vector(field.type)) {
      if (has_norms(field.type)) place(sizeof(float));
    } else if (is_variable_width(field.type)) {
      place(sizeof(VarRef));
      if (field.type == DataType::kJson) place(sizeof(VarRef));
    } else {
      place(fixed_width(field.type));
    }
  }
  for (const Field& field : fields) {
    if (is_vector(field.type)) place(value_bytes(field.type, field.dim));
  }
  memory_ = ZeroedMemory(bytes);
}

GrowingChunk::GrowingChunk(std::span<const Field> fields, size_t rows)
    : rows_(rows), columns_(std::make_unique<Column[]>(fields.size())) {
  place_arrays(fields);
  size_t next = 0;
  const auto take = [&] { return memory_.data() + arrays_[next++].begin; };
  next_rows_ = reinterpret_cast<uint32_t*>(take());
  for (size_t slot = 0; slot < fields.size(); ++slot) {
    Column& column = columns_[slot];
    if (is_vector(fields[slot].type)) {
      if (has_norms(fields[slot].type)) column.inv_norms = reinterpret_cast<float*>(take());
    } else if (is_variable_width(fields[slot].type)) {
      column.refs = reinterpret_cast<VarRef*>(take());
      if (fields[slot].type != DataType::kJson) continue;
      column.variants = reinterpret_cast<VarRef*>(take());
      column.variant_view.type = DataType::kVarChar;
      column.variant_view.rows = rows;
      column.variant_view.refs = column.variants;
    } else {
      column.values = take();
    }
  }
  for (size_t slot = 0; slot < fields.size(); ++slot) {
    if (is_vector(fields[slot].type)) columns_[slot].values = take();
  }
}

size_t GrowingChunk::add_validity(size_t slot) {
  Column& column = columns_[slot];
  if (column.validity_memory.data() != nullptr) return 0;
  column.validity_memory = ZeroedMemory(rows_);
  std::memset(column.validity_memory.data(), 1, rows_);
  column.validity.store(column.validity_memory.data(), std::memory_order_release);
  return rows_;
}

size_t GrowingChunk::held_bytes(size_t used_rows) const {
  if (!memory_.is_mapped() || used_rows >= rows_) return memory_.size();
  if (used_rows == 0) return 0;
  constexpr size_t kPage = ZeroedMemory::kPageBytes;
  size_t pages = 0;
  size_t counted_to = 0;  // pages below are counted
  for (const Array& array : arrays_) {
    const size_t first = std::max(counted_to, array.begin / kPage);
    const size_t end = (array.begin + array.width * used_rows + kPage - 1) / kPage;
    if (end <= first) continue;
    pages += end - first;
    counted_to = end;
  }
  return pages * kPage;
}

}  // namespace elanus
