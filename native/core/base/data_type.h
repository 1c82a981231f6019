// The types of fields and of their elements, and how many bytes a value of one has. Vectors have a
// table of their own (vector/vector_type.h).
#pragma once

#include <cstddef>
#include <cstdint>

namespace elanus {

// Numbers of Milvus' schema.DataType.
enum class DataType : uint8_t {
  kNone = 0,
  kBool = 1,
  kInt8 = 2,
  kInt16 = 3,
  kInt32 = 4,
  kInt64 = 5,
  kFloat = 10,
  kDouble = 11,
  kVarChar = 21,
  kArray = 22,
  kJson = 23,
  kFloatVector = 101,
};

// Bytes of one value of a fixed-width scalar type as row batches and growing chunks hold it (Bool:
// one byte); 0 for vectors and types of variable width.
constexpr size_t fixed_width(DataType type) {
  switch (type) {
    case DataType::kBool:
    case DataType::kInt8:
      return 1;
    case DataType::kInt16:
      return 2;
    case DataType::kInt32:
    case DataType::kFloat:
      return 4;
    case DataType::kInt64:
    case DataType::kDouble:
      return 8;
    default:
      return 0;
  }
}

constexpr bool is_variable_width(DataType type) {
  return type == DataType::kVarChar || type == DataType::kArray || type == DataType::kJson;
}

}  // namespace elanus
