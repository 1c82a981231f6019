// What a leaf asks of one value, with the constants prepared: the value may come from a column, an
// array element or a JSON document, and its own type decides which part of the test answers. Views
// point into the plan.
#pragma once

#include <bit>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "filter/datum.h"
#include "filter/like.h"
#include "filter/mask_kernels.h"
#include "filter/plan.h"
#include "filter/value_set.h"
#include "segment/column.h"
#include "segment/json_variant.h"

namespace elanus {

// The numbers x for which `x op literal` holds, for every op but kNe: of kNe the interval of kEq,
// to be negated. Empty for a literal that is not a number, or NaN.
Interval<int64_t> int_interval(CompareOp op,
                               const Literal& literal);  // double literals compare as doubles
Interval<double> double_interval(CompareOp op, const Literal& literal);
Interval<float> float_interval(CompareOp op,
                               const Literal& literal);  // the literal is rounded to float first

// Any of a few intervals, or a member of a set.
struct IntTest {
  std::vector<Interval<int64_t>> intervals;
  IntSet set;
  bool holds(int64_t x) const {
    for (const Interval<int64_t>& interval : intervals) {
      if (interval.holds(x)) return true;
    }
    return set.holds(x);
  }
};

// The same for float and double. The set holds bit patterns of doubles, of -0.0 those of 0.0; never
// a NaN.
template <typename T>
struct RealTest {
  std::vector<Interval<T>> intervals;
  IntSet set;
  bool holds(T x) const {
    for (const Interval<T>& interval : intervals) {
      if (interval.holds(x)) return true;
    }
    return !set.empty() && set.holds(key_of(x));
  }
  static int64_t key_of(double x) { return std::bit_cast<int64_t>(x == 0 ? 0.0 : x); }
};

struct StringTest {
  enum class Kind : uint8_t { kNever, kEqual, kBetween, kSet, kLike };
  Kind kind = Kind::kNever;
  // kEqual: lower. kBetween: an absent bound does not bound.
  std::optional<std::string_view> lower;
  std::optional<std::string_view> upper;
  bool lower_inclusive = false;
  bool upper_inclusive = false;
  StringSet set;
  LikeMatcher like;

  bool is_between(std::string_view x) const {
    if (lower && (lower_inclusive ? x < *lower : x <= *lower)) return false;
    return !upper || (upper_inclusive ? x <= *upper : x < *upper);
  }
  bool holds(std::string_view x) const {
    switch (kind) {
      case Kind::kNever:
        return false;
      case Kind::kEqual:
        return x == *lower;
      case Kind::kBetween:
        return is_between(x);
      case Kind::kSet:
        return set.holds(x);
      case Kind::kLike:
        return like.matches(x);
    }
    return false;
  }
};

// compare, range, in and like on one value.
struct ValueTest {
  IntTest ints;
  RealTest<float> floats;
  RealTest<double> doubles;
  StringTest strings;
  bool bools[2] = {false, false};
  std::vector<const Literal*> arrays;  // equal to one of them
  bool negate = false;                 // of the whole answer: kNe

  static ValueTest of_compare(CompareOp op, const Literal& literal);
  static ValueTest of_range(const PlanNode& node);
  static ValueTest of_list(const std::vector<Literal>& literals);
  static ValueTest of_like(LikeKind kind, std::string_view pattern);

  // Without `negate`.
  bool finds(const Datum& value) const;
  bool finds(const VariantValue& value) const;
  bool finds(const ArrayValue& array) const;

 private:
  void add_interval(CompareOp op, const Literal& literal);
};

// `(x arith right) op value`, over the integers without bounds: a result that does not fit int64 is
// never computed. For sums, differences and products the operands that give it are, once.
class ArithTest {
 public:
  explicit ArithTest(const PlanNode& node);

  // Whether an integer operand stays an integer: the right side is one.
  bool is_integral() const { return right_is_int_; }
  bool negate() const { return negate_; }
  // Never true whatever the operand: an integer divided by zero, bits of a double.
  bool never_int() const;
  bool never_double() const { return arith_ >= ArithOp::kAnd; }

  // In place: values[i] arith right, to be found in int_result() or double_result(). Integers stay
  // as they are where int_result() is already of operands.
  void apply(int64_t* values, size_t count) const;
  void apply(double* values, size_t count) const;
  Interval<int64_t> int_result() const { return int_result_; }
  Interval<double> double_result() const { return double_result_; }

  bool holds(int64_t x) const;
  bool holds(double x) const;
  // Of a value of any type: false when it is not a number.
  bool holds(const Datum& value) const;

 private:
  void solve(Interval<__int128> result);

  ArithOp arith_;
  bool right_is_int_;
  bool is_solved_ = false;
  bool negate_;
  int64_t right_int_;
  double right_double_;
  Interval<int64_t> int_result_;
  Interval<double> double_result_;
};

}  // namespace elanus
