#include "base/crc32c.h"

#include <array>
#include <cstring>

#include "base/cpu.h"

#if defined(__x86_64__)
#include <nmmintrin.h>
#elif defined(__aarch64__)
#include <arm_acle.h>
#endif

namespace elanus {
namespace {

constexpr uint32_t kPolynomial = 0x82f63b78;  // reversed

using Tables = std::array<std::array<uint32_t, 256>, 8>;

// Table t moves a byte's remainder t more bytes on, so that eight bytes take eight independent
// look-ups.
constexpr Tables make_tables() {
  Tables tables{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? kPolynomial : 0);
    tables[0][byte] = crc;
  }
  for (size_t t = 1; t < 8; ++t) {
    for (uint32_t byte = 0; byte < 256; ++byte) {
      const uint32_t before = tables[t - 1][byte];
      tables[t][byte] = (before >> 8) ^ tables[0][before & 0xff];
    }
  }
  return tables;
}

constexpr Tables kTables = make_tables();

// Product of two polynomials over GF(2) modulo the CRC's. As everywhere here bits are reversed: the
// highest is the coefficient of x^0.
uint32_t multiply(uint32_t a, uint32_t b) {
  uint32_t product = 0;
  for (uint32_t bit = 0x80000000u; bit != 0; bit >>= 1) {
    if ((a & bit) != 0) product ^= b;
    b = (b >> 1) ^ ((b & 1) != 0 ? kPolynomial : 0);
  }
  return product;
}

uint64_t load64(const uint8_t* p) {
  uint64_t value;
  std::memcpy(&value, p, sizeof(value));
  return value;
}

#if defined(__x86_64__)
#define ELANUS_HARDWARE_CRC __attribute__((target("sse4.2,crc32")))
ELANUS_HARDWARE_CRC inline uint64_t step8(uint64_t crc, uint64_t value) {
  return _mm_crc32_u64(crc, value);
}
ELANUS_HARDWARE_CRC inline uint32_t step1(uint32_t crc, uint8_t value) {
  return _mm_crc32_u8(crc, value);
}
bool has_hardware() { return cpu_features().sse42; }
#elif defined(__aarch64__)
#define ELANUS_HARDWARE_CRC __attribute__((target("+crc")))
ELANUS_HARDWARE_CRC inline uint64_t step8(uint64_t crc, uint64_t value) {
  return __crc32cd(static_cast<uint32_t>(crc), value);
}
ELANUS_HARDWARE_CRC inline uint32_t step1(uint32_t crc, uint8_t value) {
  return __crc32cb(crc, value);
}
bool has_hardware() { return cpu_features().arm_crc32; }
#endif

#ifdef ELANUS_HARDWARE_CRC
ELANUS_HARDWARE_CRC uint32_t crc32c_hardware(const uint8_t* p, size_t bytes, uint32_t seed) {
  uint64_t wide = ~seed;
  for (; bytes >= 8; bytes -= 8, p += 8) wide = step8(wide, load64(p));
  uint32_t crc = static_cast<uint32_t>(wide);
  for (; bytes > 0; --bytes, ++p) crc = step1(crc, *p);
  return ~crc;
}
#endif

}  // namespace

uint32_t crc32c_portable(const void* data, size_t bytes, uint32_t seed) {
  const uint8_t* p = static_cast<const uint8_t*>(data);
  uint32_t crc = ~seed;
  for (; bytes >= 8; bytes -= 8, p += 8) {
    const uint64_t value = load64(p) ^ crc;  // little-endian, as everything stored here
    crc = kTables[7][value & 0xff] ^ kTables[6][(value >> 8) & 0xff] ^
          kTables[5][(value >> 16) & 0xff] ^ kTables[4][(value >> 24) & 0xff] ^
          kTables[3][(value >> 32) & 0xff] ^ kTables[2][(value >> 40) & 0xff] ^
          kTables[1][(value >> 48) & 0xff] ^ kTables[0][value >> 56];
  }
  for (; bytes > 0; --bytes, ++p) crc = (crc >> 8) ^ kTables[0][(crc ^ *p) & 0xff];
  return ~crc;
}

// Appending n bytes multiplies the remainder by x^(8n), which is made by squaring; the inversions
// at begin and end of both CRCs cancel out.
uint32_t crc32c_combine(uint32_t crc_a, uint32_t crc_b, uint64_t bytes_b) {
  uint32_t power = 0x80000000u;   // x^0
  uint32_t square = 0x00800000u;  // x^8
  for (; bytes_b != 0; bytes_b >>= 1) {
    if ((bytes_b & 1) != 0) power = multiply(power, square);
    square = multiply(square, square);
  }
  return multiply(power, crc_a) ^ crc_b;
}

uint32_t crc32c(const void* data, size_t bytes, uint32_t seed) {
#ifdef ELANUS_HARDWARE_CRC
  static const bool hardware = has_hardware();
  if (hardware) return crc32c_hardware(static_cast<const uint8_t*>(data), bytes, seed);
#endif
  return crc32c_portable(data, bytes, seed);
}

}  // namespace elanus
