// Leaves over strings, arrays and JSON: they visit only the rows that are still undecided.
#include "filter/leaf.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <string>
#include <type_traits>
#include <utility>

#include "filter/dense_leaf.h"
#include "filter/json_path.h"
#include "filter/mask_kernels.h"
#include "filter/value_test.h"

namespace elanus {

size_t FieldSlots::slot_of(const Operand& operand) {
  for (size_t slot = 0; slot < fields_.size(); ++slot) {
    if (fields_[slot].id == operand.field_id && fields_[slot].type == operand.data_type)
      return slot;
  }
  fields_.push_back({operand.field_id, operand.data_type});
  return fields_.size() - 1;
}

namespace {

constexpr size_t kRowNs = 20;

// test(column, row), or test(column, row, steps) of one that may take long for a single row.
template <typename Test>
auto ask(const Test& test, const Block& block, const ColumnView& column, size_t row) {
  if constexpr (std::is_invocable_v<const Test&, const ColumnView&, size_t, Steps*>) {
    return test(column, row, block.steps);
  } else {
    return test(column, row);
  }
}

// Counts the rows of a word. False when canceled.
bool take_rows(const Block& block, uint64_t rows) {
  return block.steps->take(1 + kRowNs * static_cast<size_t>(std::popcount(rows)));
}

// Counts a value of so many bytes, each of that cost. False when canceled.
bool take_bytes(Steps* steps, size_t bytes, uint64_t cost) {
  return steps->take(bytes * cost / 1000);
}

// Asks the test of each undecided row that is not null.
template <typename Test>
class RowLeaf : public Leaf {
 public:
  RowLeaf(size_t slot, Test test) : slot_(slot), test_(std::move(test)) {}

  void evaluate(const Block& block, const uint64_t* active, uint64_t* truth,
                uint64_t* known) const override {
    const ColumnView& column = block.columns[slot_];
    valid_words(column, block.first, block.rows, known);
    for (size_t w = 0; w < block.words(); ++w) {
      if (!take_rows(block, active[w] & known[w])) return;
      truth[w] = test_word(active[w] & known[w], block.first + w * 64,
                           [&](size_t row) { return ask(test_, block, column, row); });
    }
  }

 private:
  size_t slot_;
  Test test_;
};

template <typename Test>
std::unique_ptr<Leaf> row_leaf(size_t slot, Test test) {
  return std::make_unique<RowLeaf<Test>>(slot, std::move(test));
}

// What a test says of a value whose type is known only row by row.
enum class Answer : uint8_t { kFalse, kTrue, kUnknown };

Answer answer(bool holds) { return holds ? Answer::kTrue : Answer::kFalse; }

// RowLeaf for tests that may not know: a missing key, an element past the end, a value of another
// type.
template <typename Test>
class TriLeaf : public Leaf {
 public:
  TriLeaf(size_t slot, Test test) : slot_(slot), test_(std::move(test)) {}

  void evaluate(const Block& block, const uint64_t* active, uint64_t* truth,
                uint64_t* known) const override {
    const ColumnView& column = block.columns[slot_];
    valid_words(column, block.first, block.rows, known);
    for (size_t w = 0; w < block.words(); ++w) {
      uint64_t unknown = 0;
      truth[w] = 0;
      if (!take_rows(block, active[w] & known[w])) return;
      for (uint64_t rest = active[w] & known[w]; rest != 0; rest &= rest - 1) {
        const int bit = std::countr_zero(rest);
        const size_t row = block.first + w * 64 + static_cast<size_t>(bit);
        const Answer said = ask(test_, block, column, row);
        truth[w] |= uint64_t{said == Answer::kTrue} << bit;
        unknown |= uint64_t{said == Answer::kUnknown} << bit;
      }
      known[w] &= ~unknown;
    }
  }

 private:
  size_t slot_;
  Test test_;
};

template <typename Test>
std::unique_ptr<Leaf> tri_leaf(size_t slot, Test test) {
  return std::make_unique<TriLeaf<Test>>(slot, std::move(test));
}

VariantValue walk(const Operand& operand, const ColumnView& column, size_t row) {
  return value_at(column.json_variant->string_at(row), operand.path);
}

// The operand's value in a row that is not null; false when it is an array element out of range.
bool read(const Operand& operand, const ColumnView& column, size_t row, Datum* value) {
  if (operand.data_type == DataType::kJson) {
    *value = datum_of(walk(operand, column, row));
  } else if (operand.kind == OperandKind::kElement) {
    const ArrayValue array = column.array_at(row);
    if (operand.index >= array.count) return false;
    *value = datum_of(array, operand.index);
  } else {
    *value = datum_of(column, row);
  }
  return true;
}

class OperandPairLeaf : public Leaf {
 public:
  OperandPairLeaf(size_t left, size_t right, const PlanNode& node)
      : left_(left), right_(right), node_(node) {}

  void evaluate(const Block& block, const uint64_t* active, uint64_t* truth,
                uint64_t* known) const override {
    uint64_t right_known[Block::kWords];
    valid_words(block.columns[left_], block.first, block.rows, known);
    valid_words(block.columns[right_], block.first, block.rows, right_known);
    for (size_t w = 0; w < block.words(); ++w) {
      known[w] &= right_known[w];
      if (!take_rows(block, active[w] & known[w])) return;
      truth[w] = test_word(active[w] & known[w], block.first + w * 64, [&](size_t row) {
        Datum left;
        Datum right;
        return read(node_.operands[0], block.columns[left_], row, &left) &&
               read(node_.operands[1], block.columns[right_], row, &right) &&
               compare(left, node_.op, right);
      });
    }
  }

 private:
  size_t left_;
  size_t right_;
  const PlanNode& node_;
};

// isNull and exists: never null themselves. A null row answers `of_null`.
template <typename Test>
class PresenceLeaf : public Leaf {
 public:
  PresenceLeaf(size_t slot, bool of_null, Test test)
      : slot_(slot), of_null_(of_null), test_(std::move(test)) {}

  void evaluate(const Block& block, const uint64_t* active, uint64_t* truth,
                uint64_t* known) const override {
    const ColumnView& column = block.columns[slot_];
    valid_words(column, block.first, block.rows, known);
    for (size_t w = 0; w < block.words(); ++w) {
      const uint64_t valid = known[w];
      known[w] = block.row_bits(w);
      if (!take_rows(block, active[w] & valid)) return;
      truth[w] = test_word(active[w] & valid, block.first + w * 64,
                           [&](size_t row) { return ask(test_, block, column, row); });
      if (of_null_) truth[w] |= known[w] & ~valid;
    }
  }

 private:
  size_t slot_;
  bool of_null_;
  Test test_;
};

template <typename Test>
std::unique_ptr<Leaf> presence_leaf(size_t slot, bool of_null, Test test) {
  return std::make_unique<PresenceLeaf<Test>>(slot, of_null, std::move(test));
}

std::unique_ptr<Leaf> string_leaf(size_t slot, const PlanNode& node, ValueTest test) {
  using Kind = StringTest::Kind;
  const bool negate = test.negate;
  // The kind is decided here and not for each row.
  const auto leaf = [&](auto holds) {
    return row_leaf(slot, [test = std::move(test.strings), negate, holds](const ColumnView& column,
                                                                          size_t row) {
      return holds(test, column.string_at(row)) != negate;
    });
  };
  switch (test.strings.kind) {
    case Kind::kEqual:
      return leaf([](const StringTest& t, std::string_view x) { return x == *t.lower; });
    case Kind::kBetween:
      return leaf([](const StringTest& t, std::string_view x) { return t.is_between(x); });
    case Kind::kSet:
      return leaf([](const StringTest& t, std::string_view x) { return t.set.holds(x); });
    case Kind::kLike:
      return row_leaf(slot, [test = std::move(test.strings), negate, cost = byte_cost(node)](
                                const ColumnView& column, size_t row, Steps* steps) {
        const std::string_view text = column.string_at(row);
        return take_bytes(steps, text.size(), cost) && test.holds(text) != negate;
      });
    default:
      return leaf([](const StringTest& t, std::string_view x) { return t.holds(x); });
  }
}

std::unique_ptr<Leaf> element_leaf(size_t slot, const PlanNode& node, ValueTest test) {
  return tri_leaf(slot, [&operand = node.operands[0], test = std::move(test),
                         cost = byte_cost(node)](const ColumnView& column, size_t row,
                                                 Steps* steps) {
    Datum value;
    if (!read(operand, column, row, &value)) return Answer::kUnknown;
    if (!take_bytes(steps, value.text.size(), cost)) return Answer::kUnknown;
    return answer(test.finds(value) != test.negate);
  });
}

// Types that compare with each other, as bits.
enum Kind : uint8_t { kBoolKind = 1, kNumberKind = 2, kStringKind = 4, kArrayKind = 8 };
constexpr uint8_t kAnyKind = kBoolKind | kNumberKind | kStringKind | kArrayKind;

uint8_t kind_of(VariantType type) {
  switch (type) {
    case VariantType::kBool:
      return kBoolKind;
    case VariantType::kInt64:
    case VariantType::kDouble:
      return kNumberKind;
    case VariantType::kString:
      return kStringKind;
    case VariantType::kArray:
      return kArrayKind;
    default:
      return 0;  // missing, null, an object: compares with nothing
  }
}

uint8_t kind_of(const Literal& literal) {
  switch (literal.kind) {
    case LiteralKind::kBool:
      return kBoolKind;
    case LiteralKind::kString:
      return kStringKind;
    case LiteralKind::kArray:
      return kArrayKind;
    default:
      return kNumberKind;
  }
}

// The kinds of values that the node can decide about; an empty list decides about all.
uint8_t comparable_kinds(const PlanNode& node) {
  if (node.tag == PlanTag::kLike) return kStringKind;
  uint8_t kinds = 0;
  for (const Literal& literal : node.literals) kinds |= kind_of(literal);
  return kinds == 0 ? kAnyKind : kinds;
}

std::unique_ptr<Leaf> path_leaf(size_t slot, const PlanNode& node, ValueTest test) {
  const Operand& operand = node.operands[0];
  const uint8_t kinds = comparable_kinds(node);
  return tri_leaf(slot, [&operand, kinds, is_like = node.tag == PlanTag::kLike,
                         test = std::move(test), cost = byte_cost(node)](
                            const ColumnView& column, size_t row, Steps* steps) {
    const VariantValue value = walk(operand, column, row);
    if ((kind_of(value.type()) & kinds) == 0) return Answer::kUnknown;
    if (is_like && !take_bytes(steps, value.string().size(), cost)) return Answer::kUnknown;
    return answer(test.finds(value) != test.negate);
  });
}

// Elements of a typed array and of a JSON array behind one face.
struct ArrayElements {
  const ArrayValue& array;
  size_t size() const { return array.count; }
  bool equal(const Literal& literal, size_t i) const { return equals(datum_of(array, i), literal); }
  bool any(const ValueTest& test) const {
    switch (array.element_type) {
      case DataType::kBool:
        return find([&](size_t i) { return test.bools[array.int_at(i)]; });
      case DataType::kVarChar:
        return find([&](size_t i) { return test.strings.holds(array.string_at(i)); });
      case DataType::kFloat:
        return find(
            [&](size_t i) { return test.floats.holds(static_cast<const float*>(array.fixed)[i]); });
      case DataType::kDouble:
        return find([&](size_t i) {
          return test.doubles.holds(static_cast<const double*>(array.fixed)[i]);
        });
      case DataType::kInt64:
        return find(
            [&](size_t i) { return test.ints.holds(static_cast<const int64_t*>(array.fixed)[i]); });
      default:
        return find([&](size_t i) { return test.ints.holds(array.int_at(i)); });
    }
  }
  template <typename Test>
  bool find(const Test& test) const {
    for (size_t i = 0; i < array.count; ++i) {
      if (test(i)) return true;
    }
    return false;
  }
};
struct VariantElements {
  const VariantValue& array;
  size_t size() const { return array.size(); }
  bool equal(const Literal& literal, size_t i) const { return equals(array.element(i), literal); }
  bool any(const ValueTest& test) const {
    const size_t count = array.size();
    for (size_t i = 0; i < count; ++i) {
      if (test.finds(array.element(i))) return true;
    }
    return false;
  }
};

struct ContainsTest {
  explicit ContainsTest(const PlanNode& plan_node) : node(plan_node), cost(byte_cost(node)) {
    if (node.mode != ContainsMode::kAll) any = ValueTest::of_list(node.literals);
  }

  template <typename Elements>
  bool holds(const Elements& elements, Steps* steps) const {
    if (!take_bytes(steps, elements.size(), cost)) return false;
    if (node.mode != ContainsMode::kAll) return elements.any(any);
    const size_t size = elements.size();
    return std::all_of(node.literals.begin(), node.literals.end(), [&](const Literal& literal) {
      for (size_t i = 0; i < size; ++i) {
        if (elements.equal(literal, i)) return true;
      }
      return false;
    });
  }

  const PlanNode& node;
  uint64_t cost;
  ValueTest any;
};

std::unique_ptr<Leaf> contains_leaf(size_t slot, const PlanNode& node) {
  const Operand& operand = node.operands[0];
  if (operand.data_type == DataType::kJson) {
    return tri_leaf(slot, [&operand, test = ContainsTest(node)](const ColumnView& column,
                                                                size_t row, Steps* steps) {
      const VariantValue value = walk(operand, column, row);
      if (value.type() != VariantType::kArray) return Answer::kUnknown;
      return answer(test.holds(VariantElements{value}, steps));
    });
  }
  return row_leaf(slot, [test = ContainsTest(node)](const ColumnView& column, size_t row,
                                                    Steps* steps) {
    const ArrayValue array = column.array_at(row);
    return test.holds(ArrayElements{array}, steps);
  });
}

std::unique_ptr<Leaf> regex_leaf(size_t slot, const PlanNode& node) {
  const Operand& operand = node.operands[0];
  // Shared, as a leaf's test must be copyable.
  const auto regex = std::make_shared<const Regex>(node.regex);
  if (operand.data_type == DataType::kVarChar) {
    return row_leaf(slot, [regex](const ColumnView& column, size_t row, Steps* steps) {
      return regex->matches(column.string_at(row), steps);
    });
  }
  if (operand.data_type == DataType::kArray) {
    return tri_leaf(slot, [regex, &operand](const ColumnView& column, size_t row, Steps* steps) {
      Datum value;
      if (!read(operand, column, row, &value)) return Answer::kUnknown;
      return answer(regex->matches(value.text, steps));
    });
  }
  if (node.negated) {
    return presence_leaf(slot, true, [regex, &operand](const ColumnView& column, size_t row,
                                                       Steps* steps) {
      const VariantValue value = walk(operand, column, row);
      return value.type() != VariantType::kString || !regex->matches(value.string(), steps);
    });
  }
  return tri_leaf(slot, [regex, &operand](const ColumnView& column, size_t row, Steps* steps) {
    const VariantValue value = walk(operand, column, row);
    if (value.type() != VariantType::kString) return Answer::kUnknown;
    return answer(regex->matches(value.string(), steps));
  });
}

std::unique_ptr<Leaf> length_leaf(size_t slot, const PlanNode& node) {
  const Operand& operand = node.operands[0];
  const ValueTest test = ValueTest::of_compare(node.op, node.literals[0]);
  if (operand.data_type == DataType::kJson) {
    return tri_leaf(slot, [&operand, test](const ColumnView& column, size_t row) {
      const VariantValue value = walk(operand, column, row);
      if (value.type() != VariantType::kArray) return Answer::kUnknown;
      return answer(test.ints.holds(static_cast<int64_t>(value.size())) != test.negate);
    });
  }
  return row_leaf(slot, [test](const ColumnView& column, size_t row) {
    return test.ints.holds(column.array_at(row).count) != test.negate;
  });
}

std::unique_ptr<Leaf> arith_leaf(size_t slot, const PlanNode& node) {
  const Operand& operand = node.operands[0];
  if (operand.kind == OperandKind::kField && operand.data_type != DataType::kJson) {
    return make_dense_arith_leaf(slot, node);
  }
  return tri_leaf(slot, [&operand, test = ArithTest(node)](const ColumnView& column, size_t row) {
    Datum value;
    if (!read(operand, column, row, &value) || !value.is_number()) return Answer::kUnknown;
    return answer(test.holds(value));
  });
}

std::unique_ptr<Leaf> presence(size_t slot, const PlanNode& node) {
  const Operand& operand = node.operands[0];
  const bool is_null = node.tag == PlanTag::kIsNull;
  if (operand.kind == OperandKind::kElement) {
    return presence_leaf(slot, is_null, [&operand, is_null](const ColumnView& column, size_t row) {
      return (operand.index >= column.array_at(row).count) == is_null;
    });
  }
  // `isNull` of a whole JSON field asks for the document, not for what it holds.
  const bool looks_inside =
      operand.data_type == DataType::kJson && (!is_null || operand.kind == OperandKind::kPath);
  if (!looks_inside)
    return presence_leaf(slot, is_null, [is_null](const ColumnView&, size_t) { return !is_null; });
  return presence_leaf(slot, is_null, [&operand, is_null](const ColumnView& column, size_t row) {
    const VariantType type = walk(operand, column, row).type();
    return (type == VariantType::kMissing || type == VariantType::kNull) == is_null;
  });
}

// The type of the values that the operand gives; kJson when each row has its own.
DataType value_type(const Operand& operand) {
  return operand.kind == OperandKind::kElement ? operand.element_type : operand.data_type;
}

bool fits(DataType type, const Literal& literal) {
  switch (literal.kind) {
    case LiteralKind::kBool:
      return type == DataType::kBool || type == DataType::kJson;
    case LiteralKind::kInt64:
    case LiteralKind::kDouble:
      return is_numeric(type) || type == DataType::kJson;
    case LiteralKind::kString:
      return type == DataType::kVarChar || type == DataType::kJson;
    case LiteralKind::kArray:
      return type == DataType::kArray || type == DataType::kJson;
  }
  return false;
}

bool is_well_typed(const PlanNode& node) {
  const DataType type = value_type(node.operands[0]);
  const bool is_list = type == DataType::kArray || type == DataType::kJson;
  switch (node.tag) {
    case PlanTag::kCompare:
    case PlanTag::kRange:
    case PlanTag::kIn:
      return std::all_of(node.literals.begin(), node.literals.end(),
                         [&](const Literal& literal) { return fits(type, literal); });
    case PlanTag::kArith:
      return (is_numeric(type) || type == DataType::kJson) && is_number(node.literals[0]) &&
             is_number(node.literals[1]);
    case PlanTag::kLike:
      return type == DataType::kVarChar || type == DataType::kJson;
    case PlanTag::kRegex:
      return type == DataType::kVarChar ? !node.negated : type == DataType::kJson;
    case PlanTag::kContains:
      return is_list;
    case PlanTag::kArrayLength:
      return is_list && is_number(node.literals[0]);
    default:
      return true;
  }
}

// Whether values of this type can be read at all.
bool is_readable(DataType type) {
  return type == DataType::kBool || is_numeric(type) || type == DataType::kVarChar ||
         type == DataType::kArray || type == DataType::kJson;
}

bool is_element(DataType type) {
  return type == DataType::kBool || is_numeric(type) || type == DataType::kVarChar;
}

Status check(const PlanNode& node) {
  bool good = is_well_typed(node);
  for (const Operand& operand : node.operands) {
    const bool is_presence = node.tag == PlanTag::kIsNull || node.tag == PlanTag::kExists;
    if (!is_presence) good = good && is_readable(operand.data_type);
    // An Array is read through its element type, so it must be one that has a width.
    if (operand.data_type == DataType::kArray &&
        (!is_presence || operand.kind != OperandKind::kField)) {
      good = good && is_element(operand.element_type);
    }
  }
  if (good) return Status::ok();
  return Status(StatusCode::kInvalidParameter,
                "filter plan: operator " + std::to_string(static_cast<int>(node.tag)) +
                    " does not fit field " + std::to_string(node.operands[0].field_id));
}

std::unique_ptr<Leaf> value_leaf(size_t slot, const PlanNode& node) {
  ValueTest test;
  switch (node.tag) {
    case PlanTag::kCompare:
      test = ValueTest::of_compare(node.op, node.literals[0]);
      break;
    case PlanTag::kRange:
      test = ValueTest::of_range(node);
      break;
    case PlanTag::kIn:
      test = ValueTest::of_list(node.literals);
      break;
    default:
      test = ValueTest::of_like(node.like, node.pattern);
      break;
  }
  const Operand& operand = node.operands[0];
  if (operand.data_type == DataType::kJson) return path_leaf(slot, node, std::move(test));
  if (operand.data_type == DataType::kArray) return element_leaf(slot, node, std::move(test));
  if (operand.data_type == DataType::kVarChar) return string_leaf(slot, node, std::move(test));
  return make_dense_leaf(slot, operand.data_type, test);
}

}  // namespace

uint32_t scan_cost(const PlanNode& node) {
  if (node.operands.empty()) return 1;
  const Operand& operand = node.operands[0];
  if (node.tag == PlanTag::kIsNull && operand.kind != OperandKind::kPath) return 20;
  if (node.tag == PlanTag::kRegex) return 100000;
  switch (operand.data_type) {
    case DataType::kBool:
      return 30;
    case DataType::kVarChar:
      return node.tag == PlanTag::kLike ? 15000 : node.tag == PlanTag::kIn ? 10000 : 4000;
    case DataType::kArray:
      return node.tag == PlanTag::kContains ? 10000 : 8000;
    case DataType::kJson:
      return node.tag == PlanTag::kContains || node.tag == PlanTag::kLike ? 40000 : 15000;
    default:
      break;
  }
  if (node.tag == PlanTag::kIn) return 1500;
  if (node.tag == PlanTag::kArith) return 2500;
  // The time it takes to read the values.
  return 50 * static_cast<uint32_t>(fixed_width(operand.data_type));
}

uint64_t byte_cost(const PlanNode& node) {
  constexpr uint64_t kCompare = 20;   // two texts that are equal up to their ends
  constexpr uint64_t kSearch = 250;
  constexpr uint64_t kPiece = 3000;
  constexpr uint64_t kElement = 1000;
  switch (node.tag) {
    case PlanTag::kRegex:
      return 10'000 * node.regex.instructions.size();
    case PlanTag::kLike:
      if (node.like == LikeKind::kInner) return kSearch;
      if (node.like != LikeKind::kPattern) return kCompare;
      // After each `_` a piece is compared by itself, at each place where the first one is.
      return kSearch + kPiece * static_cast<uint64_t>(std::ranges::count(node.pattern, '_'));
    case PlanTag::kContains:
      return kElement * (node.mode == ContainsMode::kAll ? node.literals.size() : 1);
    default:
      return kCompare;
  }
}

double row_ns_max(const PlanNode& node, const std::function<size_t(int64_t field_id)>& bytes_of) {
  double ns = node.operands.empty() ? 0 : scan_cost(node) / 1000.0;
  for (const PlanNode& child : node.children) ns += row_ns_max(child, bytes_of);
  for (const Operand& operand : node.operands) {
    if (!is_variable_width(operand.data_type)) continue;
    const auto bytes = static_cast<double>(bytes_of(operand.field_id));
    ns += bytes * static_cast<double>(byte_cost(node)) / 1000;
  }
  return ns;
}

Status make_leaf(const PlanNode& node, FieldSlots* slots, std::unique_ptr<Leaf>* leaf) {
  if (Status s = check(node); !s.is_ok()) return s;
  const size_t slot = slots->slot_of(node.operands[0]);
  switch (node.tag) {
    case PlanTag::kCompareOperands: {
      const size_t right = slots->slot_of(node.operands[1]);
      const auto is_dense = [](const Operand& operand) {
        return operand.kind == OperandKind::kField && is_numeric(operand.data_type);
      };
      if (is_dense(node.operands[0]) && is_dense(node.operands[1])) {
        *leaf = make_dense_pair_leaf(slot, right, node);
      } else {
        *leaf = std::make_unique<OperandPairLeaf>(slot, right, node);
      }
      break;
    }
    case PlanTag::kArith:
      *leaf = arith_leaf(slot, node);
      break;
    case PlanTag::kIsNull:
    case PlanTag::kExists:
      *leaf = presence(slot, node);
      break;
    case PlanTag::kContains:
      *leaf = contains_leaf(slot, node);
      break;
    case PlanTag::kRegex:
      *leaf = regex_leaf(slot, node);
      break;
    case PlanTag::kArrayLength:
      *leaf = length_leaf(slot, node);
      break;
    default:
      *leaf = value_leaf(slot, node);
      break;
  }
  return Status::ok();
}

}  // namespace elanus
