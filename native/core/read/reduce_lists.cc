#include "read/reduce_lists.h"

#include <algorithm>
#include <limits>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/bytes.h"
#include "base/guard.h"
#include "read/match.h"
#include "segment/row_batch.h"
#include "segment/schema.h"
#include "threads/steps.h"

namespace elanus {
namespace {

struct ScoredMatch : Match {
  double score = 0;  // larger is better
};

struct ScoredOrder : MatchOrder {
  static constexpr bool kByKey = false;
  bool has_text = false;
  static double score(const ScoredMatch& match) { return match.score; }
  bool insert_key(KeySet* keys, const ScoredMatch& match) const {
    return has_text ? keys->insert(match.text) : keys->insert(match.key);
  }
};

Status bad_list(const char* why) {
  return {StatusCode::kInvalidParameter, std::string("a list to merge ") + why};
}

// One list with its columns found.
class ListReader {
 public:
  Status open(const AnswerList& list, const Reduction& what) {
    RowBatch batch;
    if (Status status = RowBatch::open(list.rows.data(), list.rows.size(), &batch);
        !status.is_ok()) {
      return status;
    }
    rows_ = batch.rows();
    list_ = list;
    const BatchColumn* key = batch.find(what.key_field);
    const BatchColumn* timestamp = batch.find(kTimestampField);
    if (key == nullptr || timestamp == nullptr || timestamp->type != DataType::kInt64 ||
        (key->type != DataType::kInt64 && key->type != DataType::kVarChar)) {
      return bad_list("has no primary key or no timestamp");
    }
    key_ = *key;
    timestamp_ = *timestamp;
    if (list.counts.size() != what.nq * sizeof(int32_t)) return bad_list("has no count a query");
    uint64_t counted = 0;
    for (size_t query = 0; query < what.nq; ++query) {
      if (count(query) < 0) return bad_list("has a count below 0");
      counted += static_cast<uint64_t>(count(query));
    }
    if (counted != rows_) return bad_list("has other counts than rows");
    score_bytes_ = rows_ == 0 ? 0 : list.scores.size() / rows_;
    if (list.scores.size() != rows_ * score_bytes_ ||
        (score_bytes_ != 0 && score_bytes_ != sizeof(float) && score_bytes_ != sizeof(double))) {
      return bad_list("has no score a row");
    }
    return Status::ok();
  }

  size_t rows() const { return rows_; }
  bool has_text() const { return key_.type == DataType::kVarChar; }
  bool has_scores() const { return score_bytes_ != 0; }
  int32_t count(size_t query) const {
    return load<int32_t>(list_.counts.data() + sizeof(int32_t) * query);
  }
  double score(size_t row) const {
    const uint8_t* at = list_.scores.data() + score_bytes_ * row;
    if (score_bytes_ == 0) return 0;
    return score_bytes_ == sizeof(float) ? load<float>(at) : load<double>(at);
  }
  Match match(uint32_t source, size_t row) const {
    Match match;
    if (has_text()) {
      match.text = key_.bytes_at(row);
    } else {
      match.key = load<int64_t>(key_.data + 8 * row);
    }
    match.timestamp = load<uint64_t>(timestamp_.data + 8 * row);
    match.ref = {source, static_cast<uint32_t>(row)};
    return match;
  }

 private:
  AnswerList list_;
  size_t rows_ = 0;
  size_t score_bytes_ = 0;
  BatchColumn key_;
  BatchColumn timestamp_;
};

// Leaves each key once, where it comes first, with the sum of its scores in the order of the lists.
template <typename Key, typename KeyOf>
void add_up(std::vector<ScoredMatch>* matches, KeyOf&& key_of) {
  struct Hash {
    size_t operator()(const Key& key) const { return hash_key(key); }
  };
  std::unordered_map<Key, size_t, Hash> places;
  size_t kept = 0;
  for (const ScoredMatch& match : *matches) {
    const auto [place, is_new] = places.emplace(key_of(match), kept);
    if (is_new) {
      (*matches)[kept++] = match;
    } else {
      (*matches)[place->second].score += match.score;
    }
  }
  matches->resize(kept);
}

class Reducer {
 public:
  Reducer(const Reduction& what, const CancelToken* cancel)
      : what_(what), cancel_(cancel), steps_(cancel) {}

  Status run(std::span<const AnswerList> lists, ReducedRows* out) {
    if (Status status = open(lists); !status.is_ok()) return status;
    next_.assign(readers_.size(), 0);
    for (size_t query = 0; query < what_.nq; ++query) {
      if (!collect(query) || !put(out)) return {StatusCode::kCanceled, "the merge was canceled"};
    }
    return Status::ok();
  }

 private:
  Status open(std::span<const AnswerList> lists) {
    uint64_t rows = 0;
    for (const AnswerList& list : lists) {
      starts_.push_back(static_cast<uint32_t>(rows));
      ListReader& reader = readers_.emplace_back();
      if (Status status = reader.open(list, what_); !status.is_ok()) return status;
      if (reader.has_text() != readers_[0].has_text()) return bad_list("has keys of another type");
      has_scores_ = has_scores_ || reader.has_scores();
      order_.has_text = reader.has_text();
      rows += reader.rows();
      if (rows > std::numeric_limits<uint32_t>::max()) return bad_list("is one row too many");
    }
    for (const ListReader& reader : readers_) {
      if (reader.rows() != 0 && reader.has_scores() != has_scores_)
        return bad_list("has no scores, where others have");
    }
    return Status::ok();
  }

  // False when canceled, as below.
  bool collect(size_t query) {
    constexpr size_t kRowNs = 30;
    matches_.clear();
    for (uint32_t source = 0; source < readers_.size(); ++source) {
      const ListReader& reader = readers_[source];
      const size_t end = next_[source] + static_cast<size_t>(reader.count(query));
      for (size_t& row = next_[source]; row < end; ++row) {
        ScoredMatch match{reader.match(source, row)};
        match.score = what_.smaller_first ? -reader.score(row) : reader.score(row);
        matches_.push_back(match);
        if (!steps_.take(kRowNs)) return false;
      }
    }
    if (what_.adds_up && order_.has_text) {
      add_up<std::string_view>(&matches_, [](const Match& match) { return match.text; });
    } else if (what_.adds_up) {
      add_up<int64_t>(&matches_, [](const Match& match) { return match.key; });
    }
    // Infinities of different sign, and none of one, add up to no number, which would order like
    // nothing. It counts as the worst.
    for (ScoredMatch& match : matches_) {
      if (match.score != match.score) match.score = -std::numeric_limits<double>::infinity();
    }
    return true;
  }

  bool put(ReducedRows* out) {
    const size_t limit = what_.limit == 0 ? 0 : what_.offset + what_.limit;
    const bool is_done = has_scores_ ? reduce(order_, limit, cancel_, &matches_)
                                     : reduce(MatchOrder(), limit, cancel_, &matches_);
    if (!is_done) return false;
    const size_t first = std::min(what_.offset, matches_.size());
    out->counts.push_back(static_cast<int32_t>(matches_.size() - first));
    for (size_t i = first; i < matches_.size(); ++i) {
      const ScoredMatch& match = matches_[i];
      out->rows.push_back(starts_[match.ref.source] + match.ref.row);
      if (!has_scores_) continue;
      // Not -0 where all are distances.
      const double score = what_.smaller_first ? 0.0 - match.score : match.score;
      out->scores.push_back(static_cast<float>(score));
    }
    return true;
  }

  const Reduction& what_;
  const CancelToken* const cancel_;
  Steps steps_;
  ScoredOrder order_;
  std::vector<ListReader> readers_;
  std::vector<uint32_t> starts_;  // the first row of each list, as they are numbered
  bool has_scores_ = false;
  std::vector<size_t> next_;  // row of each list
  std::vector<ScoredMatch> matches_;
};

}  // namespace

Status reduce_lists(std::span<const AnswerList> lists, const Reduction& what,
                    const CancelToken* cancel, ReducedRows* out) {
  return guarded([&] { return Reducer(what, cancel).run(lists, out); });
}

}  // namespace elanus
