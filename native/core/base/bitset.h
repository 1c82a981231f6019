// Bits by row offset: bit i of word i / 64 is row i. Bits past the size are always 0.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace elanus {

class Bitset {
 public:
  Bitset() = default;
  explicit Bitset(size_t bits, bool value = false) { assign(bits, value); }

  void assign(size_t bits, bool value) {
    bits_ = bits;
    words_.assign((bits + 63) / 64, value ? ~uint64_t{0} : 0);
    clear_tail();
  }
  size_t size() const { return bits_; }
  size_t word_count() const { return words_.size(); }
  uint64_t* words() { return words_.data(); }
  const uint64_t* words() const { return words_.data(); }
  bool test(size_t i) const { return (words_[i >> 6] >> (i & 63)) & 1; }
  void set(size_t i) { words_[i >> 6] |= uint64_t{1} << (i & 63); }
  void reset(size_t i) { words_[i >> 6] &= ~(uint64_t{1} << (i & 63)); }
  size_t count() const {
    size_t total = 0;
    for (const uint64_t word : words_) total += static_cast<size_t>(std::popcount(word));
    return total;
  }
  // Call after writing whole words.
  void clear_tail() {
    if (bits_ % 64 != 0) words_.back() &= (uint64_t{1} << (bits_ % 64)) - 1;
  }

 private:
  size_t bits_ = 0;
  std::vector<uint64_t> words_;
};

// Calls f(row) for each set bit in ascending order.
template <typename F>
void for_each_set(const uint64_t* words, size_t word_count, F&& f) {
  for (size_t w = 0; w < word_count; ++w) {
    for (uint64_t rest = words[w]; rest != 0; rest &= rest - 1) {
      f(w * 64 + static_cast<size_t>(std::countr_zero(rest)));
    }
  }
}

}  // namespace elanus
