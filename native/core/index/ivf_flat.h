// IVF_FLAT: rows grouped by their nearest centroid (k-means); a search scores the rows of the
// nprobe nearest groups exactly. Vectors stay where they are; the file holds centroids and row
// numbers.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "index/ivf_format.h"
#include "index/vector_index.h"

namespace elanus {

class IvfFlatIndex final : public VectorIndex {
 public:
  // Reads the header and the nlist + 1 list bounds. Row numbers are compared with n when used.
  static Status open(std::span<const uint8_t> bytes, const float* base, size_t n, size_t dim,
                     Metric metric, std::unique_ptr<VectorIndex>* out);
  // For open, which has checked the header.
  IvfFlatIndex(const IvfHeader& header, const uint8_t* bytes, const float* base);

  IndexKind kind() const override { return IndexKind::kIvfFlat; }
  const char* name() const override { return "IVF_FLAT"; }
  size_t rows() const override { return header_.rows; }
  uint64_t bytes() const override { return header_.total_bytes; }
  const float* inverse_norms() const override { return rows_.inv_norms; }
  double expected_distances(const IndexSearchParams& params, size_t k, size_t kept) const override;
  // Visits further lists while fewer than min(k, kept) rows are found, so it is short only for a
  // damaged file.
  size_t search(const QueryBatch& queries, size_t query, const IndexSearchParams& params,
                const uint64_t* visible, size_t kept, TopK& out,
                SearchScratch& scratch) const override;

 private:
  size_t scan_list(size_t list, const Scorer& scorer, const IndexSearchParams& params,
                   const uint64_t* visible, TopK& best, SearchScratch& scratch) const;

  IvfHeader header_;
  VectorRows rows_;
  const float* centroids_;
  const uint32_t* list_begin_;
  const uint32_t* list_rows_;
};

// See build_vector_index. `rows.inv_norms` may be null: under COSINE they are computed into the
// image.
Status build_ivf_flat(const IndexBuildParams& params, const VectorRows& rows,
                      const IndexBuildControl& control, std::vector<uint8_t>* out);
uint64_t ivf_flat_build_bytes(const IndexBuildParams& params, size_t n, size_t dim);

}  // namespace elanus
