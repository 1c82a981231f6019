// R22: a filter whose single rows take long, because their texts do, gives way to others and ends
// when its client has gone, whoever evaluates it: a scan, a query by key, an index's dictionary.
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "check.h"
#include "expr_support.h"
#include "plain_rows.h"
#include "regex_oracle.h"
#include "turns.h"
#include "filter/evaluate.h"
#include "read/query.h"
#include "read/search.h"

namespace elanus {
namespace {

using test::PlanWriter;

constexpr size_t kTextBytes = 60'000;

// Rows with keys from 0 on and these texts.
std::shared_ptr<GrowingSegment> rows_of(const std::vector<std::string>& texts) {
  auto segment = GrowingSegment::create(plain::make_schema(4));
  std::string all;
  std::vector<uint32_t> ends = {0};
  for (const std::string& text : texts) ends.push_back(static_cast<uint32_t>((all += text).size()));
  RowBatchWriter writer;
  CHECK(writer
            .layout(texts.size(), {{.field_id = plain::kKey, .type = DataType::kInt64},
                                   {.field_id = plain::kText, .type = DataType::kVarChar,
                                    .data_bytes = all.size()},
                                   {.field_id = plain::kVector, .type = DataType::kFloatVector,
                                    .dim = 4}})
            .is_ok());
  for (size_t i = 0; i < texts.size(); ++i) {
    const auto key = static_cast<int64_t>(i);
    std::memcpy(writer.data(0) + 8 * i, &key, 8);
  }
  std::memcpy(writer.offsets(1), ends.data(), 4 * ends.size());
  std::memcpy(writer.data(1), all.data(), all.size());
  const OwnedBytes batch = writer.take();
  CHECK(segment->append(batch.data.get(), batch.size, 1).is_ok());
  return segment;
}

std::vector<std::string> random_texts(size_t count, size_t bytes) {
  std::mt19937_64 random(11);
  std::vector<std::string> texts;
  for (size_t i = 0; i < count; ++i) texts.push_back(test::random_ab(&random, bytes));
  return texts;
}

PlanWriter regex_plan(uint32_t length) {
  PlanWriter plan;
  plan.tag(PlanTag::kRegex).field(plain::kText, DataType::kVarChar).u8(0).text("");
  // What it looks for is nowhere: each byte leads to a state of its own.
  RegexProgram program = test::a_then_b(length);
  RegexInstruction& last = program.instructions[length + 1];
  last.low = last.high = 'c';
  return plan.program(program);
}

PlanWriter like_plan(const std::string& pattern) {
  PlanWriter plan;
  return plan.tag(PlanTag::kLike)
      .field(plain::kText, DataType::kVarChar)
      .u8(static_cast<int>(LikeKind::kPattern))
      .text(pattern);
}

Plan decode(const PlanWriter& writer) {
  Plan plan;
  CHECK(Plan::decode(writer.bytes, &plan).is_ok());
  return plan;
}

// Milliseconds until the work has ended that is canceled after some.
int64_t ms_when_canceled(const std::function<Status(const CancelToken*)>& work) {
  using Clock = std::chrono::steady_clock;
  const CancelToken token;
  const auto begin = Clock::now();
  std::thread client([&token] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    token.cancel();
  });
  CHECK(work(&token).code() == StatusCode::kCanceled);
  client.join();
  return std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - begin).count();
}

constexpr int64_t kSoonMs = 2000;

TEST(r22_a_costly_regex_ends_when_it_is_canceled_in_the_middle_of_a_text) {
  const std::shared_ptr<const Segment> segment = rows_of(random_texts(64, kTextBytes));
  const Plan plan = decode(regex_plan(4000));
  CHECK(ms_when_canceled([&](const CancelToken* cancel) {
          QueryRequest request;
          request.plan = &plan;
          request.read_ts = kReadAll;
          QueryResult result;
          return query_segments({&segment, 1}, request, nullptr, cancel, &result);
        }) < kSoonMs);
  CHECK(ms_when_canceled([&](const CancelToken* cancel) {
          const std::vector<int64_t> keys = {1, 5, 7};
          QueryRequest request;
          request.plan = &plan;
          request.keys = KeySpan::of(std::span<const int64_t>(keys));
          request.read_ts = kReadAll;
          QueryResult result;
          return query_segments({&segment, 1}, request, nullptr, cancel, &result);
        }) < kSoonMs);
  CHECK(ms_when_canceled([&](const CancelToken* cancel) {
          const std::vector<float> query(4, 1.0f);
          SearchRequest request;
          request.field_id = plain::kVector;
          request.nq = 1;
          request.k = 3;
          request.queries = {reinterpret_cast<const uint8_t*>(query.data()), 16};
          request.plan = &plan;
          request.read_ts = kReadAll;
          SearchResult result;
          return search_segments({&segment, 1}, request, nullptr, cancel, &result);
        }) < kSoonMs);
}

TEST(r22_a_costly_pattern_ends_when_it_is_canceled) {
  const std::shared_ptr<const Segment> segment =
      rows_of(std::vector<std::string>(300, std::string(kTextBytes, 'a')));
  std::string pattern = "%";
  for (int i = 0; i < 500; ++i) pattern += "a_";
  const Plan plan = decode(like_plan(pattern + "b%"));
  CHECK(ms_when_canceled([&](const CancelToken* cancel) {
          QueryRequest request;
          request.plan = &plan;
          request.read_ts = kReadAll;
          QueryResult result;
          return query_segments({&segment, 1}, request, nullptr, cancel, &result);
        }) < kSoonMs);
}

TEST(r22_a_regex_over_an_indexs_dictionary_ends_when_it_is_canceled) {
  test::Field field;
  field.id = plain::kText;
  field.type = DataType::kVarChar;
  field.nullable = false;
  for (const std::string& text : random_texts(64, kTextBytes)) {
    test::Val value;
    value.kind = test::Val::kString;
    value.s = text;
    field.cells.push_back(value);
  }
  test::FakeSource source({field}, 64, true, {0});
  CHECK(source.add_index(plain::kText, DataType::kVarChar, DataType::kNone).is_ok());
  const Plan plan = decode(regex_plan(4000));
  CHECK(ms_when_canceled([&](const CancelToken* cancel) {
          std::unique_ptr<Evaluator> evaluator;
          return Evaluator::prepare(plan, source, {true, true, cancel}, &evaluator);
        }) < kSoonMs);
}

TEST(r22_a_costly_filter_gives_way_in_the_middle_of_a_text) {
  const std::shared_ptr<const Segment> segment = rows_of(random_texts(1, 6000));
  const Plan plan = decode(regex_plan(2000));
  CHECK(answered_during([&](ThreadPool* pool) {
          QueryRequest request;
          request.plan = &plan;
          request.read_ts = kReadAll;
          QueryResult result;
          CHECK(query_segments({&segment, 1}, request, pool, nullptr, &result).is_ok());
          CHECK_EQ(result.count, uint64_t{0});
        }) >= 5);
}

}  // namespace
}  // namespace elanus

CHECK_MAIN()
