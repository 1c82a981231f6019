// Values of a null row are read like others and masked afterwards.
#include "filter/dense_leaf.h"

#include <algorithm>
#include <limits>

#include "filter/mask_kernels.h"

namespace elanus {
namespace {

template <typename T>
Interval<T> narrow(Interval<int64_t> interval) {
  const int64_t low = std::max<int64_t>(interval.lo, std::numeric_limits<T>::min());
  const int64_t high = std::min<int64_t>(interval.hi, std::numeric_limits<T>::max());
  if (low > high) return {1, 0};
  return {static_cast<T>(low), static_cast<T>(high)};
}

// compare, range and in on a fixed-width column.
template <typename T>
class NumberLeaf : public Leaf {
 public:
  NumberLeaf(size_t slot, const ValueTest& test) : slot_(slot), negate_(test.negate) {
    if constexpr (std::is_integral_v<T>) {
      for (const Interval<int64_t>& interval : test.ints.intervals)
        intervals_.push_back(narrow<T>(interval));
      set_ = test.ints.set;
    } else if constexpr (std::is_same_v<T, float>) {
      intervals_ = test.floats.intervals;
      set_ = test.floats.set;
    } else {
      intervals_ = test.doubles.intervals;
      set_ = test.doubles.set;
    }
  }

  void evaluate(const Block& block, const uint64_t* active, uint64_t* truth,
                uint64_t* known) const override {
    const ColumnView& column = block.columns[slot_];
    valid_words(column, block.first, block.rows, known);
    std::fill_n(truth, block.words(), 0);
    if (column.all_null) return;
    const T* values = static_cast<const T*>(column.data) + block.first;
    for (size_t i = 0; i < intervals_.size(); ++i) {
      uint64_t found[Block::kWords];
      interval_words(values, block.rows, intervals_[i], i == 0 ? truth : found);
      for (size_t w = 0; i > 0 && w < block.words(); ++w) truth[w] |= found[w];
    }
    for (size_t w = 0; w < block.words(); ++w) {
      if (!set_.empty()) truth[w] |= members(active[w] & known[w], values + w * 64);
      truth[w] = (negate_ ? ~truth[w] : truth[w]) & known[w];
    }
  }

 private:
  static int64_t key_of(T value) {
    if constexpr (std::is_integral_v<T>) {
      return value;
    } else {
      return RealTest<T>::key_of(value);
    }
  }
  uint64_t members(uint64_t bits, const T* values) const {
    if (set_.has_filter()) {
      bits = test_word(bits, 0, [&](size_t i) { return set_.may_hold(key_of(values[i])); });
    }
    return test_word(bits, 0, [&](size_t i) { return set_.holds(key_of(values[i])); });
  }

  size_t slot_;
  bool negate_;
  std::vector<Interval<T>> intervals_;
  IntSet set_;
};

class BoolLeaf : public Leaf {
 public:
  BoolLeaf(size_t slot, const ValueTest& test) : slot_(slot) {
    if_false_ = test.bools[0] != test.negate ? ~uint64_t{0} : 0;
    if_true_ = test.bools[1] != test.negate ? ~uint64_t{0} : 0;
  }

  void evaluate(const Block& block, const uint64_t*, uint64_t* truth,
                uint64_t* known) const override {
    const ColumnView& column = block.columns[slot_];
    valid_words(column, block.first, block.rows, known);
    if (column.all_null) {
      std::fill_n(truth, block.words(), 0);
      return;
    }
    bool_words(column, block.first, block.rows, truth);
    for (size_t w = 0; w < block.words(); ++w) {
      truth[w] = ((truth[w] & if_true_) | (~truth[w] & if_false_)) & known[w];
    }
  }

 private:
  size_t slot_;
  uint64_t if_false_;
  uint64_t if_true_;
};

// Up to 64 values of a numeric column, widened.
template <typename To>
void load_numbers(const ColumnView& column, size_t first, size_t rows, To* out) {
  const auto copy = [&](auto* values) {
    for (size_t i = 0; i < rows; ++i) out[i] = static_cast<To>(values[first + i]);
  };
  switch (column.type) {
    case DataType::kInt8:
      return copy(static_cast<const int8_t*>(column.data));
    case DataType::kInt16:
      return copy(static_cast<const int16_t*>(column.data));
    case DataType::kInt32:
      return copy(static_cast<const int32_t*>(column.data));
    case DataType::kFloat:
      return copy(static_cast<const float*>(column.data));
    case DataType::kDouble:
      return copy(static_cast<const double*>(column.data));
    default:
      return copy(static_cast<const int64_t*>(column.data));
  }
}

class ArithLeaf : public Leaf {
 public:
  ArithLeaf(size_t slot, const PlanNode& node)
      : slot_(slot),
        test_(node),
        in_ints_(is_int(node.operands[0].data_type) && test_.is_integral()) {}

  void evaluate(const Block& block, const uint64_t* active, uint64_t* truth,
                uint64_t* known) const override {
    const ColumnView& column = block.columns[slot_];
    valid_words(column, block.first, block.rows, known);
    for (size_t w = 0; w < block.words(); ++w) {
      const bool never = in_ints_ ? test_.never_int() : test_.never_double();
      truth[w] = 0;
      if (never || (active[w] & known[w]) == 0) continue;
      const size_t first = block.first + w * 64;
      const size_t rows = std::min<size_t>(64, block.rows - w * 64);
      if (in_ints_) {
        test_rows<int64_t>(column, first, rows, test_.int_result(), truth + w);
      } else {
        test_rows<double>(column, first, rows, test_.double_result(), truth + w);
      }
      truth[w] = (test_.negate() ? ~truth[w] : truth[w]) & known[w];
    }
  }

 private:
  template <typename T>
  void test_rows(const ColumnView& column, size_t first, size_t rows, Interval<T> result,
                 uint64_t* word) const {
    T values[64];
    load_numbers(column, first, rows, values);
    test_.apply(values, rows);
    interval_words(values, rows, result, word);
  }

  size_t slot_;
  ArithTest test_;
  bool in_ints_;
};

// compareOperands on two numeric fields.
class NumberPairLeaf : public Leaf {
 public:
  NumberPairLeaf(size_t left, size_t right, const PlanNode& node)
      : left_(left),
        right_(right),
        op_(node.op),
        in_ints_(is_int(node.operands[0].data_type) && is_int(node.operands[1].data_type)) {}

  void evaluate(const Block& block, const uint64_t* active, uint64_t* truth,
                uint64_t* known) const override {
    uint64_t right_known[Block::kWords];
    valid_words(block.columns[left_], block.first, block.rows, known);
    valid_words(block.columns[right_], block.first, block.rows, right_known);
    for (size_t w = 0; w < block.words(); ++w) {
      known[w] &= right_known[w];
      truth[w] = 0;
      if ((active[w] & known[w]) == 0) continue;
      const uint64_t found =
          in_ints_ ? compare_rows<int64_t>(block, w) : compare_rows<double>(block, w);
      truth[w] = found & known[w];
    }
  }

 private:
  template <typename T>
  uint64_t compare_rows(const Block& block, size_t w) const {
    const size_t first = block.first + w * 64;
    const size_t rows = std::min<size_t>(64, block.rows - w * 64);
    T left[64] = {};
    T right[64] = {};
    load_numbers(block.columns[left_], first, rows, left);
    load_numbers(block.columns[right_], first, rows, right);
    switch (op_) {
      case CompareOp::kEq:
        return pack(left, right, [](T a, T b) { return a == b; });
      case CompareOp::kNe:
        return pack(left, right, [](T a, T b) { return a != b; });
      case CompareOp::kLt:
        return pack(left, right, [](T a, T b) { return a < b; });
      case CompareOp::kLe:
        return pack(left, right, [](T a, T b) { return a <= b; });
      case CompareOp::kGt:
        return pack(left, right, [](T a, T b) { return a > b; });
      case CompareOp::kGe:
        return pack(left, right, [](T a, T b) { return a >= b; });
    }
    return 0;
  }
  template <typename T, typename Op>
  static uint64_t pack(const T* left, const T* right, Op op) {
    uint8_t ones[64];
    for (size_t i = 0; i < 64; ++i) ones[i] = op(left[i], right[i]) ? 1 : 0;
    uint64_t word;
    nonzero_words(ones, 64, &word);
    return word;
  }

  size_t left_;
  size_t right_;
  CompareOp op_;
  bool in_ints_;
};
}  // namespace

std::unique_ptr<Leaf> make_dense_leaf(size_t slot, DataType type, const ValueTest& test) {
  switch (type) {
    case DataType::kBool:
      return std::make_unique<BoolLeaf>(slot, test);
    case DataType::kInt8:
      return std::make_unique<NumberLeaf<int8_t>>(slot, test);
    case DataType::kInt16:
      return std::make_unique<NumberLeaf<int16_t>>(slot, test);
    case DataType::kInt32:
      return std::make_unique<NumberLeaf<int32_t>>(slot, test);
    case DataType::kFloat:
      return std::make_unique<NumberLeaf<float>>(slot, test);
    case DataType::kDouble:
      return std::make_unique<NumberLeaf<double>>(slot, test);
    default:
      return std::make_unique<NumberLeaf<int64_t>>(slot, test);
  }
}

std::unique_ptr<Leaf> make_dense_arith_leaf(size_t slot, const PlanNode& node) {
  return std::make_unique<ArithLeaf>(slot, node);
}

std::unique_ptr<Leaf> make_dense_pair_leaf(size_t left, size_t right, const PlanNode& node) {
  return std::make_unique<NumberPairLeaf>(left, right, node);
}

}  // namespace elanus
