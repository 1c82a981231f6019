// Best-first search in a proximity graph (Malkov & Yashunin 2018, algorithm 2), over any storage of
// the links. A Graph has:
//   static constexpr bool kNodesAreRows         nodes are numbered as the rows they stand for
//   size_t node_count() const, degree_max() const
//   size_t neighbours(node, out) const          writes at most degree_max() nodes < node_count()
//   uint32_t row(node) const                    its row, less than the number of rows
//   void prefetch(node) const                   of its links
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <vector>

#include "index/vector_index.h"
#include "threads/thread_pool.h"
#include "vector/exact_scorer.h"

namespace elanus {

// A score and a node in one word that compares like (score, smaller node first), with a mark for
// "expanded" in the lowest bit. Nodes are less than 2^31; a score is never NaN (metric.h).
namespace beam {

inline uint64_t pack(float score, uint32_t node) {
  const uint32_t bits = std::bit_cast<uint32_t>(score + 0.0f);
  const uint32_t ordered = (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
  return (uint64_t{ordered} << 32) | ((0x7fffffffu - node) << 1);
}
inline float score(uint64_t entry) {
  const uint32_t ordered = static_cast<uint32_t>(entry >> 32);
  return std::bit_cast<float>((ordered & 0x80000000u) != 0 ? ordered & 0x7fffffffu : ~ordered);
}
inline uint32_t node(uint64_t entry) { return 0x7fffffffu - (static_cast<uint32_t>(entry) >> 1); }
inline bool is_expanded(uint64_t entry) { return (entry & 1) != 0; }

}  // namespace beam

// Nodes that a walk expands before it looks whether its turn is over: some 0.5 ms.
constexpr size_t kStepsBetweenTurns = 64;

// The unvisited neighbours of `node`, marked and scored: count; nodes in scratch.nodes, scores in
// scratch.scores.
template <typename Graph>
size_t score_neighbours(const Graph& graph, const ExactScorer& scorer, uint32_t node,
                        SearchScratch& scratch) {
  uint32_t* nodes = scratch.nodes.data();
  const size_t linked = graph.neighbours(node, nodes);
  size_t count = 0;
  for (size_t i = 0; i < linked; ++i) {
    const uint32_t neighbour = nodes[i];
    nodes[count] = neighbour;
    count += scratch.visit(neighbour) ? 1 : 0;
  }
  if constexpr (Graph::kNodesAreRows) {
    scorer.score_ids(nodes, count, scratch.scores.data());
  } else {
    for (size_t i = 0; i < count; ++i) scratch.rows[i] = graph.row(nodes[i]);
    scorer.score_ids(scratch.rows.data(), count, scratch.scores.data());
  }
  return count;
}

template <typename Graph>
void prepare_scratch(const Graph& graph, SearchScratch& scratch) {
  const size_t degree = std::max<size_t>(1, graph.degree_max());
  if (scratch.nodes.size() < degree) {
    scratch.nodes.resize(degree);
    scratch.rows.resize(degree);
    scratch.scores.resize(degree);
  }
  scratch.prepare_visited(graph.node_count());
}

// Leaves the best ef nodes found from `entry` in scratch.beam, best first. The beam is one sorted
// array: cheap while ef is small, because most scored nodes fall off its end.
template <typename Graph>
void search_beam(const Graph& graph, const ExactScorer& scorer, uint32_t entry, size_t ef,
                 const CancelToken* cancel, SearchScratch& scratch) {
  prepare_scratch(graph, scratch);
  if (scratch.beam.size() < ef + 1) scratch.beam.resize(ef + 1);
  uint64_t* entries = scratch.beam.data();
  entries[0] = beam::pack(scorer.score(graph.row(entry)), entry);
  size_t size = 1;
  scratch.visit(entry);
  size_t at = 0;
  size_t steps = 0;
  while (at < size) {
    if (beam::is_expanded(entries[at])) {
      ++at;
      continue;
    }
    entries[at] |= 1;
    if (++steps % kStepsBetweenTurns == 0) ThreadPool::give_way();
    if (is_canceled(cancel)) break;
    const size_t count = score_neighbours(graph, scorer, beam::node(entries[at]), scratch);
    size_t lowest = at + 1;
    for (size_t i = 0; i < count; ++i) {
      const uint64_t entry_word = beam::pack(scratch.scores[i], scratch.nodes[i]);
      if (size == ef && entry_word < entries[size - 1]) continue;
      const size_t place = static_cast<size_t>(
          std::upper_bound(entries, entries + size, entry_word, std::greater<uint64_t>()) -
          entries);
      if (size < ef) ++size;
      std::memmove(entries + place + 1, entries + place, (size - 1 - place) * sizeof(uint64_t));
      entries[place] = entry_word;
      lowest = std::min(lowest, place);
    }
    at = lowest;
    if (at < size) graph.prefetch(beam::node(entries[at]));
  }
  scratch.beam.resize(size);
}

// The same with heaps: for a large ef, and for a filter. Nodes whose row is not visible, by
// is_visible(row), are walked through but are no results. Leaves (score, row) of the best ef
// visible nodes found in scratch.results, best first.
template <typename Graph, typename IsVisible>
void search_heaps(const Graph& graph, const ExactScorer& scorer, uint32_t entry, size_t ef,
                  const IsVisible& is_visible, const CancelToken* cancel,
                  SearchScratch& scratch) {
  prepare_scratch(graph, scratch);
  std::vector<Hit>& candidates = scratch.candidates;  // the best on top
  std::vector<Hit>& results = scratch.results;        // the worst on top
  const auto is_worse = [](const Hit& a, const Hit& b) { return is_better(b, a); };
  candidates.clear();
  results.clear();
  const auto offer = [&](float score, uint32_t node) {
    const bool full = results.size() == ef;
    if (full && score < results.front().score) return;
    candidates.push_back({score, node});
    std::push_heap(candidates.begin(), candidates.end(), is_worse);
    const uint32_t row = graph.row(node);
    if (!is_visible(row)) return;
    if (full) {
      if (!is_better({score, row}, results.front())) return;
      std::pop_heap(results.begin(), results.end(), is_better);
      results.pop_back();
    }
    results.push_back({score, row});
    std::push_heap(results.begin(), results.end(), is_better);
  };
  scratch.visit(entry);
  offer(scorer.score(graph.row(entry)), entry);
  for (size_t step = 1; !candidates.empty(); ++step) {
    if (step % kStepsBetweenTurns == 0) ThreadPool::give_way();
    const Hit best = candidates.front();
    if (results.size() == ef && best.score < results.front().score) break;
    if (is_canceled(cancel)) break;
    std::pop_heap(candidates.begin(), candidates.end(), is_worse);
    candidates.pop_back();
    if (!candidates.empty()) graph.prefetch(static_cast<uint32_t>(candidates.front().id));
    const size_t count = score_neighbours(graph, scorer, static_cast<uint32_t>(best.id), scratch);
    for (size_t i = 0; i < count; ++i) offer(scratch.scores[i], scratch.nodes[i]);
  }
  std::sort_heap(results.begin(), results.end(), is_better);
}

}  // namespace elanus
