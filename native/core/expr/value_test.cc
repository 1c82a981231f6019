// The rules by which values compare, reduced to intervals and sets where the constants are known.
#include "expr/value_test.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace elanus {
namespace {

constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
// A list of at most this many numbers is compared one by one, which the kernels do for 64 rows at
// once.
constexpr size_t kFewNumbers = 6;

template <typename T>
Interval<T> none() {
  return {1, 0};
}

// The least int64 that is, as a double, at least `bound` (or above it); nothing when there is none.
// The conversion never decreases, so a binary search finds it exactly.
std::optional<int64_t> least_int(double bound, bool above) {
  const auto reaches = [&](int64_t x) {
    const double real = static_cast<double>(x);
    return above ? real > bound : real >= bound;
  };
  if (!reaches(kMax)) return std::nullopt;
  int64_t low = kMin;
  int64_t high = kMax;
  while (low < high) {
    const int64_t middle =
        low + static_cast<int64_t>((static_cast<uint64_t>(high) - static_cast<uint64_t>(low)) / 2);
    if (reaches(middle)) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}

Interval<int64_t> from(std::optional<int64_t> low) {
  return low ? Interval<int64_t>{*low, kMax} : none<int64_t>();
}

// Everything before `end`.
Interval<int64_t> before(std::optional<int64_t> end, int64_t low = kMin) {
  if (!end) return {low, kMax};
  return *end == kMin ? none<int64_t>() : Interval<int64_t>{low, *end - 1};
}

Interval<int64_t> int_interval_of_double(CompareOp op, double bound) {
  if (std::isnan(bound)) return none<int64_t>();
  switch (op) {
    case CompareOp::kLt:
      return before(least_int(bound, false));
    case CompareOp::kLe:
      return before(least_int(bound, true));
    case CompareOp::kGt:
      return from(least_int(bound, true));
    case CompareOp::kGe:
      return from(least_int(bound, false));
    default: {
      const std::optional<int64_t> low = least_int(bound, false);
      return low ? before(least_int(bound, true), *low) : none<int64_t>();
    }
  }
}

template <typename T>
Interval<T> real_interval(CompareOp op, T bound) {
  constexpr T kInfinity = std::numeric_limits<T>::infinity();
  if (std::isnan(bound)) return none<T>();
  switch (op) {
    case CompareOp::kLt:
      return bound == -kInfinity ? none<T>()
                                 : Interval<T>{-kInfinity, std::nextafter(bound, -kInfinity)};
    case CompareOp::kLe:
      return {-kInfinity, bound};
    case CompareOp::kGt:
      return bound == kInfinity ? none<T>()
                                : Interval<T>{std::nextafter(bound, kInfinity), kInfinity};
    case CompareOp::kGe:
      return {bound, kInfinity};
    default:
      return {bound, bound};
  }
}

template <typename T>
void intersect(std::vector<Interval<T>>* intervals, Interval<T> with) {
  for (Interval<T>& interval : *intervals) {
    interval = {std::max(interval.lo, with.lo), std::min(interval.hi, with.hi)};
  }
}

// Points that do not become a set stay intervals.
template <typename T>
void gather_points(const std::vector<Interval<T>>& all, std::vector<Interval<T>>* intervals,
                   IntSet* set) {
  std::vector<int64_t> points;
  for (const Interval<T>& interval : all) {
    if (interval.lo > interval.hi) continue;
    if (interval.lo != interval.hi || all.size() <= kFewNumbers) {
      intervals->push_back(interval);
    } else if constexpr (std::is_integral_v<T>) {
      points.push_back(interval.lo);
    } else {
      points.push_back(RealTest<T>::key_of(interval.lo));
    }
  }
  set->build(std::move(points));
}

}  // namespace

Interval<int64_t> int_interval(CompareOp op, const Literal& literal) {
  if (literal.kind == LiteralKind::kDouble) return int_interval_of_double(op, literal.real);
  if (literal.kind != LiteralKind::kInt64) return none<int64_t>();
  const int64_t bound = literal.integer;
  switch (op) {
    case CompareOp::kLt:
      return before(bound);
    case CompareOp::kLe:
      return {kMin, bound};
    case CompareOp::kGt:
      return bound == kMax ? none<int64_t>() : Interval<int64_t>{bound + 1, kMax};
    case CompareOp::kGe:
      return {bound, kMax};
    default:
      return {bound, bound};
  }
}

Interval<double> double_interval(CompareOp op, const Literal& literal) {
  return is_number(literal) ? real_interval(op, double_of(literal)) : none<double>();
}

Interval<float> float_interval(CompareOp op, const Literal& literal) {
  return is_number(literal) ? real_interval(op, static_cast<float>(double_of(literal)))
                            : none<float>();
}

void ValueTest::add_interval(CompareOp op, const Literal& literal) {
  ints.intervals.push_back(int_interval(op, literal));
  floats.intervals.push_back(float_interval(op, literal));
  doubles.intervals.push_back(double_interval(op, literal));
}

ValueTest ValueTest::of_compare(CompareOp op, const Literal& literal) {
  ValueTest test;
  test.negate = op == CompareOp::kNe;
  const CompareOp positive = test.negate ? CompareOp::kEq : op;
  switch (literal.kind) {
    case LiteralKind::kBool:
      test.bools[0] = ordered<int64_t>(0, positive, literal.integer);
      test.bools[1] = ordered<int64_t>(1, positive, literal.integer);
      break;
    case LiteralKind::kInt64:
    case LiteralKind::kDouble:
      test.add_interval(positive, literal);
      break;
    case LiteralKind::kString:
      test.strings.kind =
          positive == CompareOp::kEq ? StringTest::Kind::kEqual : StringTest::Kind::kBetween;
      if (positive == CompareOp::kLt || positive == CompareOp::kLe) {
        test.strings.upper = literal.text;
      } else {
        test.strings.lower = literal.text;
      }
      test.strings.lower_inclusive = positive == CompareOp::kGe;
      test.strings.upper_inclusive = positive == CompareOp::kLe;
      break;
    case LiteralKind::kArray:
      if (positive == CompareOp::kEq) test.arrays.push_back(&literal);
      break;
  }
  return test;
}

ValueTest ValueTest::of_range(const PlanNode& node) {
  ValueTest test;
  const Literal& lower = node.literals[0];
  const Literal& upper = node.literals[1];
  const CompareOp above = node.lower_inclusive ? CompareOp::kGe : CompareOp::kGt;
  const CompareOp below = node.upper_inclusive ? CompareOp::kLe : CompareOp::kLt;
  if (is_number(lower) && is_number(upper)) {
    test.add_interval(above, lower);
    intersect(&test.ints.intervals, int_interval(below, upper));
    intersect(&test.floats.intervals, float_interval(below, upper));
    intersect(&test.doubles.intervals, double_interval(below, upper));
  } else if (lower.kind == LiteralKind::kString && upper.kind == LiteralKind::kString) {
    test.strings.kind = StringTest::Kind::kBetween;
    test.strings.lower = lower.text;
    test.strings.upper = upper.text;
    test.strings.lower_inclusive = node.lower_inclusive;
    test.strings.upper_inclusive = node.upper_inclusive;
  } else if (lower.kind == LiteralKind::kBool && upper.kind == LiteralKind::kBool) {
    for (int64_t x = 0; x < 2; ++x) {
      test.bools[x] = ordered(x, above, lower.integer) && ordered(x, below, upper.integer);
    }
  }
  return test;
}

ValueTest ValueTest::of_list(const std::vector<Literal>& literals) {
  ValueTest test;
  ValueTest all;
  std::vector<std::string_view> texts;
  for (const Literal& literal : literals) {
    if (is_number(literal)) all.add_interval(CompareOp::kEq, literal);
    if (literal.kind == LiteralKind::kString) texts.push_back(literal.text);
    if (literal.kind == LiteralKind::kBool) test.bools[literal.integer] = true;
    if (literal.kind == LiteralKind::kArray) test.arrays.push_back(&literal);
  }
  gather_points(all.ints.intervals, &test.ints.intervals, &test.ints.set);
  gather_points(all.floats.intervals, &test.floats.intervals, &test.floats.set);
  gather_points(all.doubles.intervals, &test.doubles.intervals, &test.doubles.set);
  if (texts.size() == 1) {
    test.strings.kind = StringTest::Kind::kEqual;
    test.strings.lower = texts[0];
  } else if (!texts.empty()) {
    test.strings.kind = StringTest::Kind::kSet;
    test.strings.set.build(std::move(texts));
  }
  return test;
}

ValueTest ValueTest::of_like(LikeKind kind, std::string_view pattern) {
  ValueTest test;
  if (kind == LikeKind::kEqual) {
    test.strings.kind = StringTest::Kind::kEqual;
    test.strings.lower = pattern;
  } else {
    test.strings.kind = StringTest::Kind::kLike;
    test.strings.like = LikeMatcher(kind, pattern);
  }
  return test;
}

bool ValueTest::finds(const Datum& value) const {
  switch (value.type) {
    case Datum::Type::kNone:
      return false;
    case Datum::Type::kBool:
      return bools[value.integer];
    case Datum::Type::kInt:
      return ints.holds(value.integer);
    case Datum::Type::kFloat:
      return floats.holds(static_cast<float>(value.real));
    case Datum::Type::kDouble:
      return doubles.holds(value.real);
    case Datum::Type::kString:
      return strings.holds(value.text);
    case Datum::Type::kArray:
      return finds(value.array);
    case Datum::Type::kVariantArray:
      return finds(value.variant);
  }
  return false;
}

bool ValueTest::finds(const VariantValue& value) const {
  switch (value.type()) {
    case VariantType::kBool:
      return bools[value.as_bool() ? 1 : 0];
    case VariantType::kInt64:
      return ints.holds(value.as_int64());
    case VariantType::kDouble:
      return doubles.holds(value.as_double());
    case VariantType::kString:
      return strings.holds(value.string());
    case VariantType::kArray:
      return std::any_of(arrays.begin(), arrays.end(),
                         [&](const Literal* literal) { return equals(value, *literal); });
    default:
      return false;
  }
}

bool ValueTest::finds(const ArrayValue& array) const {
  return std::any_of(arrays.begin(), arrays.end(),
                     [&](const Literal* literal) { return equals(array, *literal); });
}

ArithTest::ArithTest(const PlanNode& node)
    : arith_(node.arith),
      right_is_int_(node.literals[0].kind == LiteralKind::kInt64),
      negate_(node.op == CompareOp::kNe),
      right_int_(right_is_int_ ? node.literals[0].integer : 0),
      right_double_(double_of(node.literals[0])),
      int_result_(int_interval(node.op, node.literals[1])),
      double_result_(double_interval(node.op, node.literals[1])) {}

bool ArithTest::never_int() const {
  if (!right_is_int_) return never_double();
  return right_int_ == 0 && (arith_ == ArithOp::kDiv || arith_ == ArithOp::kMod);
}

void ArithTest::apply(int64_t* values, size_t count) const {
  const auto each = [&](auto op) {
    for (size_t i = 0; i < count; ++i)
      values[i] = static_cast<int64_t>(op(static_cast<uint64_t>(values[i])));
  };
  const auto right = static_cast<uint64_t>(right_int_);
  const int64_t divisor = right_int_;
  switch (arith_) {
    case ArithOp::kAdd:
      return each([=](uint64_t x) { return x + right; });
    case ArithOp::kSub:
      return each([=](uint64_t x) { return x - right; });
    case ArithOp::kMul:
      return each([=](uint64_t x) { return x * right; });
    case ArithOp::kDiv:  // the least int64 by -1 wraps around
      if (divisor == 0) return;
      if (divisor == -1) return each([=](uint64_t x) { return 0 - x; });
      return each(
          [=](uint64_t x) { return static_cast<uint64_t>(static_cast<int64_t>(x) / divisor); });
    case ArithOp::kMod:
      if (divisor == 0) return;
      if (divisor == -1) return each([=](uint64_t) { return uint64_t{0}; });
      return each(
          [=](uint64_t x) { return static_cast<uint64_t>(static_cast<int64_t>(x) % divisor); });
    case ArithOp::kAnd:
      return each([=](uint64_t x) { return x & right; });
    case ArithOp::kOr:
      return each([=](uint64_t x) { return x | right; });
    case ArithOp::kXor:
      return each([=](uint64_t x) { return x ^ right; });
  }
}

void ArithTest::apply(double* values, size_t count) const {
  const auto each = [&](auto op) {
    for (size_t i = 0; i < count; ++i) values[i] = op(values[i]);
  };
  const double right = right_double_;
  switch (arith_) {
    case ArithOp::kAdd:
      return each([=](double x) { return x + right; });
    case ArithOp::kSub:
      return each([=](double x) { return x - right; });
    case ArithOp::kMul:
      return each([=](double x) { return x * right; });
    case ArithOp::kDiv:
      return each([=](double x) { return x / right; });
    case ArithOp::kMod:
      return each([=](double x) { return std::fmod(x, right); });
    default:
      return;
  }
}

bool ArithTest::holds(int64_t x) const {
  if (!right_is_int_) return holds(static_cast<double>(x));
  if (never_int()) return false;
  apply(&x, 1);
  return int_result_.holds(x) != negate_;
}

bool ArithTest::holds(double x) const {
  if (never_double()) return false;
  apply(&x, 1);
  return double_result_.holds(x) != negate_;
}

bool ArithTest::holds(const Datum& value) const {
  if (value.type == Datum::Type::kInt) return holds(value.integer);
  return value.is_number() && holds(value.real);
}

}  // namespace elanus
