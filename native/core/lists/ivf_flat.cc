#include "lists/ivf_flat.h"

#include <algorithm>
#include <string>
#include <utility>

#include "threads/thread_pool.h"

namespace elanus {
namespace {

// Lists that a search visits, cut to as many as there are.
constexpr WholeParam kNprobe = {"nprobe", 1, 2147483647, 8};
constexpr size_t kBatchRows = 256;
constexpr size_t kBatchLists = 1024;  // some 0.3 ms of 768 dimensions

Status damaged(const std::string& what) {
  return Status(StatusCode::kDataIntegrity, "IVF_FLAT index file: " + what);
}

// Lists are walked between their bounds without another look.
Status check_bounds(const uint32_t* begins, size_t nlist, uint64_t listed) {
  const bool ascend = std::is_sorted(begins, begins + nlist + 1);
  return begins[0] == 0 && begins[nlist] == listed && ascend ? Status::ok()
                                                             : damaged("bad list bounds");
}

}  // namespace

IvfFlatIndex::IvfFlatIndex(std::shared_ptr<const SectionFile> file, size_t nlist,
                           const RowView& rows, Metric metric)
    : VectorIndex(rows, metric),
      file_(std::move(file)),
      nlist_(nlist),
      centroids_(dense_rows(*rows.type, file_->section<float>(IvfTag::kCentroids), nlist,
                            rows.dim)),
      list_begin_(file_->section<uint32_t>(IvfTag::kListBegins)),
      list_rows_(file_->section<uint32_t>(IvfTag::kListRows)) {}

Status IvfFlatIndex::open(std::shared_ptr<const SectionFile> file, const RowView& rows,
                          Metric metric, std::unique_ptr<VectorIndex>* out) {
  const SectionFileHeader& header = file->header();
  const auto ivf = get_parameters<IvfParameters>(header);
  if (header.rows >= (uint64_t{1} << 31) || ivf.absent_rows > header.rows)
    return damaged("bad counts");
  const uint64_t listed = header.rows - ivf.absent_rows;
  if (ivf.nlist > listed || (listed > 0 && ivf.nlist == 0)) return damaged("bad counts");
  if (Status status = file->expect(ivf_sections(header, ivf)); !status.is_ok()) return status;
  const auto* begins = file->section<uint32_t>(IvfTag::kListBegins);
  if (Status status = check_bounds(begins, ivf.nlist, listed); !status.is_ok()) return status;
  out->reset(new IvfFlatIndex(std::move(file), ivf.nlist, rows, metric));
  return Status::ok();
}

double IvfFlatIndex::expected_distances(const IndexSearchParams& params, size_t k,
                                        size_t kept) const {
  if (nlist_ == 0) return 0;
  const double nlist = static_cast<double>(nlist_);
  const double probed = std::min<double>(params.bag.get(kNprobe), nlist);
  return nlist + std::max(static_cast<double>(std::min(k, kept)),
                          probed * static_cast<double>(kept) / nlist);
}

// Scores the list's visible rows into `best`: how many there were (in range).
size_t IvfFlatIndex::scan_list(size_t list, const ExactScorer& scorer,
                               const IndexSearchParams& params, const uint64_t* visible,
                               TopK& best, SearchScratch& scratch) const {
  if (scratch.nodes.size() < kBatchRows) {
    scratch.nodes.resize(kBatchRows);
    scratch.rows.resize(kBatchRows);
    scratch.scores.resize(kBatchRows);
  }
  uint32_t* ids = scratch.nodes.data();
  size_t found = 0;
  size_t at = list_begin_[list];
  const size_t end = list_begin_[list + 1];
  while (at < end && !is_canceled(params.cancel)) {
    ThreadPool::give_way();
    size_t count = 0;
    for (; at < end && count < kBatchRows; ++at) {
      const uint32_t row = list_rows_[at];
      if (row >= rows_.count) continue;  // a damaged file
      if (visible == nullptr || ((visible[row >> 6] >> (row & 63)) & 1) != 0) ids[count++] = row;
    }
    scorer.score_ids(ids, count, scratch.scores.data());
    for (size_t i = 0; i < count; ++i) {
      const float score = scratch.scores[i];
      if (params.range != nullptr && !params.range->contains(score)) continue;
      best.push(score, ids[i]);
      ++found;
    }
  }
  return found;
}

size_t IvfFlatIndex::search(const QuerySet& queries, size_t query,
                            const IndexSearchParams& params, const uint64_t* visible, size_t kept,
                            TopK& out, SearchScratch& scratch) const {
  const size_t k = std::min(out.k(), kept);
  const size_t nlist = nlist_;
  if (k == 0 || nlist == 0) return 0;
  // Lists by their centroid's nearness. Where a row's length does not count centroids have unit
  // length, so inner products order them alike.
  const ExactScorer nearness = ExactScorer::make(
      centroids_, metric_ == Metric::kL2 ? Metric::kL2 : Metric::kIp, queries.query(query));
  std::vector<float> scores(nlist);
  for (size_t list = 0; list < nlist && !is_canceled(params.cancel); list += kBatchLists) {
    ThreadPool::give_way();
    nearness.score_range(list, std::min(kBatchLists, nlist - list), scores.data() + list);
  }
  std::vector<Hit>& lists = scratch.candidates;
  lists.clear();
  for (size_t list = 0; list < nlist; ++list) lists.push_back({scores[list], list});
  const size_t probed = std::min<size_t>(params.bag.get(kNprobe), nlist);
  const auto middle = lists.begin() + static_cast<std::ptrdiff_t>(probed);
  std::partial_sort(lists.begin(), middle, lists.end(), is_better);
  const ExactScorer scorer = ExactScorer::make(rows_, queries, query);
  size_t found = 0;
  for (size_t i = 0; i < nlist && !is_canceled(params.cancel); ++i) {
    ThreadPool::give_way();
    if (i >= probed && (params.range != nullptr || found >= k)) break;
    if (i == probed) std::sort(middle, lists.end(), is_better);
    found += scan_list(lists[i].id, scorer, params, visible, out, scratch);
  }
  return std::min(found, k);
}

}  // namespace elanus
