// Building the sets of constants. Tables are at most half full, so a miss ends soon.
#include "filter/value_set.h"

#include <algorithm>
#include <bit>

namespace elanus {
namespace {

// A bitmap of up to this many bits a value beats the table: it stays in the cache and has no
// probes.
constexpr uint64_t kBitsPerValue = 64;
constexpr uint64_t kSmallBitmapBits = 1u << 16;
// Bits of the filter a value: one miss in 16 or fewer gets as far as the table.
constexpr size_t kFilterBitsPerValue = 16;

// The smallest number that a sorted, distinct list lacks.
int64_t missing_number(const std::vector<int64_t>& sorted) {
  int64_t candidate = INT64_MIN;
  for (const int64_t value : sorted) {
    if (value != candidate) break;
    ++candidate;
  }
  return candidate;
}

template <typename T>
void sort_distinct(std::vector<T>* values) {
  std::sort(values->begin(), values->end());
  values->erase(std::unique(values->begin(), values->end()), values->end());
}

}  // namespace

void IntSet::build(std::vector<int64_t> values) {
  sort_distinct(&values);
  values_ = std::move(values);
  bits_.clear();
  slots_.clear();
  filter_.clear();
  low_ = values_.empty() ? 1 : values_.front();
  high_ = values_.empty() ? 0 : values_.back();
  if (values_.empty()) return;
  const uint64_t span = static_cast<uint64_t>(high_) - static_cast<uint64_t>(low_);
  if (span < std::max(kSmallBitmapBits, kBitsPerValue * values_.size())) {
    bits_.assign(span / 64 + 1, 0);
    for (const int64_t value : values_) {
      const uint64_t bit = static_cast<uint64_t>(value) - static_cast<uint64_t>(low_);
      bits_[bit >> 6] |= uint64_t{1} << (bit & 63);
    }
    return;
  }
  hole_ = missing_number(values_);
  const size_t size = std::bit_ceil(std::max<size_t>(2 * values_.size(), 2));
  mask_ = size - 1;
  slots_.assign(size, hole_);
  const size_t filter_bits =
      std::bit_ceil(std::max<size_t>(kFilterBitsPerValue * values_.size(), 64));
  filter_shift_ = 64 - std::countr_zero(filter_bits);
  filter_.assign(filter_bits / 64, 0);
  for (const int64_t value : values_) {
    const size_t bit = filter_bit(value, filter_shift_);
    filter_[bit >> 6] |= uint64_t{1} << (bit & 63);
    size_t slot = hash(value);
    while (slots_[slot & mask_] != hole_) ++slot;
    slots_[slot & mask_] = value;
  }
}

void StringSet::build(std::vector<std::string_view> values) {
  sort_distinct(&values);
  values_ = std::move(values);
  lengths_ = 0;
  const size_t size = std::bit_ceil(2 * values_.size() + 1);
  mask_ = size - 1;
  slots_.assign(size, Slot{});
  for (size_t i = 0; i < values_.size(); ++i) {
    lengths_ |= uint64_t{1} << (values_[i].size() & 63);
    const uint64_t hashed = hash(values_[i]);
    size_t slot = hashed;
    while (slots_[slot & mask_].index != 0) ++slot;
    slots_[slot & mask_] = {static_cast<uint32_t>(hashed >> 32), static_cast<uint32_t>(i + 1)};
  }
}

}  // namespace elanus
