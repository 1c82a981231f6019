// HNSW (Malkov & Yashunin, "Efficient and robust approximate nearest neighbor search using
// Hierarchical Navigable Small World graphs", 2018) over vectors kept elsewhere. The file holds
// links and, for COSINE, inverse norms.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "index/hnsw_format.h"
#include "index/twins.h"
#include "index/vector_index.h"

namespace elanus {

class HnswIndex final : public VectorIndex {
 public:
  // Reads the header only. Link numbers are compared with the counts whenever one is followed.
  static Status open(std::span<const uint8_t> bytes, const float* base, size_t n, size_t dim,
                     Metric metric, std::unique_ptr<VectorIndex>* out);
  // For open, which has checked the header.
  HnswIndex(const HnswHeader& header, const uint8_t* bytes, const float* base);

  IndexKind kind() const override { return IndexKind::kHnsw; }
  const char* name() const override { return "HNSW"; }
  size_t rows() const override { return header_.rows; }
  uint64_t bytes() const override { return header_.total_bytes; }
  const float* inverse_norms() const override { return rows_.inv_norms; }
  double expected_distances(const IndexSearchParams& params, size_t k, size_t kept) const override;
  size_t search(const QueryBatch& queries, size_t query, const IndexSearchParams& params,
                const uint64_t* visible, size_t kept, TopK& out,
                SearchScratch& scratch) const override;

 private:
  // Rows that have a vector, and the nodes of level 0 that stand for them.
  size_t present_rows() const { return header_.rows - header_.absent_rows; }
  size_t node_count() const { return present_rows() - header_.twin_rows; }
  bool is_visible(uint32_t node, const uint64_t* visible) const;
  size_t push_rows(const Hit& hit, const uint64_t* visible, TopK& out) const;
  bool has_rows_in_range(const std::vector<Hit>& hits, size_t wanted, const ScoreRange& range,
                         const uint64_t* visible) const;
  bool find_entry(const Scorer& scorer, SearchScratch& scratch, uint32_t* row) const;
  void search_level0(const Scorer& scorer, uint32_t entry, size_t ef, const uint64_t* visible,
                     const CancelToken* cancel, SearchScratch& scratch) const;

  HnswHeader header_;
  VectorRows rows_;
  const uint8_t* level0_;
  const uint32_t* upper_rows_;
  const uint32_t* upper_blocks_;
  const uint32_t* upper_links_;
  Twins twins_;
};

// See build_vector_index. `rows.inv_norms` may be null: under COSINE they are computed into the
// image.
Status build_hnsw(const IndexBuildParams& params, const VectorRows& rows,
                  const IndexBuildControl& control, std::vector<uint8_t>* out);
uint64_t hnsw_build_bytes(const IndexBuildParams& params, size_t n);

}  // namespace elanus
