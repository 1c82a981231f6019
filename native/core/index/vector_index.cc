#include "index/vector_index.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "index/hnsw.h"
#include "index/ivf_flat.h"

namespace elanus {

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

Status open_vector_index(std::span<const uint8_t> bytes, const float* base, size_t n, size_t dim,
                         Metric metric, std::unique_ptr<VectorIndex>* out) {
  uint32_t magic = 0;
  if (bytes.size() >= sizeof(magic)) std::memcpy(&magic, bytes.data(), sizeof(magic));
  if (magic == kHnswMagic) return HnswIndex::open(bytes, base, n, dim, metric, out);
  if (magic == kIvfMagic) return IvfFlatIndex::open(bytes, base, n, dim, metric, out);
  return Status(StatusCode::kDataIntegrity, "not a vector index file");
}

Status build_vector_index(const IndexBuildParams& params, const float* base, size_t n, size_t dim,
                          const IndexBuildControl& control, std::vector<uint8_t>* out) {
  const VectorRows rows{base, n, dim, params.metric, nullptr};
  if (dim == 0) return Status(StatusCode::kInvalidParameter, "the dimension must not be 0");
  return params.kind == IndexKind::kHnsw ? build_hnsw(params, rows, control, out)
                                         : build_ivf_flat(params, rows, control, out);
}

uint64_t index_build_bytes(const IndexBuildParams& params, size_t n, size_t dim) {
  return params.kind == IndexKind::kHnsw ? hnsw_build_bytes(params, n)
                                         : ivf_flat_build_bytes(params, n, dim);
}

}  // namespace elanus
