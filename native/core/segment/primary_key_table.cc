// Hashes of primary keys and growth of the table.
#include "segment/primary_key_table.h"

#include <cstring>

#include "base/hash_seed.h"

namespace elanus {

namespace {

// The finalizer of MurmurHash3: every input bit reaches every output bit.
uint64_t mix(uint64_t x) {
  x = (x ^ (x >> 33)) * 0xff51afd7ed558ccdULL;
  x = (x ^ (x >> 33)) * 0xc4ceb9fe1a85ec53ULL;
  return x ^ (x >> 33);
}

// Twice, because whoever knows the finalizer can undo it: what reaches the second is not theirs to
// choose.
uint64_t mix_seeded(uint64_t x) { return mix(mix(x + kHashSeed) ^ kHashSeed); }

}  // namespace

uint32_t hash_key(int64_t key) {
  return static_cast<uint32_t>(mix_seeded(static_cast<uint64_t>(key)) >> 32);
}

uint32_t hash_key(std::string_view key) {
  uint64_t state = mix_seeded(key.size());
  const char* bytes = key.data();
  size_t left = key.size();
  for (; left >= 8; left -= 8, bytes += 8) {
    uint64_t word;
    std::memcpy(&word, bytes, 8);
    state = mix(state ^ word);
  }
  uint64_t tail = 0;
  if (left != 0) std::memcpy(&tail, bytes, left);
  return static_cast<uint32_t>(mix(state ^ tail) >> 32);
}

void PrimaryKeyTable::reserve(size_t keys) {
  const Table* current = table_.load(std::memory_order_relaxed);
  // Three quarters full at most, so that probes stay short.
  const size_t slots_needed = keys + keys / 3 + 1;
  if (current != nullptr && slots_needed <= current->mask + 1) return;
  size_t slots = current == nullptr ? 16 : (current->mask + 1) * 2;
  while (slots < slots_needed) slots *= 2;
  auto table = std::make_unique<Table>();
  table->mask = slots - 1;
  table->slots = std::make_unique<std::atomic<uint64_t>[]>(slots);
  tables_.reserve(tables_.size() + 1);
  if (current != nullptr) {
    for (size_t i = 0; i <= current->mask; ++i) {
      const uint64_t slot = current->slots[i].load(std::memory_order_relaxed);
      if (slot == 0) continue;
      size_t at = (slot >> 32) & table->mask;
      while (table->slots[at].load(std::memory_order_relaxed) != 0) at = (at + 1) & table->mask;
      table->slots[at].store(slot, std::memory_order_relaxed);
    }
  }
  bytes_.fetch_add(slots * sizeof(uint64_t), std::memory_order_relaxed);
  table_.store(table.get(), std::memory_order_release);
  tables_.push_back(std::move(table));
}

}  // namespace elanus
