#include "read/segment_query.h"

#include <algorithm>
#include <bit>
#include <memory>

#include "filter/evaluate.h"
#include "read/visible_set.h"
#include "threads/steps.h"

namespace elanus {
namespace {

// Rows of a sealed segment that are filtered at a time while looking for the first few.
constexpr size_t kFirstPieceRows = 4096;
constexpr size_t kLargestPieceRows = 32768;
constexpr size_t kFilterPieceRows = 16384;  // about 1 ms of a costly filter
constexpr size_t kKeysPerStep = 512;
// Cost of a row that is kept, of a key that is looked up.
constexpr size_t kMatchNs = 60;
constexpr size_t kLookupNs = 200;

Status canceled() { return {StatusCode::kCanceled, "the query was canceled"}; }

KeySpan part_of(const KeySpan& keys, size_t first, size_t count) {
  return keys.is_string ? KeySpan::of(keys.strings.subspan(first, count))
                        : KeySpan::of(keys.ints.subspan(first, count));
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

}  // namespace

Status SegmentMatches::find_keys(const KeySpan& keys) {
  if (rows_.row_count() == 0) return Status::ok();
  RowFilter filter;
  Status error = filter.prepare(rows_, query_.plan, keys.size(), query_.cancel);
  Steps steps(query_.cancel);
  bool is_enough = false;
  for (size_t first = 0; first < keys.size() && error.is_ok() && !is_enough;
       first += kKeysPerStep) {
    const size_t count = std::min(kKeysPerStep, keys.size() - first);
    if (!steps.take(count * kLookupNs)) return canceled();
    rows_.find_rows(part_of(keys, first, count), [&](size_t, size_t row) {
      if (!rows_.is_visible(row, query_.read_ts)) return VisitNext::kRow;
      bool is_match = false;
      error = filter.matches(row, &is_match);
      if (!error.is_ok()) return VisitNext::kStop;
      if (!is_match) return VisitNext::kRow;
      if (query_.count_only) {
        ++count_;
        return VisitNext::kRow;
      }
      matches_.push_back(match_at(row));
      is_enough = query_.limit != 0 && matches_.size() >= query_.limit;
      return is_enough ? VisitNext::kStop : VisitNext::kKey;
    });
  }
  return error;
}

Status SegmentMatches::find_all() {
  const size_t row_count = rows_.row_count();
  if (row_count == 0) return Status::ok();
  const bool is_sealed = !rows_.segment().is_growing();
  if (is_sealed && query_.limit != 0 && !query_.count_only) return find_first();
  VisibleSet visible;
  Status status = make_visible_set(rows_, query_.plan, query_.read_ts, query_.pool, query_.cancel,
                                   &visible);
  if (!status.is_ok()) return status;
  count_ = query_.count_only ? visible.kept : 0;
  if (query_.count_only || is_canceled(query_.cancel)) return Status::ok();
  if (is_sealed && visible.kept > query_.rows_max) return find_fitting(visible);
  if (query_.limit == 0) matches_.reserve(visible.kept);
  Steps steps(query_.cancel);
  for (size_t begin = 0; begin < row_count; begin += 64) {
    const uint64_t all = ~uint64_t{0} >> (64 - std::min<size_t>(64, row_count - begin));
    const uint64_t kept = visible.all ? all : visible.bits.words()[begin / 64];
    for_each_set(&kept, 1, [&](size_t bit) { matches_.push_back(match_at(begin + bit)); });
    if (!steps.take(1 + kMatchNs * static_cast<size_t>(std::popcount(kept)))) return canceled();
    // With a limit only so many are remembered, however many match.
    if (query_.limit != 0 && matches_.size() >= 2 * query_.limit + kFirstPieceRows &&
        !reduce(MatchOrder(), query_.limit, query_.cancel, &matches_)) {
      return canceled();
    }
  }
  return reduce(MatchOrder(), query_.limit, query_.cancel, &matches_) ? Status::ok() : canceled();
}

// Rows of a sealed segment ascend by key, of a repeated one the newest comes last. Whether there
// was room: a key that is not the last one finds `most` matches taken.
bool SegmentMatches::add_ascending(size_t row, uint64_t most) {
  const Match match = match_at(row);
  if (!matches_.empty() && is_same_key(matches_.back(), match)) {
    matches_.back() = match;
    return true;
  }
  if (matches_.size() == most) return false;
  matches_.push_back(match);
  return true;
}

// All of more visible rows than fit: only repeated keys can make them few enough.
Status SegmentMatches::find_fitting(const VisibleSet& visible) {
  Steps steps(query_.cancel);
  for (size_t row = 0; row < rows_.row_count() && !are_too_many_; ++row) {
    if (!visible.keeps(row)) continue;
    if (!steps.take(kMatchNs)) return canceled();
    are_too_many_ = !add_ascending(row, query_.rows_max);
  }
  return Status::ok();
}

// Filters from the beginning until it has enough.
Status SegmentMatches::find_first() {
  const size_t row_count = rows_.row_count();
  std::unique_ptr<Evaluator> evaluator;
  Bitset truth;
  if (query_.plan != nullptr) {
    Status status =
        Evaluator::prepare(*query_.plan, rows_, {.cancel = query_.cancel}, &evaluator);
    if (!status.is_ok()) return status;
    truth.assign(row_count, false);
  }
  Steps steps(query_.cancel);
  // Whole pieces and the rest of the last key, whose newest row comes last.
  size_t piece = kFirstPieceRows;
  for (size_t begin = 0; begin < row_count && !is_canceled(query_.cancel);
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
        if (!rows_.is_visible(row, query_.read_ts)) continue;
        if (!add_ascending(row, query_.limit)) return Status::ok();
      }
    }
    begin = end;
  }
  return Status::ok();
}

}  // namespace elanus
