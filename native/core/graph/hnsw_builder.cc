// Builds the HNSW graph and writes its file. All levels are drawn before the first insertion, so
// links have their place from the begin and the entry point never changes. A row becomes
// reachable from the bottom up, after all its own neighbours are known: no search can end up in a
// row that is not linked below yet.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <mutex>
#include <random>
#include <span>

#include "base/cpu.h"
#include "base/zeroed_memory.h"
#include "graph/graph_search.h"
#include "graph/hnsw.h"
#include "graph/twins.h"
#include "index/index_builder.h"
#include "threads/steps.h"

namespace elanus {
namespace {

// Links of a row on each upper level; twice as many on level 0.
constexpr WholeParam kM = {"M", 2, 2048, 16};
// Candidates that an insertion looks at.
constexpr WholeParam kEfConstruction = {"efConstruction", 1, 2147483647, 200};
constexpr uint32_t kLevelMax = 30;
constexpr size_t kRowsPerTask = 4;  // an insertion takes some 0.3 ms

struct Link {
  float score;
  uint32_t node;
};

bool is_better_link(const Link& a, const Link& b) {
  return a.score > b.score || (a.score == b.score && a.node < b.node);
}

class SpinLocks {
 public:
  explicit SpinLocks(size_t count) : flags_(count) {}
  void lock(size_t i) {
    while (flags_[i].exchange(1, std::memory_order_acquire) != 0) {
      while (flags_[i].load(std::memory_order_relaxed) != 0) cpu_relax();
    }
  }
  void unlock(size_t i) { flags_[i].store(0, std::memory_order_release); }

 private:
  std::vector<std::atomic<uint8_t>> flags_;
};

class LockHolder {
 public:
  LockHolder(SpinLocks& locks, size_t i) : locks_(locks), i_(i) { locks_.lock(i_); }
  ~LockHolder() { locks_.unlock(i_); }
  LockHolder(const LockHolder&) = delete;
  LockHolder& operator=(const LockHolder&) = delete;

 private:
  SpinLocks& locks_;
  size_t i_;
};

// The lists of one level (level 0) or of all upper levels: `slots` lists of at most `degree` links
// each, as the file has them, with the score of every link beside it, so that pruning a full list
// need not compute them again.
struct LinkTable {
  ZeroedMemory bytes;
  uint8_t* links = nullptr;
  size_t stride = 0;  // bytes
  size_t degree = 0;
  std::vector<uint16_t> counts;
  std::vector<float> scores;

  void prepare(size_t stride_bytes, size_t degree_max, size_t slots) {
    bytes = ZeroedMemory(slots * stride_bytes);
    links = bytes.data();
    stride = stride_bytes;
    degree = degree_max;
    counts.assign(slots, 0);
    scores.resize(slots * degree);
    if (slots != 0) std::memset(links, 0xff, bytes.size());  // kNoLink
  }
  uint32_t* list(size_t slot) { return reinterpret_cast<uint32_t*>(links + slot * stride); }
  float* score_list(size_t slot) { return scores.data() + slot * degree; }
  std::span<const uint8_t> all() const { return {bytes.data(), bytes.size()}; }
};

class Builder : IndexBuilder {
 public:
  Builder(const IndexBuildParams& params, const RowView& rows, const IndexBuildControl& control)
      : IndexBuilder(params, rows, control), locks_(rows.count) {}

  Status read_params();
  Status build(SectionFileWriter* out);

 private:
  struct Scratch {
    SearchScratch search;
    std::vector<std::vector<Link>> chosen;  // by level
    std::vector<Link> candidates;
    std::vector<Link> kept;
  };

  // The graph of one level as other threads are changing it: lists are copied under their lock.
  template <bool kLevel0>
  class LockedLevel {
   public:
    static constexpr bool kNodesAreRows = kLevel0;
    LockedLevel(Builder& builder, uint32_t level) : builder_(builder), level_(level) {}
    size_t node_count() const {
      return kLevel0 ? builder_.rows_.count : builder_.upper_row_.size();
    }
    size_t degree_max() const { return table().degree; }
    uint32_t row(uint32_t node) const { return kLevel0 ? node : builder_.upper_row_[node]; }
    // The list's place in its table.
    size_t slot(uint32_t node) const {
      return kLevel0 ? node : size_t{builder_.upper_block_[node]} + level_ - 1;
    }
    size_t neighbours(uint32_t node, uint32_t* out) const {
      const LockHolder hold(builder_.locks_, row(node));
      const size_t at = slot(node);
      const size_t count = table().counts[at];
      std::memcpy(out, table().list(at), count * sizeof(uint32_t));
      return count;
    }
    void prefetch(uint32_t node) const {
      if constexpr (kLevel0) {
        const uint8_t* links = table().links + size_t{node} * table().stride;
        __builtin_prefetch(links);
        __builtin_prefetch(links + 64);
      }
    }
    LinkTable& table() const { return kLevel0 ? builder_.level0_ : builder_.upper_; }

   private:
    Builder& builder_;
    uint32_t level_;
  };

  bool choose_nodes();
  void draw_levels();
  void shuffle_nodes();
  bool prepare();
  Status write(SectionFileWriter* out);
  Scratch& acquire_scratch();
  void release_scratch(Scratch& scratch);
  void insert(uint32_t row, Scratch& scratch);
  template <bool kLevel0>
  uint32_t search_level(uint32_t level, const ExactScorer& scorer, uint32_t entry, size_t ef,
                        Scratch& scratch);
  template <bool kLevel0>
  void connect(uint32_t level, uint32_t node, const std::vector<Link>& chosen, Scratch& scratch);
  template <bool kLevel0>
  void add_link(const LockedLevel<kLevel0>& graph, uint32_t from, Link link, Scratch& scratch);
  template <bool kLevel0>
  void choose(const LockedLevel<kLevel0>& graph, uint32_t row, const std::vector<Link>& candidates,
              size_t count, std::vector<Link>& kept) const;
  bool join_unreachable(Scratch& scratch);
  bool mark_reachable(uint32_t from, Steps& steps, std::vector<bool>& reached);
  void add_bridge(uint32_t row, Scratch& scratch);

  ExactScorer scorer_of(uint32_t row) const {
    return scorer_.with({rows_.row(row), rows_.inv_norms != nullptr ? rows_.inv_norms[row] : 1.0f});
  }
  // What a score with this row is multiplied by so that the row's length does not count.
  float inverse_length(uint32_t row) const {
    return inverse_lengths_.empty() ? 1.0f : inverse_lengths_[row];
  }
  uint32_t upper_of(uint32_t row) const {
    return static_cast<uint32_t>(std::lower_bound(upper_row_.begin(), upper_row_.end(), row) -
                                 upper_row_.begin());
  }

  HnswParameters hnsw_;
  ExactScorer scorer_;  // of any row, once there are norms
  std::vector<uint32_t> nodes_;  // the rows of the graph, ascending, then as they are inserted
  TwinLists twins_;
  std::vector<float> inverse_lengths_;  // by row; empty unless the metric favours length
  std::vector<uint8_t> level_of_;
  std::vector<uint32_t> upper_row_;    // ascending
  std::vector<uint32_t> upper_block_;  // upper_row_.size() + 1
  LinkTable level0_;
  LinkTable upper_;
  SpinLocks locks_;
  std::mutex scratch_mutex_;
  std::vector<std::unique_ptr<Scratch>> scratches_;
  std::vector<Scratch*> idle_;
};

Status Builder::read_params() {
  if (Status status = params_.bag.read(kM, &hnsw_.m); !status.is_ok()) return status;
  return params_.bag.read(kEfConstruction, &hnsw_.ef_construction);
}

// All rows that have a vector but the twins of others. False when canceled.
bool Builder::choose_nodes() {
  nodes_.reserve(rows_.count);
  for (uint32_t row = 0; row < rows_.count; ++row) {
    if (is_present(row)) nodes_.push_back(row);
  }
  hnsw_.absent_rows = static_cast<uint32_t>(rows_.count - nodes_.size());
  if (!find_twins(rows_, control_.cancel, &nodes_, &twins_)) return false;
  hnsw_.twin_heads = static_cast<uint32_t>(twins_.heads.size());
  hnsw_.twin_rows = static_cast<uint32_t>(twins_.rows.size());
  report(rows_.count - nodes_.size());
  return true;
}

void Builder::draw_levels() {
  std::mt19937_64 random(params_.seed);
  const double scale = 1.0 / std::log(static_cast<double>(hnsw_.m));
  level_of_.resize(rows_.count);
  upper_block_.push_back(0);
  if (!nodes_.empty()) hnsw_.entry_row = nodes_[0];
  for (const uint32_t row : nodes_) {
    const double uniform = (static_cast<double>(random() >> 11) + 0.5) * 0x1p-53;
    const auto level = static_cast<uint32_t>(-std::log(uniform) * scale);
    level_of_[row] = static_cast<uint8_t>(std::min(level, kLevelMax));
    if (level_of_[row] == 0) continue;
    if (level_of_[row] > hnsw_.max_level) {
      hnsw_.max_level = level_of_[row];
      hnsw_.entry_row = row;
      hnsw_.entry_upper = static_cast<uint32_t>(upper_row_.size());
    }
    upper_row_.push_back(row);
    upper_block_.push_back(upper_block_.back() + level_of_[row]);
  }
}

// Rows lie in the order of their keys, which may follow clusters. Inserted so, each cluster's graph
// would be finished before the next begins, with few ways from one to the other, and threads would
// insert near rows at the same time, which cannot see each other. Drawn by the seed, so that the
// same input gives the same file.
void Builder::shuffle_nodes() {
  std::mt19937_64 random(params_.seed);
  for (size_t i = nodes_.size(); i > 1; --i) std::swap(nodes_[i - 1], nodes_[random() % i]);
}

// False when canceled, as in what follows.
bool Builder::prepare() {
  hnsw_.upper_rows = static_cast<uint32_t>(upper_row_.size());
  hnsw_.upper_blocks = upper_block_.back();
  if (!compute_norms()) return false;
  if (traits_of(metric()).favours_length &&
      !compute_all_norms(rows_, control_.cancel, &inverse_lengths_)) {
    return false;
  }
  scorer_ = ExactScorer::make(rows_, metric(), {});
  level0_.prepare(hnsw_level0_stride(hnsw_.m), size_t{hnsw_.m} * 2, rows_.count);
  upper_.prepare(size_t{hnsw_.m} * 4, hnsw_.m, hnsw_.upper_blocks);
  return true;
}

Status Builder::write(SectionFileWriter* out) {
  out->put_section(HnswTag::kLinks, level0_.all());
  out->put_section(HnswTag::kUpperRows, std::span<const uint32_t>(upper_row_));
  out->put_section(HnswTag::kUpperBegins, std::span<const uint32_t>(upper_block_));
  out->put_section(HnswTag::kUpperLinks, upper_.all());
  put_norms(out);
  out->begin(HnswTag::kTwins);
  for (const std::vector<uint32_t>* part : {&twins_.heads, &twins_.begins, &twins_.rows})
    out->put_all(std::span<const uint32_t>(*part));
  return finish(kHnswContainer, hnsw_, out);
}

Builder::Scratch& Builder::acquire_scratch() {
  const std::lock_guard<std::mutex> lock(scratch_mutex_);
  if (idle_.empty()) {
    scratches_.push_back(std::make_unique<Scratch>());
    scratches_.back()->chosen.resize(hnsw_.max_level + 1);
    return *scratches_.back();
  }
  Scratch* scratch = idle_.back();
  idle_.pop_back();
  return *scratch;
}

void Builder::release_scratch(Scratch& scratch) {
  const std::lock_guard<std::mutex> lock(scratch_mutex_);
  idle_.push_back(&scratch);
}

// Leaves the level's best ef nodes in scratch.candidates, best first, and returns the best.
template <bool kLevel0>
uint32_t Builder::search_level(uint32_t level, const ExactScorer& scorer, uint32_t entry,
                               size_t ef, Scratch& scratch) {
  search_beam(LockedLevel<kLevel0>(*this, level), scorer, entry, ef, nullptr, scratch.search);
  scratch.candidates.clear();
  for (const uint64_t word : scratch.search.beam)
    scratch.candidates.push_back({beam::score(word), beam::node(word)});
  return beam::node(scratch.search.beam[0]);
}

// The neighbour selection heuristic (algorithm 4): a candidate for the list of `row` is kept if it
// is nearer to that row than to any kept before. Under IP nearer means by angle: of the products a
// long row has the largest with half of all candidates, which it would make redundant one and all.
template <bool kLevel0>
void Builder::choose(const LockedLevel<kLevel0>& graph, uint32_t row,
                     const std::vector<Link>& candidates, size_t count,
                     std::vector<Link>& kept) const {
  kept.clear();
  for (const Link& candidate : candidates) {
    if (kept.size() == count) break;
    const ExactScorer scorer = scorer_of(graph.row(candidate.node));
    const float nearness = candidate.score * inverse_length(row);
    const bool is_redundant = std::any_of(kept.begin(), kept.end(), [&](const Link& other) {
      const uint32_t other_row = graph.row(other.node);
      return scorer.score(other_row) * inverse_length(other_row) > nearness;
    });
    if (!is_redundant) kept.push_back(candidate);
  }
}

// Adds link.node to the list of `from`; a full list is chosen anew.
template <bool kLevel0>
void Builder::add_link(const LockedLevel<kLevel0>& graph, uint32_t from, Link link,
                       Scratch& scratch) {
  LinkTable& table = graph.table();
  const LockHolder hold(locks_, graph.row(from));
  const size_t slot = graph.slot(from);
  uint32_t* list = table.list(slot);
  float* scores = table.score_list(slot);
  const size_t count = table.counts[slot];
  if (count < table.degree) {
    list[count] = link.node;
    scores[count] = link.score;
    ++table.counts[slot];
    return;
  }
  std::vector<Link>& candidates = scratch.candidates;
  candidates.clear();
  for (size_t i = 0; i < count; ++i) candidates.push_back({scores[i], list[i]});
  candidates.push_back(link);
  std::sort(candidates.begin(), candidates.end(), is_better_link);
  choose(graph, graph.row(from), candidates, table.degree, scratch.kept);
  const std::vector<Link>& kept = scratch.kept;
  for (size_t i = 0; i < count; ++i) {
    list[i] = i < kept.size() ? kept[i].node : kNoLink;
    if (i < kept.size()) scores[i] = kept[i].score;
  }
  table.counts[slot] = static_cast<uint16_t>(kept.size());
}

template <bool kLevel0>
void Builder::connect(uint32_t level, uint32_t node, const std::vector<Link>& chosen,
                      Scratch& scratch) {
  const LockedLevel<kLevel0> graph(*this, level);
  {
    LinkTable& table = graph.table();
    const LockHolder hold(locks_, graph.row(node));
    const size_t slot = graph.slot(node);
    for (size_t i = 0; i < chosen.size(); ++i) {
      table.list(slot)[i] = chosen[i].node;
      table.score_list(slot)[i] = chosen[i].score;
    }
    table.counts[slot] = static_cast<uint16_t>(chosen.size());
  }
  for (const Link& link : chosen) add_link(graph, link.node, {link.score, node}, scratch);
}

void Builder::insert(uint32_t row, Scratch& scratch) {
  const ExactScorer scorer = scorer_of(row);
  const uint32_t top = level_of_[row];
  const size_t ef = hnsw_.ef_construction;
  uint32_t entry = hnsw_.entry_upper;
  for (uint32_t level = hnsw_.max_level; level > 0; --level) {
    entry = search_level<false>(level, scorer, entry, level > top ? 1 : ef, scratch);
    if (level <= top) {
      choose(LockedLevel<false>(*this, level), row, scratch.candidates, hnsw_.m,
             scratch.chosen[level]);
    }
  }
  const uint32_t entry_row = hnsw_.max_level > 0 ? upper_row_[entry] : hnsw_.entry_row;
  search_level<true>(0, scorer, entry_row, ef, scratch);
  choose(LockedLevel<true>(*this, 0), row, scratch.candidates, hnsw_.m, scratch.chosen[0]);
  connect<true>(0, row, scratch.chosen[0], scratch);
  if (top == 0) return;
  const uint32_t upper = upper_of(row);
  for (uint32_t level = 1; level <= top; ++level)
    connect<false>(level, upper, scratch.chosen[level], scratch);
}

bool Builder::mark_reachable(uint32_t from, Steps& steps, std::vector<bool>& reached) {
  constexpr size_t kVisitNs = 150;
  std::vector<uint32_t> open{from};
  reached[from] = true;
  while (!open.empty()) {
    const uint32_t row = open.back();
    open.pop_back();
    if (!steps.take(kVisitNs)) return false;
    const uint32_t* list = level0_.list(row);
    for (size_t i = 0; i < level0_.counts[row]; ++i) {
      if (reached[list[i]]) continue;
      reached[list[i]] = true;
      open.push_back(list[i]);
    }
  }
  return true;
}

// Links the unreachable row from the nearest reachable one that has room. Where none near has, the
// farthest neighbour of the nearest gives way and is reached through the row.
void Builder::add_bridge(uint32_t row, Scratch& scratch) {
  const auto put = [this](uint32_t from, size_t place, uint32_t to, float score) {
    level0_.list(from)[place] = to;
    level0_.score_list(from)[place] = score;
  };
  search_level<true>(0, scorer_of(row), hnsw_.entry_row, hnsw_.ef_construction, scratch);
  for (const Link& link : scratch.candidates) {
    if (level0_.counts[link.node] == level0_.degree) continue;
    put(link.node, level0_.counts[link.node]++, row, link.score);
    return;
  }
  const Link& nearest = scratch.candidates.front();
  const float* scores = level0_.score_list(nearest.node);
  const size_t place =
      static_cast<size_t>(std::min_element(scores, scores + level0_.degree) - scores);
  const uint32_t moved = level0_.list(nearest.node)[place];
  put(nearest.node, place, row, nearest.score);
  // Nobody has come by the row yet: its last link is free to go.
  const size_t last = std::min<size_t>(level0_.counts[row], level0_.degree - 1);
  put(row, last, moved, scorer_of(row).score(moved));
  level0_.counts[row] = static_cast<uint16_t>(last + 1);
}

// Pruning may leave a row with no way in. Few rows, if any.
bool Builder::join_unreachable(Scratch& scratch) {
  Steps steps(control_.cancel);
  std::vector<bool> reached(rows_.count, false);
  if (!mark_reachable(hnsw_.entry_row, steps, reached)) return false;
  for (const uint32_t row : nodes_) {
    if (is_canceled()) return false;
    if (reached[row]) continue;
    add_bridge(row, scratch);
    if (!mark_reachable(row, steps, reached)) return false;
  }
  return true;
}

Status Builder::build(SectionFileWriter* out) {
  if (!choose_nodes()) return canceled();
  draw_levels();
  if (!prepare()) return canceled();
  shuffle_nodes();
  run(nodes_.size(), kRowsPerTask, [&](size_t begin, size_t end) {
    Scratch& scratch = acquire_scratch();
    for (size_t i = begin; i < end && !is_canceled(); ++i) {
      if (nodes_[i] != hnsw_.entry_row) insert(nodes_[i], scratch);
    }
    release_scratch(scratch);
    report(end - begin);
  });
  if (!nodes_.empty() && !join_unreachable(acquire_scratch())) return canceled();
  return is_canceled() ? canceled() : write(out);
}

}  // namespace

Status build_hnsw(const IndexBuildParams& params, const RowView& rows,
                  const IndexBuildControl& control, SectionFileWriter* out) {
  Builder builder(params, rows, control);
  if (Status status = builder.read_params(); !status.is_ok()) return status;
  return builder.build(out);
}

uint64_t hnsw_build_bytes(const ParamBag& bag, size_t n, size_t) {
  const uint32_t m = bag.get(kM);
  const uint64_t upper_blocks = n / m * 2 + 64;
  const uint64_t links = n * (hnsw_level0_stride(m) + 4) + upper_blocks * (uint64_t{m} * 4 + 8);
  const uint64_t link_scores = n * m * 8 + upper_blocks * m * 4;
  // A row's hash and its sorting, before there are links; then its level, lock, count, place in the
  // order of insertion, length and twin.
  return links + link_scores + n * 24 + (4 << 20);
}

}  // namespace elanus
