// Reading values of any type, and comparing them one by one.
#include "filter/datum.h"

namespace elanus {

Datum datum_of(const VariantValue& value) {
  Datum datum;
  switch (value.type()) {
    case VariantType::kBool:
      datum.type = Datum::Type::kBool;
      datum.integer = value.as_bool() ? 1 : 0;
      break;
    case VariantType::kInt64:
      datum.type = Datum::Type::kInt;
      datum.integer = value.as_int64();
      break;
    case VariantType::kDouble:
      datum.type = Datum::Type::kDouble;
      datum.real = value.as_double();
      break;
    case VariantType::kString:
      datum.type = Datum::Type::kString;
      datum.text = value.string();
      break;
    case VariantType::kArray:
      datum.type = Datum::Type::kVariantArray;
      datum.variant = value;
      break;
    default:
      break;
  }
  return datum;
}

Datum datum_of(const ArrayValue& array, size_t i) {
  Datum datum;
  switch (array.element_type) {
    case DataType::kVarChar:
      datum.type = Datum::Type::kString;
      datum.text = array.string_at(i);
      break;
    case DataType::kFloat:
    case DataType::kDouble:
      datum.type =
          array.element_type == DataType::kFloat ? Datum::Type::kFloat : Datum::Type::kDouble;
      datum.real = array.double_at(i);
      break;
    default:
      datum.type = array.element_type == DataType::kBool ? Datum::Type::kBool : Datum::Type::kInt;
      datum.integer = array.int_at(i);
      break;
  }
  return datum;
}

Datum datum_of(const ColumnView& column, size_t row) {
  Datum datum;
  switch (column.type) {
    case DataType::kBool:
      datum.type = Datum::Type::kBool;
      datum.integer = column.bool_at(row) ? 1 : 0;
      break;
    case DataType::kVarChar:
      datum.type = Datum::Type::kString;
      datum.text = column.string_at(row);
      break;
    case DataType::kArray:
      datum.type = Datum::Type::kArray;
      datum.array = column.array_at(row);
      break;
    default: {
      // A fixed-width column reads like one long array.
      ArrayValue all;
      all.element_type = column.type;
      all.fixed = column.data;
      return datum_of(all, row);
    }
  }
  return datum;
}

bool equals(const Datum& value, const Literal& literal) {
  switch (value.type) {
    case Datum::Type::kNone:
      return false;
    case Datum::Type::kBool:
      return literal.kind == LiteralKind::kBool && value.integer == literal.integer;
    case Datum::Type::kInt:
      if (literal.kind == LiteralKind::kInt64) return value.integer == literal.integer;
      return literal.kind == LiteralKind::kDouble &&
             static_cast<double>(value.integer) == literal.real;
    case Datum::Type::kFloat:
      return is_number(literal) && value.real == static_cast<float>(double_of(literal));
    case Datum::Type::kDouble:
      return is_number(literal) && value.real == double_of(literal);
    case Datum::Type::kString:
      return literal.kind == LiteralKind::kString && value.text == literal.text;
    case Datum::Type::kArray:
      return equals(value.array, literal);
    case Datum::Type::kVariantArray:
      return equals(value.variant, literal);
  }
  return false;
}

bool equals(const ArrayValue& array, const Literal& literal) {
  if (literal.kind != LiteralKind::kArray || array.count != literal.items.size()) return false;
  for (size_t i = 0; i < array.count; ++i) {
    if (!equals(datum_of(array, i), literal.items[i])) return false;
  }
  return true;
}

bool equals(const VariantValue& value, const Literal& literal) {
  if (value.type() != VariantType::kArray) return equals(datum_of(value), literal);
  if (literal.kind != LiteralKind::kArray || value.size() != literal.items.size()) return false;
  for (size_t i = 0; i < literal.items.size(); ++i) {
    if (!equals(value.at(i), literal.items[i])) return false;
  }
  return true;
}

bool compare(const Datum& left, CompareOp op, const Datum& right) {
  using Type = Datum::Type;
  if (left.is_number() && right.is_number()) {
    if (left.type == Type::kInt && right.type == Type::kInt)
      return ordered(left.integer, op, right.integer);
    return ordered(left.as_double(), op, right.as_double());
  }
  if (left.type == right.type && left.type == Type::kString)
    return ordered(left.text, op, right.text);
  if (left.type == right.type && left.type == Type::kBool)
    return ordered(left.integer, op, right.integer);
  return op == CompareOp::kNe;
}

}  // namespace elanus
