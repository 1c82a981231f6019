#include "read/query.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <mutex>
#include <string_view>
#include <utility>

#include "base/guard.h"
#include "filter/evaluate.h"
#include "read/gather.h"
#include "read/visible_set.h"
#include "threads/step_sort.h"
#include "threads/steps.h"

namespace elanus {
namespace {

// Rows of a sealed segment that are filtered at a time while looking for the first few.
constexpr size_t kFirstPieceRows = 4096;
constexpr size_t kLargestPieceRows = 32768;
constexpr size_t kFilterPieceRows = 16384;  // about 1 ms of a costly filter
constexpr size_t kKeysPerStep = 512;
// Cost of a row that is looked at, of one that is kept, of a key that is looked up.
constexpr size_t kLookNs = 10;
constexpr size_t kMatchNs = 60;
constexpr size_t kLookupNs = 200;

// A matching row with what orders it.
struct Match {
  int64_t key = 0;
  std::string_view text;  // VarChar keys
  uint64_t timestamp = 0;
  RowRef ref;
};

// By key, the newest first.
bool is_before(const Match& a, const Match& b) {
  if (a.key != b.key) return a.key < b.key;
  if (const int order = a.text.compare(b.text); order != 0) return order < 0;
  if (a.timestamp != b.timestamp) return a.timestamp > b.timestamp;
  if (a.ref.row != b.ref.row) return a.ref.row > b.ref.row;
  return a.ref.source > b.ref.source;
}

bool is_same_key(const Match& a, const Match& b) { return a.key == b.key && a.text == b.text; }

// Sorts, keeps one match of each key and at most `limit` (0: all). False when canceled.
bool keep_newest(std::vector<Match>* matches, uint64_t limit, const CancelToken* cancel) {
  if (!sort_in_steps(matches, is_before, cancel)) return false;
  Steps steps(cancel);
  size_t kept = 0;
  for (const Match& match : *matches) {
    if (!steps.take(kLookNs)) return false;
    if (kept != 0 && is_same_key((*matches)[kept - 1], match)) continue;
    if (limit != 0 && kept == limit) break;
    (*matches)[kept++] = match;
  }
  matches->resize(kept);
  return true;
}

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

KeySpan part_of(const KeySpan& keys, size_t first, size_t count) {
  return keys.is_string ? KeySpan::of(keys.strings.subspan(first, count))
                        : KeySpan::of(keys.ints.subspan(first, count));
}

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

// A filter asked about single rows: evaluates the 64 rows around one, or all rows when many will be
// asked for.
class RowFilter {
 public:
  Status prepare(const SegmentSnapshot& rows, const Plan* plan, size_t expected,
                 const CancelToken* cancel) {
    if (plan == nullptr) return Status::ok();
    // A lookup in a scalar index covers all rows, which costs too much for a few.
    EvaluateOptions options;
    const bool whole = expected >= rows.row_count() / 64;
    options.use_indexes = whole;
    options.cancel = cancel;
    row_count_ = rows.row_count();
    if (Status status = Evaluator::prepare(*plan, rows, options, &evaluator_); !status.is_ok())
      return status;
    truth_.assign(row_count_, false);
    for (size_t begin = 0; whole && begin < row_count_; begin += kFilterPieceRows) {
      ThreadPool::give_way();
      if (is_canceled(cancel)) return Status::ok();
      const size_t end = std::min(row_count_, begin + kFilterPieceRows);
      Status status = evaluator_->evaluate_range(begin, end, &truth_);
      if (!status.is_ok()) return status;
    }
    if (whole) return Status::ok();
    known_.assign((row_count_ + 63) / 64, false);
    return Status::ok();
  }
  Status matches(size_t row, bool* result) {
    *result = true;
    if (evaluator_ == nullptr) return Status::ok();
    if (known_.size() != 0 && !known_.test(row / 64)) {
      known_.set(row / 64);
      const size_t begin = row / 64 * 64;
      Status status = evaluator_->evaluate_range(begin, std::min(begin + 64, row_count_), &truth_);
      if (!status.is_ok()) return status;
    }
    *result = truth_.test(row);
    return Status::ok();
  }

 private:
  std::unique_ptr<Evaluator> evaluator_;
  Bitset truth_;
  Bitset known_;  // blocks of 64 rows; empty when all are
  size_t row_count_ = 0;
};

class Query {
 public:
  Query(const QueryRequest& request, ThreadPool* pool, const CancelToken* cancel)
      : request_(request), plan_(request.plan), pool_(pool), cancel_(cancel) {}

  Status run(std::span<const std::shared_ptr<const Segment>> segments, QueryResult* result) {
    for (const auto& segment : segments) {
      if (segment->schema().has_string_keys() != segments[0]->schema().has_string_keys()) {
        return {StatusCode::kInvalidParameter, "segments disagree on the primary key's type"};
      }
      has_string_keys_ = segment->schema().has_string_keys();
      snapshots_.push_back(segment->snapshot(request_.read_ts));
    }
    std::optional<SortedKeys> keys;
    if (request_.keys.has_value()) {
      keys.emplace(*request_.keys);
    } else if (plan_ != nullptr && !segments.empty()) {
      keys = listed_keys(plan_->root(), segments[0]->schema().primary_key());
      if (keys.has_value()) plan_ = nullptr;
    }
    set_rows_max();
    const auto some = [&](size_t begin, size_t end) {
      for (size_t i = begin; i < end && !is_canceled(cancel_); ++i) {
        Found found;
        Status status =
            keys.has_value() ? find_keys(i, keys->span, &found) : find_matches(i, &found);
        if (status.is_ok()) status = keep(std::move(found));
        const std::lock_guard lock(mutex_);
        if (first_error_.is_ok()) first_error_ = std::move(status);
        if (!first_error_.is_ok()) return;
      }
    };
    if (pool_ != nullptr && snapshots_.size() > 1 && !keys.has_value()) {
      pool_->parallel_for(snapshots_.size(), 1, some, cancel_);
    } else {
      some(0, snapshots_.size());
    }
    if (!first_error_.is_ok()) return first_error_;
    if (is_canceled(cancel_)) return canceled();
    return gather(result);
  }

 private:
  // Of one segment.
  struct Found {
    uint64_t count = 0;          // count_only
    std::vector<Match> matches;  // else
  };

  static Status canceled() { return {StatusCode::kCanceled, "the query was canceled"}; }

  // How many rows may be found: more do not fit, whatever their values of variable width are.
  void set_rows_max() {
    const ReadBounds& bounds = request_.bounds;
    for (const auto& snapshot : snapshots_) sources_.push_back(snapshot.get());
    row_bytes_ = std::max<uint64_t>(1, min_row_bytes(sources_, request_.output_fields));
    const uint64_t replied = bounds.reply_bytes_max / row_bytes_;
    const uint64_t spare = std::min(bounds.spare_rows, ReadBounds::kNone - replied);
    rows_max_ = std::min(replied + spare, bounds.gather_bytes_max / row_bytes_);
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
  Status keep(Found found) {
    std::vector<Match>& some = found.matches;
    for (;;) {
      {
        const std::lock_guard lock(mutex_);
        count_ += std::exchange(found.count, 0);
        if (matches_.empty()) {
          matches_ = std::move(some);
        } else {
          matches_.insert(matches_.end(), some.begin(), some.end());
        }
        if (matches_.size() / 2 <= rows_max_) return Status::ok();
        some = std::exchange(matches_, {});
      }
      // Sorting takes turns, which no thread may do with a lock. Meanwhile others may add theirs.
      if (!keep_newest(&some, request_.limit, cancel_)) return canceled();
      if (some.size() > rows_max_) return too_large(some.size());
    }
  }

  Match match_at(size_t source, size_t row) const {
    const SegmentSnapshot& rows = *snapshots_[source];
    Match match;
    if (has_string_keys_) {
      match.text = rows.key_string_at(row);
    } else {
      match.key = rows.key_at(row);
    }
    match.timestamp = rows.timestamp_at(row);
    match.ref = {static_cast<uint32_t>(source), static_cast<uint32_t>(row)};
    return match;
  }

  Status find_keys(size_t source, const KeySpan& keys, Found* found) {
    const SegmentSnapshot& rows = *snapshots_[source];
    if (rows.row_count() == 0) return Status::ok();
    RowFilter filter;
    Status error = filter.prepare(rows, plan_, keys.size(), cancel_);
    Steps steps(cancel_);
    bool is_enough = false;
    for (size_t first = 0; first < keys.size() && error.is_ok() && !is_enough;
         first += kKeysPerStep) {
      const size_t count = std::min(kKeysPerStep, keys.size() - first);
      if (!steps.take(count * kLookupNs)) return canceled();
      rows.find_rows(part_of(keys, first, count), [&](size_t, size_t row) {
        if (!rows.is_visible(row, request_.read_ts)) return VisitNext::kRow;
        bool is_match = false;
        error = filter.matches(row, &is_match);
        if (!error.is_ok()) return VisitNext::kStop;
        if (!is_match) return VisitNext::kRow;
        if (request_.count_only) {
          ++found->count;
          return VisitNext::kRow;
        }
        found->matches.push_back(match_at(source, row));
        is_enough = request_.limit != 0 && found->matches.size() >= request_.limit;
        return is_enough ? VisitNext::kStop : VisitNext::kKey;
      });
    }
    return error;
  }

  Status find_matches(size_t source, Found* found) {
    const SegmentSnapshot& rows = *snapshots_[source];
    if (rows.row_count() == 0) return Status::ok();
    const bool is_sealed = !rows.segment().is_growing();
    if (is_sealed && request_.limit != 0 && !request_.count_only)
      return find_first(source, &found->matches);
    VisibleSet mask;
    Status status = make_visible_set(rows, plan_, request_.read_ts, pool_, cancel_, &mask);
    if (!status.is_ok()) return status;
    found->count = request_.count_only ? mask.kept : 0;
    if (request_.count_only || is_canceled(cancel_)) return Status::ok();
    std::vector<Match>& matches = found->matches;
    if (is_sealed && mask.kept > rows_max_) return find_fitting(source, mask, &matches);
    if (request_.limit == 0) matches.reserve(mask.kept);
    Steps steps(cancel_);
    for (size_t begin = 0; begin < rows.row_count(); begin += 64) {
      const uint64_t all = ~uint64_t{0} >> (64 - std::min<size_t>(64, rows.row_count() - begin));
      const uint64_t kept = mask.all ? all : mask.bits.words()[begin / 64];
      for_each_set(&kept, 1, [&](size_t bit) { matches.push_back(match_at(source, begin + bit)); });
      if (!steps.take(1 + kMatchNs * static_cast<size_t>(std::popcount(kept)))) return canceled();
      // With a limit only so many are remembered, however many match.
      if (request_.limit != 0 && matches.size() >= 2 * request_.limit + kFirstPieceRows &&
          !keep_newest(&matches, request_.limit, cancel_)) {
        return canceled();
      }
    }
    return keep_newest(&matches, request_.limit, cancel_) ? Status::ok() : canceled();
  }

  // All of a mask with more rows than fit: only repeated keys can make them few enough. Rows of a
  // sealed segment ascend by key, of a repeated one the newest comes last.
  Status find_fitting(size_t source, const VisibleSet& mask, std::vector<Match>* matches) {
    const size_t row_count = snapshots_[source]->row_count();
    Steps steps(cancel_);
    for (size_t row = 0; row < row_count; ++row) {
      if (!mask.keeps(row)) continue;
      if (!steps.take(kMatchNs)) return canceled();
      const Match match = match_at(source, row);
      if (!matches->empty() && is_same_key(matches->back(), match)) {
        matches->back() = match;
      } else if (matches->size() == rows_max_) {
        return too_large(rows_max_ + 1);
      } else {
        matches->push_back(match);
      }
    }
    return Status::ok();
  }

  // Rows of a sealed segment ascend by key, so it filters from the beginning until it has enough.
  Status find_first(size_t source, std::vector<Match>* found) {
    const SegmentSnapshot& rows = *snapshots_[source];
    const size_t row_count = rows.row_count();
    std::unique_ptr<Evaluator> evaluator;
    Bitset truth;
    if (plan_ != nullptr) {
      Status status = Evaluator::prepare(*plan_, rows, {.cancel = cancel_}, &evaluator);
      if (!status.is_ok()) return status;
      truth.assign(row_count, false);
    }
    std::vector<Match>& matches = *found;
    Steps steps(cancel_);
    // Whole pieces and the rest of the last key, whose newest row comes last.
    size_t piece = kFirstPieceRows;
    for (size_t begin = 0; begin < row_count && !is_canceled(cancel_);
         piece = std::min(piece * 2, kLargestPieceRows)) {
      ThreadPool::give_way();
      const size_t end = std::min(row_count, begin + piece);
      if (evaluator != nullptr) {
        Status status = evaluator->evaluate_range(begin, end, &truth);
        if (!status.is_ok()) return status;
      }
      // `begin` is a multiple of 64: pieces are, but for the last.
      for (size_t first = begin; first < end; first += 64) {
        uint64_t rest = ~uint64_t{0} >> (64 - std::min<size_t>(64, end - first));
        if (evaluator != nullptr) rest &= truth.words()[first / 64];
        if (!steps.take(1 + kMatchNs * static_cast<size_t>(std::popcount(rest)))) return canceled();
        for (; rest != 0; rest &= rest - 1) {
          const size_t row = first + static_cast<size_t>(std::countr_zero(rest));
          if (!rows.is_visible(row, request_.read_ts)) continue;
          const Match match = match_at(source, row);
          if (!matches.empty() && is_same_key(matches.back(), match)) {
            matches.back() = match;
          } else if (matches.size() == request_.limit) {
            return Status::ok();
          } else {
            matches.push_back(match);
          }
        }
      }
      begin = end;
    }
    return Status::ok();
  }

  Status gather(QueryResult* result) {
    if (!keep_newest(&matches_, request_.limit, cancel_)) return canceled();
    if (matches_.size() > rows_max_) return too_large(matches_.size());
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
  const Plan* plan_;  // null: no filter, or none besides the keys
  ThreadPool* pool_;
  const CancelToken* cancel_;
  bool has_string_keys_ = false;
  std::vector<std::unique_ptr<SegmentSnapshot>> snapshots_;
  std::vector<const SegmentSnapshot*> sources_;  // the same
  uint64_t row_bytes_ = 1;  // of a row at least
  uint64_t rows_max_ = ReadBounds::kNone;
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
