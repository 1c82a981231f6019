// Random rows and filter plans for tests of the evaluator: values that lie close together or at the
// ends of their types, so that filters meet them.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "expr_support.h"
#include "regex_oracle.h"

namespace elanus::test {

inline constexpr int64_t kUnknownField = 999;

inline const std::vector<std::string> kStrings = {"",
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
inline const std::vector<std::string> kPatterns = {"%",       "_",
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
inline const std::vector<std::string> kKeys = {"a", "b", "c", "list", "deep"};

class FilterGenerator {
 public:
  explicit FilterGenerator(uint64_t seed) : random_(seed) {}

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
    w->program(random_program(&random_));
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

}  // namespace elanus::test
