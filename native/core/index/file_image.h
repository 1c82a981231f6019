// Helpers for index file images: little-endian, sections at multiples of 64 bytes, a header whose
// last four bytes are the CRC-32C of those before.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "util/crc32c.h"

namespace elanus {

constexpr uint64_t align64(uint64_t offset) { return (offset + 63) / 64 * 64; }

template <typename Header>
uint32_t header_crc(const Header& header) {
  return crc32c(&header, sizeof(Header) - sizeof(uint32_t));
}

// Whether [offset, offset + count * width) lies inside the file at a multiple of 64.
inline bool is_section(std::span<const uint8_t> bytes, uint64_t offset, uint64_t count,
                       uint64_t width) {
  if (offset % 64 != 0 || offset > bytes.size()) return false;
  return width == 0 || count <= (bytes.size() - offset) / width;
}

}  // namespace elanus
