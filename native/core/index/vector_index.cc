#include "index/vector_index.h"

#include <algorithm>
#include <utility>

#include "base/data_type.h"
#include "graph/hnsw.h"
#include "lists/ivf_flat.h"
#include "threads/steps.h"

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

Status open_vector_index(std::shared_ptr<const SectionFile> file, const float* base, size_t n,
                         size_t dim, std::unique_ptr<VectorIndex>* out) {
  const SectionFileHeader& header = file->header();
  if (!is_valid_metric(header.metric) ||
      header.element != static_cast<uint32_t>(DataType::kFloat)) {
    return Status(StatusCode::kDataIntegrity, "index file: unknown metric or element type");
  }
  if (header.rows != n || header.dim != dim) {
    return Status(StatusCode::kDataIntegrity,
                  "index file: rows or dimension differ from the segment's");
  }
  switch (file->container()) {
    case Container::kHnsw:
      return HnswIndex::open(std::move(file), base, out);
    case Container::kIvfFlat:
      return IvfFlatIndex::open(std::move(file), base, out);
    default:
      return Status(StatusCode::kDataIntegrity, "index file: not a vector index");
  }
}

Status build_vector_index(const IndexBuildParams& params, const float* base, size_t n, size_t dim,
                          const IndexBuildControl& control, SectionFileWriter* out) {
  const VectorRows rows{base, n, dim, params.metric, nullptr};
  if (dim == 0) return Status(StatusCode::kInvalidParameter, "the dimension must not be 0");
  if (n >= (size_t{1} << 31)) {
    return Status(StatusCode::kInvalidParameter,
                  "a segment of 2^31 rows or more cannot be indexed");
  }
  return params.kind == IndexKind::kHnsw ? build_hnsw(params, rows, control, out)
                                         : build_ivf_flat(params, rows, control, out);
}

bool compute_all_norms(const VectorRows& rows, const CancelToken* cancel,
                       std::vector<float>* norms) {
  constexpr size_t kPieceFloats = size_t{1} << 18;
  const size_t piece = std::max<size_t>(1, kPieceFloats / rows.dim);
  Steps steps(cancel);
  norms->resize(rows.rows);
  for (size_t begin = 0; begin < rows.rows; begin += piece) {
    const size_t count = std::min(piece, rows.rows - begin);
    compute_inverse_norms(rows.base + begin * rows.dim, count, rows.dim, norms->data() + begin);
    if (!steps.take(count * rows.dim)) return false;
  }
  return true;
}

uint64_t index_build_bytes(const IndexBuildParams& params, size_t n, size_t dim) {
  return params.kind == IndexKind::kHnsw ? hnsw_build_bytes(params, n)
                                         : ivf_flat_build_bytes(params, n, dim);
}

}  // namespace elanus
