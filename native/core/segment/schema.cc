// Checks a list of fields and finds fields by id.
#include "segment/schema.h"

#include <algorithm>
#include <string>

#include "vector/vector_type.h"

namespace elanus {

namespace {

constexpr uint32_t kMaxDim = 1u << 20;

bool is_scalar(DataType type) { return fixed_width(type) != 0 || type == DataType::kVarChar; }

bool is_default_of(const Field& field, const std::string& value) {
  if (field.is_primary_key) return false;
  return field.type == DataType::kVarChar ||
         (fixed_width(field.type) != 0 && value.size() == fixed_width(field.type));
}

Status invalid_field(const Field& field, const char* why) {
  return {StatusCode::kInvalidParameter,
          "field " + std::to_string(field.field_id) + " " + why};
}

Status check_field(const Field& field) {
  if (is_vector(field.type)) {
    if (field.dim == 0 || field.dim > kMaxDim) return invalid_field(field, "has no valid dim");
  } else if (field.type == DataType::kArray) {
    if (!is_scalar(field.element_type)) return invalid_field(field, "has no valid element type");
  } else if (field.type != DataType::kJson && !is_scalar(field.type)) {
    return invalid_field(field, "has an unsupported data type");
  }
  if (field.default_value.has_value() && !is_default_of(field, *field.default_value)) {
    return invalid_field(field, "has no valid default");
  }
  const bool may_be_key = field.type == DataType::kInt64 || field.type == DataType::kVarChar;
  if (field.is_primary_key && (!may_be_key || field.nullable)) {
    return invalid_field(field, "cannot be the primary key");
  }
  return Status::ok();
}

}  // namespace

const Field& row_id_field() {
  static const Field field{.field_id = kRowIdField, .type = DataType::kInt64};
  return field;
}

const Field& timestamp_field() {
  static const Field field{.field_id = kTimestampField, .type = DataType::kInt64};
  return field;
}

Status Schema::create(std::vector<Field> fields, Schema* out) {
  std::erase_if(fields, [](const Field& field) {
    return field.field_id == kRowIdField || field.field_id == kTimestampField;
  });
  std::sort(fields.begin(), fields.end(),
            [](const Field& a, const Field& b) { return a.field_id < b.field_id; });
  size_t keys = 0;
  Schema schema;
  for (size_t i = 0; i < fields.size(); ++i) {
    if (fields[i].field_id < 0) return invalid_field(fields[i], "has a negative id");
    if (i > 0 && fields[i].field_id == fields[i - 1].field_id) {
      return invalid_field(fields[i], "is there twice");
    }
    if (Status status = check_field(fields[i]); !status.is_ok()) return status;
    if (!fields[i].is_primary_key) continue;
    schema.primary_key_index_ = i;
    ++keys;
  }
  if (keys != 1) {
    return {StatusCode::kInvalidParameter,
            "a schema needs one primary key, got " + std::to_string(keys)};
  }
  schema.fields_ = std::move(fields);
  *out = std::move(schema);
  return Status::ok();
}

const Field* Schema::find(int64_t field_id) const {
  if (field_id == kRowIdField) return &row_id_field();
  if (field_id == kTimestampField) return &timestamp_field();
  const auto found = std::lower_bound(
      fields_.begin(), fields_.end(), field_id,
      [](const Field& field, int64_t id) { return field.field_id < id; });
  return found != fields_.end() && found->field_id == field_id ? &*found : nullptr;
}

}  // namespace elanus
