// The form of an index file over a JSON path, shared by builder, reader and tests.
#pragma once

#include <cstdint>

namespace elanus {

constexpr uint32_t kJsonPathMagic = 0x494A4C45;  // "ELJI"
constexpr uint32_t kJsonPathVersion = 1;

// Little-endian. After it the path, as a filter plan has it (docs/formats/plan.md: u16 n, n steps),
// padded with zeros to a multiple of 8 bytes; then to the end a scalar index file of the cast type
// (scalar_index_format.h).
struct JsonPathHeader {
  uint32_t magic = kJsonPathMagic;
  uint32_t version = kJsonPathVersion;
  uint64_t file_bytes = 0;
  uint32_t path_bytes = 0;  // before padding
  uint8_t cast_type = 0;
  uint8_t is_exact = 1;  // 0: an int64 is inside that a double cannot hold
  uint8_t unused[2] = {};
  uint64_t path_checksum = 0;    // of the padded path
  uint64_t header_checksum = 0;  // of all bytes before it
};
static_assert(sizeof(JsonPathHeader) == 40);

}  // namespace elanus
