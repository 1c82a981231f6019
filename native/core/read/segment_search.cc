#include "read/segment_search.h"

#include <algorithm>
#include <array>
#include <mutex>

#include "read/flat_scan.h"
#include "read/tied_rows.h"

namespace elanus {
namespace {

// Cost of an element of a row that a graph visits, and of one that a scan reads: for deciding what
// is worth a thread.
constexpr double kVisitNs = 0.4;
constexpr double kScanNs = 0.1;
constexpr double kTaskNs = 1e6;
constexpr size_t kTieBlockRows = 256;

}  // namespace

Status SegmentSearch::prepare(const Segment& segment, int64_t field_id, Metric metric,
                              const Plan* plan, uint64_t read_ts, ThreadPool* pool,
                              const CancelToken* cancel) {
  cancel_ = cancel;
  snapshot_ = segment.snapshot(read_ts);
  Status status = make_visible_set(*snapshot_, plan, read_ts, pool, cancel, &visible_);
  if (!status.is_ok()) return status;
  visible_rows_ = visible_.kept;
  const Field* field = segment.schema().find(field_id);
  if (field == nullptr || visible_.kept == 0) {
    visible_.kept = 0;
    return Status::ok();
  }
  field_id_ = field_id;
  dim_ = field->dim;
  type_ = find_vector_type(field->type);
  metric_ = metric;
  hide_nulls(*snapshot_, field_id_, &visible_);
  index_ = snapshot_->vector_index(field_id_);
  if (index_ != nullptr && index_->metric() != metric) index_ = nullptr;
  return Status::ok();
}

double SegmentSearch::estimate_ns(const IndexSearchParams& params, size_t ask,
                                  size_t queries) const {
  const double elements = static_cast<double>(dim_ * queries);
  if (uses_index(params, ask))
    return elements * kVisitNs * index_->expected_distances(params, ask, visible_.kept);
  return elements * kScanNs * static_cast<double>(visible_.kept);
}

void SegmentSearch::search(const QuerySet& queries, const IndexSearchParams& params, size_t ask,
                           ThreadPool* pool, HitList* lists) const {
  ask = std::min(ask, visible_.kept);
  if (ask == 0) return;
  if (!uses_index(params, ask)) {
    scan(queries, params, ask, pool, lists);
    return;
  }
  const double query_ns = std::max(1.0, estimate_ns(params, ask, 1));
  const size_t grain = std::max<size_t>(1, static_cast<size_t>(kTaskNs / query_ns));
  run(pool, queries.count(), grain, [&](size_t begin, size_t end) {
    for (size_t q = begin; q < end && !is_canceled(cancel_); ++q)
      walk(queries, q, params, ask, pool, &lists[q]);
  });
}

bool SegmentSearch::may_hide_ties(const HitList& list, const SegmentSnapshot& last,
                                  size_t last_row) const {
  if (snapshot_->segment().is_growing()) return true;
  return compare_keys(*snapshot_, list.hits.back().id, last, last_row) <= 0;
}

void SegmentSearch::find_ties(const QuerySet& queries, size_t query, size_t k, ThreadPool* pool,
                              HitList* list) const {
  const float score = list->hits.back().score;
  TiedRows ties(*snapshot_, k);
  std::mutex mutex;
  for (size_t c = 0; c < snapshot_->chunk_count() && !is_canceled(cancel_); ++c) {
    const ColumnView column = snapshot_->column(c, field_id_);
    if (column.all_null) continue;
    const ExactScorer scorer = ExactScorer::make(row_view(c, column), queries, query);
    if (is_canceled(cancel_)) break;
    const size_t chunk_begin = snapshot_->chunk_begin(c);
    run(pool, column.rows, rows_per_task(dim_, 1), [&](size_t begin, size_t end) {
      for (size_t i = begin; i < end && !is_canceled(cancel_); i += kTieBlockRows) {
        std::array<uint32_t, kTieBlockRows> rows;
        const size_t last = std::min(end, i + kTieBlockRows);
        const size_t count = rows_with_score(scorer, score, chunk_begin, i, last, rows.data());
        const std::lock_guard lock(mutex);
        for (size_t j = 0; j < count; ++j) ties.add(static_cast<uint32_t>(chunk_begin + rows[j]));
      }
    });
  }
  while (!list->hits.empty() && list->hits.back().score == score) list->hits.pop_back();
  for (const uint32_t row : ties.take()) list->hits.push_back({score, row});
  list->has_ties = true;
}

void SegmentSearch::search_deeper(const QuerySet& queries, size_t query,
                                  const IndexSearchParams& params, ThreadPool* pool,
                                  HitList* list) const {
  const size_t ask = std::min(visible_.kept, list->asked * 2);
  if (uses_index(params, ask)) {
    walk(queries, query, params, ask, pool, list);
  } else {
    scan(queries.part(query, 1), params, ask, pool, list);
  }
}

template <typename Body>
void SegmentSearch::run(ThreadPool* pool, size_t count, size_t grain, Body&& body) const {
  if (pool == nullptr || count <= grain) {
    body(0, count);
  } else {
    pool->parallel_for(count, grain, body, cancel_);
  }
}

bool SegmentSearch::uses_index(const IndexSearchParams& params, size_t ask) const {
  return index_ != nullptr &&
         plan_filtered(*index_, params, ask, visible_.kept) == FilterPlan::kIndex;
}

void SegmentSearch::walk(const QuerySet& queries, size_t query, const IndexSearchParams& params,
                         size_t ask, ThreadPool* pool, HitList* list) const {
  TopK best(ask);
  const size_t found = index_->search(queries, query, params, visible_.words(), visible_.kept,
                                      best, SearchScratch::of_thread());
  if (found < ask && params.range == nullptr && !is_canceled(cancel_)) {
    // The graph did not reach enough rows: a filter must not cost hits (P4).
    scan(queries.part(query, 1), params, ask, pool, list);
    return;
  }
  keep(best, ask, list);
}

void SegmentSearch::scan(const QuerySet& queries, const IndexSearchParams& params, size_t ask,
                         ThreadPool* pool, HitList* lists) const {
  std::vector<TopK> heaps(queries.count(), TopK(ask));
  for (size_t c = 0; c < snapshot_->chunk_count() && !is_canceled(cancel_); ++c) {
    ThreadPool::give_way();
    scan_chunk(c, queries, params, pool, heaps.data());
  }
  for (size_t q = 0; q < queries.count(); ++q) keep(heaps[q], ask, &lists[q]);
}

// Kept rows of the chunk's rows [begin, end) that have exactly this score: how many.
size_t SegmentSearch::rows_with_score(const ExactScorer& scorer, float score, size_t chunk_begin,
                                      size_t begin, size_t end, uint32_t* rows) const {
  std::array<float, kTieBlockRows> scores;
  size_t kept = 0;
  for (size_t row = begin; row < end; ++row) {
    if (visible_.keeps(chunk_begin + row)) rows[kept++] = static_cast<uint32_t>(row);
  }
  scorer.score_ids(rows, kept, scores.data());
  size_t count = 0;
  for (size_t i = 0; i < kept; ++i) {
    if (scores[i] == score) rows[count++] = rows[i];
  }
  return count;
}

// Not to be read when canceled: norms may be missing then.
RowView SegmentSearch::row_view(size_t chunk, const ColumnView& column) const {
  const float* norms = traits_of(metric_).needs_norms
                           ? snapshot_->inv_norms(chunk, field_id_, cancel_)
                           : nullptr;
  return dense_rows(*type_, column.data, column.rows, dim_, norms);
}

void SegmentSearch::scan_chunk(size_t chunk, const QuerySet& queries,
                               const IndexSearchParams& params, ThreadPool* pool,
                               TopK* heaps) const {
  const ColumnView column = snapshot_->column(chunk, field_id_);
  if (column.all_null || column.rows == 0) return;
  FlatScanArgs args;
  args.rows = row_view(chunk, column);
  if (is_canceled(cancel_)) return;
  args.row_begin = snapshot_->chunk_begin(chunk);
  args.visible = visible_.words();
  args.range = params.range;
  args.cancel = cancel_;
  if (pool == nullptr) {
    flat_scan(args, queries, heaps);
    return;
  }
  // Few rows and many queries: threads share the queries, else the rows.
  if (column.rows >= 2 * rows_per_task(dim_, queries.count())) {
    flat_scan_parallel(*pool, args, queries, heaps);
    return;
  }
  const double query_ns = kScanNs * static_cast<double>(column.rows * dim_) + 100;
  const size_t grain = std::max<size_t>(4, static_cast<size_t>(kTaskNs / query_ns) / 4 * 4);
  run(pool, queries.count(), grain, [&](size_t begin, size_t end) {
    flat_scan(args, queries.part(begin, end - begin), heaps + begin);
  });
}

// Nothing is cut when every kept row was asked for.
void SegmentSearch::keep(TopK& best, size_t ask, HitList* list) const {
  list->hits = best.take_sorted();
  list->asked = ask;
  list->is_cut = list->hits.size() >= ask && ask < visible_.kept;
  list->has_ties = false;
}

}  // namespace elanus
