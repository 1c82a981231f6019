// HNSW (Malkov & Yashunin, "Efficient and robust approximate nearest neighbor search using
// Hierarchical Navigable Small World graphs", 2018) over vectors kept elsewhere. The file holds
// links and, for COSINE, inverse norms.
#pragma once

#include <memory>

#include "graph/hnsw_format.h"
#include "graph/twins.h"
#include "index/registry.h"

namespace elanus {

class HnswIndex final : public VectorIndex {
 public:
  // For open_vector_index, which has compared the file with the segment. Link numbers are compared
  // with the counts whenever one is followed.
  static Status open(std::shared_ptr<const SectionFile> file, const RowView& rows, Metric metric,
                     std::unique_ptr<VectorIndex>* out);

  double expected_distances(const IndexSearchParams& params, size_t k, size_t kept) const override;
  size_t search(const QuerySet& queries, size_t query, const IndexSearchParams& params,
                const uint64_t* visible, size_t kept, TopK& out,
                SearchScratch& scratch) const override;

 private:
  HnswIndex(std::shared_ptr<const SectionFile> file, const HnswParameters& hnsw,
            const RowView& rows, Metric metric);
  // Rows that have a vector, and the nodes of level 0 that stand for them.
  size_t present_rows() const { return rows_.count - hnsw_.absent_rows; }
  size_t node_count() const { return present_rows() - hnsw_.twin_rows; }
  bool is_visible(uint32_t node, const uint64_t* visible) const;
  size_t push_rows(const Hit& hit, const uint64_t* visible, TopK& out) const;
  bool has_rows_in_range(const std::vector<Hit>& hits, size_t wanted, const ScoreRange& range,
                         const uint64_t* visible) const;
  bool find_entry(const ExactScorer& scorer, SearchScratch& scratch, uint32_t* row) const;
  void search_level0(const ExactScorer& scorer, uint32_t entry, size_t ef, const uint64_t* visible,
                     const CancelToken* cancel, SearchScratch& scratch) const;

  std::shared_ptr<const SectionFile> file_;
  HnswParameters hnsw_;
  const uint8_t* level0_;
  const uint32_t* upper_rows_;
  const uint32_t* upper_blocks_;
  const uint32_t* upper_links_;
  Twins twins_;
};

Status build_hnsw(const IndexBuildParams& params, const RowView& rows,
                  const IndexBuildControl& control, SectionFileWriter* out);
uint64_t hnsw_build_bytes(const ParamBag& bag, size_t n, size_t dim);

inline constexpr IndexKind kHnswKind = {.name = "HNSW",
                                        .container = kHnswContainer,
                                        .takes = [](const VectorType&) { return true; },
                                        .build = build_hnsw,
                                        .build_bytes = hnsw_build_bytes,
                                        .open = HnswIndex::open};

}  // namespace elanus
