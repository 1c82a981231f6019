// The k best (score, id) pairs seen: larger scores first, equal scores by smaller id, so the result
// does not depend on the order of pushes or on how work was split. NaN never enters.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace elanus {

struct Hit {
  float score;
  uint64_t id;
};

inline bool is_better(const Hit& a, const Hit& b) {
  return a.score > b.score || (a.score == b.score && a.id < b.id);
}

class TopK {
 public:
  explicit TopK(size_t k = 0) { reset(k); }

  void reset(size_t k) {
    k_ = k;
    heap_.clear();
    worst_ =
        k == 0 ? std::numeric_limits<float>::infinity() : -std::numeric_limits<float>::infinity();
  }
  size_t k() const { return k_; }
  size_t size() const { return heap_.size(); }
  bool is_full() const { return heap_.size() >= k_; }

  // A score below this cannot enter: the k-th best score, -infinity while there is room, +infinity
  // for k = 0.
  float worst() const { return worst_; }

  // Whether the pair was taken.
  bool push(float score, uint64_t id) {
    if (!(score >= worst_)) return false;  // false for NaN too
    const Hit hit{score, id};
    if (heap_.size() < k_) {
      heap_.push_back(hit);
      std::push_heap(heap_.begin(), heap_.end(), is_better);
      if (heap_.size() == k_) worst_ = heap_.front().score;
      return true;
    }
    if (k_ == 0 || !is_better(hit, heap_.front())) return false;
    replace_front(hit);
    worst_ = heap_.front().score;
    return true;
  }

  // Adds all of `other`, whose ids are shifted by `offset`.
  void merge(const TopK& other, uint64_t offset = 0) {
    for (const Hit& hit : other.heap_) push(hit.score, hit.id + offset);
  }

  // In no order.
  const std::vector<Hit>& unsorted() const { return heap_; }

  // Best first; leaves the heap empty and ready for reuse with the same k.
  std::vector<Hit> take_sorted() {
    std::vector<Hit> hits = std::move(heap_);
    std::sort_heap(hits.begin(), hits.end(), is_better);
    reset(k_);
    return hits;
  }

 private:
  // The front is the worst hit kept: std::push_heap with is_better makes a heap whose top is the
  // "largest" in the order best < worst.
  void replace_front(const Hit& hit) {
    const size_t size = heap_.size();
    size_t hole = 0;
    for (;;) {
      size_t child = 2 * hole + 1;
      if (child >= size) break;
      if (child + 1 < size && is_better(heap_[child], heap_[child + 1])) ++child;
      if (!is_better(hit, heap_[child])) break;
      heap_[hole] = heap_[child];
      hole = child;
    }
    heap_[hole] = hit;
  }

  size_t k_ = 0;
  float worst_ = 0;
  std::vector<Hit> heap_;
};

}  // namespace elanus
