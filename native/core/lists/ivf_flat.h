// IVF_FLAT: rows grouped by their nearest centroid (k-means); a search scores the rows of the
// nprobe nearest groups exactly. Vectors stay where they are; the file holds centroids and row
// numbers.
#pragma once

#include <memory>

#include "index/registry.h"
#include "lists/ivf_format.h"

namespace elanus {

class IvfFlatIndex final : public VectorIndex {
 public:
  // For open_vector_index, which has compared the file with the segment. Looks at the nlist + 1
  // list bounds. Row numbers are compared with the count when used.
  static Status open(std::shared_ptr<const SectionFile> file, const RowView& rows, Metric metric,
                     std::unique_ptr<VectorIndex>* out);

  double expected_distances(const IndexSearchParams& params, size_t k, size_t kept) const override;
  // Visits further lists while fewer than min(k, kept) rows are found, so it is short only for a
  // damaged file.
  size_t search(const QuerySet& queries, size_t query, const IndexSearchParams& params,
                const uint64_t* visible, size_t kept, TopK& out,
                SearchScratch& scratch) const override;

 private:
  IvfFlatIndex(std::shared_ptr<const SectionFile> file, size_t nlist, const RowView& rows,
               Metric metric);
  size_t scan_list(size_t list, const ExactScorer& scorer, const IndexSearchParams& params,
                   const uint64_t* visible, TopK& best, SearchScratch& scratch) const;

  std::shared_ptr<const SectionFile> file_;
  size_t nlist_;
  RowView centroids_;
  const uint32_t* list_begin_;
  const uint32_t* list_rows_;
};

Status build_ivf_flat(const IndexBuildParams& params, const RowView& rows,
                      const IndexBuildControl& control, SectionFileWriter* out);
uint64_t ivf_flat_build_bytes(const ParamBag& bag, size_t n, size_t dim);

inline constexpr IndexKind kIvfFlatKind = {
    .name = "IVF_FLAT",
    .container = kIvfFlatContainer,
    // Centroids are means, of the rows' own type.
    .takes = [](const VectorType& type) { return type.element == DataType::kFloat; },
    .build = build_ivf_flat,
    .build_bytes = ivf_flat_build_bytes,
    .open = IvfFlatIndex::open};

}  // namespace elanus
