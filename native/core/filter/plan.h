// A filter as native evaluates it: the tree that docs/formats/plan.md encodes. Decoding trusts
// nothing; a decoded plan is well-formed (tags, operators and operand kinds are known), and
// immutable and safe to share between threads.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "filter/regex.h"
#include "segment/column.h"

namespace elanus {

enum class PlanTag : uint8_t {
  kConst = 0x01,
  kAnd = 0x02,
  kOr = 0x03,
  kNot = 0x04,
  kCompare = 0x10,
  kCompareOperands = 0x11,
  kRange = 0x12,
  kIn = 0x13,
  kArith = 0x14,
  kLike = 0x15,
  kIsNull = 0x16,
  kExists = 0x17,
  kContains = 0x18,
  kArrayLength = 0x19,
  kRegex = 0x1a,
};

enum class CompareOp : uint8_t { kEq = 0, kNe = 1, kLt = 2, kLe = 3, kGt = 4, kGe = 5 };
enum class ArithOp : uint8_t { kAdd, kSub, kMul, kDiv, kMod, kAnd, kOr, kXor };
enum class LikeKind : uint8_t { kEqual, kPrefix, kPostfix, kInner, kPattern };
enum class ContainsMode : uint8_t { kOne, kAll, kAny };
enum class LiteralKind : uint8_t { kBool = 1, kInt64, kDouble, kString, kArray };
enum class OperandKind : uint8_t { kField, kElement, kPath };

// A constant. `text` points into the plan's own bytes.
struct Literal {
  LiteralKind kind = LiteralKind::kBool;
  union {
    int64_t integer = 0;  // kInt64, and kBool as 0 or 1
    double real;          // kDouble
  };
  std::string_view text;       // kString
  std::vector<Literal> items;  // kArray
};

struct PathStep {
  bool is_key = false;
  uint32_t index = 0;
  std::string_view key;
};

// What a leaf reads: a whole field, one element of an Array field, or a path into a JSON field.
struct Operand {
  int64_t field_id = 0;
  DataType data_type = DataType::kNone;
  DataType element_type = DataType::kNone;
  OperandKind kind = OperandKind::kField;
  uint32_t index = 0;          // kElement
  std::vector<PathStep> path;  // kPath
};

struct PlanNode {
  PlanTag tag = PlanTag::kConst;
  uint8_t constant = 0;  // kConst: 0 false, 1 true, 2 null
  CompareOp op = CompareOp::kEq;
  ArithOp arith = ArithOp::kAdd;
  LikeKind like = LikeKind::kEqual;
  ContainsMode mode = ContainsMode::kOne;
  bool lower_inclusive = false;
  bool upper_inclusive = false;
  std::vector<PlanNode> children;  // kAnd, kOr, kNot
  std::vector<Operand> operands;   // one for a leaf, two for kCompareOperands
  // kCompare, kArrayLength: the value. kRange: lower, upper. kArith: right, value. kIn, kContains:
  // the list.
  std::vector<Literal> literals;
  std::string_view pattern;  // kLike, kRegex
  RegexProgram regex;
  bool negated = false;  // kRegex
};

class Plan {
 public:
  // Nodes inside nodes (and array literals inside one another) that a plan may have.
  static constexpr int kMaxDepth = 600;

  Plan() = default;
  Plan(Plan&&) = default;
  Plan& operator=(Plan&&) = default;
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;

  // Copies `bytes` and decodes them. kInvalidParameter with the byte offset when they are not a
  // plan.
  static Status decode(std::span<const uint8_t> bytes, Plan* plan);

  const PlanNode& root() const { return root_; }
  // Levels of nodes, 1 for a single leaf.
  int depth() const { return depth_; }

 private:
  std::vector<uint8_t> bytes_;  // heap storage does not move with the object, so views stay good
  PlanNode root_;               // `false` until something is decoded
  int depth_ = 1;
};

}  // namespace elanus
