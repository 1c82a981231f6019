// The evaluator against a slow twin on random filters and rows, in both layouts, with and without
// scalar indexes. Usage: evaluate_test [case] ; ELANUS_SEED sets the seed of the random cases.
#include "expr/evaluate.h"

#include <cstdlib>
#include <limits>
#include <random>
#include <thread>

#include "check.h"
#include "expr/mask_kernels.h"
#include "expr_support.h"
#include "filter_oracle.h"
#include "regex_oracle.h"

using namespace elanus;
using test::FakeSource;
using test::Field;
using test::PlanWriter;
using test::Val;

namespace {

constexpr int64_t kUnknownField = 999;

const std::vector<std::string> kStrings = {"",
                                           "a",
                                           "b",
                                           "ab",
                                           "ba",
                                           "abc",
                                           "aab",
                                           "aé",
                                           "é",
                                           "日本",
                                           "日本語",
                                           "a%b",
                                           "a_b",
                                           "a\\b",
                                           "\n",
                                           "a\nb",
                                           "abababab",
                                           "long enough to be long",
                                           "long enough to be lonh",
                                           "%",
                                           "_",
                                           "zz"};
const std::vector<std::string> kPatterns = {"%",       "_",
                                            "a%",      "%b",
                                            "a_",      "_b",
                                            "%a_b%",   "a%b",
                                            "__",      "%_b",
                                            "é_",      "_é%",
                                            "%本_",    "a\\%b",
                                            "a\\_b",   "a\\\\b",
                                            "%ab%ab%", "",
                                            "%%",      "_%_",
                                            "a%a%b",   "%long%be lon_",
                                            "日%語",   "%\n%",
                                            "x\\"};
const std::vector<std::string> kKeys = {"a", "b", "c", "list", "deep"};

class Generator {
 public:
  explicit Generator(uint64_t seed) : random_(seed) {}

  size_t below(size_t n) { return random_() % n; }
  bool chance(size_t of) { return below(of) == 0; }
  template <typename T>
  T pick(const std::vector<T>& from) {
    return from[below(from.size())];
  }

  int64_t integer(DataType type) {
    constexpr int64_t kBig = int64_t{1} << 53;
    switch (type) {
      case DataType::kInt8:
        return pick<int64_t>({-128, 127, -3, -1, 0, 1, 2, 3, 64});
      case DataType::kInt16:
        return pick<int64_t>({-32768, 32767, -300, -1, 0, 1, 2, 3, 300});
      case DataType::kInt32:
        return pick<int64_t>({INT32_MIN, INT32_MAX, -70000, -1, 0, 1, 2, 3, 70000});
      default:
        return pick<int64_t>(
            {INT64_MIN, INT64_MAX, INT64_MAX - 1, -kBig, kBig, kBig + 1, -1, 0, 1, 2, 3, 7, 100});
    }
  }
  double real(bool finite = false) {
    if (!finite && chance(12)) {
      return pick<double>(
          {NAN, INFINITY, -INFINITY, 1e300, -1e300, std::numeric_limits<double>::denorm_min()});
    }
    return pick<double>(
        {0.0, -0.0, 1.0, 2.0, -1.0, 0.1, 2.5, -2.5, 3.0, 9007199254740992.0, 9.3e18, -9.3e18, 300});
  }

  Val scalar(DataType type) {
    Val value;
    switch (type) {
      case DataType::kBool:
        value.kind = Val::kBool;
        value.i = static_cast<int64_t>(below(2));
        break;
      case DataType::kFloat:
        value.kind = Val::kFloat;
        value.d = static_cast<float>(real());
        break;
      case DataType::kDouble:
        value.kind = Val::kDouble;
        value.d = real();
        break;
      case DataType::kVarChar:
        value.kind = Val::kString;
        value.s = pick(kStrings);
        break;
      default:
        value.kind = Val::kInt;
        value.i = integer(type);
        break;
    }
    return value;
  }
  Val json(int depth) {
    Val value;
    const size_t kind = depth == 0 ? 7 : below(10);
    if (kind == 7) {
      value.kind = Val::kObject;
      for (const std::string& key : kKeys) {
        if (!chance(3)) value.keys[key] = json(depth + 1);
      }
    } else if (kind == 6 && depth < 4) {
      value.kind = Val::kArray;
      for (size_t n = below(4); n > 0; --n) value.items.push_back(json(depth + 1));
    } else if (kind == 0) {
      value.kind = Val::kNull;
    } else if (kind == 1) {
      value = scalar(DataType::kBool);
    } else if (kind <= 3) {
      value = scalar(DataType::kInt64);
    } else if (kind == 4) {
      value.kind = Val::kDouble;
      value.d = real(true);
    } else {
      value = scalar(DataType::kVarChar);
    }
    return value;
  }
  Val cell(const Field& field) {
    if (field.type == DataType::kJson) return chance(20) ? json(1) : json(0);
    if (field.type != DataType::kArray) return scalar(field.type);
    Val value;
    value.kind = Val::kArray;
    for (size_t n = below(5); n > 0; --n) value.items.push_back(scalar(field.element));
    return value;
  }

  std::vector<Field> fields(size_t rows) {
    const std::vector<DataType> scalars = {DataType::kBool,   DataType::kInt8,   DataType::kInt16,
                                           DataType::kInt32,  DataType::kInt64,  DataType::kFloat,
                                           DataType::kDouble, DataType::kVarChar};
    std::vector<Field> all;
    for (size_t i = 0; i < scalars.size(); ++i) {
      all.push_back({100 + static_cast<int64_t>(i), scalars[i], DataType::kNone, chance(2), {}});
      all.push_back({200 + static_cast<int64_t>(i), DataType::kArray, scalars[i], chance(2), {}});
    }
    all.push_back({300, DataType::kJson, DataType::kNone, chance(2), {}});
    for (Field& field : all) {
      for (size_t row = 0; row < rows; ++row) {
        const bool null = field.nullable && chance(4);
        field.cells.push_back(null ? std::nullopt : std::optional<Val>(cell(field)));
      }
    }
    return all;
  }

  std::vector<size_t> chunk_begins(size_t rows) {
    std::vector<size_t> begins{0};
    for (size_t at = 0; (at += 64 * (1 + below(3))) < rows;) begins.push_back(at);
    return begins;
  }

  // ---- plans

  void literal(PlanWriter* w, DataType type, int depth = 0) {
    switch (type) {
      case DataType::kBool:
        w->boolean(chance(2));
        break;
      case DataType::kVarChar:
        w->string(pick(kStrings));
        break;
      case DataType::kJson:
        if (depth < 2 && chance(6)) {
          const size_t n = below(3);
          w->u8(5).put(static_cast<uint32_t>(n));
          for (size_t i = 0; i < n; ++i) literal(w, type, depth + 1);
        } else {
          literal(w, pick<DataType>({DataType::kBool, DataType::kInt64, DataType::kDouble,
                                     DataType::kVarChar}));
        }
        break;
      case DataType::kFloat:
      case DataType::kDouble:
        chance(4) ? w->integer(integer(DataType::kInt64)) : w->real(real());
        break;
      default:
        chance(3) ? w->real(real()) : w->integer(integer(chance(2) ? type : DataType::kInt64));
        break;
    }
  }
  void literals(PlanWriter* w, DataType type) {
    size_t n = below(4);
    if (chance(3)) n = 5 + below(40);
    w->put(static_cast<uint32_t>(n));
    for (size_t i = 0; i < n; ++i) literal(w, type);
  }
  void array_literal(PlanWriter* w, DataType element) {
    const size_t n = below(3);
    w->u8(5).put(static_cast<uint32_t>(n));
    for (size_t i = 0; i < n; ++i) literal(w, element);
  }
  void path(PlanWriter* w) {
    const size_t steps = below(4);
    w->path(300, static_cast<uint16_t>(steps));
    for (size_t i = 0; i < steps; ++i) {
      i > 0 && chance(2) ? w->index(static_cast<uint32_t>(below(3))) : w->key(pick(kKeys));
    }
  }
  // Writes an operand and gives the type of its values: kJson for a path, kArray never.
  DataType operand(PlanWriter* w, const std::vector<Field>& fields) {
    const Field& field = fields[below(fields.size() + 8) % fields.size()];
    if (field.type == DataType::kJson || chance(5)) {
      chance(12) ? (void)w->field(300, DataType::kJson) : path(w);
      return DataType::kJson;
    }
    if (field.type == DataType::kArray) {
      w->element(field.id, field.element, static_cast<uint32_t>(below(4)));
      return field.element;
    }
    if (chance(15)) {
      w->field(kUnknownField, field.type);
    } else {
      w->field(field.id, field.type);
    }
    return field.type;
  }
  // An Array field or a path.
  DataType list_operand(PlanWriter* w, const std::vector<Field>& fields, DataType* element) {
    const Field& field = pick(fields);
    if (field.type != DataType::kArray) {
      path(w);
      *element = DataType::kJson;
      return DataType::kJson;
    }
    w->field(field.id, DataType::kArray, field.element);
    *element = field.element;
    return DataType::kArray;
  }
  void regex(PlanWriter* w, const PlanWriter& operand, bool negated) {
    w->tag(PlanTag::kRegex).raw(operand).u8(negated ? 1 : 0).text("");
    w->program(test::random_program(&random_));
  }
  int op() { return static_cast<int>(below(6)); }

  void leaf(PlanWriter* w, const std::vector<Field>& fields) {
    PlanWriter body;
    body.bytes.clear();
    PlanWriter second = body;
    DataType element;
    DataType type = operand(&body, fields);
    switch (below(12)) {
      case 0:
      case 1:
        w->tag(PlanTag::kCompare).raw(body).u8(op());
        return literal(w, type);
      case 2:
        operand(&second, fields);
        w->tag(PlanTag::kCompareOperands).raw(body).u8(op()).raw(second);
        return;
      case 3:
        w->tag(PlanTag::kRange).raw(body).u8(static_cast<int>(below(4)));
        literal(w, type);
        return literal(w, type);
      case 4:
      case 5:
        w->tag(PlanTag::kIn).raw(body);
        return literals(w, type);
      case 6: {
        if (type == DataType::kBool || type == DataType::kVarChar) return leaf(w, fields);
        w->tag(PlanTag::kArith).raw(body).u8(static_cast<int>(below(8)));
        const DataType number = type == DataType::kJson ? DataType::kInt64 : type;
        literal(w, number);
        w->u8(op());
        return literal(w, number);
      }
      case 7: {
        if (type != DataType::kVarChar && type != DataType::kJson) return leaf(w, fields);
        if (chance(3)) return regex(w, body, type == DataType::kJson && chance(2));
        const size_t kind = below(6);
        w->tag(PlanTag::kLike).raw(body).u8(static_cast<int>(std::min<size_t>(kind, 4)));
        w->text(kind >= 4 ? pick(kPatterns) : pick(kStrings));
        return;
      }
      case 8:
        w->tag(chance(2) ? PlanTag::kIsNull : PlanTag::kExists).raw(body);
        return;
      case 9:
      case 10:
        w->tag(PlanTag::kContains);
        list_operand(w, fields, &element);
        w->u8(static_cast<int>(below(3)));
        return literals(w, element);
      default:
        type = list_operand(&second, fields, &element);
        if (type == DataType::kArray && chance(2)) {
          w->tag(PlanTag::kCompare).raw(second).u8(op());
          return array_literal(w, element);
        }
        w->tag(PlanTag::kArrayLength).raw(second).u8(op());
        chance(3) ? w->real(real()) : w->integer(static_cast<int64_t>(below(5)));
        return;
    }
  }
  void node(PlanWriter* w, const std::vector<Field>& fields, int depth) {
    const size_t kind = depth >= 4 ? 9 : below(10);
    if (kind < 4) {
      const size_t n = below(20) == 0 ? 0 : 1 + below(4);
      w->tag(kind < 2 ? PlanTag::kAnd : PlanTag::kOr).put(static_cast<uint16_t>(n));
      for (size_t i = 0; i < n; ++i) node(w, fields, depth + 1);
    } else if (kind == 4) {
      w->tag(PlanTag::kNot);
      node(w, fields, depth + 1);
    } else if (kind == 5 && chance(4)) {
      w->tag(PlanTag::kConst).u8(static_cast<int>(below(3)));
    } else {
      leaf(w, fields);
    }
  }

  // ---- what an index over a JSON path is asked

  static constexpr size_t kIndexedPaths = 6;
  static std::vector<PathStep> indexed_path(size_t i) {
    const PathStep a{true, 0, "a"};
    const PathStep b{true, 0, "b"};
    const PathStep list{true, 0, "list"};
    const PathStep second{false, 1, {}};
    const std::vector<PathStep> paths[kIndexedPaths] = {{},     {a},         {b},
                                                        {b, a}, {list, second}, {a, list, second}};
    return paths[i];
  }
  // A document with scalars at most places that an index may be over.
  Val flat_json() {
    Val value = json(0);
    for (const char* key : {"a", "b"}) {
      if (!chance(4)) value.keys[key] = json(4);
    }
    if (chance(3)) {
      Val list;
      list.kind = Val::kArray;
      for (size_t n = below(4); n > 0; --n) list.items.push_back(json(4));
      value.keys["list"] = list;
    }
    return value;
  }
  // A leaf over one of the paths; most have literals of one type.
  void json_leaf(PlanWriter* w) {
    PlanWriter body;
    body.bytes.clear();
    const std::vector<PathStep> steps = indexed_path(below(kIndexedPaths));
    if (steps.empty() && chance(2)) {
      body.field(300, DataType::kJson);
    } else {
      body.path(300, static_cast<uint16_t>(steps.size()));
      for (const PathStep& step : steps) {
        step.is_key ? body.key(step.key) : body.index(step.index);
      }
    }
    const DataType type =
        pick<DataType>({DataType::kBool, DataType::kInt64, DataType::kDouble, DataType::kVarChar,
                        DataType::kInt64, DataType::kVarChar, DataType::kJson});
    switch (below(9)) {
      case 0:
      case 1:
      case 2:
        w->tag(PlanTag::kCompare).raw(body).u8(op());
        return literal(w, type);
      case 3:
      case 4:
        w->tag(PlanTag::kRange).raw(body).u8(static_cast<int>(below(4)));
        literal(w, type);
        return literal(w, type);
      case 5:
      case 6:
        w->tag(PlanTag::kIn).raw(body);
        return literals(w, type);
      case 7: {
        if (chance(3)) return regex(w, body, chance(3));
        const size_t kind = below(6);
        w->tag(PlanTag::kLike).raw(body).u8(static_cast<int>(std::min<size_t>(kind, 4)));
        w->text(kind >= 4 ? pick(kPatterns) : pick(kStrings));
        return;
      }
      default:  // these no index answers
        if (chance(2)) {
          w->tag(chance(2) ? PlanTag::kIsNull : PlanTag::kExists).raw(body);
          return;
        }
        w->tag(PlanTag::kContains).raw(body).u8(static_cast<int>(below(3)));
        return literals(w, type);
    }
  }
  void json_node(PlanWriter* w, int depth) {
    const size_t kind = depth >= 3 ? 9 : below(10);
    if (kind < 4) {
      const size_t n = 1 + below(3);
      w->tag(kind < 2 ? PlanTag::kAnd : PlanTag::kOr).put(static_cast<uint16_t>(n));
      for (size_t i = 0; i < n; ++i) json_node(w, depth + 1);
    } else if (kind < 6) {
      w->tag(PlanTag::kNot);
      json_node(w, depth + 1);
    } else {
      json_leaf(w);
    }
  }

 private:
  std::mt19937_64 random_;
};

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
  Generator generator(seed);
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
  Generator generator(seed);
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
    for (size_t i = 0; i < Generator::kIndexedPaths; ++i) {
      for (const DataType cast : {DataType::kBool, DataType::kDouble, DataType::kVarChar}) {
        const auto path = Generator::indexed_path(i);
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
void compare_kernels(Generator* generator) {
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
  Generator generator(3);
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
  Generator generator(5);
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
