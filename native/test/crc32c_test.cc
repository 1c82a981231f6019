// Known values of RFC 3720 appendix B.4, and the instruction against the table.
#include <random>
#include <vector>

#include "check.h"
#include "util/crc32c.h"

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

CHECK_MAIN()
