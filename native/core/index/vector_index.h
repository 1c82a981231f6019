// An index over one field of one sealed segment. Vector storage is not inside: the index holds
// links or lists over rows [0, n) that the caller keeps mapped. A damaged file gives a Status or
// worse recall, never a crash and never a wrong score: ids read from it are compared with n before
// use, and what enters scores unseen (inverse norms) is read against its checksum once, when the
// file is opened. Which kinds there are, building and opening: index/registry.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "base/cancel.h"
#include "base/param_bag.h"
#include "base/top_k.h"
#include "io/section_file.h"
#include "vector/exact_scorer.h"
#include "vector/query_set.h"

namespace elanus {

// The inverse norms of all rows, in each kind's file where the metric needs them.
inline constexpr SectionTag kInverseNorms = section_tag("NORM");
SectionFile::Expected inverse_norms_section(const SectionFileHeader& header);

struct IndexSearchParams {
  ParamBag bag;                         // what the index's kind takes; others are not looked at
  const ScoreRange* range = nullptr;    // null: no bounds
  const CancelToken* cancel = nullptr;  // when raised the heap is incomplete
};

// Working memory of a search. Not shared between threads; reuse it.
class SearchScratch {
 public:
  // This thread's own, kept while the thread lives.
  static SearchScratch& of_thread();

  // Forgets all marks and makes room for `rows`.
  void prepare_visited(size_t rows);
  // Marks the row; whether it was not marked before.
  bool visit(uint32_t row) {
    uint64_t& word = visited[row >> 6];
    const uint64_t bit = uint64_t{1} << (row & 63);
    if ((word & bit) != 0) return false;
    if (word == 0) touched.push_back(row >> 6);
    word |= bit;
    return true;
  }

  std::vector<uint64_t> visited;
  std::vector<uint32_t> touched;  // words of `visited` that are not 0
  std::vector<uint32_t> nodes;
  std::vector<uint32_t> rows;
  std::vector<float> scores;
  std::vector<Hit> candidates;
  std::vector<Hit> results;
  std::vector<uint64_t> beam;
};

class VectorIndex {
 public:
  virtual ~VectorIndex() = default;
  VectorIndex(const VectorIndex&) = delete;
  VectorIndex& operator=(const VectorIndex&) = delete;

  Metric metric() const { return metric_; }
  // Of the segment, with inverse norms from the file where the metric needs them.
  const RowView& rows() const { return rows_; }
  // Distances that one search for k computes when `kept` rows are visible (an estimate).
  virtual double expected_distances(const IndexSearchParams& params, size_t k,
                                    size_t kept) const = 0;

  // Pushes the best visible rows found for query `query` of the set into `out` (ids are rows of
  // the segment) and returns how many rows it found, at most out.k(). `visible`: bit i shows row i,
  // null shows all, and no row that the build took for absent may be shown; `kept`: number of
  // visible rows. Fewer hits than min(out.k(), kept) without a range means that the caller must
  // scan exactly.
  virtual size_t search(const QuerySet& queries, size_t query, const IndexSearchParams& params,
                        const uint64_t* visible, size_t kept, TopK& out,
                        SearchScratch& scratch) const = 0;

 protected:
  VectorIndex(const RowView& rows, Metric metric) : rows_(rows), metric_(metric) {}

  const RowView rows_;
  const Metric metric_;
};

// What is cheaper and good enough for a filtered search.
enum class FilterPlan : uint8_t { kIndex, kScan };
// For the k best of `kept` visible rows (all rows without a filter): kScan when reading the visible
// rows costs no more than the search would, or when k is at least half of them.
FilterPlan plan_filtered(const VectorIndex& index, const IndexSearchParams& params, size_t k,
                         size_t kept);

}  // namespace elanus
