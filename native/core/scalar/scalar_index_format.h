// The form of a scalar index file, shared by builder and reader.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

#include "segment/column.h"

namespace elanus {

constexpr uint32_t kScalarIndexMagic = 0x49534C45;  // "ELSI"
constexpr uint32_t kScalarIndexVersion = 1;

// Little-endian. The sections follow in this order, each padded with zeros to a multiple of 8
// bytes:
//   valid        if values < rows: one bit a row, u64 words
//   keys         numbers: i64 a key; VarChar: u64 × (keys + 1) offsets into chars
//   chars        char_bytes
//   list begins  u32 × (keys + 1)
//   lists        u32 × entries
//   bitmap keys  (u64 key, u64 rows in the bitmaps before) × (bitmaps + 1), ascending; the last key
//   is `keys` bitmaps      words of rows × bitmaps
struct ScalarIndexHeader {
  uint32_t magic = kScalarIndexMagic;
  uint32_t version = kScalarIndexVersion;
  uint8_t type = 0;
  uint8_t element_type = 0;
  uint8_t unused[6] = {};
  uint64_t file_bytes = 0;
  uint64_t rows = 0;
  uint64_t values = 0;
  uint64_t keys = 0;
  uint64_t entries = 0;
  uint64_t bitmaps = 0;
  uint64_t char_bytes = 0;
  uint64_t body_checksum = 0;
  uint64_t header_checksum = 0;  // of all bytes before it
};
static_assert(sizeof(ScalarIndexHeader) == 88);

// A checksum of 8-byte words: not CRC, because it only has to find damage and is read at memory
// speed.
inline uint64_t checksum_words(const uint8_t* bytes, size_t count) {
  uint64_t lanes[4] = {1, 2, 3, 4};
  for (size_t i = 0; i + 8 <= count; i += 8) {
    uint64_t word;
    std::memcpy(&word, bytes + i, 8);
    uint64_t& lane = lanes[(i >> 3) & 3];
    lane = (std::rotl(lane, 29) ^ word) * 0x9fb21c651e98df25u;
  }
  uint64_t sum = count;
  for (const uint64_t lane : lanes)
    sum = (std::rotl(sum, 31) ^ lane ^ (lane >> 32)) * 0x9e3779b97f4a7c15u;
  return sum ^ (sum >> 29);
}

// Doubles in an order that int64 has: -infinity … -0 = 0 … infinity, NaN.
inline int64_t ordered_key(double value) {
  if (value == 0) value = 0;
  if (value != value) value = std::numeric_limits<double>::quiet_NaN();
  const int64_t bits = std::bit_cast<int64_t>(value);
  return bits < 0 ? bits ^ std::numeric_limits<int64_t>::max() : bits;
}

inline bool is_integral_key(DataType type) {
  return type == DataType::kBool || (type >= DataType::kInt8 && type <= DataType::kInt64);
}
inline bool is_real_key(DataType type) {
  return type == DataType::kFloat || type == DataType::kDouble;
}

}  // namespace elanus
