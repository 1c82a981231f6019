// Columns of one value, made on demand.
#include "segment/default_columns.h"

#include <algorithm>
#include <cstring>

namespace elanus {

namespace {

// `count` times the value, by copies that double.
std::unique_ptr<uint8_t[]> repeat(const void* value, size_t width, size_t count) {
  const size_t bytes = width * count;
  auto rows = std::make_unique_for_overwrite<uint8_t[]>(bytes);
  std::memcpy(rows.get(), value, std::min(width, bytes));
  for (size_t done = width; done < bytes; done *= 2) {
    std::memcpy(rows.get() + done, rows.get(), std::min(done, bytes - done));
  }
  return rows;
}

}  // namespace

ColumnView DefaultColumns::view(const Field& field, size_t rows, size_t rows_max) const {
  ColumnView view;
  view.type = field.type;
  view.element_type = field.element_type;
  view.dim = field.dim;
  view.rows = rows;
  view.all_null = !field.default_value.has_value();
  if (view.all_null) return view;
  const Column& column = column_of(field, rows_max);
  if (is_variable_width(field.type)) {
    view.refs = reinterpret_cast<const VarRef*>(column.rows.get());
  } else {
    view.data = column.rows.get();
  }
  return view;
}

const DefaultColumns::Column& DefaultColumns::column_of(const Field& field, size_t rows_max) const {
  const std::lock_guard lock(mutex_);
  Column& column = columns_[field.field_id];
  if (column.rows != nullptr) return column;
  column.value = *field.default_value;
  const VarRef ref{column.value.data(), static_cast<uint32_t>(column.value.size())};
  const size_t width = is_variable_width(field.type) ? sizeof(VarRef) : fixed_width(field.type);
  const void* value =
      is_variable_width(field.type) ? static_cast<const void*>(&ref) : column.value.data();
  column.rows = repeat(value, width, rows_max);
  bytes_.fetch_add(width * rows_max, std::memory_order_relaxed);
  return column;
}

}  // namespace elanus
