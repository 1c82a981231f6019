#include "read/tied_rows.h"

#include <algorithm>

namespace elanus {

int compare_keys(const SegmentSnapshot& a, size_t row_a, const SegmentSnapshot& b, size_t row_b) {
  if (a.schema().has_string_keys()) {
    const int order = a.key_string_at(row_a).compare(b.key_string_at(row_b));
    return order < 0 ? -1 : order > 0 ? 1 : 0;
  }
  const int64_t key_a = a.key_at(row_a);
  const int64_t key_b = b.key_at(row_b);
  return key_a < key_b ? -1 : key_a > key_b ? 1 : 0;
}

bool is_row_before(const SegmentSnapshot& a, size_t row_a, const SegmentSnapshot& b,
                   size_t row_b) {
  if (const int order = compare_keys(a, row_a, b, row_b); order != 0) return order < 0;
  const uint64_t time_a = a.timestamp_at(row_a);
  const uint64_t time_b = b.timestamp_at(row_b);
  return time_a != time_b ? time_a > time_b : row_a > row_b;
}

void TiedRows::add(uint32_t row) {
  // Of very many rows most come after the last that is kept.
  if (has_enough_ && !is_row_before(rows_, row, rows_, kept_[wanted_ - 1])) return;
  kept_.push_back(row);
  if (kept_.size() >= 2 * wanted_ + 1024) compact();
}

void TiedRows::compact() {
  std::sort(kept_.begin(), kept_.end(), [this](uint32_t a, uint32_t b) {
    return is_row_before(rows_, a, rows_, b);
  });
  const auto is_same_key = [this](uint32_t a, uint32_t b) {
    return compare_keys(rows_, a, rows_, b) == 0;
  };
  kept_.erase(std::unique(kept_.begin(), kept_.end(), is_same_key), kept_.end());
  has_enough_ = kept_.size() >= wanted_;
  if (has_enough_) kept_.resize(wanted_);
}

std::vector<uint32_t> TiedRows::take() {
  compact();
  return std::move(kept_);
}

}  // namespace elanus
