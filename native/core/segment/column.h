// How native code reads one field's values, wherever they lie: a chunk of a growing segment or a
// mapped file. A view owns nothing; it is valid while the segment view that gave it is held. Each
// offset of a mapped file is compared with what it points into when it is used: in a damaged file a
// value may be wrong, and is empty where it would lie outside.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/data_type.h"

namespace elanus {

// One value of variable width in a growing chunk; `data` never moves while the segment lives.
struct VarRef {
  const char* data;
  uint32_t bytes;
};

// One Array value. Fixed-width elements lie one after another at `fixed`; bits if `is_bits` (first
// at bit `bit_offset`, a mapped Bool list). VarChar elements: element i is chars[offset(i),
// offset(i + 1)).
struct ArrayValue {
  DataType element_type = DataType::kNone;
  uint32_t count = 0;
  const void* fixed = nullptr;
  bool is_bits = false;
  size_t bit_offset = 0;
  const uint32_t* offsets32 = nullptr;  // growing and row batch
  const int64_t* offsets64 = nullptr;   // mapped
  uint64_t char_bytes = 0;              // mapped: of all characters from `chars` on
  const char* chars = nullptr;

  std::string_view string_at(size_t i) const;
  int64_t int_at(size_t i) const;    // Bool (0 or 1) and Int8 to Int64
  double double_at(size_t i) const;  // Float and Double
};

// One field's values for `rows` consecutive rows of a segment.
struct ColumnView {
  DataType type = DataType::kNone;
  DataType element_type = DataType::kNone;
  uint32_t dim = 0;
  size_t rows = 0;
  bool all_null = false;                  // the segment has no such column and the field no default
  const uint8_t* valid_bytes = nullptr;   // growing: one byte a row; null pointer = all valid
  const uint8_t* valid_bits = nullptr;    // mapped: LSB-first bitmap; null pointer = all valid
  const void* data = nullptr;             // fixed width, rows * width bytes; mapped Bool: bits
  bool bool_bits = false;                 // Bool lies in bits (mapped) and not in bytes (growing)
  const VarRef* refs = nullptr;           // growing, variable width (VarChar, JSON, Array)
  const int64_t* offsets = nullptr;       // mapped, variable width or list: rows + 1
  const char* chars = nullptr;            // mapped, base of VarChar or JSON text
  uint64_t char_bytes = 0;                // mapped, of all values from `chars` on
  const ColumnView* json_variant = nullptr;  // JSON: the binary form (json_variant.h), same rows
  const ColumnView* elements = nullptr;      // mapped Array: the child column, indexed by `offsets`

  bool is_valid(size_t row) const {
    if (all_null) return false;
    if (valid_bytes != nullptr) return valid_bytes[row] != 0;
    if (valid_bits != nullptr) return (valid_bits[row >> 3] >> (row & 7)) & 1;
    return true;
  }
  bool may_have_nulls() const {
    return all_null || valid_bytes != nullptr || valid_bits != nullptr;
  }
  bool bool_at(size_t row) const;
  std::string_view string_at(size_t row) const;  // VarChar, JSON text
  ArrayValue array_at(size_t row) const;
};

// The characters between two offsets of a mapped file; none where that is not inside.
inline std::string_view mapped_string(const char* chars, uint64_t char_bytes, int64_t first,
                                      int64_t last) {
  const auto begin = static_cast<uint64_t>(first);
  const auto end = static_cast<uint64_t>(last);
  if (begin > end || end > char_bytes) return {};
  return {chars + begin, end - begin};
}

inline std::string_view ArrayValue::string_at(size_t i) const {
  if (offsets64 != nullptr)
    return mapped_string(chars, char_bytes, offsets64[i], offsets64[i + 1]);
  return {chars + offsets32[i], offsets32[i + 1] - offsets32[i]};
}

inline int64_t ArrayValue::int_at(size_t i) const {
  switch (element_type) {
    case DataType::kBool:
      if (is_bits) {
        const size_t bit = bit_offset + i;
        return (static_cast<const uint8_t*>(fixed)[bit >> 3] >> (bit & 7)) & 1;
      }
      return static_cast<const uint8_t*>(fixed)[i];
    case DataType::kInt8:
      return static_cast<const int8_t*>(fixed)[i];
    case DataType::kInt16:
      return static_cast<const int16_t*>(fixed)[i];
    case DataType::kInt32:
      return static_cast<const int32_t*>(fixed)[i];
    default:
      return static_cast<const int64_t*>(fixed)[i];
  }
}

inline double ArrayValue::double_at(size_t i) const {
  if (element_type == DataType::kFloat) return static_cast<const float*>(fixed)[i];
  if (element_type == DataType::kDouble) return static_cast<const double*>(fixed)[i];
  return static_cast<double>(int_at(i));
}

inline bool ColumnView::bool_at(size_t row) const {
  const uint8_t* bytes = static_cast<const uint8_t*>(data);
  return bool_bits ? ((bytes[row >> 3] >> (row & 7)) & 1) != 0 : bytes[row] != 0;
}

inline std::string_view ColumnView::string_at(size_t row) const {
  if (refs != nullptr) return {refs[row].data, refs[row].bytes};
  return mapped_string(chars, char_bytes, offsets[row], offsets[row + 1]);
}

// Reads an Array blob of docs/formats/row-batch.md; `blob` is aligned to 8. No bytes at all is an
// empty array.
inline ArrayValue array_from_blob(DataType element_type, std::string_view blob) {
  ArrayValue value;
  value.element_type = element_type;
  if (blob.empty()) return value;
  if (element_type == DataType::kVarChar) {
    const uint32_t* words = reinterpret_cast<const uint32_t*>(blob.data());
    value.count = words[0];
    value.offsets32 = words + 1;
    value.chars = blob.data() + 4 + 4 * (static_cast<size_t>(value.count) + 1);
    return value;
  }
  value.count = static_cast<uint32_t>(blob.size() / fixed_width(element_type));
  value.fixed = blob.data();
  return value;
}

inline ArrayValue ColumnView::array_at(size_t row) const {
  if (refs != nullptr) return array_from_blob(element_type, {refs[row].data, refs[row].bytes});
  ArrayValue value;
  value.element_type = element_type;
  const auto first = static_cast<uint64_t>(offsets[row]);
  const auto last = static_cast<uint64_t>(offsets[row + 1]);
  if (first > last || last > elements->rows) return value;
  value.count = static_cast<uint32_t>(last - first);
  if (element_type == DataType::kVarChar) {
    value.offsets64 = elements->offsets + first;
    value.chars = elements->chars;
    value.char_bytes = elements->char_bytes;
  } else if (elements->bool_bits) {
    value.fixed = elements->data;
    value.is_bits = true;
    value.bit_offset = first;
  } else {
    value.fixed = static_cast<const char*>(elements->data) + first * fixed_width(element_type);
  }
  return value;
}

}  // namespace elanus
