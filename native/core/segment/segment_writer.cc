// Chooses and sorts rows, adds up sizes, and streams buffers. A byte range is made by starting at
// the row that holds its first byte and dropping what comes before it.
#include "segment/segment_writer.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <string>
#include <utility>

#include "base/guard.h"
#include "segment/chunked_column.h"
#include "threads/step_sort.h"
#include "threads/steps.h"
#include "vector/vector_type.h"

namespace elanus {

namespace {

constexpr size_t kRowNs = 20;  // a row's value is looked at

Status canceled() { return {StatusCode::kCanceled, "the layout of a segment was canceled"}; }

// Takes pieces of a stream, keeps those bytes that the caller asked for.
class RangeSink {
 public:
  RangeSink(uint64_t skip, uint64_t length, uint8_t* out) : skip_(skip), left_(length), out_(out) {}

  bool is_full() const { return left_ == 0; }
  void put(const void* bytes, size_t size) {
    const size_t taken = advance(&size);
    if (taken == 0) return;
    std::memcpy(out_ - taken, static_cast<const char*>(bytes) + size, taken);
  }
  void put_zeros(size_t size) {
    const size_t taken = advance(&size);
    if (taken != 0) std::memset(out_ - taken, 0, taken);
  }

 private:
  // Returns how many bytes of a piece are kept and moves on; `size` becomes how many before them
  // are dropped.
  size_t advance(size_t* size) {
    const uint64_t dropped = std::min<uint64_t>(skip_, *size);
    const uint64_t taken = std::min<uint64_t>(left_, *size - dropped);
    skip_ -= dropped;
    left_ -= taken;
    out_ += taken;
    *size = dropped;
    return taken;
  }

  uint64_t skip_;
  uint64_t left_;
  uint8_t* out_;
};

struct OutputColumn {
  Field field;
  std::vector<ChunkedColumn> inputs;
  std::vector<uint8_t> validity;  // bits, empty when no row is null
  std::vector<int64_t> offsets;   // VarChar, JSON: bytes; Array: elements; else empty
  std::vector<int64_t> variant_offsets;
  std::vector<int64_t> child_chars;  // Array of VarChar: characters before each row

  ColumnCell at(const RowRef& ref) const { return inputs[ref.source].at(ref.row); }
};

// Last row whose offset is <= the position. An empty row has its follower's offset, so this is
// never one.
size_t row_holding(const std::vector<int64_t>& offsets, uint64_t position) {
  const auto after = std::upper_bound(offsets.begin(), offsets.end() - 1,
                                      static_cast<int64_t>(position));
  return static_cast<size_t>(after - offsets.begin()) - 1;
}

template <typename Key>
struct SortRow {
  Key key;
  uint64_t timestamp;
  RowRef ref;

  bool operator<(const SortRow& other) const {
    if (key != other.key) return key < other.key;
    if (timestamp != other.timestamp) return timestamp < other.timestamp;
    if (ref.source != other.ref.source) return ref.source < other.ref.source;
    return ref.row < other.ref.row;
  }
};

std::string_view variant_bytes(const ColumnCell& cell) {
  return cell.is_valid() ? cell.view->json_variant->string_at(cell.row) : std::string_view();
}

}  // namespace

struct SegmentWriter::State {
  std::vector<std::unique_ptr<SegmentSnapshot>> inputs;
  std::vector<RowRef> rows;
  std::vector<OutputColumn> columns;
  std::vector<ColumnPlan> plans;

  Status choose_fields();
  template <typename Key, typename KeyAt>
  Status choose_rows(uint64_t drop_deleted_up_to, const CancelToken* cancel, KeyAt&& key_at);
  // Whether it was not canceled, like the one below.
  bool measure(OutputColumn* column, ColumnPlan* plan, Steps* steps) const;
  bool measure_variable(OutputColumn* column, ColumnPlan* plan, Steps* steps) const;
  const ColumnPlan* find_plan(int64_t field_id) const;

  const std::vector<int64_t>* offsets_of(const OutputColumn& column, SegmentBuffer buffer) const;
  void read_data(const OutputColumn& column, uint64_t offset, uint64_t length, uint8_t* out) const;
  void read_fixed(const OutputColumn& column, uint64_t offset, uint64_t length, uint8_t* out) const;
  void read_bools(const OutputColumn& column, uint64_t offset, uint64_t length, uint8_t* out) const;
  void read_elements(const OutputColumn& column, uint64_t offset, uint64_t length,
                     uint8_t* out) const;
  void read_bool_elements(const OutputColumn& column, uint64_t offset, uint64_t length,
                          uint8_t* out) const;
  void read_child_offsets(const OutputColumn& column, uint64_t offset, uint64_t length,
                          uint8_t* out) const;
  // Streams value_of(cell) of each row; `offsets` are the values' ends.
  template <typename ValueOf>
  void read_strings(const OutputColumn& column, const std::vector<int64_t>& offsets,
                    uint64_t offset, uint64_t length, uint8_t* out, ValueOf&& value_of) const;
};

Status SegmentWriter::State::choose_fields() {
  std::vector<Field> fields = {row_id_field(), timestamp_field()};
  const Field& key = inputs[0]->schema().primary_key();
  for (const auto& input : inputs) {
    const Field& other = input->schema().primary_key();
    if (other.field_id != key.field_id || other.type != key.type) {
      return {StatusCode::kInvalidParameter, "the segments have different primary keys"};
    }
    for (const Field& field : input->schema().fields()) {
      const auto place = std::lower_bound(
          fields.begin(), fields.end(), field.field_id,
          [](const Field& a, int64_t id) { return a.field_id < id; });
      if (place == fields.end() || place->field_id != field.field_id) {
        fields.insert(place, field);
      } else if (!is_same_type(*place, field)) {
        return {StatusCode::kInvalidParameter,
                "the segments disagree on the type of field " + std::to_string(field.field_id)};
      }
    }
  }
  for (const Field& field : fields) {
    OutputColumn& column = columns.emplace_back();
    column.field = field;
    for (const auto& input : inputs) column.inputs.emplace_back(*input, field.field_id);
  }
  return Status::ok();
}

template <typename Key, typename KeyAt>
Status SegmentWriter::State::choose_rows(uint64_t drop_deleted_up_to, const CancelToken* cancel,
                                         KeyAt&& key_at) {
  Steps steps(cancel);
  std::vector<SortRow<Key>> chosen;
  size_t most = 0;
  for (const auto& input : inputs) most += input->row_count();
  chosen.reserve(most);
  for (uint32_t s = 0; s < inputs.size(); ++s) {
    const SegmentSnapshot& input = *inputs[s];
    for (uint32_t row = 0; row < input.row_count(); ++row) {
      if (!steps.take(kRowNs)) return canceled();
      const uint64_t deleted_at = input.delete_timestamp_at(row);
      if (deleted_at != 0 && deleted_at <= drop_deleted_up_to) continue;
      chosen.push_back({key_at(input, row), input.timestamp_at(row), {s, row}});
    }
  }
  if (chosen.size() >= std::numeric_limits<uint32_t>::max()) {
    return {StatusCode::kInvalidParameter, "a segment holds less than 2^32 rows"};
  }
  if (!sort_in_steps(&chosen, std::less<SortRow<Key>>(), cancel)) return canceled();
  rows.reserve(chosen.size());
  for (const SortRow<Key>& row : chosen) rows.push_back(row.ref);
  return Status::ok();
}

bool SegmentWriter::State::measure(OutputColumn* column, ColumnPlan* plan, Steps* steps) const {
  const Field& field = column->field;
  plan->field = field;
  const bool may_have_nulls =
      std::any_of(column->inputs.begin(), column->inputs.end(),
                  [](const ChunkedColumn& input) { return input.may_have_nulls(); });
  if (may_have_nulls) {
    column->validity.assign((rows.size() + 7) / 8, 0);
    for (size_t i = 0; i < rows.size(); ++i) {
      if (!steps->take(kRowNs)) return false;
      const bool is_valid = column->at(rows[i]).is_valid();
      column->validity[i >> 3] |= static_cast<uint8_t>(is_valid ? 1u << (i & 7) : 0);
      plan->null_count += is_valid ? 0 : 1;
    }
    if (plan->null_count == 0) column->validity = {};
    plan->validity_bytes = column->validity.size();
  }
  if (is_variable_width(field.type)) return measure_variable(column, plan, steps);
  if (field.type == DataType::kBool) {
    plan->data_bytes = (rows.size() + 7) / 8;
  } else {
    plan->data_bytes = uint64_t{value_bytes(field.type, field.dim)} * rows.size();
  }
  return true;
}

bool SegmentWriter::State::measure_variable(OutputColumn* column, ColumnPlan* plan,
                                            Steps* steps) const {
  const Field& field = column->field;
  const bool is_json = field.type == DataType::kJson;
  const bool is_array = field.type == DataType::kArray;
  const bool has_strings = is_array && field.element_type == DataType::kVarChar;
  column->offsets.reserve(rows.size() + 1);
  if (is_json) column->variant_offsets.reserve(rows.size() + 1);
  if (has_strings) column->child_chars.reserve(rows.size() + 1);
  int64_t end = 0;
  int64_t other_end = 0;  // of the binary form, or of the elements' characters
  for (size_t i = 0; i <= rows.size(); ++i) {
    column->offsets.push_back(end);
    if (is_json) column->variant_offsets.push_back(other_end);
    if (has_strings) column->child_chars.push_back(other_end);
    if (i == rows.size()) break;
    if (!steps->take(kRowNs)) return false;
    const ColumnCell cell = column->at(rows[i]);
    if (!cell.is_valid()) continue;
    if (is_array) {
      const ArrayValue value = cell.view->array_at(cell.row);
      end += value.count;
      if (has_strings) other_end += static_cast<int64_t>(all_strings(value).size());
    } else {
      end += static_cast<int64_t>(cell.view->string_at(cell.row).size());
      if (is_json) other_end += static_cast<int64_t>(variant_bytes(cell).size());
    }
  }
  plan->offsets_bytes = 8 * column->offsets.size();
  plan->variant_offsets_bytes = 8 * column->variant_offsets.size();
  if (is_json) plan->variant_data_bytes = static_cast<uint64_t>(other_end);
  if (!is_array) {
    plan->data_bytes = static_cast<uint64_t>(end);
    return true;
  }
  plan->child_rows = static_cast<uint64_t>(end);
  if (has_strings) {
    plan->child_offsets_bytes = 8 * (plan->child_rows + 1);
    plan->child_data_bytes = static_cast<uint64_t>(other_end);
  } else if (field.element_type == DataType::kBool) {
    plan->data_bytes = (plan->child_rows + 7) / 8;
  } else {
    plan->data_bytes = plan->child_rows * fixed_width(field.element_type);
  }
  return true;
}

template <typename ValueOf>
void SegmentWriter::State::read_strings(const OutputColumn& column,
                                        const std::vector<int64_t>& offsets, uint64_t offset,
                                        uint64_t length, uint8_t* out, ValueOf&& value_of) const {
  size_t row = row_holding(offsets, offset);
  RangeSink sink(offset - static_cast<uint64_t>(offsets[row]), length, out);
  for (; !sink.is_full(); ++row) {
    const ColumnCell cell = column.at(rows[row]);
    if (!cell.is_valid()) continue;
    const std::string_view value = value_of(cell);
    sink.put(value.data(), value.size());
  }
}

void SegmentWriter::State::read_data(const OutputColumn& column, uint64_t offset, uint64_t length,
                                     uint8_t* out) const {
  switch (column.field.type) {
    case DataType::kVarChar:
    case DataType::kJson:
      read_strings(column, column.offsets, offset, length, out,
                   [](const ColumnCell& cell) { return cell.view->string_at(cell.row); });
      break;
    case DataType::kArray:
      if (column.field.element_type == DataType::kBool) {
        read_bool_elements(column, offset, length, out);
      } else {
        read_elements(column, offset, length, out);
      }
      break;
    case DataType::kBool:
      read_bools(column, offset, length, out);
      break;
    default:
      read_fixed(column, offset, length, out);
  }
}

void SegmentWriter::State::read_fixed(const OutputColumn& column, uint64_t offset, uint64_t length,
                                      uint8_t* out) const {
  const Field& field = column.field;
  const size_t width = value_bytes(field.type, field.dim);
  RangeSink sink(offset % width, length, out);
  for (size_t row = offset / width; !sink.is_full(); ++row) {
    const ColumnCell cell = column.at(rows[row]);
    if (cell.is_valid()) {
      sink.put(cell.fixed(width), width);
    } else {
      sink.put_zeros(width);
    }
  }
}

void SegmentWriter::State::read_bools(const OutputColumn& column, uint64_t offset, uint64_t length,
                                      uint8_t* out) const {
  std::memset(out, 0, length);
  const size_t first = offset * 8;
  const size_t end = std::min<size_t>(rows.size(), (offset + length) * 8);
  for (size_t row = first; row < end; ++row) {
    const ColumnCell cell = column.at(rows[row]);
    const bool value = cell.is_valid() && cell.view->bool_at(cell.row);
    out[(row - first) >> 3] |= static_cast<uint8_t>(value ? 1u << (row & 7) : 0);
  }
}

void SegmentWriter::State::read_elements(const OutputColumn& column, uint64_t offset,
                                         uint64_t length, uint8_t* out) const {
  const size_t width = fixed_width(column.field.element_type);
  size_t row = row_holding(column.offsets, offset / width);
  RangeSink sink(offset - width * static_cast<uint64_t>(column.offsets[row]), length, out);
  for (; !sink.is_full(); ++row) {
    const ColumnCell cell = column.at(rows[row]);
    if (!cell.is_valid()) continue;
    const ArrayValue value = cell.view->array_at(cell.row);
    sink.put(value.fixed, width * value.count);
  }
}

void SegmentWriter::State::read_bool_elements(const OutputColumn& column, uint64_t offset,
                                              uint64_t length, uint8_t* out) const {
  std::memset(out, 0, length);
  const size_t first = offset * 8;
  const size_t elements = static_cast<size_t>(column.offsets.back());
  const size_t end = std::min<size_t>(elements, (offset + length) * 8);
  size_t element = first;
  for (size_t row = row_holding(column.offsets, first); element < end; ++row) {
    const size_t row_begin = static_cast<size_t>(column.offsets[row]);
    const size_t row_end = std::min(end, static_cast<size_t>(column.offsets[row + 1]));
    if (element >= row_end) continue;
    const ColumnCell cell = column.at(rows[row]);
    const ArrayValue value = cell.view->array_at(cell.row);
    for (; element < row_end; ++element) {
      const bool bit = value.int_at(element - row_begin) != 0;
      out[(element - first) >> 3] |= static_cast<uint8_t>(bit ? 1u << (element & 7) : 0);
    }
  }
}

void SegmentWriter::State::read_child_offsets(const OutputColumn& column, uint64_t offset,
                                              uint64_t length, uint8_t* out) const {
  RangeSink sink(offset % 8, length, out);
  const size_t elements = static_cast<size_t>(column.offsets.back());
  size_t element = offset / 8;
  for (size_t row = element < elements ? row_holding(column.offsets, element) : rows.size();
       !sink.is_full() && row < rows.size(); ++row) {
    const size_t row_begin = static_cast<size_t>(column.offsets[row]);
    const size_t row_end = static_cast<size_t>(column.offsets[row + 1]);
    if (element >= row_end) continue;
    const ColumnCell cell = column.at(rows[row]);
    const ArrayValue value = cell.view->array_at(cell.row);
    const size_t total = all_strings(value).size();
    for (; element < row_end && !sink.is_full(); ++element) {
      const size_t before = string_offset(value, element - row_begin, total);
      const int64_t chars = column.child_chars[row] + static_cast<int64_t>(before);
      sink.put(&chars, 8);
    }
  }
  const int64_t end = column.child_chars.back();
  if (!sink.is_full()) sink.put(&end, 8);
}

// The vector that a buffer of offsets is, or nullptr.
const std::vector<int64_t>* SegmentWriter::State::offsets_of(const OutputColumn& column,
                                                             SegmentBuffer buffer) const {
  if (buffer == SegmentBuffer::kOffsets) return &column.offsets;
  return buffer == SegmentBuffer::kVariantOffsets ? &column.variant_offsets : nullptr;
}

SegmentWriter::SegmentWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}
SegmentWriter::~SegmentWriter() = default;

Status SegmentWriter::create(std::vector<std::shared_ptr<const Segment>> inputs,
                             uint64_t drop_deleted_up_to, std::unique_ptr<SegmentWriter>* out,
                             const CancelToken* cancel) {
  if (inputs.empty()) return {StatusCode::kInvalidParameter, "a segment writer needs an input"};
  return guarded([&]() -> Status {
    auto state = std::make_unique<State>();
    for (const auto& input : inputs) state->inputs.push_back(input->snapshot(kReadAll));
    if (Status status = state->choose_fields(); !status.is_ok()) return status;
    Status status;
    if (inputs[0]->schema().has_string_keys()) {
      status = state->choose_rows<std::string_view>(
          drop_deleted_up_to, cancel,
          [](const SegmentSnapshot& input, size_t row) { return input.key_string_at(row); });
    } else {
      status = state->choose_rows<int64_t>(
          drop_deleted_up_to, cancel,
          [](const SegmentSnapshot& input, size_t row) { return input.key_at(row); });
    }
    if (!status.is_ok()) return status;
    state->plans.resize(state->columns.size());
    Steps steps(cancel);
    for (size_t c = 0; c < state->columns.size(); ++c) {
      if (!state->measure(&state->columns[c], &state->plans[c], &steps)) return canceled();
    }
    out->reset(new SegmentWriter(std::move(state)));
    return Status::ok();
  });
}

size_t SegmentWriter::rows() const { return state_->rows.size(); }
const std::vector<ColumnPlan>& SegmentWriter::columns() const { return state_->plans; }

namespace {

uint64_t buffer_bytes(const ColumnPlan& plan, SegmentBuffer buffer) {
  switch (buffer) {
    case SegmentBuffer::kValidity: return plan.validity_bytes;
    case SegmentBuffer::kOffsets: return plan.offsets_bytes;
    case SegmentBuffer::kData: return plan.data_bytes;
    case SegmentBuffer::kVariantOffsets: return plan.variant_offsets_bytes;
    case SegmentBuffer::kVariantData: return plan.variant_data_bytes;
    case SegmentBuffer::kChildOffsets: return plan.child_offsets_bytes;
    case SegmentBuffer::kChildData: return plan.child_data_bytes;
  }
  return 0;
}

}  // namespace

const ColumnPlan* SegmentWriter::State::find_plan(int64_t field_id) const {
  const auto plan =
      std::lower_bound(plans.begin(), plans.end(), field_id,
                       [](const ColumnPlan& p, int64_t id) { return p.field.field_id < id; });
  return plan == plans.end() || plan->field.field_id != field_id ? nullptr : &*plan;
}

Status SegmentWriter::check_range(int64_t field_id, SegmentBuffer buffer, uint64_t offset,
                                  uint64_t length) const {
  const ColumnPlan* plan = state_->find_plan(field_id);
  if (plan == nullptr) {
    return {StatusCode::kInvalidParameter,
            "the segment has no field " + std::to_string(field_id)};
  }
  const uint64_t bytes = buffer_bytes(*plan, buffer);
  if (offset > bytes || length > bytes - offset) {
    return {StatusCode::kInvalidParameter,
            "a range passes the end of a buffer of field " + std::to_string(field_id)};
  }
  return Status::ok();
}

Status SegmentWriter::read_buffer(int64_t field_id, SegmentBuffer buffer, uint64_t offset,
                                  uint64_t length, uint8_t* out) const {
  if (Status status = check_range(field_id, buffer, offset, length); !status.is_ok())
    return status;
  if (length == 0) return Status::ok();
  const OutputColumn& column =
      state_->columns[static_cast<size_t>(state_->find_plan(field_id) - state_->plans.data())];
  switch (buffer) {
    case SegmentBuffer::kValidity:
      std::memcpy(out, column.validity.data() + offset, length);
      break;
    case SegmentBuffer::kOffsets:
    case SegmentBuffer::kVariantOffsets: {
      const std::vector<int64_t>& offsets = *state_->offsets_of(column, buffer);
      std::memcpy(out, reinterpret_cast<const uint8_t*>(offsets.data()) + offset, length);
      break;
    }
    case SegmentBuffer::kData:
      state_->read_data(column, offset, length, out);
      break;
    case SegmentBuffer::kVariantData:
      state_->read_strings(column, column.variant_offsets, offset, length, out, variant_bytes);
      break;
    case SegmentBuffer::kChildOffsets:
      state_->read_child_offsets(column, offset, length, out);
      break;
    case SegmentBuffer::kChildData:
      state_->read_strings(column, column.child_chars, offset, length, out,
                           [](const ColumnCell& cell) -> std::string_view {
                             return all_strings(cell.view->array_at(cell.row));
                           });
      break;
  }
  return Status::ok();
}

}  // namespace elanus
