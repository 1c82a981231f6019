// The bounded heap against sorting everything.
#include <cmath>
#include <limits>
#include <random>

#include "check.h"
#include "base/top_k.h"

using namespace elanus;

TEST(keeps_the_k_best_with_ties_by_smaller_id_in_any_order_of_pushes) {
  std::mt19937_64 random(7);
  for (size_t round = 0; round < 200; ++round) {
    const size_t n = random() % 400;
    const size_t k = random() % 50;
    std::vector<Hit> all;
    for (size_t i = 0; i < n; ++i) all.push_back({static_cast<float>(random() % 20), i});
    std::shuffle(all.begin(), all.end(), random);
    TopK heap(k);
    TopK left(k);
    TopK right(k);
    for (size_t i = 0; i < n; ++i) {
      heap.push(all[i].score, all[i].id);
      (i % 3 == 0 ? left : right).push(all[i].score, all[i].id);
    }
    left.merge(right);
    std::sort(all.begin(), all.end(), is_better);
    all.resize(std::min(n, k));
    if (all.size() == k && k > 0) CHECK_EQ(heap.worst(), all.back().score);
    const std::vector<Hit> hits = heap.take_sorted();
    const std::vector<Hit> merged = left.take_sorted();
    CHECK_EQ(hits.size(), all.size());
    CHECK_EQ(merged.size(), all.size());
    for (size_t i = 0; i < all.size(); ++i) {
      CHECK_EQ(hits[i].id, all[i].id);
      CHECK_EQ(merged[i].id, all[i].id);
    }
  }
}

TEST(nan_never_enters_and_infinities_do) {
  const float infinity = std::numeric_limits<float>::infinity();
  TopK heap(3);
  CHECK(!heap.push(std::nanf(""), 1));
  CHECK(heap.push(-infinity, 2));
  CHECK(heap.push(infinity, 3));
  CHECK_EQ(heap.size(), size_t{2});
  CHECK_EQ(heap.worst(), -infinity);
  CHECK(heap.push(1.0f, 4));
  CHECK(!heap.push(std::nanf(""), 5));
  CHECK(heap.push(0.0f, 6));
  CHECK_EQ(heap.worst(), 0.0f);
}

TEST(a_heap_for_no_hits_takes_none) {
  TopK heap(0);
  CHECK(!heap.push(1.0f, 1));
  CHECK(heap.is_full());
  CHECK(heap.take_sorted().empty());
}

TEST(merge_shifts_ids) {
  TopK heap(2);
  TopK chunk(2);
  chunk.push(1.0f, 5);
  heap.merge(chunk, 100);
  CHECK_EQ(heap.take_sorted()[0].id, uint64_t{105});
}

CHECK_MAIN()
