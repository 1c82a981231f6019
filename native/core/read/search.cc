// Plan, visible rows, engines, picking, gathering: the stages of a search, a group of queries at a
// time.
#include "read/search.h"

#include <algorithm>
#include <limits>
#include <mutex>
#include <string>

#include "base/guard.h"
#include "read/gather.h"
#include "read/hit_picker.h"
#include "read/segment_search.h"
#include "read/snapshot_rows.h"

namespace elanus {
namespace {

// Queries that go through all segments together, and what they may find there: 16 bytes a hit.
constexpr size_t kGroupQueries = 256;
constexpr size_t kGroupHits = size_t{8} << 20;
constexpr double kWakeNs = 1e5;

using Segments = std::span<const std::shared_ptr<const Segment>>;

class Search {
 public:
  Search(const SearchRequest& request, ThreadPool* pool, const CancelToken* cancel)
      : request_(request), pool_(pool), cancel_(cancel) {}

  Status run(Segments segments, SearchResult* result) {
    Status status = plan(segments);
    if (status.is_ok()) status = find_visible(segments);
    if (!status.is_ok()) return status;
    if (is_canceled(cancel_)) return canceled();
    if (status = check_size(); !status.is_ok()) return status;
    std::vector<RowRef> rows;
    if (status = search(&rows, result); !status.is_ok()) return status;
    const uint64_t bytes_max = request_.bounds.gather_bytes_max;
    status = gather_rows(sources_, rows, request_.output_fields, &result->rows, cancel_, bytes_max);
    return status.code() == StatusCode::kTooLarge
               ? gather_too_large("search", result->rows.size, bytes_max)
               : status;
  }

 private:
  static Status canceled() { return {StatusCode::kCanceled, "the search was canceled"}; }

  Status plan(Segments segments) {
    if (request_.k == 0) return {StatusCode::kInvalidParameter, "k must not be 0"};
    for (const auto& segment : segments) {
      if (Status status = check_field(segment->schema()); !status.is_ok()) return status;
      if (segment->schema().has_string_keys() != segments[0]->schema().has_string_keys()) {
        return {StatusCode::kInvalidParameter, "segments disagree on the primary key's type"};
      }
    }
    params_.bag = request_.params;
    params_.cancel = cancel_;
    if (!request_.radius.has_value() && !request_.range_filter.has_value()) return Status::ok();
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    range_.above = request_.radius ? internal_score(request_.metric, *request_.radius) : -kInfinity;
    range_.at_most =
        request_.range_filter ? internal_score(request_.metric, *request_.range_filter) : kInfinity;
    params_.range = &range_;
    return Status::ok();
  }

  // A segment that lacks the field has no hits.
  Status check_field(const Schema& schema) {
    const Field* field = schema.find(request_.field_id);
    if (field == nullptr) return Status::ok();
    const std::string name = "field " + std::to_string(request_.field_id);
    const VectorType* type = find_vector_type(field->type);
    if (type == nullptr) return {StatusCode::kInvalidParameter, name + " has no vectors"};
    if (!type->has_metric(request_.metric)) {
      return {StatusCode::kInvalidParameter,
              name + " has no metric " + traits_of(request_.metric).name};
    }
    if (request_.queries.size() != request_.nq * type->row_bytes(field->dim)) {
      return {StatusCode::kInvalidParameter,
              "the query vectors do not have the field's dimension"};
    }
    if (queries_.has_value()) return Status::ok();
    queries_.emplace(*type, field->dim, request_.metric, request_.queries.data(), request_.nq);
    return Status::ok();
  }

  Status find_visible(Segments segments) {
    parts_.resize(segments.size());
    std::mutex mutex;
    Status first_error;
    for_each_part(request_.plan != nullptr, [&](size_t i) {
      Status status = parts_[i].prepare(*segments[i], request_.field_id, request_.metric,
                                        request_.plan, request_.read_ts, pool_, cancel_);
      if (status.is_ok()) return;
      const std::lock_guard lock(mutex);
      if (first_error.is_ok()) first_error = std::move(status);
    });
    if (!first_error.is_ok() || is_canceled(cancel_)) return first_error;
    for (const SegmentSearch& part : parts_) {
      sources_.push_back(&part.snapshot());
      kept_ += part.kept();
    }
    // Without segments there are no rows to measure.
    row_bytes_ = std::max<uint64_t>(1, min_row_bytes(sources_, request_.output_fields));
    return Status::ok();
  }

  // Before anything is allocated for the hits. With bounds they are counted as they are found,
  // unless the reply is too large whatever is found.
  Status check_size() const {
    const ReadBounds& bounds = request_.bounds;
    if (const uint64_t hits = surely_too_many(); hits != 0)
      return output_too_large("search", hits * row_bytes_, bounds.reply_bytes_max);
    if (bounds.reply_bytes_max != ReadBounds::kNone) return Status::ok();
    const size_t hits = request_.nq * std::min(request_.k, kept_);
    if (hits <= kSearchHitsMax) return Status::ok();
    return {StatusCode::kMemoryLimit, "a search may find " + std::to_string(hits) +
                                          " hits, at most " + std::to_string(kSearchHitsMax) +
                                          " fit into one result"};
  }

  // Every query has min(k, distinct keys) hits (P4), so some distinct keys can tell that the reply
  // will be too large before anything is searched. Returns how many hits it will have at least, or
  // 0 when that is not known yet.
  uint64_t surely_too_many() const {
    const ReadBounds& bounds = request_.bounds;
    if (params_.range != nullptr || bounds.reply_bytes_max == ReadBounds::kNone) return 0;
    const auto too_many = [&](uint64_t queries) -> uint64_t {
      if (queries == 0) return 0;
      const uint64_t replied = bounds.reply_bytes_max / (row_bytes_ * queries) + 1;
      const uint64_t needed = replied + bounds.spare_rows;
      return needed <= request_.k && has_distinct_keys(needed) ? replied * queries : 0;
    };
    // A query that is near to nothing has no hits; they are looked for only when it matters.
    return too_many(request_.nq) == 0 ? 0 : too_many(count_queries());
  }

  uint64_t count_queries() const {
    uint64_t count = 0;
    for (size_t q = 0; queries_.has_value() && q < request_.nq; ++q)
      count += queries_->is_near_nothing(q) ? 0 : 1;
    return count;
  }

  bool has_distinct_keys(uint64_t needed) const {
    if (kept_ < needed) return false;
    KeySet keys;
    for (const SegmentSearch& part : parts_) {
      const SegmentSnapshot& rows = part.snapshot();
      for (size_t row = 0; part.kept() != 0 && row < rows.row_count(); ++row) {
        if (!part.is_kept(row)) continue;
        insert_key(rows, row, &keys);
        if (keys.size() >= needed) return true;
      }
    }
    return false;
  }

  // How many of the queries left go together: no more than their candidates have memory for, and
  // than would fill the reply, so that one that is too large is known early.
  size_t group_size(size_t left, size_t ask, uint64_t reply_rows) const {
    size_t candidates = 0;
    for (const SegmentSearch& part : parts_) candidates += std::min(ask, part.kept());
    // Threads that scan rows together have lists of their own.
    const size_t lists = 1 + (pool_ == nullptr ? 0 : pool_->thread_count());
    const size_t in_memory = kGroupHits / std::max<size_t>(1, candidates * lists);
    const size_t hits = std::min(request_.k, kept_);
    const uint64_t replied = hits - std::min<uint64_t>(hits, request_.bounds.spare_rows);
    uint64_t in_reply = kGroupQueries;
    if (replied * row_bytes_ != 0) {
      const uint64_t fitting = request_.bounds.reply_bytes_max / row_bytes_;
      in_reply = (fitting - std::min(fitting, reply_rows)) / replied + 1;
    }
    const size_t most = std::min<uint64_t>({in_memory, in_reply, kGroupQueries, left});
    return std::max<size_t>(1, most);
  }

  Status search(std::vector<RowRef>* rows, SearchResult* result) {
    for (const SegmentSearch& part : parts_) result->visible_rows += part.visible_rows();
    result->counts.reserve(request_.nq);
    if (!queries_.has_value()) {
      result->counts.assign(request_.nq, 0);
      return Status::ok();
    }
    const ReadBounds& bounds = request_.bounds;
    // One more than asked for, to see whether equal scores follow the last.
    const size_t ask = request_.k + 1;
    uint64_t reply_rows = 0;
    for (size_t begin = 0; begin < request_.nq;) {
      const size_t count = group_size(request_.nq - begin, ask, reply_rows);
      search_group(queries_->part(begin, count), ask);
      if (is_canceled(cancel_)) return canceled();
      for (const std::vector<PickedHit>& picked : picked_) {
        result->counts.push_back(static_cast<int32_t>(picked.size()));
        reply_rows += picked.size() - std::min<uint64_t>(picked.size(), bounds.spare_rows);
        for (const PickedHit& hit : picked) {
          result->scores.push_back(client_score(request_.metric, hit.score));
          rows->push_back(hit.ref);
        }
      }
      begin += count;
      if (const uint64_t bytes = reply_rows * row_bytes_; bytes > bounds.reply_bytes_max)
        return output_too_large("search", bytes, bounds.reply_bytes_max);
      if (const uint64_t bytes = rows->size() * row_bytes_; bytes > bounds.gather_bytes_max)
        return gather_too_large("search", bytes, bounds.gather_bytes_max);
    }
    return Status::ok();
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

  void search_group(const QuerySet& queries, size_t ask) {
    const size_t count = queries.count();
    lists_.assign(parts_.size() * count, {});
    picked_.assign(count, {});
    double work_ns = 0;
    for (const SegmentSearch& part : parts_) {
      if (part.kept() != 0) work_ns += part.estimate_ns(params_, ask, count);
    }
    ThreadPool* pool = work_ns >= 2 * kWakeNs ? pool_ : nullptr;
    for_each_part(pool != nullptr, [&](size_t i) {
      if (parts_[i].kept() == 0) return;
      parts_[i].search(queries, params_, ask, pool, &lists_[i * count]);
    });
    if (is_canceled(cancel_)) return;
    const HitPicker picker(parts_, request_.k, params_, pool_, cancel_);
    const auto pick_some = [&](size_t begin, size_t end) {
      for (size_t q = begin; q < end && !is_canceled(cancel_); ++q) {
        ThreadPool::give_way();
        if (!queries.is_near_nothing(q))
          picker.pick(queries, q, &lists_[q], count, &picked_[q]);
      }
    };
    const double pick_ns = 100.0 * static_cast<double>(count * std::min(ask, size_t{1000}));
    if (pool == nullptr || pick_ns < kWakeNs) {
      pick_some(0, count);
    } else {
      pool->parallel_for(count, 16, pick_some, cancel_);
    }
  }

  const SearchRequest& request_;
  ThreadPool* pool_;
  const CancelToken* cancel_;
  std::optional<QuerySet> queries_;  // none when no segment has the field
  ScoreRange range_{};
  IndexSearchParams params_;
  std::vector<SegmentSearch> parts_;
  std::vector<const SegmentSnapshot*> sources_;  // of the parts
  size_t kept_ = 0;                              // rows of all parts
  uint64_t row_bytes_ = 1;                       // of a row of the output, at least
  std::vector<HitList> lists_;                   // of a group: part by part, query by query
  std::vector<std::vector<PickedHit>> picked_;   // of a group, by query
};

}  // namespace

Status search_segments(std::span<const std::shared_ptr<const Segment>> segments,
                       const SearchRequest& request, ThreadPool* pool, const CancelToken* cancel,
                       SearchResult* result) {
  return guarded([&] { return Search(request, pool, cancel).run(segments, result); });
}

}  // namespace elanus
