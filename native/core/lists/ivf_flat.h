// IVF_FLAT: rows grouped by their nearest centroid (k-means); a search scores the rows of the
// nprobe nearest groups exactly. Vectors stay where they are; the file holds centroids and row
// numbers.
#pragma once

#include <memory>

#include "index/vector_index.h"
#include "lists/ivf_format.h"

namespace elanus {

class IvfFlatIndex final : public VectorIndex {
 public:
  // For open_vector_index, which has compared the file with the segment. Looks at the nlist + 1
  // list bounds and reads the inverse norms against their checksum. Row numbers are compared with
  // the count when used.
  static Status open(std::shared_ptr<const SectionFile> file, const float* base,
                     std::unique_ptr<VectorIndex>* out);

  IndexKind kind() const override { return IndexKind::kIvfFlat; }
  const char* name() const override { return "IVF_FLAT"; }
  Metric metric() const override { return rows_.metric; }
  size_t rows() const override { return rows_.rows; }
  uint64_t bytes() const override { return file_->bytes(); }
  const float* inverse_norms() const override { return rows_.inv_norms; }
  double expected_distances(const IndexSearchParams& params, size_t k, size_t kept) const override;
  // Visits further lists while fewer than min(k, kept) rows are found, so it is short only for a
  // damaged file.
  size_t search(const QueryBatch& queries, size_t query, const IndexSearchParams& params,
                const uint64_t* visible, size_t kept, TopK& out,
                SearchScratch& scratch) const override;

 private:
  IvfFlatIndex(std::shared_ptr<const SectionFile> file, size_t nlist, const float* base);
  size_t scan_list(size_t list, const Scorer& scorer, const IndexSearchParams& params,
                   const uint64_t* visible, TopK& best, SearchScratch& scratch) const;

  std::shared_ptr<const SectionFile> file_;
  size_t nlist_;
  VectorRows rows_;
  const float* centroids_;
  const uint32_t* list_begin_;
  const uint32_t* list_rows_;
};

// See build_vector_index. Inverse norms are computed, those of `rows` are not looked at.
Status build_ivf_flat(const IndexBuildParams& params, const VectorRows& rows,
                      const IndexBuildControl& control, SectionFileWriter* out);
uint64_t ivf_flat_build_bytes(const IndexBuildParams& params, size_t n, size_t dim);

}  // namespace elanus
