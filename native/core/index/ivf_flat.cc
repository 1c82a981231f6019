#include "index/ivf_flat.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>

#include "distance/dispatch.h"
#include "util/thread_pool.h"

namespace elanus {
namespace {

constexpr size_t kBatchRows = 256;
constexpr size_t kBatchLists = 1024;  // some 0.3 ms of 768 dimensions

Status damaged(const std::string& what) {
  return Status(StatusCode::kDataIntegrity, "IVF_FLAT index file: " + what);
}

Status check_header(const IvfHeader& header, std::span<const uint8_t> bytes, size_t n, size_t dim,
                    Metric metric) {
  if (header.magic != kIvfMagic) return damaged("bad magic number");
  if (header.crc != header_crc(header)) return damaged("the header's checksum is wrong");
  if (header.version != kIvfVersion)
    return damaged("unknown version " + std::to_string(header.version));
  if (header.rows != n || header.dim != dim || header.metric != static_cast<uint32_t>(metric)) {
    return damaged("rows, dimension or metric differ from the segment's");
  }
  if (header.total_bytes != bytes.size()) return damaged("the size differs from the header's");
  if (header.absent_rows > header.rows) return damaged("bad counts");
  const uint64_t listed = header.rows - header.absent_rows;
  if (header.nlist > listed || (listed > 0 && header.nlist == 0)) return damaged("bad counts");
  if (!is_section(bytes, header.centroids_offset, header.nlist, dim * sizeof(float)) ||
      !is_section(bytes, header.list_begin_offset, uint64_t{header.nlist} + 1, 4) ||
      !is_section(bytes, header.row_offset, listed, 4) ||
      (metric == Metric::kCosine && !is_section(bytes, header.inv_norms_offset, header.rows, 4))) {
    return damaged("a section lies outside");
  }
  const auto* begin = reinterpret_cast<const uint32_t*>(bytes.data() + header.list_begin_offset);
  if (begin[0] != 0 || begin[header.nlist] != listed ||
      std::adjacent_find(begin, begin + header.nlist + 1, std::greater<>()) !=
          begin + header.nlist + 1) {
    return damaged("bad list bounds");
  }
  return Status::ok();
}

}  // namespace

IvfFlatIndex::IvfFlatIndex(const IvfHeader& header, const uint8_t* bytes, const float* base)
    : header_(header),
      rows_{base, header.rows, header.dim, static_cast<Metric>(header.metric), nullptr},
      centroids_(reinterpret_cast<const float*>(bytes + header.centroids_offset)),
      list_begin_(reinterpret_cast<const uint32_t*>(bytes + header.list_begin_offset)),
      list_rows_(reinterpret_cast<const uint32_t*>(bytes + header.row_offset)) {
  if (rows_.metric == Metric::kCosine) {
    rows_.inv_norms = reinterpret_cast<const float*>(bytes + header.inv_norms_offset);
  }
}

Status IvfFlatIndex::open(std::span<const uint8_t> bytes, const float* base, size_t n, size_t dim,
                          Metric metric, std::unique_ptr<VectorIndex>* out) {
  IvfHeader header;
  if (bytes.size() < sizeof(header)) return damaged("too short");
  std::memcpy(&header, bytes.data(), sizeof(header));
  Status status = check_header(header, bytes, n, dim, metric);
  if (!status.is_ok()) return status;
  *out = std::make_unique<IvfFlatIndex>(header, bytes.data(), base);
  return Status::ok();
}

double IvfFlatIndex::expected_distances(const IndexSearchParams& params, size_t k,
                                        size_t kept) const {
  if (header_.nlist == 0) return 0;
  const double nlist = header_.nlist;
  const double probed = std::min<double>(std::max<uint32_t>(1, params.nprobe), nlist);
  return nlist + std::max(static_cast<double>(std::min(k, kept)),
                          probed * static_cast<double>(kept) / nlist);
}

// Scores the list's visible rows into `best`: how many there were (in range).
size_t IvfFlatIndex::scan_list(size_t list, const Scorer& scorer, const IndexSearchParams& params,
                               const uint64_t* visible, TopK& best, SearchScratch& scratch) const {
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
      if (row >= header_.rows) continue;  // a damaged file
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

size_t IvfFlatIndex::search(const QueryBatch& queries, size_t query,
                            const IndexSearchParams& params, const uint64_t* visible, size_t kept,
                            TopK& out, SearchScratch& scratch) const {
  const size_t k = std::min(out.k(), kept);
  const size_t nlist = header_.nlist;
  if (k == 0 || nlist == 0) return 0;
  // Lists by their centroid's nearness; under COSINE centroids have unit length, so IP orders them
  // alike.
  std::vector<float> nearness(nlist);
  const bool is_l2 = rows_.metric == Metric::kL2;
  for (size_t list = 0; list < nlist && !is_canceled(params.cancel); list += kBatchLists) {
    ThreadPool::give_way();
    (is_l2 ? kernels().l2_sq_batch : kernels().inner_product_batch)(
        queries.query(query), centroids_ + list * rows_.dim, nullptr,
        std::min(kBatchLists, nlist - list), rows_.dim, nearness.data() + list);
  }
  std::vector<Hit>& lists = scratch.candidates;
  lists.clear();
  for (size_t list = 0; list < nlist; ++list)
    lists.push_back({is_l2 ? -nearness[list] : nearness[list], list});
  // A NaN, from an overflow, would break the order's rules.
  for (Hit& list : lists) list.score = list.score == list.score ? list.score : 0;
  const size_t probed = std::min<size_t>(std::max<uint32_t>(1, params.nprobe), nlist);
  const auto middle = lists.begin() + static_cast<std::ptrdiff_t>(probed);
  std::partial_sort(lists.begin(), middle, lists.end(), is_better);
  const Scorer scorer(rows_, queries, query);
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
