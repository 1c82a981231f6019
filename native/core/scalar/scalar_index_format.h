// What a scalar index keeps in its file (io/section_file.h), shared by builder and reader. An index
// over a JSON path is the same with one section more, the path.
#pragma once

#include <bit>
#include <cstdint>
#include <limits>

#include "io/section_file.h"
#include "segment/column.h"

namespace elanus {

constexpr Container kScalarContainer{3};
constexpr Container kJsonPathContainer{4};

struct ScalarTag {
  static constexpr SectionTag kPath = section_tag("PATH");
  static constexpr SectionTag kValid = section_tag("VALD");
  static constexpr SectionTag kKeys = section_tag("KEYS");
  static constexpr SectionTag kCharacters = section_tag("CHAR");
  static constexpr SectionTag kPostingBegins = section_tag("PBEG");
  static constexpr SectionTag kPostings = section_tag("POST");
  static constexpr SectionTag kBitmapKeys = section_tag("BKEY");
  static constexpr SectionTag kBitmaps = section_tag("BMAP");
};

// The header's `element` is the type of the values: an Array field's element type, a JSON path's
// cast type. The sections in their order:
//   PATH  JSON path only: the path, as a filter plan has it (docs/formats/plan.md: u16 n, n steps)
//   VALD  if values < rows: one bit a row, u64 words
//   KEYS  numbers: i64 a key; VarChar: u64 x (keys + 1) offsets into the characters
//   CHAR  char_bytes
//   PBEG  u32 x (keys + 1): where each key's list of rows begins, and the end
//   POST  u32 x entries: rows, ascending within a key
//   BKEY  (u64 key, u64 rows in the bitmaps before) x (bitmaps + 1), ascending; the last key is
//         `keys`
//   BMAP  words of rows x bitmaps
struct ScalarParameters {
  uint8_t type = 0;      // of the field, or the JSON path's cast type
  uint8_t is_exact = 1;  // JSON path: 0 = an int64 is inside that a double cannot hold
  uint16_t zero = 0;
  uint32_t path_bytes = 0;
  uint64_t values = 0;  // rows that are not null
  uint64_t keys = 0;
  uint64_t entries = 0;
  uint64_t bitmaps = 0;
  uint64_t char_bytes = 0;
};
static_assert(sizeof(ScalarParameters) == 48);

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
