// Delete timestamps in lazily made blocks; the header explains the order of stores and loads.
#include "segment/delete_log.h"

#include <bit>

namespace elanus {

DeleteLog::~DeleteLog() {
  const size_t end = block_end_.load(std::memory_order_relaxed);
  for (size_t b = 0; b < end; ++b) delete block_of(b * kBlockRows);
}

DeleteLog::Block* DeleteLog::block_of(size_t row) const {
  const size_t index = row / kBlockRows;
  if (index >= block_end_.load(std::memory_order_acquire)) return nullptr;
  const std::atomic<Block*>* block = blocks_.find(index);
  return block == nullptr ? nullptr : block->load(std::memory_order_acquire);
}

bool DeleteLog::mark(size_t row, uint64_t timestamp) {
  const size_t index = row / kBlockRows;
  std::atomic<Block*>& slot = blocks_.grow_to(index);
  Block* block = slot.load(std::memory_order_relaxed);
  if (block == nullptr) {
    block = std::make_unique<Block>().release();
    slot.store(block, std::memory_order_release);
    if (index >= block_end_.load(std::memory_order_relaxed)) {
      block_end_.store(index + 1, std::memory_order_release);
    }
    bytes_.fetch_add(sizeof(Block), std::memory_order_relaxed);
  }
  const size_t at = row % kBlockRows;
  if (block->timestamps[at].load(std::memory_order_relaxed) != 0) return false;
  if (timestamp < min_timestamp_.load(std::memory_order_relaxed)) {
    min_timestamp_.store(timestamp, std::memory_order_release);
  }
  if (timestamp > max_timestamp_.load(std::memory_order_relaxed)) {
    max_timestamp_.store(timestamp, std::memory_order_release);
  }
  block->timestamps[at].store(timestamp, std::memory_order_release);
  block->bits[at / 64].fetch_or(uint64_t{1} << (at % 64), std::memory_order_release);
  count_.fetch_add(1, std::memory_order_release);
  return true;
}

uint64_t DeleteLog::timestamp_at(size_t row) const {
  const Block* block = block_of(row);
  return block == nullptr ? 0 : block->timestamps[row % kBlockRows].load(std::memory_order_acquire);
}

void DeleteLog::clear_deleted(uint64_t read_ts, size_t rows, uint64_t* words) const {
  const size_t blocks = (rows + kBlockRows - 1) / kBlockRows;
  for (size_t b = 0; b < blocks; ++b) {
    const Block* block = block_of(b * kBlockRows);
    if (block == nullptr) continue;
    const size_t first_word = b * (kBlockRows / 64);
    const size_t end_word = (rows + 63) / 64;
    for (size_t w = 0; w < kBlockRows / 64 && first_word + w < end_word; ++w) {
      uint64_t deleted = block->bits[w].load(std::memory_order_acquire);
      if (deleted == 0) continue;
      if (max_timestamp_.load(std::memory_order_acquire) > read_ts) {
        for (uint64_t rest = deleted; rest != 0; rest &= rest - 1) {
          const size_t bit = static_cast<size_t>(std::countr_zero(rest));
          const uint64_t at = block->timestamps[w * 64 + bit].load(std::memory_order_acquire);
          if (at > read_ts) deleted &= ~(uint64_t{1} << bit);
        }
      }
      words[first_word + w] &= ~deleted;
    }
  }
}

size_t DeleteLog::count_at(uint64_t timestamp) const {
  if (last_timestamp() <= timestamp) return count();
  if (!any_at(timestamp)) return 0;
  size_t count = 0;
  const size_t end = block_end_.load(std::memory_order_acquire);
  for (size_t b = 0; b < end; ++b) {
    const Block* block = block_of(b * kBlockRows);
    if (block == nullptr) continue;
    for (size_t w = 0; w < kBlockRows / 64; ++w) {
      for (uint64_t rest = block->bits[w].load(std::memory_order_acquire); rest != 0;
           rest &= rest - 1) {
        const size_t at = w * 64 + static_cast<size_t>(std::countr_zero(rest));
        if (block->timestamps[at].load(std::memory_order_acquire) <= timestamp) ++count;
      }
    }
  }
  return count;
}

}  // namespace elanus
