#include "graph/hnsw.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "graph/graph_search.h"

namespace elanus {
namespace {

// Candidates that a search keeps; raised to k when smaller.
constexpr WholeParam kEf = {"ef", 1, 2147483647, 64};
// Beyond this many entries moving a sorted array costs more than a heap does.
constexpr size_t kBeamMax = 1024;

bool is_shown(const uint64_t* visible, uint32_t row) {
  return ((visible[row >> 6] >> (row & 63)) & 1) != 0;
}

class Level0 {
 public:
  static constexpr bool kNodesAreRows = true;
  Level0(const uint8_t* blocks, size_t rows, uint32_t m)
      : blocks_(blocks), rows_(rows), degree_(size_t{m} * 2), stride_(hnsw_level0_stride(m)) {}
  size_t node_count() const { return rows_; }
  size_t degree_max() const { return degree_; }
  uint32_t row(uint32_t node) const { return node; }
  size_t neighbours(uint32_t node, uint32_t* out) const {
    const uint32_t* links = block(node);
    size_t count = 0;
    // One comparison finds both the end of the list and a number that a damaged file made up.
    while (count < degree_ && links[count] < rows_) {
      out[count] = links[count];
      ++count;
    }
    return count;
  }
  void prefetch(uint32_t node) const {
    const uint8_t* links = blocks_ + node * stride_;
    __builtin_prefetch(links);
    __builtin_prefetch(links + 64);
  }

 private:
  const uint32_t* block(uint32_t node) const {
    return reinterpret_cast<const uint32_t*>(blocks_ + node * stride_);
  }
  const uint8_t* blocks_;
  size_t rows_;
  size_t degree_;
  size_t stride_;
};

// One level above 0.
class UpperLevel {
 public:
  static constexpr bool kNodesAreRows = false;
  UpperLevel(const HnswParameters& hnsw, size_t row_count, const uint32_t* rows,
             const uint32_t* blocks, const uint32_t* links, uint32_t level)
      : hnsw_(hnsw),
        row_count_(row_count),
        rows_(rows),
        blocks_(blocks),
        links_(links),
        level_(level) {}
  size_t node_count() const { return hnsw_.upper_rows; }
  size_t degree_max() const { return hnsw_.m; }
  // A made-up row number of a damaged file becomes row 0.
  uint32_t row(uint32_t node) const { return rows_[node] < row_count_ ? rows_[node] : 0; }
  size_t neighbours(uint32_t node, uint32_t* out) const {
    const uint64_t block = uint64_t{blocks_[node]} + level_ - 1;
    if (block >= blocks_[node + 1] || block >= hnsw_.upper_blocks) return 0;
    const uint32_t* links = links_ + block * hnsw_.m;
    size_t count = 0;
    while (count < hnsw_.m && links[count] < hnsw_.upper_rows) {
      out[count] = links[count];
      ++count;
    }
    return count;
  }
  void prefetch(uint32_t) const {}

 private:
  const HnswParameters& hnsw_;
  size_t row_count_;
  const uint32_t* rows_;
  const uint32_t* blocks_;
  const uint32_t* links_;
  uint32_t level_;
};

Status damaged(const char* what) {
  return Status(StatusCode::kDataIntegrity, std::string("HNSW index file: ") + what);
}

Status check_counts(const SectionFileHeader& header, const HnswParameters& hnsw) {
  if (hnsw.m < 2 || hnsw.m > 2048 || header.rows >= (uint64_t{1} << 31))
    return damaged("bad counts");
  if (hnsw.upper_rows > header.rows || hnsw.absent_rows > header.rows || hnsw.max_level > 64 ||
      hnsw.upper_blocks > uint64_t{hnsw.upper_rows} * hnsw.max_level) {
    return damaged("bad counts");
  }
  // Twins have a head, which is a node: where there are vectors there is one.
  if (uint64_t{hnsw.absent_rows} + hnsw.twin_rows + hnsw.twin_heads > header.rows ||
      (hnsw.twin_heads == 0 && hnsw.twin_rows != 0)) {
    return damaged("bad counts");
  }
  if (header.rows > 0 && hnsw.entry_row >= header.rows) return damaged("bad entry point");
  if (hnsw.max_level > 0 && hnsw.entry_upper >= hnsw.upper_rows) return damaged("bad entry point");
  return Status::ok();
}

}  // namespace

HnswIndex::HnswIndex(std::shared_ptr<const SectionFile> file, const HnswParameters& hnsw,
                     const RowView& rows, Metric metric)
    : VectorIndex(rows, metric),
      file_(std::move(file)),
      hnsw_(hnsw),
      level0_(file_->section<uint8_t>(HnswTag::kLinks)),
      upper_rows_(file_->section<uint32_t>(HnswTag::kUpperRows)),
      upper_blocks_(file_->section<uint32_t>(HnswTag::kUpperBegins)),
      upper_links_(file_->section<uint32_t>(HnswTag::kUpperLinks)) {
  if (hnsw_.twin_heads == 0) return;
  const uint32_t* heads = file_->section<uint32_t>(HnswTag::kTwins);
  const uint32_t* begins = heads + hnsw_.twin_heads;
  twins_ = Twins({heads, hnsw_.twin_heads}, begins,
                 {begins + hnsw_.twin_heads + 1, hnsw_.twin_rows});
}

Status HnswIndex::open(std::shared_ptr<const SectionFile> file, const RowView& rows, Metric metric,
                       std::unique_ptr<VectorIndex>* out) {
  const auto hnsw = get_parameters<HnswParameters>(file->header());
  if (Status status = check_counts(file->header(), hnsw); !status.is_ok()) return status;
  if (Status status = file->expect(hnsw_sections(file->header(), hnsw)); !status.is_ok())
    return status;
  out->reset(new HnswIndex(std::move(file), hnsw, rows, metric));
  return Status::ok();
}

double HnswIndex::expected_distances(const IndexSearchParams& params, size_t k, size_t kept) const {
  if (kept == 0 || present_rows() == 0) return 0;
  const double ef = static_cast<double>(std::max<size_t>(params.bag.get(kEf), k));
  // Fitted to M = 16 on 768 dimensions: 32 * ef^0.9. A filter makes the walk longer by the share it
  // hides.
  const double share = static_cast<double>(kept) / static_cast<double>(present_rows());
  const double walk = 2.0 * hnsw_.m * std::pow(ef, 0.9) / share;
  return std::min(walk, static_cast<double>(node_count()));
}

// Greedy descent through the upper levels (algorithm 5, first loop).
bool HnswIndex::find_entry(const ExactScorer& scorer, SearchScratch& scratch, uint32_t* row) const {
  if (present_rows() == 0) return false;
  *row = hnsw_.entry_row;
  if (hnsw_.max_level == 0) return true;
  uint32_t node = hnsw_.entry_upper;
  for (uint32_t level = hnsw_.max_level; level > 0; --level) {
    const UpperLevel graph(hnsw_, rows_.count, upper_rows_, upper_blocks_, upper_links_, level);
    search_beam(graph, scorer, node, 1, nullptr, scratch);
    node = beam::node(scratch.beam[0]);
  }
  *row = upper_rows_[node] < rows_.count ? upper_rows_[node] : hnsw_.entry_row;
  return true;
}

// Leaves the hits in scratch.results, best first.
void HnswIndex::search_level0(const ExactScorer& scorer, uint32_t entry, size_t ef,
                              const uint64_t* visible, const CancelToken* cancel,
                              SearchScratch& scratch) const {
  const Level0 graph(level0_, rows_.count, hnsw_.m);
  if (visible != nullptr) {
    const auto shows = [&](uint32_t node) { return is_visible(node, visible); };
    search_heaps(graph, scorer, entry, ef, shows, cancel, scratch);
    return;
  }
  if (ef > kBeamMax) {
    search_heaps(graph, scorer, entry, ef, [](uint32_t) { return true; }, cancel, scratch);
    return;
  }
  search_beam(graph, scorer, entry, ef, cancel, scratch);
  scratch.results.clear();
  for (const uint64_t word : scratch.beam)
    scratch.results.push_back({beam::score(word), beam::node(word)});
}

// Whether one of the rows that a node stands for is visible.
bool HnswIndex::is_visible(uint32_t node, const uint64_t* visible) const {
  if (is_shown(visible, node)) return true;
  if (twins_.empty()) return false;
  const std::span<const uint32_t> twins = twins_.of(node);
  return std::any_of(twins.begin(), twins.end(), [&](uint32_t row) {
    return row < rows_.count && is_shown(visible, row);
  });
}

// Pushes the visible rows that a node stands for, the smallest first, as long as they are taken:
// how many were.
size_t HnswIndex::push_rows(const Hit& hit, const uint64_t* visible, TopK& out) const {
  const auto node = static_cast<uint32_t>(hit.id);
  size_t pushed = 0;
  if (visible == nullptr || is_shown(visible, node)) {
    if (!out.push(hit.score, node)) return pushed;
    ++pushed;
  }
  if (twins_.empty()) return pushed;
  for (const uint32_t row : twins_.of(node)) {
    if (row >= rows_.count || (visible != nullptr && !is_shown(visible, row))) continue;
    if (!out.push(hit.score, row)) break;
    ++pushed;
  }
  return pushed;
}

bool HnswIndex::has_rows_in_range(const std::vector<Hit>& hits, size_t wanted,
                                  const ScoreRange& range, const uint64_t* visible) const {
  TopK rows(wanted);
  for (const Hit& hit : hits) {
    if (range.contains(hit.score)) push_rows(hit, visible, rows);
    if (rows.is_full()) return true;
  }
  return false;
}

size_t HnswIndex::search(const QuerySet& queries, size_t query, const IndexSearchParams& params,
                         const uint64_t* visible, size_t kept, TopK& out,
                         SearchScratch& scratch) const {
  const size_t k = std::min(out.k(), kept);
  if (k == 0) return 0;
  const ExactScorer scorer = ExactScorer::make(rows_, queries, query);
  // Every row of the graph is visible: the walk need not look. A damaged link may still lead to a
  // row without a vector, so the hits are looked at.
  const uint64_t* const shown = hnsw_.absent_rows == 0 ? nullptr : visible;
  if (kept == present_rows()) visible = nullptr;
  uint32_t entry;
  if (!find_entry(scorer, scratch, &entry)) return 0;
  const size_t nodes = std::min(kept, node_count());
  size_t ef = std::min(nodes, std::max<size_t>(params.bag.get(kEf), k));
  for (;;) {
    search_level0(scorer, entry, ef, visible, params.cancel, scratch);
    const std::vector<Hit>& hits = scratch.results;
    if (params.range == nullptr) break;
    // A range is complete when k rows lie in it, when the walk has left it, or when the graph has
    // no more.
    const bool has_left = hits.size() < ef || !(hits.back().score > params.range->above);
    if (has_left || ef >= nodes || is_canceled(params.cancel) ||
        has_rows_in_range(hits, k, *params.range, visible))
      break;
    ef = std::min(nodes, ef * 2);
  }
  size_t found = 0;
  for (const Hit& hit : scratch.results) {
    if (params.range != nullptr && !params.range->contains(hit.score)) continue;
    // Equal scores beyond the k-th may belong to smaller rows.
    if (out.is_full() && hit.score < out.worst()) break;
    found += push_rows(hit, visible == nullptr ? shown : visible, out);
  }
  return std::min(found, k);
}

}  // namespace elanus
