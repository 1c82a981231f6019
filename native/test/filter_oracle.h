// The slow twin of the evaluator for tests: docs/formats/plan.md read literally, one row at a time,
// with nothing prepared and nothing shared with the code under test but the decoded tree.
#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "expr_support.h"
#include "regex_oracle.h"
#include "filter/plan.h"

namespace elanus::test {

enum class Tri { kFalse, kTrue, kNull };

inline Tri tri(bool value) { return value ? Tri::kTrue : Tri::kFalse; }

class Oracle {
 public:
  explicit Oracle(const std::vector<Field>& fields) : fields_(fields) {}

  Tri evaluate(const PlanNode& node, size_t row) const {
    switch (node.tag) {
      case PlanTag::kConst:
        return node.constant == 2 ? Tri::kNull : tri(node.constant == 1);
      case PlanTag::kAnd:
      case PlanTag::kOr: {
        const Tri decides = tri(node.tag == PlanTag::kOr);
        Tri result = tri(node.tag == PlanTag::kAnd);
        for (const PlanNode& child : node.children) {
          const Tri one = evaluate(child, row);
          if (one == decides) return decides;
          if (one == Tri::kNull) result = Tri::kNull;
        }
        return result;
      }
      case PlanTag::kNot: {
        const Tri child = evaluate(node.children[0], row);
        return child == Tri::kNull ? child : tri(child == Tri::kFalse);
      }
      default:
        return leaf(node, row);
    }
  }

 private:
  // What an operand gives: nothing at all for a null row, no value for a missing key, `outside`
  // past an array's end.
  struct Read {
    bool null = false;
    bool outside = false;
    bool missing = false;
    Val value;
  };

  Read read(const Operand& operand, size_t row) const {
    Read read;
    read.null = true;
    for (const Field& field : fields_) {
      if (field.id != operand.field_id || !field.cells[row]) continue;
      read.null = false;
      read.value = *field.cells[row];
    }
    if (read.null) return read;
    if (operand.kind == OperandKind::kElement) {
      read.outside = operand.index >= read.value.items.size();
      if (!read.outside) read.value = Val(read.value.items[operand.index]);
    }
    for (const PathStep& step : operand.path) {
      const std::string key(step.key);
      if (step.is_key && read.value.kind == Val::kObject && read.value.keys.count(key) != 0) {
        read.value = Val(read.value.keys.at(key));
      } else if (!step.is_key && read.value.kind == Val::kArray &&
                 step.index < read.value.items.size()) {
        read.value = Val(read.value.items[step.index]);
      } else {
        read.missing = true;
        read.value = Val();
        return read;
      }
    }
    return read;
  }

  template <typename T>
  static bool ordered(const T& a, CompareOp op, const T& b) {
    switch (op) {
      case CompareOp::kEq:
        return a == b;
      case CompareOp::kNe:
        return a != b;
      case CompareOp::kLt:
        return a < b;
      case CompareOp::kLe:
        return a <= b;
      case CompareOp::kGt:
        return a > b;
      default:
        return a >= b;
    }
  }
  static bool is_number(const Literal& l) {
    return l.kind == LiteralKind::kInt64 || l.kind == LiteralKind::kDouble;
  }
  static double number(const Literal& l) {
    return l.kind == LiteralKind::kInt64 ? static_cast<double>(l.integer) : l.real;
  }

  static bool compare(const Val& v, CompareOp op, const Literal& l) {
    if (v.kind == Val::kInt && l.kind == LiteralKind::kInt64) return ordered(v.i, op, l.integer);
    if (v.kind == Val::kInt && is_number(l))
      return ordered(static_cast<double>(v.i), op, number(l));
    if (v.kind == Val::kFloat && is_number(l)) {
      return ordered(static_cast<float>(v.d), op, static_cast<float>(number(l)));
    }
    if (v.kind == Val::kDouble && is_number(l)) return ordered(v.d, op, number(l));
    if (v.kind == Val::kString && l.kind == LiteralKind::kString)
      return ordered(v.s, op, std::string(l.text));
    if (v.kind == Val::kBool && l.kind == LiteralKind::kBool) return ordered(v.i, op, l.integer);
    if (v.kind == Val::kArray && l.kind == LiteralKind::kArray) {
      bool same = v.items.size() == l.items.size();
      for (size_t i = 0; same && i < l.items.size(); ++i)
        same = compare(v.items[i], CompareOp::kEq, l.items[i]);
      return op == CompareOp::kEq ? same : op == CompareOp::kNe ? !same : false;
    }
    return op == CompareOp::kNe;
  }

  static bool compare_values(const Val& a, CompareOp op, const Val& b) {
    const auto is_num = [](const Val& v) {
      return v.kind == Val::kInt || v.kind == Val::kFloat || v.kind == Val::kDouble;
    };
    const auto real = [](const Val& v) {
      return v.kind == Val::kInt ? static_cast<double>(v.i) : v.d;
    };
    if (a.kind == Val::kInt && b.kind == Val::kInt) return ordered(a.i, op, b.i);
    if (is_num(a) && is_num(b)) return ordered(real(a), op, real(b));
    if (a.kind == Val::kString && b.kind == Val::kString) return ordered(a.s, op, b.s);
    if (a.kind == Val::kBool && b.kind == Val::kBool) return ordered(a.i, op, b.i);
    return op == CompareOp::kNe;
  }

  static bool arith(const Val& v, const PlanNode& node) {
    const Literal& right = node.literals[0];
    const bool bits = node.arith >= ArithOp::kAnd;
    Val result;
    if (v.kind == Val::kInt && right.kind == LiteralKind::kInt64) {
      const __int128 a = v.i;
      const __int128 b = right.integer;
      if (b == 0 && (node.arith == ArithOp::kDiv || node.arith == ArithOp::kMod)) return false;
      __int128 r = 0;
      switch (node.arith) {
        case ArithOp::kAdd:
          r = a + b;
          break;
        case ArithOp::kSub:
          r = a - b;
          break;
        case ArithOp::kMul:
          r = a * b;
          break;
        case ArithOp::kDiv:
          r = a / b;
          break;
        case ArithOp::kMod:
          r = a % b;
          break;
        case ArithOp::kAnd:
          r = a & b;
          break;
        case ArithOp::kOr:
          r = a | b;
          break;
        case ArithOp::kXor:
          r = a ^ b;
          break;
      }
      const Literal& value = node.literals[1];
      if (value.kind == LiteralKind::kInt64) return ordered(r, node.op, __int128{value.integer});
      return ordered(static_cast<double>(r), node.op, value.real);
    }
    if ((v.kind != Val::kInt && v.kind != Val::kFloat && v.kind != Val::kDouble) || bits)
      return false;
    const double a = v.kind == Val::kInt ? static_cast<double>(v.i) : v.d;
    const double b = number(right);
    result.kind = Val::kDouble;
    switch (node.arith) {
      case ArithOp::kAdd:
        result.d = a + b;
        break;
      case ArithOp::kSub:
        result.d = a - b;
        break;
      case ArithOp::kMul:
        result.d = a * b;
        break;
      case ArithOp::kDiv:
        result.d = a / b;
        break;
      default:
        result.d = std::fmod(a, b);
        break;
    }
    return compare(result, node.op, node.literals[1]);
  }

  static std::vector<std::string> characters(const std::string& text) {
    std::vector<std::string> all;
    for (const char c : text) {
      if (all.empty() || (static_cast<unsigned char>(c) & 0xc0) != 0x80) all.emplace_back();
      all.back() += c;
    }
    return all;
  }
  static bool pattern(const std::vector<std::string>& text, size_t t,
                      const std::vector<std::string>& p, size_t i) {
    if (i == p.size()) return t == text.size();
    if (p[i] == "%") {
      for (size_t skip = t; skip <= text.size(); ++skip) {
        if (pattern(text, skip, p, i + 1)) return true;
      }
      return false;
    }
    if (t == text.size()) return false;
    if (p[i] == "_") return pattern(text, t + 1, p, i + 1);
    if (p[i] == "\\" && i + 1 < p.size())
      return text[t] == p[i + 1] && pattern(text, t + 1, p, i + 2);
    return text[t] == p[i] && pattern(text, t + 1, p, i + 1);
  }
  static bool like(const std::string& text, LikeKind kind, const std::string& p) {
    switch (kind) {
      case LikeKind::kEqual:
        return text == p;
      case LikeKind::kPrefix:
        return text.substr(0, p.size()) == p;
      case LikeKind::kPostfix:
        return text.size() >= p.size() && text.substr(text.size() - p.size()) == p;
      case LikeKind::kInner:
        return text.find(p) != std::string::npos;
      default:
        return pattern(characters(text), 0, characters(p), 0);
    }
  }

  static bool contains(const Val& array, const PlanNode& node) {
    if (array.kind != Val::kArray) return false;
    size_t found = 0;
    for (const Literal& literal : node.literals) {
      for (const Val& item : array.items) {
        if (!compare(item, CompareOp::kEq, literal)) continue;
        ++found;
        break;
      }
    }
    return node.mode == ContainsMode::kAll ? found == node.literals.size() : found > 0;
  }

  static bool has_kind(const Val& v, const Literal& l) {
    switch (l.kind) {
      case LiteralKind::kBool:
        return v.kind == Val::kBool;
      case LiteralKind::kString:
        return v.kind == Val::kString;
      case LiteralKind::kArray:
        return v.kind == Val::kArray;
      default:
        return v.kind == Val::kInt || v.kind == Val::kFloat || v.kind == Val::kDouble;
    }
  }

  // Whether the node can decide about a value of this type; else the answer is unknown.
  static bool comparable(const PlanNode& node, const Val& v) {
    switch (node.tag) {
      case PlanTag::kCompare:
      case PlanTag::kRange:
        return has_kind(v, node.literals[0]) || has_kind(v, node.literals.back());
      case PlanTag::kIn:
        if (node.literals.empty()) return v.kind != Val::kNull && v.kind != Val::kObject;
        for (const Literal& literal : node.literals) {
          if (has_kind(v, literal)) return true;
        }
        return false;
      case PlanTag::kArith:
        return v.kind == Val::kInt || v.kind == Val::kFloat || v.kind == Val::kDouble;
      case PlanTag::kLike:
      case PlanTag::kRegex:
        return v.kind == Val::kString;
      default:
        return v.kind == Val::kArray;
    }
  }

  Tri leaf(const PlanNode& node, size_t row) const {
    const Read left = read(node.operands[0], row);
    const bool whole = node.operands[0].kind != OperandKind::kPath;
    if (node.tag == PlanTag::kIsNull) {
      return tri(left.null || left.outside || (!whole && left.value.kind == Val::kNull));
    }
    if (node.tag == PlanTag::kExists) {
      return tri(!left.null && !left.outside && left.value.kind != Val::kNull);
    }
    if (node.tag == PlanTag::kCompareOperands) {
      const Read right = read(node.operands[1], row);
      if (left.null || right.null) return Tri::kNull;
      if (left.outside || right.outside) return Tri::kFalse;
      return tri(compare_values(left.value, node.op, right.value));
    }
    const Val& value = left.value;
    if (node.tag == PlanTag::kRegex && node.negated) {
      const bool is_text = !left.null && !left.missing && value.kind == Val::kString;
      return tri(!is_text || !slow_match(value.s, node.regex));
    }
    if (left.null || left.outside || left.missing) return Tri::kNull;
    if (!comparable(node, value)) return Tri::kNull;
    switch (node.tag) {
      case PlanTag::kCompare:
        return tri(compare(value, node.op, node.literals[0]));
      case PlanTag::kRange:
        return tri(compare(value, node.lower_inclusive ? CompareOp::kGe : CompareOp::kGt,
                           node.literals[0]) &&
                   compare(value, node.upper_inclusive ? CompareOp::kLe : CompareOp::kLt,
                           node.literals[1]));
      case PlanTag::kIn:
        for (const Literal& literal : node.literals) {
          if (compare(value, CompareOp::kEq, literal)) return Tri::kTrue;
        }
        return Tri::kFalse;
      case PlanTag::kArith:
        return tri(arith(value, node));
      case PlanTag::kLike:
        return tri(value.kind == Val::kString &&
                   like(value.s, node.like, std::string(node.pattern)));
      case PlanTag::kRegex:
        return tri(slow_match(value.s, node.regex));
      case PlanTag::kContains:
        return tri(contains(value, node));
      default: {  // kArrayLength
        if (value.kind != Val::kArray) return Tri::kFalse;
        Val length;
        length.kind = Val::kInt;
        length.i = static_cast<int64_t>(value.items.size());
        return tri(compare(length, node.op, node.literals[0]));
      }
    }
  }

  const std::vector<Field>& fields_;
};

}  // namespace elanus::test
