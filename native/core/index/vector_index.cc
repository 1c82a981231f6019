#include "index/vector_index.h"

#include <algorithm>

namespace elanus {

SectionFile::Expected inverse_norms_section(const SectionFileHeader& header) {
  const MetricTraits* metric = find_metric(header.metric);
  const bool has_norms = metric != nullptr && metric->needs_norms;
  return {kInverseNorms, has_norms ? header.rows * sizeof(float) : 0};
}

SearchScratch& SearchScratch::of_thread() {
  thread_local SearchScratch scratch;
  return scratch;
}

void SearchScratch::prepare_visited(size_t rows) {
  const size_t words = (rows + 63) / 64;
  if (touched.size() > visited.size() / 16) {
    std::fill(visited.begin(), visited.end(), 0);
  } else {
    for (const uint32_t word : touched) visited[word] = 0;
  }
  touched.clear();
  if (visited.size() < words) visited.resize(words, 0);
}

FilterPlan plan_filtered(const VectorIndex& index, const IndexSearchParams& params, size_t k,
                         size_t kept) {
  if (kept / 2 <= k) return FilterPlan::kScan;
  const double search = index.expected_distances(params, k, kept);
  return static_cast<double>(kept) <= search ? FilterPlan::kScan : FilterPlan::kIndex;
}

}  // namespace elanus
