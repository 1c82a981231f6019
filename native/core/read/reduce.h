// Order, distinctness and limit of whatever a read finds, in one place: the hits of a search over
// segments, the rows of a query, lists that several participants have answered. The best score
// comes first (of a query all are equal), then the smallest primary key, then the newest row. Of a
// repeated key the first in this order stays (R7).
//
// What is reduced is told by `Rows`, for items that are copied without throwing:
//   static constexpr bool kByKey            all scores are equal: rows of one key are neighbours
//   float or double score(item) const       larger is better; never NaN
//   int compare_keys(item, item) const      -1, 0 or 1
//   uint64_t timestamp(item) const
//   RowRef ref(item) const                  of equals in all of that the later place comes first
//   bool insert_key(KeySet*, item) const    without kByKey only: whether the set lacked the key
#pragma once

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "base/cancel.h"
#include "segment/primary_key_table.h"
#include "segment/row_source.h"
#include "threads/step_sort.h"
#include "threads/steps.h"

namespace elanus {

// Primary keys of either kind. Keeps views of those of text.
class KeySet {
 public:
  bool insert(int64_t key) { return ints_.insert(key).second; }
  bool insert(std::string_view key) { return strings_.insert(key).second; }
  size_t size() const { return ints_.size() + strings_.size(); }

 private:
  struct Hash {
    size_t operator()(int64_t key) const { return hash_key(key); }
    size_t operator()(std::string_view key) const { return hash_key(key); }
  };
  std::unordered_set<int64_t, Hash> ints_;
  std::unordered_set<std::string_view, Hash> strings_;
};

template <typename Key>
int order_of(const Key& a, const Key& b) {
  return a < b ? -1 : (b < a ? 1 : 0);
}

template <typename Rows, typename Item>
bool comes_before(const Rows& rows, const Item& a, const Item& b) {
  if (rows.score(a) != rows.score(b)) return rows.score(a) > rows.score(b);
  if (const int order = rows.compare_keys(a, b); order != 0) return order < 0;
  const uint64_t time_a = rows.timestamp(a);
  const uint64_t time_b = rows.timestamp(b);
  if (time_a != time_b) return time_a > time_b;
  const RowRef ref_a = rows.ref(a);
  const RowRef ref_b = rows.ref(b);
  return ref_a.row != ref_b.row ? ref_a.row > ref_b.row : ref_a.source > ref_b.source;
}

// Leaves the first `limit` items (0: all) with distinct keys, in order, of which the first `sorted`
// are in order already. `steps` null: without turns. False when canceled: then the items mean
// nothing.
template <typename Rows, typename Item>
bool take_distinct(const Rows& rows, size_t limit, size_t sorted, Steps* steps,
                   std::vector<Item>* items) {
  constexpr size_t kItemNs = 10;
  const auto before = [&rows](const Item& a, const Item& b) { return comes_before(rows, a, b); };
  const size_t count = items->size();
  Item* const data = items->data();
  [[maybe_unused]] KeySet seen;
  size_t kept = 0;
  for (size_t i = 0; i < count && (limit == 0 || kept < limit); ++i) {
    if (steps != nullptr && !steps->take(kItemNs)) return false;
    // Most often the first have distinct keys; the rest is sorted only when it is needed.
    if (i == sorted) {
      sorted = limit == 0 ? count : std::min(count, std::max(2 * sorted, limit));
      std::partial_sort(data + i, data + sorted, data + count, before);
    }
    bool is_new;
    if constexpr (Rows::kByKey) {
      is_new = kept == 0 || rows.compare_keys(data[kept - 1], data[i]) != 0;
    } else {
      is_new = rows.insert_key(&seen, data[i]);
    }
    if (is_new) data[kept++] = data[i];
  }
  items->resize(kept);
  return true;
}

// The same for items in any order, in turns where they are many.
template <typename Rows, typename Item>
bool reduce(const Rows& rows, size_t limit, const CancelToken* cancel, std::vector<Item>* items) {
  const auto before = [&rows](const Item& a, const Item& b) { return comes_before(rows, a, b); };
  const bool is_long = items->size() > step_sort::kPieceItems;
  if (is_long && !sort_in_steps(items, before, cancel)) return false;
  Steps steps(cancel);
  return take_distinct(rows, limit, is_long ? items->size() : 0, &steps, items);
}

}  // namespace elanus
