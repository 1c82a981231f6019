// Known values of RFC 3720 appendix B.4, and the instruction against the table.
#include <random>
#include <vector>

#include "check.h"
#include "base/crc32c.h"

using namespace elanus;

TEST(gives_the_values_of_rfc_3720) {
  const std::vector<uint8_t> zeros(32, 0);
  const std::vector<uint8_t> ones(32, 0xff);
  std::vector<uint8_t> rising(32);
  for (size_t i = 0; i < 32; ++i) rising[i] = static_cast<uint8_t>(i);
  CHECK_EQ(crc32c(zeros.data(), 32), 0x8a9136aau);
  CHECK_EQ(crc32c(ones.data(), 32), 0x62a8ab43u);
  CHECK_EQ(crc32c(rising.data(), 32), 0x46dd794eu);
  CHECK_EQ(crc32c("123456789", 9), 0xe3069283u);
  CHECK_EQ(crc32c(nullptr, 0), 0u);
}

TEST(the_portable_form_and_split_input_agree_with_it) {
  std::mt19937_64 random(11);
  std::vector<uint8_t> bytes(1000);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
  for (size_t round = 0; round < 500; ++round) {
    const size_t begin = random() % 20;
    const size_t size = random() % (bytes.size() - begin);
    const size_t cut = random() % (size + 1);
    const uint8_t* data = bytes.data() + begin;
    const uint32_t whole = crc32c(data, size);
    CHECK_EQ(crc32c_portable(data, size), whole);
    CHECK_EQ(crc32c(data + cut, size - cut, crc32c(data, cut)), whole);
    CHECK_EQ(crc32c_portable(data + cut, size - cut, crc32c_portable(data, cut)), whole);
  }
}

TEST(the_crc_of_a_whole_follows_from_those_of_its_parts) {
  std::mt19937_64 random(12);
  std::vector<uint8_t> bytes(5000);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
  for (size_t round = 0; round < 500; ++round) {
    const size_t size = random() % (bytes.size() + 1);
    const size_t cut = random() % (size + 1);
    const uint32_t first = crc32c(bytes.data(), cut);
    const uint32_t second = crc32c(bytes.data() + cut, size - cut);
    CHECK_EQ(crc32c_combine(first, second, size - cut), crc32c(bytes.data(), size));
  }
  // Three times 2^32 zeros and one byte, doubled step by step.
  const uint8_t zero = 0;
  uint32_t zeros = crc32c(&zero, 1);
  for (int i = 0; i < 32; ++i) zeros = crc32c_combine(zeros, zeros, uint64_t{1} << i);
  uint32_t twice = crc32c_combine(zeros, zeros, uint64_t{1} << 32);
  CHECK_EQ(crc32c_combine(zeros, twice, uint64_t{2} << 32),
           crc32c_combine(twice, zeros, uint64_t{1} << 32));
}

CHECK_MAIN()
