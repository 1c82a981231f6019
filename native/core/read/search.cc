#include "read/search.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <mutex>
#include <string_view>
#include <unordered_set>

#include "base/guard.h"
#include "index/vector_index.h"
#include "kernels/dispatch.h"
#include "read/flat_scan.h"
#include "read/gather.h"
#include "read/tied_rows.h"
#include "read/visible_set.h"
#include "segment/primary_key_table.h"

namespace elanus {
namespace {

// Queries that go through all segments together, and what they may find there: 16 bytes a hit.
constexpr size_t kGroupQueries = 256;
constexpr size_t kGroupHits = size_t{8} << 20;
// Cost of a float of a row that a graph visits, and of one that a scan reads: for deciding what is
// worth a thread.
constexpr double kVisitNs = 0.4;
constexpr double kScanNs = 0.1;
constexpr double kTaskNs = 1e6;
constexpr double kWakeNs = 1e5;
constexpr size_t kTieBlockRows = 256;

// Best rows of one query in one segment.
struct HitList {
  std::vector<Hit> hits;  // best first, of equal ones the smallest row first
  size_t asked = 0;
  bool is_cut = false;    // there may be more, none better than the last
  bool has_ties = false;  // those equal to the last that may be shown are all there, in any order
};

// Whether a number is missing, so that the query is near to nothing.
bool has_nan(const float* query, size_t dim) {
  // The squares of finite numbers add up to a number or to infinity.
  const float square = kernels().inner_product(query, query, dim);
  return square != square;
}

// One segment's share of the request.
class Part {
 public:
  Status prepare(const Segment& segment, const SearchRequest& request, ThreadPool* pool,
                 const CancelToken* cancel) {
    cancel_ = cancel;
    snapshot_ = segment.snapshot(request.read_ts);
    Status status = make_visible_set(*snapshot_, request.plan, request.read_ts, pool, cancel, &mask_);
    if (!status.is_ok()) return status;
    visible_rows_ = mask_.kept;
    const Field* field = segment.schema().find(request.field_id);
    if (field == nullptr || mask_.kept == 0) {
      mask_.kept = 0;
      return Status::ok();
    }
    dim_ = field->dim;
    field_id_ = field->field_id;
    hide_nulls(*snapshot_, field_id_, &mask_);
    index_ = snapshot_->vector_index(field_id_);
    if (index_ != nullptr && index_->metric() != request.metric) index_ = nullptr;
    return Status::ok();
  }

  const SegmentSnapshot& snapshot() const { return *snapshot_; }
  size_t visible_rows() const { return visible_rows_; }
  size_t kept() const { return mask_.kept; }
  bool is_kept(size_t row) const { return mask_.keeps(row); }

  double estimate_ns(const IndexSearchParams& params, size_t ask, size_t queries) const {
    const double floats = static_cast<double>(dim_ * queries);
    if (uses_index(params, ask))
      return floats * kVisitNs * index_->expected_distances(params, ask, mask_.kept);
    return floats * kScanNs * static_cast<double>(mask_.kept);
  }

  // Fills lists[q] for each query q of the batch with its best `ask` rows.
  void search(const QueryBatch& queries, const IndexSearchParams& params, size_t ask,
              ThreadPool* pool, HitList* lists) const {
    ask = std::min(ask, mask_.kept);
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

  // Whether rows that a cut list lacks may come before `last` among those with the score of its
  // last hit. Rows of a sealed segment ascend by primary key, and of equal scores scans and walks
  // give the smallest rows: what the list lacks comes no earlier than its last row.
  bool may_hide_ties(const HitList& list, const SegmentSnapshot& last, size_t last_row) const {
    if (snapshot_->segment().is_growing()) return true;
    return compare_keys(*snapshot_, list.hits.back().id, last, last_row) <= 0;
  }

  // Looks through all kept rows for those that have exactly the score of the list's last hit; the
  // list gets the first `k` of them in the order of equal scores. One pass, whatever it finds.
  void find_ties(const QueryBatch& queries, size_t query, size_t k, ThreadPool* pool,
                 HitList* list) const {
    const float score = list->hits.back().score;
    TiedRows ties(*snapshot_, k);
    std::mutex mutex;
    for (size_t c = 0; c < snapshot_->chunk_count() && !is_canceled(cancel_); ++c) {
      const ColumnView view = snapshot_->column(c, field_id_);
      if (view.all_null) continue;
      const Scorer scorer(vector_rows(c, view, queries.metric()), queries, query);
      if (is_canceled(cancel_)) break;
      const size_t chunk_begin = snapshot_->chunk_begin(c);
      run(pool, view.rows, rows_per_task(dim_, 1), [&](size_t begin, size_t end) {
        for (size_t i = begin; i < end && !is_canceled(cancel_); i += kTieBlockRows) {
          std::array<uint32_t, kTieBlockRows> rows;
          const size_t last = std::min(end, i + kTieBlockRows);
          const size_t count = rows_with_score(scorer, score, chunk_begin, i, last, rows.data());
          const std::lock_guard lock(mutex);
          for (size_t j = 0; j < count; ++j)
            ties.add(static_cast<uint32_t>(chunk_begin + rows[j]));
        }
      });
    }
    while (!list->hits.empty() && list->hits.back().score == score) list->hits.pop_back();
    for (const uint32_t row : ties.take()) list->hits.push_back({score, row});
    list->has_ties = true;
  }

  // The same as `search` for one query of the batch, deeper than before.
  void search_deeper(const QueryBatch& queries, size_t query, const IndexSearchParams& params,
                     ThreadPool* pool, HitList* list) const {
    const size_t ask = std::min(mask_.kept, list->asked * 2);
    if (uses_index(params, ask)) {
      walk(queries, query, params, ask, pool, list);
    } else {
      const QueryBatch one(queries.query(query), 1, dim_, queries.metric());
      scan(one, params, ask, pool, list);
    }
  }

 private:
  template <typename Body>
  void run(ThreadPool* pool, size_t count, size_t grain, Body&& body) const {
    if (pool == nullptr || count <= grain) {
      body(0, count);
    } else {
      pool->parallel_for(count, grain, body, cancel_);
    }
  }
  bool uses_index(const IndexSearchParams& params, size_t ask) const {
    return index_ != nullptr &&
           plan_filtered(*index_, params, ask, mask_.kept) == FilterPlan::kIndex;
  }

  void walk(const QueryBatch& queries, size_t query, const IndexSearchParams& params, size_t ask,
            ThreadPool* pool, HitList* list) const {
    TopK best(ask);
    const size_t found = index_->search(queries, query, params, mask_.words(), mask_.kept, best,
                                        SearchScratch::of_thread());
    if (found < ask && params.range == nullptr && !is_canceled(cancel_)) {
      // The graph did not reach enough rows: a filter must not cost hits (P4).
      const QueryBatch one(queries.query(query), 1, dim_, queries.metric());
      scan(one, params, ask, pool, list);
      return;
    }
    keep(best, ask, list);
  }

  void scan(const QueryBatch& queries, const IndexSearchParams& params, size_t ask,
            ThreadPool* pool, HitList* lists) const {
    std::vector<TopK> heaps(queries.count(), TopK(ask));
    for (size_t c = 0; c < snapshot_->chunk_count() && !is_canceled(cancel_); ++c) {
      ThreadPool::give_way();
      scan_chunk(c, queries, params, pool, heaps.data());
    }
    for (size_t q = 0; q < queries.count(); ++q) keep(heaps[q], ask, &lists[q]);
  }

  // Kept rows of the chunk's rows [begin, end) that have exactly this score: how many.
  size_t rows_with_score(const Scorer& scorer, float score, size_t chunk_begin, size_t begin,
                         size_t end, uint32_t* rows) const {
    std::array<float, kTieBlockRows> scores;
    size_t kept = 0;
    for (size_t row = begin; row < end; ++row) {
      if (mask_.keeps(chunk_begin + row)) rows[kept++] = static_cast<uint32_t>(row);
    }
    scorer.score_ids(rows, kept, scores.data());
    size_t count = 0;
    for (size_t i = 0; i < kept; ++i) {
      if (scores[i] == score) rows[count++] = rows[i];
    }
    return count;
  }

  // Not to be read when canceled: norms may be missing then.
  VectorRows vector_rows(size_t chunk, const ColumnView& view, Metric metric) const {
    const float* norms =
        metric == Metric::kCosine ? snapshot_->inv_norms(chunk, field_id_, cancel_) : nullptr;
    return {static_cast<const float*>(view.data), view.rows, dim_, metric, norms};
  }

  void scan_chunk(size_t chunk, const QueryBatch& queries, const IndexSearchParams& params,
                  ThreadPool* pool, TopK* heaps) const {
    const ColumnView view = snapshot_->column(chunk, field_id_);
    if (view.all_null || view.rows == 0) return;
    FlatScanArgs args;
    args.rows = vector_rows(chunk, view, queries.metric());
    if (is_canceled(cancel_)) return;
    args.row_begin = snapshot_->chunk_begin(chunk);
    args.visible = mask_.words();
    args.range = params.range;
    args.cancel = cancel_;
    if (pool == nullptr) {
      flat_scan(args, queries, heaps);
      return;
    }
    // Few rows and many queries: threads share the queries, else the rows.
    if (view.rows >= 2 * rows_per_task(dim_, queries.count())) {
      flat_scan_parallel(*pool, args, queries, heaps);
      return;
    }
    const double query_ns = kScanNs * static_cast<double>(view.rows * dim_) + 100;
    const size_t grain = std::max<size_t>(4, static_cast<size_t>(kTaskNs / query_ns) / 4 * 4);
    run(pool, queries.count(), grain, [&](size_t begin, size_t end) {
      const QueryBatch some(queries.query(begin), end - begin, dim_, queries.metric());
      flat_scan(args, some, heaps + begin);
    });
  }

  // Nothing is cut when every kept row was asked for.
  void keep(TopK& best, size_t ask, HitList* list) const {
    list->hits = best.take_sorted();
    list->asked = ask;
    list->is_cut = list->hits.size() >= ask && ask < mask_.kept;
    list->has_ties = false;
  }

  std::unique_ptr<SegmentSnapshot> snapshot_;
  VisibleSet mask_;
  size_t visible_rows_ = 0;
  size_t dim_ = 0;
  int64_t field_id_ = 0;
  const VectorIndex* index_ = nullptr;
  const CancelToken* cancel_ = nullptr;
};

// Of primary keys of either kind.
struct KeyHash {
  size_t operator()(int64_t key) const { return hash_key(key); }
  size_t operator()(std::string_view key) const { return hash_key(key); }
};
using IntKeys = std::unordered_set<int64_t, KeyHash>;
using StringKeys = std::unordered_set<std::string_view, KeyHash>;

struct Candidate {
  float score = 0;
  RowRef ref;
};

class Search {
 public:
  Search(const SearchRequest& request, ThreadPool* pool, const CancelToken* cancel)
      : request_(request), pool_(pool), cancel_(cancel) {}

  Status prepare(std::span<const std::shared_ptr<const Segment>> segments) {
    parts_.resize(segments.size());
    if (Status status = check(segments); !status.is_ok()) return status;
    std::mutex mutex;
    Status first_error;
    for_each_part(request_.plan != nullptr, [&](size_t i) {
      Status status = parts_[i].prepare(*segments[i], request_, pool_, cancel_);
      if (status.is_ok()) return;
      const std::lock_guard lock(mutex);
      if (first_error.is_ok()) first_error = std::move(status);
    });
    return first_error;
  }

  Status run(SearchResult* result) {
    set_params();
    if (Status status = check_size(); !status.is_ok()) return status;
    // One more than asked for, to see whether equal scores follow the last.
    const size_t ask = request_.k + 1;
    std::vector<const SegmentSnapshot*> sources;
    for (const Part& part : parts_) {
      sources.push_back(&part.snapshot());
      result->visible_rows += part.visible_rows();
    }
    const ReadBounds& bounds = request_.bounds;
    // Without segments there are no rows to measure.
    const uint64_t row_bytes =
        std::max<uint64_t>(1, min_row_bytes(sources, request_.output_fields));
    if (const uint64_t hits = surely_too_many(row_bytes); hits != 0)
      return output_too_large("search", hits * row_bytes, bounds.reply_bytes_max);
    uint64_t reply_rows = 0;
    std::vector<RowRef> rows;
    for (size_t begin = 0; begin < request_.nq;) {
      const size_t count = group_size(request_.nq - begin, ask, row_bytes, reply_rows);
      search_group(begin, count, ask);
      if (is_canceled(cancel_)) return canceled();
      for (size_t q = 0; q < count; ++q) {
        const std::vector<Candidate>& picked = picked_[q];
        result->counts.push_back(static_cast<int32_t>(picked.size()));
        reply_rows += picked.size() - std::min<uint64_t>(picked.size(), bounds.spare_rows);
        for (const Candidate& candidate : picked) {
          result->scores.push_back(client_score(request_.metric, candidate.score));
          rows.push_back(candidate.ref);
        }
      }
      begin += count;
      if (const uint64_t bytes = reply_rows * row_bytes; bytes > bounds.reply_bytes_max)
        return output_too_large("search", bytes, bounds.reply_bytes_max);
      if (const uint64_t bytes = rows.size() * row_bytes; bytes > bounds.gather_bytes_max)
        return gather_too_large("search", bytes, bounds.gather_bytes_max);
    }
    Status status = gather_rows(sources, rows, request_.output_fields, &result->rows, cancel_,
                                bounds.gather_bytes_max);
    return status.code() == StatusCode::kTooLarge
               ? gather_too_large("search", result->rows.size, bounds.gather_bytes_max)
               : status;
  }

  static Status canceled() { return {StatusCode::kCanceled, "the search was canceled"}; }

 private:
  Status check(std::span<const std::shared_ptr<const Segment>> segments) {
    if (request_.k == 0) return {StatusCode::kInvalidParameter, "k must not be 0"};
    for (const auto& segment : segments) {
      const Field* field = segment->schema().find(request_.field_id);
      if (field == nullptr) continue;
      if (field->type != DataType::kFloatVector) {
        return {StatusCode::kInvalidParameter,
                "field " + std::to_string(request_.field_id) + " is not a float vector"};
      }
      if (request_.queries.size() != request_.nq * field->dim * sizeof(float)) {
        return {StatusCode::kInvalidParameter,
                "the query vectors do not have the field's dimension"};
      }
      dim_ = field->dim;
    }
    for (const auto& segment : segments) {
      if (segment->schema().has_string_keys() != segments[0]->schema().has_string_keys()) {
        return {StatusCode::kInvalidParameter, "segments disagree on the primary key's type"};
      }
      has_string_keys_ = segment->schema().has_string_keys();
    }
    return Status::ok();
  }

  // Before anything is allocated for the hits. With bounds they are counted as they are found.
  Status check_size() const {
    if (request_.bounds.reply_bytes_max != ReadBounds::kNone) return Status::ok();
    size_t rows = 0;
    for (const Part& part : parts_) rows += part.kept();
    const size_t hits = request_.nq * std::min(request_.k, rows);
    if (hits <= kSearchHitsMax) return Status::ok();
    return {StatusCode::kMemoryLimit, "a search may find " + std::to_string(hits) +
                                          " hits, at most " + std::to_string(kSearchHitsMax) +
                                          " fit into one result"};
  }

  // Every query has min(k, distinct keys) hits (P4), so some distinct keys can tell that the reply
  // will be too large before anything is searched. Returns how many hits it will have at least, or
  // 0 when that is not known yet.
  uint64_t surely_too_many(uint64_t row_bytes) const {
    const ReadBounds& bounds = request_.bounds;
    if (params_.range != nullptr || bounds.reply_bytes_max == ReadBounds::kNone) return 0;
    const auto too_many = [&](uint64_t queries) -> uint64_t {
      if (queries == 0) return 0;
      const uint64_t replied = bounds.reply_bytes_max / (row_bytes * queries) + 1;
      const uint64_t needed = replied + bounds.spare_rows;
      return needed <= request_.k && has_distinct_keys(needed) ? replied * queries : 0;
    };
    // A query with a NaN has no hits; they are looked for only when it matters.
    return too_many(request_.nq) == 0 ? 0 : too_many(count_queries());
  }

  size_t count_queries() const {
    const float* data = reinterpret_cast<const float*>(request_.queries.data());
    size_t count = 0;
    std::vector<float> query(dim_);
    for (size_t q = 0; q < request_.nq; ++q) {
      std::memcpy(query.data(), data + q * dim_, dim_ * sizeof(float));
      if (!has_nan(query.data(), dim_)) ++count;
    }
    return count;
  }

  bool has_distinct_keys(uint64_t needed) const {
    uint64_t kept = 0;
    for (const Part& part : parts_) kept += part.kept();
    if (kept < needed) return false;
    IntKeys keys;
    StringKeys strings;
    for (const Part& part : parts_) {
      const SegmentSnapshot& rows = part.snapshot();
      for (size_t row = 0; part.kept() != 0 && row < rows.row_count(); ++row) {
        if (!part.is_kept(row)) continue;
        if (has_string_keys_) {
          strings.insert(rows.key_string_at(row));
        } else {
          keys.insert(rows.key_at(row));
        }
        if (keys.size() + strings.size() >= needed) return true;
      }
    }
    return false;
  }

  // How many of the queries left go together: no more than their candidates have memory for, and
  // than would fill the reply, so that one that is too large is known early.
  size_t group_size(size_t left, size_t ask, uint64_t row_bytes, uint64_t reply_rows) const {
    size_t candidates = 0;
    size_t kept = 0;
    for (const Part& part : parts_) {
      candidates += std::min(ask, part.kept());
      kept += part.kept();
    }
    // Threads that scan rows together have lists of their own.
    const size_t lists = 1 + (pool_ == nullptr ? 0 : pool_->thread_count());
    const size_t in_memory = kGroupHits / std::max<size_t>(1, candidates * lists);
    const size_t hits = std::min(request_.k, kept);
    const uint64_t replied = hits - std::min<uint64_t>(hits, request_.bounds.spare_rows);
    uint64_t in_reply = kGroupQueries;
    if (replied * row_bytes != 0) {
      const uint64_t fitting = request_.bounds.reply_bytes_max / row_bytes;
      in_reply = (fitting - std::min(fitting, reply_rows)) / replied + 1;
    }
    const size_t most = std::min<uint64_t>({in_memory, in_reply, kGroupQueries, left});
    return std::max<size_t>(1, most);
  }

  void set_params() {
    if (request_.ef != 0) params_.ef = request_.ef;
    if (request_.nprobe != 0) params_.nprobe = request_.nprobe;
    params_.cancel = cancel_;
    if (!request_.radius.has_value() && !request_.range_filter.has_value()) return;
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    range_.above = request_.radius ? internal_score(request_.metric, *request_.radius) : -kInfinity;
    range_.at_most =
        request_.range_filter ? internal_score(request_.metric, *request_.range_filter) : kInfinity;
    params_.range = &range_;
  }

  // Calls body(i) for each part, on several threads when it is worth it.
  template <typename Body>
  void for_each_part(bool share, Body&& body) {
    const auto pieces = [&](size_t begin, size_t end) {
      for (size_t i = begin; i < end && !is_canceled(cancel_); ++i) {
        ThreadPool::give_way();
        body(i);
      }
    };
    if (share && pool_ != nullptr && parts_.size() > 1) {
      pool_->parallel_for(parts_.size(), 1, pieces, cancel_);
    } else {
      pieces(0, parts_.size());
    }
  }

  void search_group(size_t first, size_t count, size_t ask) {
    const float* data = reinterpret_cast<const float*>(request_.queries.data()) + first * dim_;
    const QueryBatch queries(data, count, dim_, request_.metric);
    lists_.assign(parts_.size() * count, {});
    picked_.assign(count, {});
    double work_ns = 0;
    for (const Part& part : parts_) {
      if (part.kept() != 0) work_ns += part.estimate_ns(params_, ask, count);
    }
    ThreadPool* pool = work_ns >= 2 * kWakeNs ? pool_ : nullptr;
    for_each_part(pool != nullptr, [&](size_t i) {
      if (parts_[i].kept() == 0) return;
      parts_[i].search(queries, params_, ask, pool, &lists_[i * count]);
    });
    if (is_canceled(cancel_)) return;
    const double merge_ns = 100.0 * static_cast<double>(count * std::min(ask, size_t{1000}));
    const auto merge_some = [&](size_t begin, size_t end) {
      for (size_t q = begin; q < end && !is_canceled(cancel_); ++q) {
        ThreadPool::give_way();
        if (!has_nan(queries.query(q), dim_)) pick(queries, q, count);
      }
    };
    if (pool == nullptr || merge_ns < kWakeNs) {
      merge_some(0, count);
    } else {
      pool->parallel_for(count, 16, merge_some, cancel_);
    }
  }

  // Chooses the best k rows with distinct keys of one query. Where a list ends too early for that
  // its part is asked for more rows; where only equal scores may follow, for those (P4).
  void pick(const QueryBatch& queries, size_t query, size_t count) {
    bool is_complete = false;
    while (!is_complete && !is_canceled(cancel_)) {
      const std::vector<Candidate>& picked = pick_from_lists(query, count);
      const bool is_full = picked.size() == request_.k;
      is_complete = true;
      for (size_t i = 0; i < parts_.size(); ++i) {
        HitList& list = lists_[i * count + query];
        if (!list.is_cut) continue;
        const float worst = list.hits.back().score;
        if (!is_full || picked.back().score < worst) {
          parts_[i].search_deeper(queries, query, params_, pool_, &list);
          is_complete = false;
        }
      }
      if (is_complete) is_complete = !find_ties(queries, query, count);
    }
  }

  // Whether a list has changed. A list is asked at most once for the score of the last row picked:
  // further rows of that score do not change how many are better.
  bool find_ties(const QueryBatch& queries, size_t query, size_t count) {
    if (picked_[query].size() < request_.k) return false;
    const Candidate& last = picked_[query].back();
    bool has_changed = false;
    for (size_t i = 0; i < parts_.size(); ++i) {
      HitList& list = lists_[i * count + query];
      if (!list.is_cut || list.has_ties || list.hits.back().score != last.score) continue;
      if (!parts_[i].may_hide_ties(list, parts_[last.ref.source].snapshot(), last.ref.row))
        continue;
      parts_[i].find_ties(queries, query, request_.k, pool_, &list);
      has_changed = true;
    }
    return has_changed;
  }

  const std::vector<Candidate>& pick_from_lists(size_t query, size_t count) {
    std::vector<Candidate>* picked = &picked_[query];
    std::vector<Candidate> all;
    for (size_t i = 0; i < parts_.size(); ++i) {
      for (const Hit& hit : lists_[i * count + query].hits) {
        all.push_back({hit.score, {static_cast<uint32_t>(i), static_cast<uint32_t>(hit.id)}});
      }
    }
    const auto before = [this](const Candidate& a, const Candidate& b) { return is_before(a, b); };
    // Most often the first k have distinct keys; the rest is sorted only when it is needed.
    size_t sorted = 0;
    IntKeys keys;
    StringKeys strings;
    picked->clear();
    for (size_t i = 0; i < all.size(); ++i) {
      if (i == sorted) {
        sorted = std::min(all.size(), std::max<size_t>(2 * sorted, request_.k));
        std::partial_sort(all.begin() + static_cast<ptrdiff_t>(i),
                          all.begin() + static_cast<ptrdiff_t>(sorted), all.end(), before);
      }
      const SegmentSnapshot& rows = parts_[all[i].ref.source].snapshot();
      const bool is_new = has_string_keys_
                              ? strings.insert(rows.key_string_at(all[i].ref.row)).second
                              : keys.insert(rows.key_at(all[i].ref.row)).second;
      if (!is_new) continue;
      picked->push_back(all[i]);
      if (picked->size() == request_.k) break;
    }
    return *picked;
  }

  // Best score, then smallest key, then newest row.
  bool is_before(const Candidate& a, const Candidate& b) const {
    if (a.score != b.score) return a.score > b.score;
    const SegmentSnapshot& rows_a = parts_[a.ref.source].snapshot();
    const SegmentSnapshot& rows_b = parts_[b.ref.source].snapshot();
    if (is_row_before(rows_a, a.ref.row, rows_b, b.ref.row)) return true;
    if (is_row_before(rows_b, b.ref.row, rows_a, a.ref.row)) return false;
    return a.ref.source > b.ref.source;
  }

  const SearchRequest& request_;
  ThreadPool* pool_;
  const CancelToken* cancel_;
  size_t dim_ = 0;
  bool has_string_keys_ = false;
  ScoreRange range_{};
  IndexSearchParams params_;
  std::vector<Part> parts_;
  std::vector<HitList> lists_;                  // of a group: part by part, query by query
  std::vector<std::vector<Candidate>> picked_;  // of a group, by query
};

}  // namespace

Status search_segments(std::span<const std::shared_ptr<const Segment>> segments,
                       const SearchRequest& request, ThreadPool* pool, const CancelToken* cancel,
                       SearchResult* result) {
  return guarded([&]() -> Status {
    Search search(request, pool, cancel);
    if (Status status = search.prepare(segments); !status.is_ok()) return status;
    if (is_canceled(cancel)) return Search::canceled();
    return search.run(result);
  });
}

}  // namespace elanus
