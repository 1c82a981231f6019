// The merge of several participants' lists against a slow twin that looks for the best of all rows
// again and again.
#include "read/reduce_lists.h"

#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "check.h"
#include "base/bytes.h"
#include "segment/row_batch.h"
#include "segment/schema.h"

namespace elanus {
namespace {

constexpr int64_t kKeyField = 100;

struct PlainRow {
  std::string text;  // of VarChar keys
  int64_t key = 0;
  uint64_t timestamp = 0;
  double score = 0;
  uint32_t number = 0;  // through all lists
  size_t list = 0;
};

// lists[i][query]: rows in the order in which a participant answers.
using PlainLists = std::vector<std::vector<std::vector<PlainRow>>>;

// Whether `a` comes before `b`, spelt out.
bool is_before(const PlainRow& a, const PlainRow& b, bool smaller_first) {
  if (a.score != b.score) return smaller_first ? a.score < b.score : a.score > b.score;
  if (a.text != b.text) return a.text < b.text;
  if (a.key != b.key) return a.key < b.key;
  return a.timestamp > b.timestamp;
}

std::vector<PlainRow> twin(std::vector<PlainRow> rows, const Reduction& what) {
  if (what.adds_up) {
    std::vector<PlainRow> sums;
    for (const PlainRow& row : rows) {
      const auto known = std::find_if(sums.begin(), sums.end(), [&](const PlainRow& other) {
        return other.key == row.key && other.text == row.text;
      });
      if (known == sums.end()) {
        sums.push_back(row);
      } else {
        known->score += row.score;
      }
    }
    rows = sums;
  }
  std::vector<PlainRow> picked;
  std::set<std::pair<std::string, int64_t>> seen;
  while (!rows.empty()) {
    auto best = rows.begin();
    for (auto row = rows.begin(); row != rows.end(); ++row) {
      if (is_before(*row, *best, what.smaller_first)) best = row;
    }
    if (seen.emplace(best->text, best->key).second) picked.push_back(*best);
    rows.erase(best);
  }
  picked.erase(picked.begin(), picked.begin() + static_cast<std::ptrdiff_t>(
                                                    std::min<size_t>(what.offset, picked.size())));
  if (what.limit != 0 && picked.size() > what.limit) picked.resize(what.limit);
  return picked;
}

OwnedBytes make_batch(const std::vector<PlainRow>& rows, bool has_text) {
  BatchColumnSpec key{.field_id = kKeyField,
                      .type = has_text ? DataType::kVarChar : DataType::kInt64};
  for (const PlainRow& row : rows) key.data_bytes += row.text.size();
  RowBatchWriter writer;
  const BatchColumnSpec timestamp{.field_id = kTimestampField, .type = DataType::kInt64};
  CHECK(writer.layout(rows.size(), {timestamp, key}).is_ok());
  uint32_t end = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    store(writer.data(0) + 8 * i, rows[i].timestamp);
    if (!has_text) {
      store(writer.data(1) + 8 * i, rows[i].key);
      continue;
    }
    writer.offsets(1)[i] = end;
    std::copy(rows[i].text.begin(), rows[i].text.end(), writer.data(1) + end);
    end += static_cast<uint32_t>(rows[i].text.size());
  }
  if (has_text) writer.offsets(1)[rows.size()] = end;
  return writer.take();
}

// What a list's spans point into.
struct Owned {
  OwnedBytes rows;
  std::vector<int32_t> counts;
  std::vector<float> floats;
  std::vector<double> doubles;

  AnswerList list() const {
    const auto bytes = [](const auto& values) {
      return std::span(reinterpret_cast<const uint8_t*>(values.data()),
                       values.size() * sizeof(values[0]));
    };
    return {{rows.data.get(), rows.size}, bytes(counts),
            floats.empty() ? bytes(doubles) : bytes(floats)};
  }
};

Status run(const PlainLists& lists, const Reduction& what, bool has_text, int score_bytes,
           ReducedRows* out) {
  std::vector<Owned> owned(lists.size());
  std::vector<AnswerList> answers;
  for (size_t i = 0; i < lists.size(); ++i) {
    std::vector<PlainRow> rows;
    for (const auto& of_query : lists[i]) {
      owned[i].counts.push_back(static_cast<int32_t>(of_query.size()));
      rows.insert(rows.end(), of_query.begin(), of_query.end());
    }
    owned[i].rows = make_batch(rows, has_text);
    for (const PlainRow& row : rows) {
      if (score_bytes == 4) owned[i].floats.push_back(static_cast<float>(row.score));
      if (score_bytes == 8) owned[i].doubles.push_back(row.score);
    }
    answers.push_back(owned[i].list());
  }
  return reduce_lists(answers, what, nullptr, out);
}

PlainLists random_lists(std::mt19937_64& random, const Reduction& what, bool has_text,
                        bool has_scores) {
  PlainLists lists(1 + random() % 4);
  uint32_t number = 0;
  for (size_t i = 0; i < lists.size(); ++i) {
    for (size_t query = 0; query < what.nq; ++query) {
      std::map<int64_t, PlainRow> rows;  // each key once
      for (size_t count = random() % 30; count > 0; --count) {
        PlainRow row;
        row.key = static_cast<int64_t>(random() % 25) - 12;
        row.timestamp = 1 + random() % 100'000;
        if (has_scores) row.score = static_cast<double>(random() % 6) / 4;
        row.list = i;
        rows.emplace(row.key, row);
      }
      std::vector<PlainRow> answer;
      for (auto& [key, row] : rows) {
        if (has_text) row.text = std::string(static_cast<size_t>(key + 12) % 3, 'x') +
                                 std::to_string(key);
        if (has_text) row.key = 0;
        answer.push_back(row);
      }
      std::sort(answer.begin(), answer.end(), [&](const PlainRow& a, const PlainRow& b) {
        return is_before(a, b, what.smaller_first);
      });
      for (PlainRow& row : answer) row.number = number++;
      lists[i].push_back(answer);
    }
  }
  return lists;
}

TEST(r7_merged_lists_are_what_a_slow_twin_finds) {
  std::mt19937_64 random(20261127);
  for (int round = 0; round < 3000; ++round) {
    Reduction what;
    what.key_field = kKeyField;
    what.nq = 1 + random() % 3;
    what.offset = random() % 3 == 0 ? random() % 8 : 0;
    what.limit = random() % 3 == 0 ? 0 : 1 + random() % 20;
    what.smaller_first = random() % 2 == 0;
    const bool has_text = random() % 2 == 0;
    const int score_bytes = std::array{0, 4, 8}[random() % 3];
    what.adds_up = score_bytes == 8 && random() % 2 == 0;
    const PlainLists lists = random_lists(random, what, has_text, score_bytes != 0);
    ReducedRows reduced;
    CHECK(run(lists, what, has_text, score_bytes, &reduced).is_ok());
    CHECK_EQ(reduced.counts.size(), what.nq);
    size_t at = 0;
    for (size_t query = 0; query < what.nq; ++query) {
      std::vector<PlainRow> all;
      for (const auto& list : lists) all.insert(all.end(), list[query].begin(), list[query].end());
      const std::vector<PlainRow> expected = twin(all, what);
      CHECK_EQ(static_cast<size_t>(reduced.counts[query]), expected.size());
      for (const PlainRow& row : expected) {
        CHECK_EQ(reduced.rows[at], row.number);
        if (score_bytes != 0) CHECK_EQ(reduced.scores[at], static_cast<float>(row.score));
        ++at;
      }
    }
    CHECK_EQ(at, reduced.rows.size());
  }
}

TEST(many_rows_by_key_merge_in_turns_to_the_same) {
  constexpr size_t kRows = 20'000;
  PlainLists lists(2);
  uint32_t number = 0;
  for (size_t i = 0; i < 2; ++i) {
    std::vector<PlainRow> rows;
    for (size_t row = 0; row < kRows; ++row) {
      PlainRow one;
      one.key = static_cast<int64_t>(row * 3 / (1 + i));  // of the second list some are repeated
      one.timestamp = 10 + i;
      one.number = number++;
      if (rows.empty() || rows.back().key != one.key) rows.push_back(one);
    }
    for (PlainRow& row : rows) row.number = static_cast<uint32_t>(&row - rows.data());
    lists[i].push_back(rows);
  }
  const auto first_rows = static_cast<uint32_t>(lists[0][0].size());
  std::map<int64_t, uint32_t> expected;  // the second list's rows are newer
  for (const PlainRow& row : lists[0][0]) expected[row.key] = row.number;
  for (const PlainRow& row : lists[1][0]) expected[row.key] = first_rows + row.number;
  ReducedRows reduced;
  Reduction what;
  what.key_field = kKeyField;
  CHECK(run(lists, what, false, 0, &reduced).is_ok());
  CHECK_EQ(reduced.rows.size(), expected.size());
  size_t at = 0;
  for (const auto& [key, row] : expected) CHECK_EQ(reduced.rows[at++], row);
}

TEST(sums_that_are_no_number_come_last_and_disturb_no_others) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  for (const int64_t rows : {30, 20'000}) {
    PlainLists lists(2);
    for (PlainLists::value_type& list : lists) list.emplace_back();
    for (int64_t key = 0; key < rows; ++key) {
      PlainRow row;
      row.key = key;
      row.timestamp = 1;
      // Every third row is infinitely good in one list and infinitely bad in the other.
      row.score = key % 3 == 0 ? kInfinity : static_cast<double>(key * 7919 % rows);
      lists[0][0].push_back(row);
      row.score = -row.score / (key % 3 == 0 ? 1 : 2);
      lists[1][0].push_back(row);
    }
    Reduction what;
    what.key_field = kKeyField;
    what.adds_up = true;
    ReducedRows reduced;
    CHECK(run(lists, what, false, 8, &reduced).is_ok());
    CHECK_EQ(reduced.scores.size(), static_cast<size_t>(rows));
    CHECK(std::is_sorted(reduced.scores.rbegin(), reduced.scores.rend()));
    const auto numbers = std::find(reduced.scores.begin(), reduced.scores.end(), -kInfinity);
    CHECK_EQ(numbers - reduced.scores.begin(), rows - (rows + 2) / 3);
  }
}

TEST(lists_that_do_not_fit_together_are_refused) {
  Reduction what;
  what.key_field = kKeyField;
  const PlainLists one = {{{{.key = 1, .timestamp = 1}, {.key = 2, .timestamp = 1}}}};
  ReducedRows reduced;
  CHECK(run(one, what, false, 4, &reduced).is_ok());
  what.nq = 2;
  CHECK(run(one, what, false, 4, &reduced).code() == StatusCode::kInvalidParameter);
  what.nq = 1;
  what.key_field = 7;
  CHECK(run(one, what, false, 4, &reduced).code() == StatusCode::kInvalidParameter);
  what.key_field = kKeyField;
  const OwnedBytes batch = make_batch(one[0][0], false);
  const int32_t count = 2;
  const AnswerList list = {{batch.data.get(), batch.size},
                           {reinterpret_cast<const uint8_t*>(&count), sizeof(count)},
                           {batch.data.get(), 6}};
  CHECK(reduce_lists({&list, 1}, what, nullptr, &reduced).code() == StatusCode::kInvalidParameter);
  const AnswerList cut = {{batch.data.get(), batch.size - 8}, list.counts, {}};
  CHECK(reduce_lists({&cut, 1}, what, nullptr, &reduced).code() == StatusCode::kDataIntegrity);
  CHECK(run({}, what, false, 0, &reduced).is_ok());
  const std::vector<float> scores = {2, 1};
  const AnswerList plain = {{batch.data.get(), batch.size}, list.counts, {}};
  const AnswerList scored = {
      plain.rows, plain.counts, {reinterpret_cast<const uint8_t*>(scores.data()), 8}};
  const std::array both = {scored, plain};
  CHECK(reduce_lists(both, what, nullptr, &reduced).code() == StatusCode::kInvalidParameter);
}

}  // namespace
}  // namespace elanus

CHECK_MAIN()
