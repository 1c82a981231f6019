// The fields of a segment as native knows them: numbers only, names stay in TypeScript.
// Every segment also has two Int64 system columns, row id and timestamp, which a Schema does not
// list.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "segment/column.h"

namespace elanus {

inline constexpr int64_t kRowIdField = 0;
inline constexpr int64_t kTimestampField = 1;

struct Field {
  int64_t field_id = 0;
  DataType type = DataType::kNone;
  DataType element_type = DataType::kNone;  // of an Array, else kNone
  uint32_t dim = 0;                         // of a vector, else 0
  bool nullable = false;
  bool is_primary_key = false;
  // What a row without a value has, as a row batch holds it: a fixed-width value's bytes, VarChar's
  // text. Nothing: such a row is null. Other types have none.
  std::optional<std::string> default_value = std::nullopt;
};

// Whether values of one can stand in a column of the other.
inline bool is_same_type(const Field& a, const Field& b) {
  return a.type == b.type && a.element_type == b.element_type && a.dim == b.dim;
}

class Schema {
 public:
  // Checks types, dimensions, defaults, distinct ids and that exactly one Int64 or VarChar field is
  // the primary key. System fields in the list are dropped. Errors: kInvalidParameter.
  static Status create(std::vector<Field> fields, Schema* out);

  // User fields, ascending by id.
  const std::vector<Field>& fields() const { return fields_; }
  const Field& primary_key() const { return fields_[primary_key_index_]; }
  size_t primary_key_index() const { return primary_key_index_; }
  bool has_string_keys() const { return primary_key().type == DataType::kVarChar; }
  // The field with that id, system fields included, or nullptr.
  const Field* find(int64_t field_id) const;

 private:
  std::vector<Field> fields_;
  size_t primary_key_index_ = 0;
};

// The system fields as Field values.
const Field& row_id_field();
const Field& timestamp_field();

// A list of primary keys of one kind; owns nothing.
struct KeySpan {
  bool is_string = false;
  std::span<const int64_t> ints;
  std::span<const std::string_view> strings;

  static KeySpan of(std::span<const int64_t> keys) { return {false, keys, {}}; }
  static KeySpan of(std::span<const std::string_view> keys) { return {true, {}, keys}; }
  size_t size() const { return is_string ? strings.size() : ints.size(); }
};

}  // namespace elanus
