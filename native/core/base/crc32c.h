// CRC-32C (Castagnoli, RFC 3720 appendix B.4), by the CPU's instruction where there is one.
#pragma once

#include <cstddef>
#include <cstdint>

namespace elanus {

// `seed` is the CRC of the bytes before, 0 at the beginning: crc32c(b, crc32c(a)) is the CRC of a
// then b.
uint32_t crc32c(const void* data, size_t bytes, uint32_t seed = 0);

// The CRC of a then b, from both CRCs and b's length: what lies in pieces is read once, in any
// order. About 2 µs.
uint32_t crc32c_combine(uint32_t crc_a, uint32_t crc_b, uint64_t bytes_b);

// The table-driven form, for tests.
uint32_t crc32c_portable(const void* data, size_t bytes, uint32_t seed = 0);

}  // namespace elanus
