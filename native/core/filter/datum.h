// One value of any type and the rules by which values compare (docs/formats/plan.md), for where the
// types are known only row by row: JSON, array elements, compareOperands.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "filter/plan.h"
#include "segment/column.h"
#include "segment/json_variant.h"

namespace elanus {

// Views into the column that it was read from.
struct Datum {
  enum class Type : uint8_t { kNone, kBool, kInt, kFloat, kDouble, kString, kArray, kVariantArray };
  Type type = Type::kNone;  // kNone: missing, JSON null, an object
  int64_t integer = 0;      // kInt, kBool
  double real = 0;          // kFloat, kDouble
  std::string_view text;
  ArrayValue array;
  VariantValue variant;

  bool is_number() const { return type >= Type::kInt && type <= Type::kDouble; }
  double as_double() const { return type == Type::kInt ? static_cast<double>(integer) : real; }
};

Datum datum_of(const VariantValue& value);
Datum datum_of(const ArrayValue& array, size_t i);
Datum datum_of(const ColumnView& column, size_t row);  // of a row that is not null

// Values of types that do not compare are not equal.
bool equals(const Datum& value, const Literal& literal);
bool equals(const ArrayValue& array, const Literal& literal);
bool equals(const VariantValue& value, const Literal& literal);
// Values of types that do not compare: false, and true for kNe. Bools compare as 0 and 1.
bool compare(const Datum& left, CompareOp op, const Datum& right);

inline bool is_number(const Literal& literal) {
  return literal.kind == LiteralKind::kInt64 || literal.kind == LiteralKind::kDouble;
}
inline double double_of(const Literal& literal) {
  return literal.kind == LiteralKind::kInt64 ? static_cast<double>(literal.integer) : literal.real;
}

// `left op right`; a NaN equals nothing.
template <typename T>
bool ordered(T left, CompareOp op, T right) {
  switch (op) {
    case CompareOp::kEq:
      return left == right;
    case CompareOp::kNe:
      return left != right;
    case CompareOp::kLt:
      return left < right;
    case CompareOp::kLe:
      return left <= right;
    case CompareOp::kGt:
      return left > right;
    case CompareOp::kGe:
      return left >= right;
  }
  return false;
}

}  // namespace elanus
