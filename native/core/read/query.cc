// Plan, rows of each segment, order, gathering: the stages of a query.
#include "read/query.h"

#include <algorithm>
#include <mutex>
#include <string_view>
#include <utility>

#include "base/guard.h"
#include "read/gather.h"
#include "read/match.h"
#include "read/segment_query.h"

namespace elanus {
namespace {

// Ascending keys, each once.
struct SortedKeys {
  std::vector<int64_t> ints;
  std::vector<std::string_view> strings;
  KeySpan span;

  explicit SortedKeys(const KeySpan& keys) {
    if (keys.is_string) {
      strings.assign(keys.strings.begin(), keys.strings.end());
      std::sort(strings.begin(), strings.end());
      strings.erase(std::unique(strings.begin(), strings.end()), strings.end());
      span = KeySpan::of(std::span<const std::string_view>(strings));
    } else {
      ints.assign(keys.ints.begin(), keys.ints.end());
      std::sort(ints.begin(), ints.end());
      ints.erase(std::unique(ints.begin(), ints.end()), ints.end());
      span = KeySpan::of(std::span<const int64_t>(ints));
    }
  }
};

// The keys that a filter lists, if it says nothing else. Views into the plan.
std::optional<SortedKeys> listed_keys(const PlanNode& node, const Field& primary_key) {
  if (node.tag != PlanTag::kIn || node.operands[0].kind != OperandKind::kField ||
      node.operands[0].field_id != primary_key.field_id) {
    return std::nullopt;
  }
  const bool are_strings = primary_key.type == DataType::kVarChar;
  const LiteralKind wanted = are_strings ? LiteralKind::kString : LiteralKind::kInt64;
  std::vector<int64_t> ints;
  std::vector<std::string_view> strings;
  for (const Literal& literal : node.literals) {
    if (literal.kind != wanted) return std::nullopt;
    if (are_strings) {
      strings.push_back(literal.text);
    } else {
      ints.push_back(literal.integer);
    }
  }
  return SortedKeys(are_strings ? KeySpan::of(std::span<const std::string_view>(strings))
                                : KeySpan::of(std::span<const int64_t>(ints)));
}

class Query {
 public:
  Query(const QueryRequest& request, ThreadPool* pool, const CancelToken* cancel)
      : request_(request), pool_(pool), cancel_(cancel) {}

  Status run(std::span<const std::shared_ptr<const Segment>> segments, QueryResult* result) {
    if (Status status = plan(segments); !status.is_ok()) return status;
    if (Status status = find_matches(); !status.is_ok()) return status;
    if (is_canceled(cancel_)) return canceled();
    return gather(result);
  }

 private:
  static Status canceled() { return {StatusCode::kCanceled, "the query was canceled"}; }

  Status plan(std::span<const std::shared_ptr<const Segment>> segments) {
    for (const auto& segment : segments) {
      if (segment->schema().has_string_keys() != segments[0]->schema().has_string_keys()) {
        return {StatusCode::kInvalidParameter, "segments disagree on the primary key's type"};
      }
      snapshots_.push_back(segment->snapshot(request_.read_ts));
      sources_.push_back(snapshots_.back().get());
    }
    query_ = {.plan = request_.plan,
              .read_ts = request_.read_ts,
              .limit = request_.limit,
              .count_only = request_.count_only,
              .pool = pool_,
              .cancel = cancel_};
    if (request_.keys.has_value()) {
      keys_.emplace(*request_.keys);
    } else if (query_.plan != nullptr && !segments.empty()) {
      keys_ = listed_keys(query_.plan->root(), segments[0]->schema().primary_key());
      if (keys_.has_value()) query_.plan = nullptr;
    }
    // More do not fit, whatever their values of variable width are.
    const ReadBounds& bounds = request_.bounds;
    row_bytes_ = std::max<uint64_t>(1, min_row_bytes(sources_, request_.output_fields));
    const uint64_t replied = bounds.reply_bytes_max / row_bytes_;
    const uint64_t spare = std::min(bounds.spare_rows, ReadBounds::kNone - replied);
    query_.rows_max = std::min(replied + spare, bounds.gather_bytes_max / row_bytes_);
    return Status::ok();
  }

  Status find_matches() {
    const auto some = [&](size_t begin, size_t end) {
      for (size_t i = begin; i < end && !is_canceled(cancel_); ++i) {
        Status status = find_in(i);
        const std::lock_guard lock(mutex_);
        if (first_error_.is_ok()) first_error_ = std::move(status);
        if (!first_error_.is_ok()) return;
      }
    };
    if (pool_ != nullptr && sources_.size() > 1 && !keys_.has_value()) {
      pool_->parallel_for(sources_.size(), 1, some, cancel_);
    } else {
      some(0, sources_.size());
    }
    return first_error_;
  }

  Status find_in(size_t source) {
    SegmentMatches found(query_, *sources_[source], static_cast<uint32_t>(source));
    Status status = keys_.has_value() ? found.find_keys(keys_->span) : found.find_all();
    if (!status.is_ok()) return status;
    if (found.are_too_many()) return too_large(query_.rows_max + 1);
    return keep(found.count(), std::move(found.matches()));
  }

  Status too_large(uint64_t rows) const {
    const ReadBounds& bounds = request_.bounds;
    const uint64_t replied = rows - std::min(rows, bounds.spare_rows);
    return replied * row_bytes_ > bounds.reply_bytes_max
               ? output_too_large("query", replied * row_bytes_, bounds.reply_bytes_max)
               : gather_too_large("query", rows * row_bytes_, bounds.gather_bytes_max);
  }

  // Adds what one segment has. Matches are merged, and those that are too many noticed, before they
  // take the memory of twice the rows that fit.
  Status keep(uint64_t count, std::vector<Match> some) {
    for (;;) {
      {
        const std::lock_guard lock(mutex_);
        count_ += std::exchange(count, 0);
        if (matches_.empty()) {
          matches_ = std::move(some);
        } else {
          matches_.insert(matches_.end(), some.begin(), some.end());
        }
        if (matches_.size() / 2 <= query_.rows_max) return Status::ok();
        some = std::exchange(matches_, {});
      }
      // Sorting takes turns, which no thread may do with a lock. Meanwhile others may add theirs.
      if (!reduce(MatchOrder(), request_.limit, cancel_, &some)) return canceled();
      if (some.size() > query_.rows_max) return too_large(some.size());
    }
  }

  Status gather(QueryResult* result) {
    if (!reduce(MatchOrder(), request_.limit, cancel_, &matches_)) return canceled();
    if (matches_.size() > query_.rows_max) return too_large(matches_.size());
    result->count = request_.count_only ? count_ : matches_.size();
    std::vector<RowRef> rows;
    rows.reserve(matches_.size());
    for (const Match& match : matches_) rows.push_back(match.ref);
    const uint64_t bytes_max = request_.bounds.gather_bytes_max;
    Status status =
        gather_rows(sources_, rows, request_.output_fields, &result->rows, cancel_, bytes_max);
    return status.code() == StatusCode::kTooLarge
               ? gather_too_large("query", result->rows.size, bytes_max)
               : status;
  }

  const QueryRequest& request_;
  ThreadPool* pool_;
  const CancelToken* cancel_;
  SegmentQuery query_;
  std::optional<SortedKeys> keys_;
  std::vector<std::unique_ptr<SegmentSnapshot>> snapshots_;
  std::vector<const SegmentSnapshot*> sources_;  // the same
  uint64_t row_bytes_ = 1;                       // of a row at least
  std::mutex mutex_;  // of all below while segments are read
  Status first_error_;
  uint64_t count_ = 0;
  std::vector<Match> matches_;
};

}  // namespace

Status query_segments(std::span<const std::shared_ptr<const Segment>> segments,
                      const QueryRequest& request, ThreadPool* pool, const CancelToken* cancel,
                      QueryResult* result) {
  return guarded([&] { return Query(request, pool, cancel).run(segments, result); });
}

}  // namespace elanus
