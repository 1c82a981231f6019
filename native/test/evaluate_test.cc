// The evaluator against a slow twin on random filters and rows, in both layouts, with and without
// scalar indexes. Usage: evaluate_test [case] ; ELANUS_SEED sets the seed of the random cases.
#include "filter/evaluate.h"

#include <cstdlib>
#include <limits>
#include <thread>

#include "check.h"
#include "expr_support.h"
#include "filter_generator.h"
#include "filter_oracle.h"
#include "filter/mask_kernels.h"

using namespace elanus;
using test::FakeSource;
using test::Field;
using test::FilterGenerator;
using test::PlanWriter;
using test::Val;

namespace {

uint64_t seed_of_run() {
  const char* text = std::getenv("ELANUS_SEED");
  return text == nullptr ? 20240717 : std::strtoull(text, nullptr, 10);
}

Plan decoded(const std::vector<uint8_t>& bytes) {
  Plan plan;
  const Status status = Plan::decode(bytes, &plan);
  if (!status.is_ok()) CHECK_EQ(status.message(), std::string("ok"));
  return plan;
}

// The first row on which evaluator and oracle differ, or -1.
long first_difference(const Bitset& got, const std::vector<test::Tri>& want) {
  for (size_t row = 0; row < want.size(); ++row) {
    if (got.test(row) != (want[row] == test::Tri::kTrue)) return static_cast<long>(row);
  }
  // No bit is set past the last row either.
  const auto kept = std::count(want.begin(), want.end(), test::Tri::kTrue);
  return got.count() == static_cast<size_t>(kept) ? -1 : static_cast<long>(want.size());
}

struct Sources {
  FakeSource growing;
  FakeSource mapped;
};

// Data and plans of one seed; gives the number of (plan, data, way) triples that were compared.
size_t compare_with_oracle(uint64_t seed, size_t plans, bool index) {
  FilterGenerator generator(seed);
  const size_t rows = generator.pick<size_t>({1, 63, 64, 65, 100, 200, 333, 640});
  const std::vector<Field> fields = generator.fields(rows);
  Sources sources{FakeSource(fields, rows, false, generator.chunk_begins(rows)),
                  FakeSource(fields, rows, true, {})};
  if (index) {
    for (const Field& field : fields) {
      if (field.type == DataType::kJson) continue;
      CHECK(sources.mapped.add_index(field.id, field.type, field.element).is_ok());
      CHECK(sources.growing.add_index(field.id, field.type, field.element).is_ok());
    }
  }
  const test::Oracle oracle(fields);
  size_t compared = 0;
  for (size_t i = 0; i < plans; ++i) {
    PlanWriter writer;
    generator.node(&writer, fields, index ? 3 : 0);
    const Plan plan = decoded(writer.bytes);
    std::vector<test::Tri> want;
    for (size_t row = 0; row < rows; ++row) want.push_back(oracle.evaluate(plan.root(), row));
    for (const FakeSource* source : {&sources.growing, &sources.mapped}) {
      for (const EvaluateOptions options :
           {EvaluateOptions{false, false}, {true, true}, {true, false}}) {
        if (!index && options.use_indexes) continue;
        Bitset got;
        const Status status = evaluate(plan, *source, &got, options);
        if (!status.is_ok()) CHECK_EQ(status.message(), std::string("ok"));
        const long row = status.is_ok() ? first_difference(got, want) : 0;
        ++compared;
        if (row < 0) continue;
        std::fprintf(stderr, "seed %llu plan %zu row %ld mapped %d index %d tag %d\n",
                     static_cast<unsigned long long>(seed), i, row, source == &sources.mapped,
                     options.always_index, static_cast<int>(plan.root().tag));
        CHECK(row < 0);
        return compared;
      }
    }
  }
  return compared;
}

// Takes integers that a double would round out of the document.
void make_exact(Val* value) {
  if (value->kind == Val::kInt && static_cast<double>(value->i) >= 0x1p63) value->i = 4;
  if (value->kind == Val::kInt && static_cast<int64_t>(static_cast<double>(value->i)) != value->i)
    value->i = 4;
  for (Val& item : value->items) make_exact(&item);
  for (auto& [key, item] : value->keys) make_exact(&item);
}

struct JsonCounts {
  size_t compared = 0;  // (plan, rows, layout, way)
  size_t by_index = 0;  // of them, those that an index answered in part
  size_t kept_rows = 0;
};

// Random filters over paths that have an index of each type, against the oracle.
void compare_json_with_oracle(uint64_t seed, size_t plans, JsonCounts* counts) {
  FilterGenerator generator(seed);
  const size_t rows = generator.pick<size_t>({1, 64, 65, 200, 333, 640});
  Field field{300, DataType::kJson, DataType::kNone, generator.chance(2), {}};
  for (size_t row = 0; row < rows; ++row) {
    const bool null = field.nullable && generator.chance(5);
    field.cells.push_back(null ? std::nullopt : std::optional<Val>(generator.flat_json()));
    if (!null && generator.chance(20)) field.cells.back() = generator.json(4);
    if (!null && seed % 2 == 0) make_exact(&*field.cells.back());
  }
  FakeSource growing({field}, rows, false, generator.chunk_begins(rows));
  FakeSource mapped({field}, rows, true, {});
  for (FakeSource* source : {&growing, &mapped}) {
    for (size_t i = 0; i < FilterGenerator::kIndexedPaths; ++i) {
      for (const DataType cast : {DataType::kBool, DataType::kDouble, DataType::kVarChar}) {
        const auto path = FilterGenerator::indexed_path(i);
        CHECK(source->add_json_index(300, path, cast).is_ok());
        CHECK(source->json_index(300, path, cast) != nullptr);
      }
    }
  }
  const std::vector<Field> fields{field};
  const test::Oracle oracle(fields);
  for (size_t i = 0; i < plans; ++i) {
    PlanWriter writer;
    generator.json_node(&writer, 0);
    const Plan plan = decoded(writer.bytes);
    std::vector<test::Tri> want;
    for (size_t row = 0; row < rows; ++row) want.push_back(oracle.evaluate(plan.root(), row));
    for (const FakeSource* source : {&growing, &mapped}) {
      for (const EvaluateOptions options :
           {EvaluateOptions{false, false}, {true, true}, {true, false}}) {
        Bitset got(rows);
        std::unique_ptr<Evaluator> evaluator;
        Status status = Evaluator::prepare(plan, *source, options, &evaluator);
        if (status.is_ok()) status = evaluator->evaluate_range(0, rows, &got);
        if (!status.is_ok()) CHECK_EQ(status.message(), std::string("ok"));
        const long row = status.is_ok() ? first_difference(got, want) : 0;
        ++counts->compared;
        counts->by_index += status.is_ok() && evaluator->index_leaf_count() > 0 ? 1 : 0;
        counts->kept_rows += got.count();
        if (row < 0) continue;
        std::fprintf(stderr, "seed %llu plan %zu row %ld mapped %d index %d tag %d\n",
                     static_cast<unsigned long long>(seed), i, row, source == &mapped,
                     options.always_index, static_cast<int>(plan.root().tag));
        CHECK(row < 0);
        return;
      }
    }
  }
}

Field int_field(int64_t id, const std::vector<int64_t>& values) {
  Field field{id, DataType::kInt64, DataType::kNone, false, {}};
  for (const int64_t x : values) {
    Val value;
    value.kind = Val::kInt;
    value.i = x;
    field.cells.push_back(value);
  }
  return field;
}

template <typename T>
void compare_kernels(FilterGenerator* generator) {
  for (int round = 0; round < 300; ++round) {
    T values[192];
    for (T& value : values) {
      value = std::is_integral_v<T> ? static_cast<T>(generator->below(7) - 3)
                                    : static_cast<T>(generator->real());
      if (std::is_integral_v<T> && generator->chance(5)) value = std::numeric_limits<T>::max();
      if (std::is_integral_v<T> && generator->chance(5)) value = std::numeric_limits<T>::min();
    }
    const Interval<T> interval{values[generator->below(192)], values[generator->below(192)]};
    uint64_t fast[3];
    uint64_t slow[3];
    interval_words(values, 192, interval, fast);
    interval_words_portable(values, 3, interval, slow);
    CHECK(std::equal(fast, fast + 3, slow));
    interval_words(values, 70, interval, fast);
    CHECK(fast[0] == slow[0] && fast[1] == (slow[1] & 63));
  }
}

}  // namespace

TEST(the_kernel_in_use_agrees_with_the_portable_one) {
  FilterGenerator generator(3);
  compare_kernels<int8_t>(&generator);
  compare_kernels<int16_t>(&generator);
  compare_kernels<int32_t>(&generator);
  compare_kernels<int64_t>(&generator);
  compare_kernels<float>(&generator);
  compare_kernels<double>(&generator);
}

TEST(random_filters_agree_with_the_oracle) {
  const uint64_t seed = seed_of_run();
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  size_t compared = 0;
  for (uint64_t data = 0; data < 120; ++data)
    compared += compare_with_oracle(seed + data, 100, false);
  std::printf("%zu pairs\n", compared);
  CHECK(compared >= 20000);
}

TEST(an_index_gives_what_the_scan_gives) {
  const uint64_t seed = seed_of_run() + 1000;
  size_t compared = 0;
  for (uint64_t data = 0; data < 60; ++data)
    compared += compare_with_oracle(seed + data, 100, true);
  std::printf("%zu pairs\n", compared);
}

TEST(an_index_over_a_json_path_gives_what_the_scan_gives) {
  const uint64_t seed = seed_of_run() + 2000;
  JsonCounts counts;
  for (uint64_t data = 0; data < 100; ++data) compare_json_with_oracle(seed + data, 80, &counts);
  std::printf("%zu pairs, %zu by an index, %zu rows kept\n", counts.compared, counts.by_index,
              counts.kept_rows);
  CHECK(counts.by_index >= 10000);
}

TEST(an_index_over_a_json_path_is_used_when_it_answers_as_a_scan_does) {
  constexpr int64_t kBig = int64_t{1} << 53;
  const auto json_of = [](std::vector<int64_t> numbers) {
    Field field{300, DataType::kJson, DataType::kNone, false, {}};
    for (const int64_t x : numbers) {
      Val document;
      document.kind = Val::kObject;
      document.keys["a"].kind = Val::kInt;
      document.keys["a"].i = x;
      field.cells.push_back(document);
    }
    return field;
  };
  const PathStep a{true, 0, "a"};
  FakeSource exact({json_of({1, kBig, kBig + 2})}, 3, true, {});
  FakeSource rounded({json_of({1, kBig, kBig + 1})}, 3, true, {});
  for (FakeSource* source : {&exact, &rounded}) {
    for (const DataType cast : {DataType::kBool, DataType::kDouble, DataType::kVarChar})
      CHECK(source->add_json_index(300, {a}, cast).is_ok());
  }
  const auto leaves = [](const FakeSource& source, const auto& write) {
    PlanWriter writer;
    write(writer);
    const Plan plan = decoded(writer.bytes);
    std::unique_ptr<Evaluator> evaluator;
    CHECK(Evaluator::prepare(plan, source, {true, true}, &evaluator).is_ok());
    return evaluator->index_leaf_count();
  };
  const auto equals = [&](int64_t x) {
    return [x](PlanWriter& w) {
      w.tag(PlanTag::kCompare).path(300, 1).key("a").u8(0).integer(x);
    };
  };
  CHECK_EQ(leaves(exact, equals(kBig - 1)), 1);
  CHECK_EQ(leaves(exact, equals(kBig + 2)), 1);
  CHECK_EQ(leaves(exact, equals(kBig + 1)), 0);
  CHECK_EQ(leaves(exact, equals(INT64_MAX)), 0);
  CHECK_EQ(leaves(exact, equals(INT64_MIN)), 1);
  CHECK_EQ(leaves(rounded, equals(kBig - 1)), 1);
  CHECK_EQ(leaves(rounded, equals(kBig)), 0);
  CHECK_EQ(leaves(rounded, equals(-kBig)), 0);
  const auto real = [](PlanWriter& w) {
    w.tag(PlanTag::kCompare).path(300, 1).key("a").u8(5).real(9007199254740992.0);
  };
  CHECK_EQ(leaves(rounded, real), 1);
  const auto mixed = [](PlanWriter& w) {
    w.tag(PlanTag::kIn).path(300, 1).key("a").put<uint32_t>(2).integer(1).string("x");
  };
  CHECK_EQ(leaves(exact, mixed), 0);
  const auto none = [](PlanWriter& w) {
    w.tag(PlanTag::kIn).path(300, 1).key("a").put<uint32_t>(0);
  };
  CHECK_EQ(leaves(exact, none), 0);
  const auto other_path = [](PlanWriter& w) {
    w.tag(PlanTag::kCompare).path(300, 1).key("b").u8(0).integer(1);
  };
  CHECK_EQ(leaves(exact, other_path), 0);
}

TEST(ranges_evaluated_by_several_threads_make_up_the_whole) {
  FilterGenerator generator(5);
  const size_t rows = 20000;
  std::vector<int64_t> values;
  for (size_t i = 0; i < rows; ++i) values.push_back(static_cast<int64_t>(generator.below(100)));
  const FakeSource source({int_field(100, values)}, rows, false, generator.chunk_begins(rows));
  PlanWriter writer;
  writer.tag(PlanTag::kRange).field(100, DataType::kInt64).u8(1).integer(20).integer(70);
  const Plan plan = decoded(writer.bytes);
  Bitset whole;
  CHECK(evaluate(plan, source, &whole).is_ok());
  std::unique_ptr<Evaluator> evaluator;
  CHECK(Evaluator::prepare(plan, source, {}, &evaluator).is_ok());
  Bitset parts(rows);
  std::vector<std::thread> threads;
  for (size_t begin = 0; begin < rows; begin += 64 * 37) {
    threads.emplace_back([&, begin] {
      (void)evaluator->evaluate_range(begin, std::min(rows, begin + 64 * 37), &parts);
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(std::equal(whole.words(), whole.words() + whole.word_count(), parts.words()));
  size_t want = 0;
  for (const int64_t x : values) want += x >= 20 && x < 70 ? 1 : 0;
  CHECK_EQ(whole.count(), want);
}

TEST(a_range_leaves_other_rows_alone) {
  const FakeSource source({int_field(100, std::vector<int64_t>(300, 1))}, 300, true, {});
  PlanWriter writer;
  writer.tag(PlanTag::kCompare).field(100, DataType::kInt64).u8(0).integer(1);
  const Plan plan = decoded(writer.bytes);
  Bitset truth(300);
  CHECK(evaluate_range(plan, source, 64, 128, &truth).is_ok());
  CHECK_EQ(truth.count(), size_t{64});
  CHECK(evaluate_range(plan, source, 256, 300, &truth).is_ok());
  CHECK_EQ(truth.count(), size_t{108});
  CHECK(!evaluate_range(plan, source, 1, 128, &truth).is_ok());
  CHECK(!evaluate_range(plan, source, 0, 320, &truth).is_ok());
  Bitset small(10);
  CHECK(!evaluate_range(plan, source, 0, 300, &small).is_ok());
}

TEST(an_empty_source_gives_no_rows) {
  const FakeSource source({int_field(100, {})}, 0, true, {});
  PlanWriter writer;
  writer.tag(PlanTag::kConst).u8(1);
  Bitset truth;
  CHECK(evaluate(decoded(writer.bytes), source, &truth).is_ok());
  CHECK_EQ(truth.size(), size_t{0});
}

TEST(constants_of_another_type_are_refused) {
  const FakeSource source({int_field(100, {1})}, 1, true, {});
  const auto refused = [&](const PlanWriter& writer) {
    Bitset truth;
    return evaluate(decoded(writer.bytes), source, &truth).code() == StatusCode::kInvalidParameter;
  };
  PlanWriter compare;
  compare.tag(PlanTag::kCompare).field(100, DataType::kInt64).u8(0).string("x");
  CHECK(refused(compare));
  PlanWriter like;
  like.tag(PlanTag::kLike).field(100, DataType::kInt64).u8(0).text("x");
  CHECK(refused(like));
  PlanWriter arith;
  arith.tag(PlanTag::kArith).field(100, DataType::kInt64).u8(0).string("x").u8(0).integer(1);
  CHECK(refused(arith));
  PlanWriter vectors;
  vectors.tag(PlanTag::kCompareOperands)
      .field(1, DataType::kFloatVector)
      .u8(0)
      .field(1, DataType::kFloatVector);
  CHECK(refused(vectors));
  PlanWriter contains;
  contains.tag(PlanTag::kContains).field(100, DataType::kInt64).u8(0).put<uint32_t>(0);
  CHECK(refused(contains));
  // The plan and the column disagree: not the user's fault.
  PlanWriter other;
  other.tag(PlanTag::kCompare).field(100, DataType::kInt32).u8(0).integer(1);
  Bitset truth;
  CHECK(evaluate(decoded(other.bytes), source, &truth).code() == StatusCode::kInternal);
}

TEST(six_hundred_levels_are_evaluated) {
  const FakeSource source({int_field(100, {1, 2})}, 2, true, {});
  PlanWriter writer;
  for (int i = 0; i < 598; ++i)
    writer.tag(i % 2 == 0 ? PlanTag::kAnd : PlanTag::kOr).put<uint16_t>(1);
  writer.tag(PlanTag::kNot);
  writer.tag(PlanTag::kCompare).field(100, DataType::kInt64).u8(0).integer(1);
  Bitset truth;
  CHECK(evaluate(decoded(writer.bytes), source, &truth).is_ok());
  CHECK(!truth.test(0) && truth.test(1));
}

TEST(the_planner_takes_the_index_only_when_it_is_cheaper) {
  std::vector<int64_t> values;
  for (int64_t i = 0; i < 100000; ++i) values.push_back(i * 7919 % 100000);
  FakeSource source({int_field(100, values)}, values.size(), true, {});
  CHECK(source.add_index(100, DataType::kInt64, DataType::kNone).is_ok());
  const auto used = [&](int op, int64_t value) {
    PlanWriter writer;
    writer.tag(PlanTag::kCompare).field(100, DataType::kInt64).u8(op).integer(value);
    const Plan plan = decoded(writer.bytes);
    std::unique_ptr<Evaluator> evaluator;
    CHECK(Evaluator::prepare(plan, source, {}, &evaluator).is_ok());
    return evaluator->index_leaf_count();
  };
  CHECK_EQ(used(0, 5), 1);
  CHECK_EQ(used(1, 5), 1);  // all but one row: read through the complement
  CHECK_EQ(used(4, 50), 1);
  CHECK_EQ(used(2, 50000), 0);  // half of the rows: the scan
}

CHECK_MAIN()
