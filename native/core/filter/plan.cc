// Decodes the binary form of a filter. Lists grow as their members are read and are never sized by
// a count alone, so the memory of a decoded plan is bounded by a constant times its bytes.
#include "filter/plan.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>

namespace elanus {
namespace {

constexpr uint32_t kPlanMagic = 0x31504C45;  // "ELP1"

class Decoder {
 public:
  explicit Decoder(const std::vector<uint8_t>& bytes) : bytes_(bytes) {}

  Status decode(PlanNode* root, int* depth) {
    if (integer<uint32_t>() != kPlanMagic) fail("bad magic");
    if (good() && node(root, 1) && at_ != bytes_.size()) fail("bytes after the plan");
    *depth = depth_;
    return status_;
  }

 private:
  // Remembers the first error; reads after an error give zeros.
  void fail(const char* what) {
    if (status_.is_ok()) {
      status_ = Status(StatusCode::kInvalidParameter,
                       std::string("filter plan: ") + what + " at byte " + std::to_string(at_));
    }
  }
  bool good() const { return status_.is_ok(); }
  size_t left() const { return bytes_.size() - at_; }

  template <typename T>
  T integer() {
    T value{};
    if (left() < sizeof(T)) {
      fail("truncated");
      return value;
    }
    std::memcpy(&value, bytes_.data() + at_, sizeof(T));
    at_ += sizeof(T);
    return value;
  }

  std::string_view string() {
    const uint32_t bytes = integer<uint32_t>();
    if (!good() || left() < bytes) {
      fail("truncated string");
      return {};
    }
    const auto* first = reinterpret_cast<const char*>(bytes_.data() + at_);
    at_ += bytes;
    return {first, bytes};
  }

  // A number of the closed set 0..last.
  template <typename T>
  T choice(T last, const char* what) {
    const uint8_t value = integer<uint8_t>();
    if (value > static_cast<uint8_t>(last)) fail(what);
    return static_cast<T>(value);
  }

  // A count of things that take at least `least` bytes each.
  template <typename T>
  size_t count(size_t least) {
    const size_t n = integer<T>();
    if (good() && n > left() / least) fail("count larger than the plan");
    return good() ? n : 0;
  }

  bool literal(Literal* out, int depth) {
    if (depth > Plan::kMaxDepth) fail("nested too deeply");
    const uint8_t tag = integer<uint8_t>();
    if (tag < 1 || tag > 5) fail("unknown literal");
    if (!good()) return false;
    out->kind = static_cast<LiteralKind>(tag);
    switch (out->kind) {
      case LiteralKind::kBool:
        out->integer = integer<uint8_t>() != 0;
        break;
      case LiteralKind::kInt64:
        out->integer = integer<int64_t>();
        break;
      case LiteralKind::kDouble:
        out->real = std::bit_cast<double>(integer<uint64_t>());
        break;
      case LiteralKind::kString:
        out->text = string();
        break;
      case LiteralKind::kArray:
        return literals(&out->items, count<uint32_t>(2), depth + 1);
    }
    return good();
  }

  bool literals(std::vector<Literal>* out, size_t n, int depth) {
    if (!good()) return false;
    for (size_t i = 0; i < n; ++i) {
      if (!literal(&out->emplace_back(), depth)) return false;
    }
    return true;
  }

  bool operand(Operand* out) {
    out->field_id = integer<int64_t>();
    out->data_type = static_cast<DataType>(integer<uint8_t>());
    out->element_type = static_cast<DataType>(integer<uint8_t>());
    out->kind = choice(OperandKind::kPath, "unknown operand");
    if (!good()) return false;
    if (out->kind == OperandKind::kElement) {
      if (out->data_type != DataType::kArray) fail("element of a field that is not an Array");
      out->index = integer<uint32_t>();
    } else if (out->kind == OperandKind::kPath) {
      if (out->data_type != DataType::kJson) fail("path into a field that is not JSON");
      const size_t steps = count<uint16_t>(5);
      for (size_t i = 0; i < steps; ++i) {
        PathStep& step = out->path.emplace_back();
        step.is_key = choice<uint8_t>(1, "unknown path step") == 0;
        if (step.is_key) {
          step.key = string();
        } else {
          step.index = integer<uint32_t>();
        }
        if (!good()) return false;
      }
    }
    return good();
  }

  bool children(PlanNode* out, size_t n, int depth) {
    if (!good()) return false;
    for (size_t i = 0; i < n; ++i) {
      if (!node(&out->children.emplace_back(), depth + 1)) return false;
    }
    return true;
  }

  bool node(PlanNode* out, int depth) {
    if (depth > Plan::kMaxDepth) fail("nested too deeply");
    depth_ = std::max(depth_, depth);
    out->tag = static_cast<PlanTag>(integer<uint8_t>());
    if (!good()) return false;
    switch (out->tag) {
      case PlanTag::kConst:
        out->constant = choice<uint8_t>(2, "unknown constant");
        return good();
      case PlanTag::kAnd:
      case PlanTag::kOr:
        return children(out, count<uint16_t>(2), depth);
      case PlanTag::kNot:
        return children(out, 1, depth);
      default:
        return leaf(out, depth);
    }
  }

  bool program(RegexProgram* out) {
    constexpr size_t kBytes = 11;
    const size_t n = count<uint32_t>(kBytes);
    if (n == 0 || n > RegexProgram::kMaxInstructions) fail("bad size of a regex");
    const auto place = [&] {
      const uint32_t at = integer<uint32_t>();
      if (at >= n) fail("regex goes outside itself");
      return at;
    };
    out->start = place();
    for (size_t i = 0; good() && i < n; ++i) {
      RegexInstruction& instruction = out->instructions.emplace_back();
      instruction.op = choice(RegexOp::kMatch, "unknown regex instruction");
      const bool asserts = instruction.op == RegexOp::kAssert;
      instruction.low = asserts ? choice<uint8_t>(static_cast<uint8_t>(RegexAssert::kNotWord),
                                                  "unknown regex condition")
                                : integer<uint8_t>();
      instruction.high = integer<uint8_t>();
      instruction.next = place();
      instruction.other = place();
    }
    return good();
  }

  bool leaf(PlanNode* out, int depth) {
    if (out->tag < PlanTag::kCompare || out->tag > PlanTag::kRegex) fail("unknown node");
    if (!good()) return false;
    out->operands.resize(out->tag == PlanTag::kCompareOperands ? 2 : 1);
    if (!operand(&out->operands[0])) return false;
    switch (out->tag) {
      case PlanTag::kCompareOperands:
        out->op = choice(CompareOp::kGe, "unknown operator");
        return good() && operand(&out->operands[1]);
      case PlanTag::kRange: {
        const uint8_t flags = integer<uint8_t>();
        out->lower_inclusive = (flags & 1) != 0;
        out->upper_inclusive = (flags & 2) != 0;
        return literals(&out->literals, 2, depth);
      }
      case PlanTag::kContains:
        out->mode = choice(ContainsMode::kAny, "unknown mode");
        [[fallthrough]];
      case PlanTag::kIn:
        return literals(&out->literals, count<uint32_t>(2), depth);
      case PlanTag::kArith:
        out->arith = choice(ArithOp::kXor, "unknown arithmetic");
        if (!good() || !literals(&out->literals, 1, depth)) return false;
        out->op = choice(CompareOp::kGe, "unknown operator");
        return literals(&out->literals, 1, depth);
      case PlanTag::kLike:
        out->like = choice(LikeKind::kPattern, "unknown kind of like");
        out->pattern = string();
        return good();
      case PlanTag::kRegex:
        out->negated = choice<uint8_t>(1, "unknown negation") != 0;
        out->pattern = string();
        return good() && program(&out->regex);
      case PlanTag::kCompare:
      case PlanTag::kArrayLength:
        out->op = choice(CompareOp::kGe, "unknown operator");
        return good() && literals(&out->literals, 1, depth);
      default:
        return good();  // kIsNull, kExists
    }
  }

  const std::vector<uint8_t>& bytes_;
  size_t at_ = 0;
  int depth_ = 1;
  Status status_;
};

}  // namespace

Status Plan::decode(std::span<const uint8_t> bytes, Plan* plan) {
  Plan decoded;
  decoded.bytes_.assign(bytes.begin(), bytes.end());
  if (Status s = Decoder(decoded.bytes_).decode(&decoded.root_, &decoded.depth_); !s.is_ok())
    return s;
  *plan = std::move(decoded);
  return Status::ok();
}

}  // namespace elanus
