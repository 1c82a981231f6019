// Clustered random vectors and a naive exact search, shared by the index tests.
#pragma once

#include <algorithm>
#include <memory>
#include <random>
#include <vector>

#include "float_vectors.h"
#include "base/bitset.h"
#include "base/top_k.h"
#include "index/vector_index.h"
#include "vector/exact_scorer.h"

namespace elanus::check {

struct IndexData {
  IndexData(size_t rows, size_t query_count, size_t dim, Metric metric, uint64_t seed)
      : n(rows),
        dim(dim),
        metric(metric),
        base(rows * dim),
        query_floats(query_count * dim),
        norms(rows) {
    std::mt19937_64 random(seed);
    std::normal_distribution<float> normal;
    std::vector<float> centres(20 * dim);
    for (float& value : centres) value = normal(random);
    const auto fill = [&](std::vector<float>& floats) {
      for (size_t i = 0; i * dim < floats.size(); ++i) {
        const float* centre = centres.data() + random() % 20 * dim;
        for (size_t d = 0; d < dim; ++d) floats[i * dim + d] = centre[d] + 0.7f * normal(random);
      }
    };
    fill(base);
    fill(query_floats);
    prepare();
  }

  // Call after changing `base`.
  void prepare() { compute_inverse_norms(view(), norms.data()); }

  RowView view() const { return float_rows(base.data(), n, dim, norms.data()); }
  QuerySet queries() const {
    return float_queries(query_floats.data(), query_floats.size() / dim, dim, metric);
  }

  // Exact hits by scoring one row at a time and sorting.
  std::vector<Hit> naive(const QuerySet& set, size_t q, size_t k, const Bitset* visible,
                         const ScoreRange* range = nullptr) const {
    const ExactScorer scorer = ExactScorer::make(view(), set, q);
    std::vector<Hit> hits;
    for (uint32_t row = 0; row < n; ++row) {
      if (visible != nullptr && !visible->test(row)) continue;
      const float score = scorer.score(row);
      if (score == score && (range == nullptr || range->contains(score)))
        hits.push_back({score, row});
    }
    std::sort(hits.begin(), hits.end(), is_better);
    if (hits.size() > k) hits.resize(k);
    return hits;
  }

  size_t n;
  size_t dim;
  Metric metric;
  std::vector<float> base;
  std::vector<float> query_floats;
  std::vector<float> norms;
};

inline Bitset random_bits(size_t size, double share, uint64_t seed) {
  std::mt19937_64 random(seed);
  Bitset bits(size);
  for (size_t i = 0; i < size; ++i) {
    if (static_cast<double>(random() % 1000000) < share * 1e6) bits.set(i);
  }
  return bits;
}

inline size_t common(const std::vector<Hit>& a, const std::vector<Hit>& b) {
  size_t count = 0;
  for (const Hit& hit : a) {
    count += std::any_of(b.begin(), b.end(), [&](const Hit& other) { return other.id == hit.id; })
                 ? 1
                 : 0;
  }
  return count;
}

}  // namespace elanus::check
