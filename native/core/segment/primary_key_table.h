// From the hash of a primary key to the newest row that has it; older rows follow through a chain
// that the segment keeps. Open addressing, one writer, many readers without locks. A table that was
// outgrown is kept until the end, because a reader may still be in it; all of them together are no
// larger than the current one.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

namespace elanus {

uint32_t hash_key(int64_t key);
uint32_t hash_key(std::string_view key);

class PrimaryKeyTable {
 public:
  static constexpr uint32_t kNoRow = ~uint32_t{0};

  // Makes room for `keys` keys in all. The writer only. May throw bad_alloc and then has changed
  // nothing.
  void reserve(size_t keys);

  // Newest row whose key is equal, or kNoRow. `equals(row)` compares with that row's key. Any
  // thread.
  template <typename Equals>
  uint32_t find(uint32_t hash, Equals&& equals) const {
    const Table* table = table_.load(std::memory_order_acquire);
    if (table == nullptr) return kNoRow;
    for (size_t i = hash & table->mask;; i = (i + 1) & table->mask) {
      const uint64_t slot = table->slots[i].load(std::memory_order_acquire);
      if (slot == 0) return kNoRow;
      const uint32_t row = static_cast<uint32_t>(slot) - 1;
      if (static_cast<uint32_t>(slot >> 32) == hash && equals(row)) return row;
    }
  }
  // Makes `row` the newest of its key and returns the newest so far, or kNoRow. `set_next(older)`
  // is called with that result before readers can see `row`. The writer only, within what was
  // reserved.
  template <typename Equals, typename SetNext>
  void put(uint32_t hash, uint32_t row, Equals&& equals, SetNext&& set_next) {
    Table* table = table_.load(std::memory_order_relaxed);
    const uint64_t wanted = (uint64_t{hash} << 32) | (row + 1);
    for (size_t i = hash & table->mask;; i = (i + 1) & table->mask) {
      const uint64_t slot = table->slots[i].load(std::memory_order_relaxed);
      const uint32_t older = static_cast<uint32_t>(slot) - 1;
      if (slot != 0 && (static_cast<uint32_t>(slot >> 32) != hash || !equals(older))) continue;
      if (slot == 0) ++used_;
      set_next(slot == 0 ? kNoRow : older);
      table->slots[i].store(wanted, std::memory_order_release);
      return;
    }
  }
  // Any thread.
  size_t memory_bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  struct Table {
    size_t mask = 0;
    std::unique_ptr<std::atomic<uint64_t>[]> slots;  // hash << 32 | row + 1, 0 = empty
  };
  std::atomic<Table*> table_{nullptr};
  std::vector<std::unique_ptr<Table>> tables_;
  size_t used_ = 0;
  std::atomic<size_t> bytes_{0};
};

}  // namespace elanus
