// Sets of constants for `in` and `contains`: built once a filter, asked once a row. Immutable after
// `build`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/hash_seed.h"

namespace elanus {

inline uint64_t mix_bits(uint64_t a, uint64_t b) {
  const unsigned __int128 product = static_cast<unsigned __int128>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

// A set of int64: a bitmap when the values lie close together, else an open-addressing table.
class IntSet {
 public:
  void build(std::vector<int64_t> values);
  bool empty() const { return values_.empty(); }
  // Ascending, distinct.
  const std::vector<int64_t>& values() const { return values_; }

  // False means no; without branches, so that a caller can ask for 64 rows before it looks at the
  // few that remain.
  bool may_hold(int64_t value) const {
    const uint64_t bit = filter_bit(value, filter_shift_);
    return (filter_[bit >> 6] >> (bit & 63)) & 1;
  }
  bool has_filter() const { return !filter_.empty(); }

  bool holds(int64_t value) const {
    if (value < low_ || value > high_) return false;
    if (!bits_.empty()) {
      const uint64_t bit = static_cast<uint64_t>(value) - static_cast<uint64_t>(low_);
      return (bits_[bit >> 6] >> (bit & 63)) & 1;
    }
    if (!may_hold(value)) return false;
    for (size_t slot = hash(value);; ++slot) {
      const int64_t found = slots_[slot & mask_];
      if (found == hole_) return false;
      if (found == value) return true;
    }
  }

 private:
  // Of the filter: as cheap as can be. Values chosen to collide only reach the table.
  static size_t filter_bit(int64_t value, int shift) {
    return static_cast<size_t>((static_cast<uint64_t>(value) * 0x9e3779b97f4a7c15u) >> shift);
  }
  static size_t hash(int64_t value) {
    const uint64_t seeded = static_cast<uint64_t>(value) ^ kHashSeed;
    return mix_bits(mix_bits(seeded, 0xa0761d6478bd642fu) ^ kHashSeed, 0xe7037ed1a0b428dbu);
  }

  std::vector<int64_t> values_;
  int64_t low_ = 1;  // an empty set: low above high
  int64_t high_ = 0;
  std::vector<uint64_t> bits_;
  std::vector<int64_t> slots_;
  size_t mask_ = 0;
  std::vector<uint64_t> filter_;  // with the table: bit hash(value) of every member is set
  int filter_shift_ = 63;
  int64_t hole_ = 0;  // a number that is not in the set marks an empty slot
};

// A set of strings; it keeps views, so the strings must outlive it (they lie in the plan).
class StringSet {
 public:
  void build(std::vector<std::string_view> values);
  bool empty() const { return values_.empty(); }
  // Ascending by bytes, distinct.
  const std::vector<std::string_view>& values() const { return values_; }

  bool holds(std::string_view value) const {
    if (((lengths_ >> (value.size() & 63)) & 1) == 0) return false;
    const uint64_t hashed = hash(value);
    for (size_t slot = hashed;; ++slot) {
      const Slot& found = slots_[slot & mask_];
      if (found.index == 0) return false;
      if (found.tag == static_cast<uint32_t>(hashed >> 32) && values_[found.index - 1] == value)
        return true;
    }
  }

 private:
  struct Slot {
    uint32_t tag = 0;
    uint32_t index = 0;  // 1 + position in values_; 0 is an empty slot
  };

  static uint64_t hash(std::string_view value) {
    uint64_t state = value.size() * 0x9e3779b97f4a7c15u ^ kHashSeed;
    const char* at = value.data();
    size_t left = value.size();
    uint64_t last = 0;
    if (left >= 8) {
      for (; left > 8; left -= 8, at += 8)
        state = mix_bits(state ^ load<uint64_t>(at), 0xa0761d6478bd642fu);
      last = load<uint64_t>(at + left - 8);
    } else if (left >= 4) {
      last = load<uint32_t>(at) | uint64_t{load<uint32_t>(at + left - 4)} << 32;
    } else if (left > 0) {
      // First, middle and last byte are all that there is.
      last = load<uint8_t>(at) | load<uint8_t>(at + left / 2) << 8 |
             load<uint8_t>(at + left - 1) << 16;
    }
    return mix_bits(state ^ last, 0xe7037ed1a0b428dbu);
  }

  std::vector<std::string_view> values_;
  std::vector<Slot> slots_{Slot{}};
  size_t mask_ = 0;
  uint64_t lengths_ = 0;  // bit n: some string has a length of n modulo 64
};

}  // namespace elanus
