// The leaves of a filter, prepared for evaluation: each answers for up to 64 words of rows at once.
// Leaves are immutable after they are made and may be used by several threads.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/status.h"
#include "filter/plan.h"
#include "segment/column.h"
#include "threads/steps.h"

namespace elanus {

// Rows of one chunk that are evaluated together.
struct Block {
  static constexpr size_t kWords = 64;
  static constexpr size_t kRows = kWords * 64;

  const ColumnView* columns = nullptr;  // by slot
  size_t first = 0;                     // row within the chunk, a multiple of 64
  size_t rows = 0;                      // at most kRows
  size_t global = 0;                    // row of the segment
  // Of the evaluation: a leaf that visits rows one by one asks it. When it says no more, any bits
  // will do.
  Steps* steps = nullptr;

  size_t words() const { return (rows + 63) / 64; }
  // The bits of word `w` that are rows.
  uint64_t row_bits(size_t w) const {
    const size_t left = rows - w * 64;
    return left >= 64 ? ~uint64_t{0} : (uint64_t{1} << left) - 1;
  }
};

// Calls test(row of the chunk) for the rows of `bits` and gives the word of its answers.
template <typename Test>
inline uint64_t test_word(uint64_t bits, size_t first, const Test& test) {
  uint64_t truth = 0;
  if (bits == ~uint64_t{0}) {
    for (size_t i = 0; i < 64; ++i) truth |= uint64_t{test(first + i)} << i;
    return truth;
  }
  for (uint64_t rest = bits; rest != 0; rest &= rest - 1) {
    const int i = std::countr_zero(rest);
    truth |= uint64_t{test(first + static_cast<size_t>(i))} << i;
  }
  return truth;
}

inline bool is_int(DataType type) { return type >= DataType::kInt8 && type <= DataType::kInt64; }
inline bool is_real(DataType type) { return type == DataType::kFloat || type == DataType::kDouble; }
inline bool is_numeric(DataType type) { return is_int(type) || is_real(type); }

// The fields that a plan reads, each with a slot in Block::columns.
class FieldSlots {
 public:
  struct Field {
    int64_t id;
    DataType type;
  };
  size_t slot_of(const Operand& operand);
  const std::vector<Field>& fields() const { return fields_; }

 private:
  std::vector<Field> fields_;
};

class Leaf {
 public:
  virtual ~Leaf() = default;
  // Sets `truth` and `known` (the value is not null) for the rows whose bit in `active` is set;
  // other rows get any answer. truth is a subset of known, and both are of the block's rows.
  virtual void evaluate(const Block& block, const uint64_t* active, uint64_t* truth,
                        uint64_t* known) const = 0;
};

// What a leaf's scan takes, in picoseconds a row: to order the children of a node and to weigh an
// index.
uint32_t scan_cost(const PlanNode& node);
// What a byte of a value may cost besides, in picoseconds: where it is looked at again for each
// part of a pattern or list.
uint64_t byte_cost(const PlanNode& node);
// What a row takes at most through the filter under a node, in nanoseconds, when `bytes_of` gives
// the length of a field's longest value.
double row_ns_max(const PlanNode& node, const std::function<size_t(int64_t field_id)>& bytes_of);

// kInvalidParameter when operand and constants do not go together. The plan must outlive the leaf.
Status make_leaf(const PlanNode& node, FieldSlots* slots, std::unique_ptr<Leaf>* leaf);

}  // namespace elanus
