// The rules by which values compare, reduced to intervals and sets where the constants are known.
#include "filter/value_test.h"

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

// Holds every sum, difference and product of two int64.
using Wide = __int128;
constexpr Wide kWideMax = Wide{1} << 126;

template <typename Int>
constexpr Interval<Int> kAll = {kMin, kMax};
template <>
constexpr Interval<Wide> kAll<Wide> = {-kWideMax, kWideMax};

// The least integer that is, as a double, at least `bound` (or above it); nothing when there is
// none. The conversion never decreases, so a binary search finds it exactly.
template <typename Int>
std::optional<Int> least_int(double bound, bool above) {
  const auto reaches = [&](Int x) {
    const double real = static_cast<double>(x);
    return above ? real > bound : real >= bound;
  };
  auto [low, high] = kAll<Int>;
  if (!reaches(high)) return std::nullopt;
  while (low < high) {
    const Int middle = (low & high) + ((low ^ high) >> 1);  // rounded down, without overflow
    if (reaches(middle)) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}

template <typename Int>
Interval<Int> from(std::optional<Int> low) {
  return low ? Interval<Int>{*low, kAll<Int>.hi} : none<Int>();
}

// Everything from `low` that is before `end`.
template <typename Int>
Interval<Int> before(std::optional<Int> end, Int low = kAll<Int>.lo) {
  if (!end) return {low, kAll<Int>.hi};
  return *end == kAll<Int>.lo ? none<Int>() : Interval<Int>{low, *end - 1};
}

template <typename Int>
Interval<Int> interval_of_double(CompareOp op, double bound) {
  if (std::isnan(bound)) return none<Int>();
  switch (op) {
    case CompareOp::kLt:
      return before(least_int<Int>(bound, false));
    case CompareOp::kLe:
      return before(least_int<Int>(bound, true));
    case CompareOp::kGt:
      return from(least_int<Int>(bound, true));
    case CompareOp::kGe:
      return from(least_int<Int>(bound, false));
    default: {
      const std::optional<Int> low = least_int<Int>(bound, false);
      return low ? before(least_int<Int>(bound, true), *low) : none<Int>();
    }
  }
}

template <typename Int>
Interval<Int> interval_of_int(CompareOp op, Int bound) {
  switch (op) {
    case CompareOp::kLt:
      return before(std::optional(bound));
    case CompareOp::kLe:
      return {kAll<Int>.lo, bound};
    case CompareOp::kGt:
      return bound == kAll<Int>.hi ? none<Int>() : Interval<Int>{bound + 1, kAll<Int>.hi};
    case CompareOp::kGe:
      return {bound, kAll<Int>.hi};
    default:
      return {bound, bound};
  }
}

template <typename Int>
Interval<Int> integer_interval(CompareOp op, const Literal& literal) {
  if (literal.kind == LiteralKind::kDouble) return interval_of_double<Int>(op, literal.real);
  if (literal.kind != LiteralKind::kInt64) return none<Int>();
  return interval_of_int<Int>(op, literal.integer);
}

Wide floor_divide(Wide a, Wide b) {
  const Wide quotient = a / b;
  return a % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient;
}
Wide ceil_divide(Wide a, Wide b) { return -floor_divide(-a, b); }

// The x for which x * factor, not wrapped around, is in the interval.
Interval<Wide> divide(Interval<Wide> product, Wide factor) {
  if (factor == 0) return product.holds(0) ? kAll<Wide> : none<Wide>();
  if (factor < 0) return divide({-product.hi, -product.lo}, -factor);
  return {ceil_divide(product.lo, factor), floor_divide(product.hi, factor)};
}

Interval<int64_t> narrow(Interval<Wide> wide) {
  const Interval<Wide> kept = {std::max<Wide>(wide.lo, kMin), std::min<Wide>(wide.hi, kMax)};
  if (kept.lo > kept.hi) return none<int64_t>();
  return {static_cast<int64_t>(kept.lo), static_cast<int64_t>(kept.hi)};
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
  return integer_interval<int64_t>(op, literal);
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
      double_result_(double_interval(node.op, node.literals[1])) {
  solve(integer_interval<Wide>(node.op, node.literals[1]));
}

void ArithTest::solve(Interval<Wide> result) {
  if (!right_is_int_) return;
  const Wide right = right_int_;
  is_solved_ = true;
  if (arith_ == ArithOp::kAdd) {
    int_result_ = narrow({result.lo - right, result.hi - right});
  } else if (arith_ == ArithOp::kSub) {
    int_result_ = narrow({result.lo + right, result.hi + right});
  } else if (arith_ == ArithOp::kMul || (arith_ == ArithOp::kDiv && right == -1)) {
    int_result_ = narrow(divide(result, right));
  } else {
    is_solved_ = false;
  }
}

bool ArithTest::never_int() const {
  if (!right_is_int_) return never_double();
  return right_int_ == 0 && (arith_ == ArithOp::kDiv || arith_ == ArithOp::kMod);
}

void ArithTest::apply(int64_t* values, size_t count) const {
  const auto each = [&](auto op) {
    for (size_t i = 0; i < count; ++i) values[i] = op(values[i]);
  };
  const int64_t right = right_int_;
  if (is_solved_) return;
  switch (arith_) {
    case ArithOp::kDiv:
      return each([=](int64_t x) { return x / right; });
    case ArithOp::kMod:
      if (right == -1) return each([](int64_t) { return int64_t{0}; });  // the least int64 traps
      return each([=](int64_t x) { return x % right; });
    case ArithOp::kAnd:
      return each([=](int64_t x) { return x & right; });
    case ArithOp::kOr:
      return each([=](int64_t x) { return x | right; });
    case ArithOp::kXor:
      return each([=](int64_t x) { return x ^ right; });
    default:
      return;
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
