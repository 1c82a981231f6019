// What the tests of filters share: a writer of plan bytes, plain values, and a RowSource over them
// that lays the columns out as a growing segment (bytes, references, several chunks) or as a mapped
// one (bits, offsets).
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "temporary_file.h"
#include "filter/json_path.h"
#include "filter/plan.h"
#include "scalar/json_path_index.h"
#include "scalar/scalar_index.h"
#include "segment/json_variant.h"
#include "segment/row_source.h"

namespace elanus::test {

inline void append(const void* data, size_t count, std::vector<uint8_t>* out) {
  const size_t at = out->size();
  out->resize(at + count);
  if (count != 0) std::memcpy(out->data() + at, data, count);
}

// Appends the binary form of docs/formats/plan.md.
class PlanWriter {
 public:
  PlanWriter() { put<uint32_t>(0x31504C45); }

  template <typename T>
  PlanWriter& put(T value) {
    append(&value, sizeof(T), &bytes);
    return *this;
  }
  PlanWriter& tag(PlanTag tag) { return put(static_cast<uint8_t>(tag)); }
  PlanWriter& u8(int value) { return put(static_cast<uint8_t>(value)); }
  PlanWriter& text(std::string_view text) {
    put(static_cast<uint32_t>(text.size()));
    append(text.data(), text.size(), &bytes);
    return *this;
  }
  // All that another writer holds.
  PlanWriter& raw(const PlanWriter& other) {
    append(other.bytes.data(), other.bytes.size(), &bytes);
    return *this;
  }
  PlanWriter& field(int64_t id, DataType type, DataType element = DataType::kNone) {
    return put(id).u8(static_cast<int>(type)).u8(static_cast<int>(element)).u8(0);
  }
  PlanWriter& element(int64_t id, DataType type, uint32_t index) {
    put(id).u8(static_cast<int>(DataType::kArray)).u8(static_cast<int>(type)).u8(1);
    return put(index);
  }
  PlanWriter& path(int64_t id, uint16_t steps) {
    return put(id).u8(static_cast<int>(DataType::kJson)).u8(0).u8(2).put(steps);
  }
  PlanWriter& key(std::string_view key) { return u8(0).text(key); }
  PlanWriter& index(uint32_t index) { return u8(1).put(index); }
  PlanWriter& boolean(bool value) { return u8(1).u8(value ? 1 : 0); }
  PlanWriter& integer(int64_t value) { return u8(2).put(value); }
  PlanWriter& real(double value) { return u8(3).put(value); }
  PlanWriter& string(std::string_view value) { return u8(4).text(value); }

  PlanWriter& program(const RegexProgram& program) {
    put(static_cast<uint32_t>(program.instructions.size())).put(program.start);
    for (const RegexInstruction& i : program.instructions) {
      u8(static_cast<int>(i.op)).u8(i.low).u8(i.high).put(i.next).put(i.other);
    }
    return *this;
  }

  std::vector<uint8_t> bytes;
};

// One value of a row, an array element or a JSON document.
struct Val {
  enum Kind { kNull, kBool, kInt, kFloat, kDouble, kString, kArray, kObject };
  Kind kind = kNull;
  int64_t i = 0;
  double d = 0;
  std::string s;
  std::vector<Val> items;
  std::map<std::string, Val> keys;
};

inline void write_json(const Val& value, std::string* out) {
  char number[64];
  switch (value.kind) {
    case Val::kNull:
      *out += "null";
      break;
    case Val::kBool:
      *out += value.i != 0 ? "true" : "false";
      break;
    case Val::kInt:
      *out += std::to_string(value.i);
      break;
    case Val::kFloat:
    case Val::kDouble:
      std::snprintf(number, sizeof(number), "%.17e", value.d);
      *out += number;
      break;
    case Val::kString:
      *out += '"';
      for (const char c : value.s) {
        if (c == '\n') {
          *out += "\\n";
        } else {
          if (c == '"' || c == '\\') *out += '\\';
          *out += c;
        }
      }
      *out += '"';
      break;
    case Val::kArray:
      *out += '[';
      for (size_t i = 0; i < value.items.size(); ++i) {
        if (i > 0) *out += ',';
        write_json(value.items[i], out);
      }
      *out += ']';
      break;
    case Val::kObject: {
      const char* separator = "{";
      for (const auto& [key, item] : value.keys) {
        *out += std::string(separator) + '"' + key + "\":";
        write_json(item, out);
        separator = ",";
      }
      *out += value.keys.empty() ? "{}" : "}";
      break;
    }
  }
}

struct Field {
  int64_t id = 0;
  DataType type = DataType::kNone;
  DataType element = DataType::kNone;
  bool nullable = true;
  std::vector<std::optional<Val>> cells;
};

inline void append_fixed(DataType type, const Val& value, std::vector<uint8_t>* out) {
  const auto put = [&](auto x) { append(&x, sizeof(x), out); };
  switch (type) {
    case DataType::kBool:
      return put(static_cast<uint8_t>(value.i));
    case DataType::kInt8:
      return put(static_cast<int8_t>(value.i));
    case DataType::kInt16:
      return put(static_cast<int16_t>(value.i));
    case DataType::kInt32:
      return put(static_cast<int32_t>(value.i));
    case DataType::kFloat:
      return put(static_cast<float>(value.d));
    case DataType::kDouble:
      return put(value.d);
    default:
      return put(value.i);
  }
}

class FakeSource : public RowSource {
 public:
  // chunk_rows: multiples of 64 whose last takes the rest; one chunk when `mapped`.
  FakeSource(const std::vector<Field>& fields, size_t rows, bool mapped,
             std::vector<size_t> chunk_begins)
      : rows_(rows), begins_(std::move(chunk_begins)) {
    if (mapped) begins_ = {0};
    for (size_t chunk = 0; chunk < begins_.size(); ++chunk) {
      for (const Field& field : fields) {
        views_[{chunk, field.id}] = mapped ? mapped_view(field) : growing_view(field, chunk);
      }
    }
  }

  size_t row_count() const override { return rows_; }
  size_t chunk_count() const override { return begins_.size(); }
  size_t chunk_begin(size_t chunk) const override { return begins_[chunk]; }
  size_t chunk_rows(size_t chunk) const override {
    return (chunk + 1 < begins_.size() ? begins_[chunk + 1] : rows_) - begins_[chunk];
  }
  ColumnView column(size_t chunk, int64_t field_id) const override {
    const auto found = views_.find({chunk, field_id});
    if (found != views_.end()) return found->second;
    ColumnView none;
    none.rows = chunk_rows(chunk);
    none.all_null = true;
    return none;
  }
  const ScalarIndex* scalar_index(int64_t field_id) const override {
    const auto found = indexes_.find(field_id);
    return found == indexes_.end() ? nullptr : found->second.get();
  }

  const JsonPathIndex* json_index(int64_t, const std::vector<PathStep>& path,
                                  DataType cast_type) const override {
    for (const auto& index : json_indexes_) {
      if (index->cast_type() == cast_type && is_same_path(index->path(), path)) return index.get();
    }
    return nullptr;
  }

  // One JSON field at most.
  Status add_json_index(int64_t field_id, const std::vector<PathStep>& path, DataType cast_type) {
    const auto build = [&](SectionFileWriter* out) {
      return build_json_path_index(*this, field_id, path, cast_type, out);
    };
    std::shared_ptr<const SectionFile> file;
    if (Status status = build_file(build, &file); !status.is_ok()) return status;
    return JsonPathIndex::open(std::move(file), &json_indexes_.emplace_back());
  }

  Status add_index(int64_t field_id, DataType type, DataType element) {
    const auto build = [&](SectionFileWriter* out) {
      return build_scalar_index(*this, field_id, type, element, out);
    };
    std::shared_ptr<const SectionFile> file;
    if (Status status = build_file(build, &file); !status.is_ok()) return status;
    return ScalarIndex::open(std::move(file), &indexes_[field_id]);
  }

 private:
  template <typename Build>
  Status build_file(Build&& build, std::shared_ptr<const SectionFile>* file) {
    std::vector<uint8_t>& bytes = images_.emplace_back();
    if (Status status = fixture::build_bytes(build, &bytes); !status.is_ok()) return status;
    return SectionFile::of_bytes(bytes, file);
  }
  const void* keep(const void* data, size_t bytes) {
    // Heap bytes of exactly the size needed, so that a sanitizer sees a read past them.
    kept_.push_back(std::make_unique<char[]>(bytes));
    if (bytes != 0) std::memcpy(kept_.back().get(), data, bytes);
    return kept_.back().get();
  }
  template <typename T>
  const T* keep(const std::vector<T>& values) {
    return static_cast<const T*>(keep(values.data(), values.size() * sizeof(T)));
  }
  ColumnView* keep_view(const ColumnView& view) {
    child_views_.push_back(std::make_unique<ColumnView>(view));
    return child_views_.back().get();
  }

  // JSON text and its binary form, VarChar.
  static std::string text_of(const Field& field, const Val& value) {
    std::string text = value.s;
    if (field.type == DataType::kJson) write_json(value, &(text = ""));
    return text;
  }
  static std::string variant_of(const std::string& text) {
    VariantEncoder encoder;
    std::string_view blob;
    return encoder.encode(text, &blob) ? std::string(blob) : std::string();
  }
  static std::string blob_of(const Field& field, const Val& value) {
    std::vector<uint8_t> bytes;
    if (field.element == DataType::kVarChar) {
      std::string chars;
      std::vector<uint32_t> words{static_cast<uint32_t>(value.items.size()), 0};
      for (const Val& item : value.items)
        words.push_back(static_cast<uint32_t>((chars += item.s).size()));
      return std::string(reinterpret_cast<const char*>(words.data()), words.size() * 4) + chars;
    }
    for (const Val& item : value.items) append_fixed(field.element, item, &bytes);
    return std::string(bytes.begin(), bytes.end());
  }

  ColumnView refs_view(const Field& field, size_t begin, size_t rows,
                       const std::vector<std::string>& texts) {
    ColumnView view;
    view.type = field.type;
    view.element_type = field.element;
    view.rows = rows;
    std::vector<VarRef> refs;
    for (size_t row = begin; row < begin + rows; ++row) {
      const std::string& text = texts[row];
      refs.push_back({static_cast<const char*>(keep(text.data(), text.size())),
                      static_cast<uint32_t>(text.size())});
    }
    view.refs = keep(refs);
    return view;
  }
  ColumnView offsets_view(const Field& field, const std::vector<std::string>& texts) {
    ColumnView view;
    view.type = field.type;
    view.rows = texts.size();
    std::vector<int64_t> offsets{0};
    std::string chars;
    for (const std::string& text : texts)
      offsets.push_back(static_cast<int64_t>((chars += text).size()));
    view.offsets = keep(offsets);
    view.chars = static_cast<const char*>(keep(chars.data(), chars.size()));
    view.char_bytes = chars.size();
    return view;
  }
  std::vector<std::string> texts_of(const Field& field) {
    std::vector<std::string> texts;
    for (const auto& cell : field.cells) {
      if (!cell) {
        texts.emplace_back();
      } else {
        texts.push_back(field.type == DataType::kArray ? blob_of(field, *cell)
                                                       : text_of(field, *cell));
      }
    }
    return texts;
  }
  static std::vector<std::string> variants_of(const std::vector<std::string>& texts) {
    std::vector<std::string> variants;
    for (const std::string& text : texts)
      variants.push_back(text.empty() ? text : variant_of(text));
    return variants;
  }
  static bool is_variable(const Field& field) {
    return field.type == DataType::kVarChar || field.type == DataType::kJson ||
           field.type == DataType::kArray;
  }

  ColumnView growing_view(const Field& field, size_t chunk) {
    const size_t begin = begins_[chunk];
    const size_t rows = chunk_rows(chunk);
    ColumnView view;
    if (is_variable(field)) {
      const std::vector<std::string> texts = texts_of(field);
      view = refs_view(field, begin, rows, texts);
      if (field.type == DataType::kJson) {
        view.json_variant = keep_view(refs_view(field, begin, rows, variants_of(texts)));
      }
    } else {
      view.type = field.type;
      view.rows = rows;
      std::vector<uint8_t> bytes;
      for (size_t r = begin; r < begin + rows; ++r)
        append_fixed(field.type, field.cells[r].value_or(Val{}), &bytes);
      view.data = keep(bytes);
    }
    if (field.nullable) {
      std::vector<uint8_t> valid;
      for (size_t r = begin; r < begin + rows; ++r) valid.push_back(field.cells[r] ? 1 : 0);
      view.valid_bytes = keep(valid);
    }
    return view;
  }

  static std::vector<uint8_t> bits_of(const std::vector<bool>& values) {
    std::vector<uint8_t> bits((values.size() + 7) / 8);
    for (size_t i = 0; i < values.size(); ++i)
      bits[i / 8] |= static_cast<uint8_t>(values[i] ? 1 << (i % 8) : 0);
    return bits;
  }
  ColumnView fixed_view(DataType type, const std::vector<Val>& values) {
    ColumnView view;
    view.type = type;
    view.rows = values.size();
    if (type == DataType::kBool) {
      std::vector<bool> bools;
      for (const Val& value : values) bools.push_back(value.i != 0);
      view.data = keep(bits_of(bools));
      view.bool_bits = true;
      return view;
    }
    std::vector<uint8_t> bytes;
    for (const Val& value : values) append_fixed(type, value, &bytes);
    view.data = keep(bytes);
    return view;
  }
  ColumnView list_view(const Field& field) {
    ColumnView view;
    view.type = DataType::kArray;
    view.element_type = field.element;
    view.rows = rows_;
    std::vector<Val> all;
    std::vector<int64_t> offsets{0};
    for (const auto& cell : field.cells) {
      if (cell) all.insert(all.end(), cell->items.begin(), cell->items.end());
      offsets.push_back(static_cast<int64_t>(all.size()));
    }
    view.offsets = keep(offsets);
    if (field.element == DataType::kVarChar) {
      std::vector<std::string> texts;
      for (const Val& item : all) texts.push_back(item.s);
      Field child;
      child.type = DataType::kVarChar;
      view.elements = keep_view(offsets_view(child, texts));
    } else {
      view.elements = keep_view(fixed_view(field.element, all));
    }
    return view;
  }
  ColumnView mapped_view(const Field& field) {
    ColumnView view;
    if (field.type == DataType::kArray) {
      view = list_view(field);
    } else if (is_variable(field)) {
      const std::vector<std::string> texts = texts_of(field);
      view = offsets_view(field, texts);
      if (field.type == DataType::kJson) {
        view.json_variant = keep_view(offsets_view(field, variants_of(texts)));
      }
    } else {
      std::vector<Val> values;
      for (const auto& cell : field.cells) values.push_back(cell.value_or(Val{}));
      view = fixed_view(field.type, values);
    }
    if (field.nullable) {
      std::vector<bool> valid;
      for (const auto& cell : field.cells) valid.push_back(cell.has_value());
      view.valid_bits = keep(bits_of(valid));
    }
    return view;
  }

  size_t rows_;
  std::vector<size_t> begins_;
  std::map<std::pair<size_t, int64_t>, ColumnView> views_;
  std::vector<std::unique_ptr<char[]>> kept_;
  std::vector<std::unique_ptr<ColumnView>> child_views_;
  std::vector<std::vector<uint8_t>> images_;
  std::map<int64_t, std::unique_ptr<ScalarIndex>> indexes_;
  std::vector<std::unique_ptr<JsonPathIndex>> json_indexes_;
};

}  // namespace elanus::test
