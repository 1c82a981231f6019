// Numbers that may lie at any address, little-endian as every machine that this runs on has them,
// and sizes in whole words of 8 bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace elanus {

template <typename T>
T load(const void* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof(T));
  return value;
}

template <typename T>
void store(void* bytes, T value) {
  std::memcpy(bytes, &value, sizeof(T));
}

constexpr uint64_t padded(uint64_t bytes) { return (bytes + 7) & ~uint64_t{7}; }

}  // namespace elanus
