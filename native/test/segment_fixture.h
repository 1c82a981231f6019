// What the segment tests share: a schema with every type, random rows as raw row-batch cells,
// batches made of them, and segment files without Arrow metadata (native sees only byte ranges).
#pragma once

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "check.h"
#include "temporary_file.h"
#include "read/gather.h"
#include "segment/growing_segment.h"
#include "segment/row_batch.h"
#include "segment/sealed_segment.h"
#include "segment/segment_writer.h"

namespace elanus::fixture {

using Bytes = std::vector<uint8_t>;
// A value as a row batch holds it; nothing = null.
using Cell = std::optional<std::string>;

struct Row {
  uint64_t timestamp = 0;
  std::map<int64_t, Cell> cells;
};

inline constexpr int64_t kKey = 100;
inline constexpr int64_t kVector = 120;
inline constexpr int64_t kJsonField = 109;
inline constexpr uint32_t kDim = 5;

template <typename T>
std::string raw(T value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof(T));
}

inline Schema make_schema(DataType key_type = DataType::kInt64) {
  const auto field = [](int64_t id, DataType type, DataType element = DataType::kNone) {
    return Field{.field_id = id, .type = type, .element_type = element, .dim = 0, .nullable = true};
  };
  std::vector<Field> fields = {
      {.field_id = kKey, .type = key_type, .is_primary_key = true},
      field(101, DataType::kBool),
      field(102, DataType::kInt8),
      field(103, DataType::kInt16),
      field(104, DataType::kInt32),
      field(105, DataType::kInt64),
      field(106, DataType::kFloat),
      field(107, DataType::kDouble),
      field(108, DataType::kVarChar),
      field(kJsonField, DataType::kJson),
      field(110, DataType::kArray, DataType::kInt32),
      field(111, DataType::kArray, DataType::kBool),
      field(112, DataType::kArray, DataType::kVarChar),
      field(113, DataType::kArray, DataType::kDouble),
      {.field_id = kVector, .type = DataType::kFloatVector, .dim = kDim, .nullable = true},
  };
  Schema schema;
  CHECK(Schema::create(std::move(fields), &schema).is_ok());
  return schema;
}

// The schema with a field of each type that can have a default, from id 200, and what it reads as.
struct WithDefaults {
  Schema schema;
  std::map<int64_t, Cell> defaults;
};

inline WithDefaults add_default_fields(const Schema& schema) {
  const std::vector<std::pair<DataType, std::string>> kinds = {
      {DataType::kBool, raw(uint8_t{1})},
      {DataType::kInt8, raw(int8_t{-8})},
      {DataType::kInt16, raw(int16_t{-300})},
      {DataType::kInt32, raw(int32_t{1 << 20})},
      {DataType::kInt64, raw(int64_t{-7})},
      {DataType::kFloat, raw(0.5f)},
      {DataType::kDouble, raw(0.1)},
      {DataType::kVarChar, "a default"},
      {DataType::kVarChar, ""},
  };
  WithDefaults made;
  std::vector<Field> fields = schema.fields();
  for (const auto& [type, value] : kinds) {
    const int64_t id = 200 + static_cast<int64_t>(made.defaults.size());
    fields.push_back({.field_id = id, .type = type, .nullable = true, .default_value = value});
    made.defaults[id] = value;
  }
  CHECK(Schema::create(std::move(fields), &made.schema).is_ok());
  return made;
}

inline std::string string_array(const std::vector<std::string>& items) {
  std::string blob = raw(static_cast<uint32_t>(items.size()));
  uint32_t end = 0;
  blob += raw(end);
  for (const std::string& item : items) blob += raw(end += static_cast<uint32_t>(item.size()));
  for (const std::string& item : items) blob += item;
  return blob;
}

class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}
  uint64_t below(uint64_t n) { return engine_() % n; }
  bool chance(uint64_t in) { return below(in) == 0; }
  uint64_t bits() { return engine_(); }
  std::mt19937_64& engine() { return engine_; }
  std::string text(size_t longest) {
    std::string out(below(longest + 1), ' ');
    for (char& c : out) c = static_cast<char>('a' + below(26));
    return out;
  }

 private:
  std::mt19937_64 engine_;
};

inline std::string random_scalar(DataType type, Random& random) {
  switch (type) {
    case DataType::kBool: return raw(static_cast<uint8_t>(random.below(2)));
    case DataType::kFloat: return raw(static_cast<float>(random.below(1000)) / 8);
    case DataType::kDouble: return raw(static_cast<double>(random.below(100000)) / 8);
    default: return raw(random.bits()).substr(0, fixed_width(type));
  }
}

inline std::string random_value(const Field& field, Random& random) {
  if (field.type == DataType::kVarChar) return random.text(20);
  if (field.type == DataType::kJson) {
    return "{\"b\": " + std::to_string(random.below(1000)) + ", \"a\":[\"" + random.text(9) +
           "\", null]}";
  }
  if (field.type == DataType::kFloatVector) {
    std::string out;
    for (uint32_t i = 0; i < field.dim; ++i) out += raw(static_cast<float>(random.below(64)) - 32);
    return out;
  }
  if (field.type != DataType::kArray) return random_scalar(field.type, random);
  const size_t count = random.below(6);
  if (field.element_type == DataType::kVarChar) {
    std::vector<std::string> items(count);
    for (std::string& item : items) item = random.text(7);
    return string_array(items);
  }
  std::string out;
  for (size_t i = 0; i < count; ++i) out += random_scalar(field.element_type, random);
  return out;
}

// The key's cell for small key numbers, whatever the key's type.
inline std::string key_cell(const Schema& schema, int64_t key) {
  return schema.has_string_keys() ? "key-" + std::to_string(key) : raw(key);
}

// A row with that key; every other field is null once in `null_in` times (0 = never).
inline Row random_row(const Schema& schema, int64_t key, uint64_t timestamp, Random& random,
                      uint64_t null_in = 5) {
  Row row;
  row.timestamp = timestamp;
  for (const Field& field : schema.fields()) {
    if (field.is_primary_key) {
      row.cells[field.field_id] = key_cell(schema, key);
    } else if (null_in != 0 && random.chance(null_in)) {
      row.cells[field.field_id] = std::nullopt;
    } else {
      row.cells[field.field_id] = random_value(field, random);
    }
  }
  return row;
}

// A batch of these rows with the schema's columns; with field 1 if asked.
inline Bytes make_batch(const Schema& schema, const std::vector<Row>& rows,
                        bool with_timestamps = false) {
  std::vector<Field> fields = schema.fields();
  if (with_timestamps) fields.insert(fields.begin(), timestamp_field());
  const auto cell_of = [](const Row& row, int64_t id) -> Cell {
    if (id == kTimestampField) return raw(row.timestamp);
    const auto found = row.cells.find(id);
    return found == row.cells.end() ? std::nullopt : found->second;
  };
  std::vector<BatchColumnSpec> specs;
  for (const Field& field : fields) {
    BatchColumnSpec spec{field.field_id, field.type, field.element_type, field.dim, false, 0};
    for (const Row& row : rows) {
      const Cell cell = cell_of(row, field.field_id);
      spec.has_validity = spec.has_validity || !cell.has_value();
      if (is_variable_width(field.type)) spec.data_bytes += cell.value_or("").size();
    }
    specs.push_back(spec);
  }
  RowBatchWriter writer;
  CHECK(writer.layout(rows.size(), specs).is_ok());
  for (size_t c = 0; c < fields.size(); ++c) {
    size_t end = 0;
    const Field& field = fields[c];
    const size_t width =
        field.type == DataType::kFloatVector ? 4 * field.dim : fixed_width(field.type);
    for (size_t i = 0; i < rows.size(); ++i) {
      const Cell cell = cell_of(rows[i], field.field_id);
      if (writer.validity(c) != nullptr && cell.has_value()) {
        writer.validity(c)[i / 8] |= static_cast<uint8_t>(1u << (i % 8));
      }
      if (cell.has_value() && !cell->empty()) {
        std::memcpy(writer.data(c) + (width != 0 ? width * i : end), cell->data(), cell->size());
      }
      end += cell.value_or("").size();
      if (writer.offsets(c) != nullptr) writer.offsets(c)[i + 1] = static_cast<uint32_t>(end);
    }
  }
  const OwnedBytes owned = writer.take();
  return Bytes(owned.data.get(), owned.data.get() + owned.size);
}

// A column's value in a row of an opened batch.
inline Cell cell_at(const BatchColumn& column, size_t row) {
  if (!column.is_valid(row)) return std::nullopt;
  if (column.offsets != nullptr) return std::string(column.bytes_at(row));
  const size_t width =
      column.type == DataType::kFloatVector ? 4 * column.dim : fixed_width(column.type);
  return std::string(reinterpret_cast<const char*>(column.data) + width * row, width);
}

// Gathers the rows with all fields and compares each cell with the model.
inline void check_gather(const std::vector<const SegmentSnapshot*>& sources,
                         const std::vector<RowRef>& refs, const std::vector<Row>& expected) {
  std::vector<int64_t> ids;
  for (const Field& field : sources[0]->schema().fields()) ids.push_back(field.field_id);
  OwnedBytes bytes;
  CHECK(gather_rows(sources, refs, ids, &bytes).is_ok());
  RowBatch batch;
  const Status status = RowBatch::open(bytes.data.get(), bytes.size, &batch);
  CHECK_EQ(status.message(), "");
  CHECK_EQ(batch.rows(), expected.size());
  if (batch.rows() != expected.size()) return;
  for (size_t i = 0; i < expected.size(); ++i) {
    CHECK_EQ(batch.find(kTimestampField)->value_at<uint64_t>(i), expected[i].timestamp);
    for (const int64_t id : ids) {
      const auto found = expected[i].cells.find(id);
      const Cell cell = found == expected[i].cells.end() ? std::nullopt : found->second;
      if (cell_at(*batch.find(id), i) != cell) {
        check::fail(__FILE__, __LINE__,
                    "row " + std::to_string(i) + " field " + std::to_string(id) + " differs");
      }
    }
  }
}

inline std::vector<RowRef> all_rows(const SegmentSnapshot& snapshot, uint32_t source = 0) {
  std::vector<RowRef> refs;
  for (uint32_t row = 0; row < snapshot.row_count(); ++row) refs.push_back({source, row});
  return refs;
}

// Writes the writer's buffers one after another, 64-byte aligned, in pieces of `piece` bytes, and
// says where.
inline std::vector<ColumnLayout> write_file(const SegmentWriter& writer, const std::string& path,
                                            uint64_t piece = 1 << 16) {
  std::string file(64, '#');
  std::vector<ColumnLayout> layouts;
  for (const ColumnPlan& plan : writer.columns()) {
    const auto put = [&](SegmentBuffer buffer, uint64_t bytes) {
      const uint64_t begin = file.size();
      file.resize(begin + bytes);
      for (uint64_t at = 0; at < bytes; at += piece) {
        uint8_t* out = reinterpret_cast<uint8_t*>(file.data()) + begin + at;
        const uint64_t length = std::min(piece, bytes - at);
        CHECK(writer.read_buffer(plan.field.field_id, buffer, at, length, out).is_ok());
      }
      file.resize((file.size() + 63) / 64 * 64);
      return begin;
    };
    ColumnLayout layout;
    layout.field_id = plan.field.field_id;
    layout.validity_bytes = plan.validity_bytes;
    layout.validity_offset = put(SegmentBuffer::kValidity, plan.validity_bytes);
    layout.offsets_bytes = plan.offsets_bytes;
    layout.offsets_offset = put(SegmentBuffer::kOffsets, plan.offsets_bytes);
    layout.data_bytes = plan.data_bytes;
    layout.data_offset = put(SegmentBuffer::kData, plan.data_bytes);
    if (plan.field.type == DataType::kJson) {
      layout.variant = VarLayout{put(SegmentBuffer::kVariantOffsets, plan.variant_offsets_bytes),
                                 plan.variant_offsets_bytes,
                                 put(SegmentBuffer::kVariantData, plan.variant_data_bytes),
                                 plan.variant_data_bytes};
    }
    if (plan.field.element_type == DataType::kVarChar) {
      layout.child = VarLayout{put(SegmentBuffer::kChildOffsets, plan.child_offsets_bytes),
                               plan.child_offsets_bytes,
                               put(SegmentBuffer::kChildData, plan.child_data_bytes),
                               plan.child_data_bytes};
    }
    layouts.push_back(layout);
  }
  std::ofstream(path, std::ios::binary)
      .write(file.data(), static_cast<std::streamsize>(file.size()));
  return layouts;
}

// Merges the inputs to a sealed segment in the file.
inline std::shared_ptr<SealedSegment> seal(std::vector<std::shared_ptr<const Segment>> inputs,
                                           const Schema& schema, const std::string& path,
                                           uint64_t drop_deleted_up_to = 0,
                                           uint64_t piece = 1 << 16) {
  std::unique_ptr<SegmentWriter> writer;
  CHECK(SegmentWriter::create(std::move(inputs), drop_deleted_up_to, &writer).is_ok());
  const std::vector<ColumnLayout> layouts = write_file(*writer, path, piece);
  std::shared_ptr<SealedSegment> sealed;
  const Status status = SealedSegment::open(schema, path, writer->rows(), layouts, &sealed);
  CHECK_EQ(status.message(), "");
  return sealed;
}

inline Status append(GrowingSegment& segment, const Bytes& batch, uint64_t timestamp) {
  return segment.append(batch.data(), batch.size(), timestamp);
}

// Rows of the snapshot with the key number, in the order of `find_rows`.
inline std::vector<size_t> find_key(const SegmentSnapshot& snapshot, int64_t key) {
  std::vector<size_t> rows;
  const std::string text = "key-" + std::to_string(key);
  const std::string_view view = text;
  const KeySpan keys =
      snapshot.schema().has_string_keys() ? KeySpan::of({&view, 1}) : KeySpan::of({&key, 1});
  snapshot.find_rows(keys, [&](size_t, size_t row) {
    rows.push_back(row);
    return VisitNext::kRow;
  });
  return rows;
}

inline size_t delete_key(Segment& segment, int64_t key, uint64_t timestamp, uint64_t kills_up_to) {
  const std::string text = "key-" + std::to_string(key);
  const std::string_view view = text;
  const KeySpan keys =
      segment.schema().has_string_keys() ? KeySpan::of({&view, 1}) : KeySpan::of({&key, 1});
  size_t count = 0;
  CHECK(segment.delete_keys(keys, timestamp, kills_up_to, &count).is_ok());
  return count;
}

}  // namespace elanus::fixture
