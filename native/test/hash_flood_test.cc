// Values that fall into one place under a hash without a seed: what they are put into takes no
// longer than for others. Quadratic time would be minutes here.
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "check.h"
#include "plain_rows.h"
#include "filter/value_set.h"

namespace elanus {
namespace {

constexpr size_t kCount = 200'000;

// The number that the odd factor leads to `product`, modulo 2^64.
uint64_t divide(uint64_t product, uint64_t factor) {
  uint64_t inverse = factor;  // each round doubles the bits that are right
  for (int i = 0; i < 6; ++i) inverse *= 2 - factor * inverse;
  return product * inverse;
}

// What MurmurHash3's finalizer takes to `x`.
uint64_t undo_finalizer(uint64_t x) {
  x ^= x >> 33;
  x = divide(x, 0xc4ceb9fe1a85ec53ULL);
  x ^= x >> 33;
  x = divide(x, 0xff51afd7ed558ccdULL);
  return x ^ (x >> 33);
}

double seconds_of(const std::function<void()>& work) {
  using Clock = std::chrono::steady_clock;
  const auto begin = Clock::now();
  work();
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

TEST(chosen_primary_keys_are_appended_and_found_like_others) {
  const auto key_of = [](size_t i) {
    return static_cast<int64_t>(undo_finalizer(i) - 0x9e3779b97f4a7c15ULL);
  };
  const auto segment = GrowingSegment::create(plain::make_schema(1));
  CHECK(seconds_of([&] {
          plain::append_rows(*segment, kCount, 1, key_of, [](size_t, float*) {});
          std::vector<int64_t> keys;
          for (size_t i = 0; i < kCount; ++i) keys.push_back(key_of(i));
          size_t count = 0;
          CHECK(segment->delete_keys(KeySpan::of(std::span<const int64_t>(keys)), 2, 1, &count)
                    .is_ok());
          CHECK_EQ(count, kCount);
        }) < 10);
}

TEST(chosen_numbers_of_a_list_are_looked_up_like_others) {
  std::vector<int64_t> values;
  for (size_t i = 0; i < kCount; ++i)
    values.push_back(static_cast<int64_t>(divide(i, 0x9e3779b97f4a7c15ULL)));
  CHECK(seconds_of([&] {
          IntSet set;
          set.build(values);
          size_t missing = 0;
          for (const int64_t value : values) missing += set.holds(value) ? 0 : 1;
          CHECK_EQ(missing, size_t{0});
        }) < 10);
}

}  // namespace
}  // namespace elanus

CHECK_MAIN()
