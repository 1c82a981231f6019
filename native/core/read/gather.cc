// Rows of several segments to one row batch: sizes first, then each column is filled in place.
#include "read/gather.h"

#include <algorithm>
#include <string>
#include <vector>

#include "base/guard.h"
#include "segment/chunked_column.h"
#include "threads/steps.h"
#include "vector/vector_type.h"

namespace elanus {

namespace {

// Cost of copying a value: a row's place and bytes at some 4 GB/s.
constexpr size_t copy_ns(size_t bytes) { return 20 + bytes / 4; }

Status canceled() { return {StatusCode::kCanceled, "the read was canceled"}; }

// Bytes of the value as an Array blob of a row batch.
size_t blob_bytes(const ArrayValue& value) {
  if (value.element_type == DataType::kVarChar) {
    return 4 + 4 * (size_t{value.count} + 1) + all_strings(value).size();
  }
  return value.count * fixed_width(value.element_type);
}

void write_blob(const ArrayValue& value, uint8_t* out) {
  if (value.element_type == DataType::kVarChar) {
    const auto put = [&out](uint32_t word) {
      std::memcpy(out, &word, 4);
      out += 4;
    };
    const std::string_view strings = all_strings(value);
    put(value.count);
    size_t end = 0;  // never falls, whatever a damaged file says
    for (size_t i = 0; i <= value.count; ++i) {
      end = std::max(end, string_offset(value, i, strings.size()));
      put(static_cast<uint32_t>(end));
    }
    if (!strings.empty()) std::memcpy(out, strings.data(), strings.size());
  } else if (value.is_bits) {
    for (size_t i = 0; i < value.count; ++i) out[i] = static_cast<uint8_t>(value.int_at(i));
  } else if (value.count != 0) {
    std::memcpy(out, value.fixed, blob_bytes(value));
  }
}

// One column of the batch to be.
class GatherColumn {
 public:
  GatherColumn(const Field& field, std::span<const SegmentSnapshot* const> sources)
      : field_(field) {
    sources_.reserve(sources.size());
    for (const SegmentSnapshot* source : sources) sources_.emplace_back(*source, field.field_id);
  }

  // Whether it was not canceled, as for those below.
  bool measure(std::span<const RowRef> rows, Steps* steps, BatchColumnSpec* out) const {
    BatchColumnSpec& spec = *out;
    spec = {.field_id = field_.field_id,
            .type = field_.type,
            .element_type = field_.element_type,
            .dim = field_.dim};
    const bool is_variable = is_variable_width(field_.type);
    const bool may_have_nulls =
        std::any_of(sources_.begin(), sources_.end(),
                    [](const ChunkedColumn& c) { return c.may_have_nulls(); });
    if (!is_variable && !may_have_nulls) return true;
    for (const RowRef& ref : rows) {
      if (!steps->take(copy_ns(0))) return false;
      const ColumnCell cell = sources_[ref.source].at(ref.row);
      if (!cell.is_valid()) {
        spec.has_validity = true;
      } else if (is_variable) {
        spec.data_bytes += variable_bytes(cell);
      }
    }
    return true;
  }

  bool fill(std::span<const RowRef> rows, Steps* steps, RowBatchWriter* writer,
            size_t column) const {
    if (uint8_t* validity = writer->validity(column)) {
      for (size_t i = 0; i < rows.size(); ++i) {
        if (!steps->take(copy_ns(0))) return false;
        const bool is_valid = sources_[rows[i].source].at(rows[i].row).is_valid();
        validity[i >> 3] |= static_cast<uint8_t>(is_valid ? 1u << (i & 7) : 0);
      }
    }
    if (is_variable_width(field_.type))
      return fill_variable(rows, steps, writer->offsets(column), writer->data(column));
    return fill_fixed(rows, steps, writer->data(column));
  }

 private:
  size_t variable_bytes(const ColumnCell& cell) const {
    if (field_.type != DataType::kArray) return cell.view->string_at(cell.row).size();
    return blob_bytes(cell.view->array_at(cell.row));
  }

  bool fill_fixed(std::span<const RowRef> rows, Steps* steps, uint8_t* data) const {
    const size_t width = value_bytes(field_.type, field_.dim);
    for (size_t i = 0; i < rows.size(); ++i) {
      if (!steps->take(copy_ns(width))) return false;
      const ColumnCell cell = sources_[rows[i].source].at(rows[i].row);
      if (!cell.is_valid()) continue;
      if (field_.type == DataType::kBool) {
        data[i] = cell.view->bool_at(cell.row) ? 1 : 0;
      } else {
        std::memcpy(data + width * i, cell.fixed(width), width);
      }
    }
    return true;
  }

  bool fill_variable(std::span<const RowRef> rows, Steps* steps, uint32_t* offsets,
                     uint8_t* data) const {
    uint32_t end = 0;
    for (size_t i = 0; i < rows.size(); ++i) {
      offsets[i] = end;
      const ColumnCell cell = sources_[rows[i].source].at(rows[i].row);
      if (!cell.is_valid()) continue;
      if (field_.type == DataType::kArray) {
        const ArrayValue value = cell.view->array_at(cell.row);
        write_blob(value, data + end);
        end += static_cast<uint32_t>(blob_bytes(value));
      } else {
        const std::string_view value = cell.view->string_at(cell.row);
        if (!value.empty()) std::memcpy(data + end, value.data(), value.size());
        end += static_cast<uint32_t>(value.size());
      }
      if (!steps->take(copy_ns(end - offsets[i]))) return false;
    }
    offsets[rows.size()] = end;
    return true;
  }

  Field field_;
  std::vector<ChunkedColumn> sources_;
};

Status find_field(std::span<const SegmentSnapshot* const> sources, int64_t field_id,
                  const Field** out) {
  *out = nullptr;
  for (const SegmentSnapshot* source : sources) {
    const Field* field = source->schema().find(field_id);
    if (field == nullptr) continue;
    if (*out == nullptr) *out = field;
    if (!is_same_type(*field, **out)) {
      return {StatusCode::kInvalidParameter,
              "segments disagree on the type of field " + std::to_string(field_id)};
    }
  }
  return Status::ok();
}

// The fields of the batch: those named, the primary key and the timestamp.
std::vector<int64_t> list_fields(std::span<const SegmentSnapshot* const> sources,
                                 std::span<const int64_t> field_ids) {
  std::vector<int64_t> wanted(field_ids.begin(), field_ids.end());
  wanted.push_back(kTimestampField);
  if (!sources.empty()) wanted.push_back(sources[0]->schema().primary_key().field_id);
  std::sort(wanted.begin(), wanted.end());
  wanted.erase(std::unique(wanted.begin(), wanted.end()), wanted.end());
  return wanted;
}

Status gather_columns(std::span<const SegmentSnapshot* const> sources, std::span<const RowRef> rows,
                      std::span<const int64_t> field_ids, OwnedBytes* out,
                      const CancelToken* cancel, uint64_t bytes_max) {
  const std::vector<int64_t> wanted = list_fields(sources, field_ids);
  std::vector<GatherColumn> columns;
  std::vector<BatchColumnSpec> specs;
  Steps steps(cancel);
  for (const int64_t field_id : wanted) {
    const Field* field = nullptr;
    if (Status status = find_field(sources, field_id, &field); !status.is_ok()) return status;
    if (field == nullptr) continue;
    columns.emplace_back(*field, sources);
    if (!columns.back().measure(rows, &steps, &specs.emplace_back())) return canceled();
  }
  RowBatchWriter writer;
  Status status = writer.layout(rows.size(), std::move(specs), bytes_max);
  if (!status.is_ok()) {
    out->size = writer.size();
    return status;
  }
  for (size_t c = 0; c < columns.size(); ++c) {
    if (!columns[c].fill(rows, &steps, &writer, c)) return canceled();
  }
  *out = writer.take();
  return Status::ok();
}

}  // namespace

uint64_t min_row_bytes(std::span<const SegmentSnapshot* const> sources,
                       std::span<const int64_t> field_ids) {
  uint64_t bytes = 0;
  for (const int64_t field_id : list_fields(sources, field_ids)) {
    const Field* field = nullptr;
    if (!find_field(sources, field_id, &field).is_ok() || field == nullptr) continue;
    bytes += is_variable_width(field->type) ? sizeof(uint32_t)
                                            : value_bytes(field->type, field->dim);
  }
  return bytes;
}

Status gather_rows(std::span<const SegmentSnapshot* const> sources, std::span<const RowRef> rows,
                   std::span<const int64_t> field_ids, OwnedBytes* out, const CancelToken* cancel,
                   uint64_t bytes_max) {
  return guarded(
      [&] { return gather_columns(sources, rows, field_ids, out, cancel, bytes_max); });
}

}  // namespace elanus
