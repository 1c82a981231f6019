// Decoding of plans: the tree that comes out, and that no bytes whatever get past the checks.
#include "filter/plan.h"

#include <random>

#include "check.h"
#include "expr_support.h"

using namespace elanus;
using test::PlanWriter;

namespace {

bool decodes(const std::vector<uint8_t>& bytes) {
  Plan plan;
  const Status status = Plan::decode(bytes, &plan);
  if (!status.is_ok()) CHECK(status.code() == StatusCode::kInvalidParameter);
  return status.is_ok();
}

RegexProgram regex_of_b() {
  RegexProgram program;
  program.start = 1;
  program.instructions = {{}, {RegexOp::kByte, 'b', 'c', 0, 1}};
  return program;
}

// Every tag and every part once.
std::vector<uint8_t> everything() {
  PlanWriter w;
  w.tag(PlanTag::kAnd).put<uint16_t>(13);
  w.tag(PlanTag::kConst).u8(2);
  w.tag(PlanTag::kOr)
      .put<uint16_t>(1)
      .tag(PlanTag::kNot)
      .tag(PlanTag::kIsNull)
      .field(7, DataType::kInt8);
  w.tag(PlanTag::kCompare).field(100, DataType::kInt64).u8(2).integer(-5);
  w.tag(PlanTag::kCompareOperands)
      .field(100, DataType::kInt64)
      .u8(5)
      .element(101, DataType::kInt16, 9);
  w.tag(PlanTag::kRange).field(102, DataType::kDouble).u8(2).real(0.5).real(1.5);
  w.tag(PlanTag::kIn).field(103, DataType::kVarChar).put<uint32_t>(2).string("x").string("");
  w.tag(PlanTag::kArith).field(100, DataType::kInt64).u8(4).integer(3).u8(1).integer(2);
  w.tag(PlanTag::kLike).field(103, DataType::kVarChar).u8(4).text("a_%");
  w.tag(PlanTag::kIsNull).field(103, DataType::kVarChar);
  w.tag(PlanTag::kExists).path(104, 2).key("a").index(3);
  w.tag(PlanTag::kContains).path(104, 1).key("b").u8(2).put<uint32_t>(2).boolean(true);
  w.u8(5).put<uint32_t>(2).integer(1).string("y");
  w.tag(PlanTag::kArrayLength).field(105, DataType::kArray, DataType::kFloat).u8(0).integer(4);
  w.tag(PlanTag::kRegex).path(104, 1).key("a").u8(1).text("b").program(regex_of_b());
  return w.bytes;
}

}  // namespace

TEST(every_node_is_decoded) {
  Plan plan;
  CHECK(Plan::decode(everything(), &plan).is_ok());
  const std::vector<PlanNode>& nodes = plan.root().children;
  CHECK_EQ(nodes.size(), size_t{13});
  CHECK_EQ(plan.depth(), 4);
  CHECK_EQ(int{nodes[0].constant}, 2);
  CHECK(nodes[1].children[0].tag == PlanTag::kNot);
  CHECK(nodes[2].op == CompareOp::kLt && nodes[2].literals[0].integer == -5);
  CHECK_EQ(nodes[2].operands[0].field_id, 100);
  CHECK(nodes[3].operands[1].kind == OperandKind::kElement && nodes[3].operands[1].index == 9);
  CHECK(!nodes[4].lower_inclusive && nodes[4].upper_inclusive && nodes[4].literals[1].real == 1.5);
  CHECK(nodes[5].literals.size() == 2 && nodes[5].literals[0].text == "x");
  CHECK(nodes[6].arith == ArithOp::kMod && nodes[6].op == CompareOp::kNe &&
        nodes[6].literals[1].integer == 2);
  CHECK(nodes[7].like == LikeKind::kPattern && nodes[7].pattern == "a_%");
  CHECK(nodes[9].operands[0].path[0].key == "a" && nodes[9].operands[0].path[1].index == 3);
  CHECK(nodes[10].mode == ContainsMode::kAny && nodes[10].literals[1].items[1].text == "y");
  CHECK(nodes[11].operands[0].element_type == DataType::kFloat);
  const RegexProgram& regex = nodes[12].regex;
  CHECK(nodes[12].negated && nodes[12].pattern == "b");
  CHECK(regex.start == 1 && regex.instructions.size() == 2);
  CHECK(regex.instructions[1].high == 'c' && regex.instructions[1].other == 1);
  Plan moved = std::move(plan);
  CHECK(moved.root().children[7].pattern == "a_%");
}

TEST(every_truncation_is_refused) {
  const std::vector<uint8_t> whole = everything();
  for (size_t size = 0; size < whole.size(); ++size) {
    CHECK(!decodes(std::vector<uint8_t>(whole.begin(), whole.begin() + static_cast<long>(size))));
  }
  std::vector<uint8_t> longer = whole;
  longer.push_back(0);
  CHECK(!decodes(longer));
}

TEST(nesting_is_bounded) {
  for (const int depth : {600, 601, 20000}) {
    PlanWriter w;
    for (int i = 1; i < depth; ++i) w.tag(PlanTag::kNot);
    w.tag(PlanTag::kConst).u8(1);
    CHECK_EQ(decodes(w.bytes), depth <= 600);
    PlanWriter arrays;
    arrays.tag(PlanTag::kCompare).path(1, 0).u8(0);
    for (int i = 1; i < depth; ++i) arrays.u8(5).put<uint32_t>(1);
    arrays.boolean(true);
    CHECK_EQ(decodes(arrays.bytes), depth <= 600);
  }
}

TEST(counts_larger_than_the_plan_are_refused) {
  PlanWriter in;
  in.tag(PlanTag::kIn).field(1, DataType::kInt64).put<uint32_t>(0xffffffff).integer(1);
  CHECK(!decodes(in.bytes));
  // Each of 600 levels claims 65,535 children, and the bytes would suffice for one level.
  PlanWriter nested;
  for (int i = 0; i < 599; ++i) nested.tag(PlanTag::kAnd).put<uint16_t>(65535);
  for (int i = 0; i < 70000; ++i) nested.tag(PlanTag::kConst).u8(0);
  CHECK(!decodes(nested.bytes));
}

TEST(operands_that_cannot_be_are_refused) {
  PlanWriter element;
  element.tag(PlanTag::kIsNull)
      .put<int64_t>(1)
      .u8(static_cast<int>(DataType::kInt64))
      .u8(0)
      .u8(1)
      .put<uint32_t>(0);
  CHECK(!decodes(element.bytes));
  PlanWriter path;
  path.tag(PlanTag::kIsNull)
      .put<int64_t>(1)
      .u8(static_cast<int>(DataType::kInt64))
      .u8(0)
      .u8(2)
      .put<uint16_t>(0);
  CHECK(!decodes(path.bytes));
}

TEST(hostile_bytes_give_a_status) {
  std::mt19937_64 random(7);
  const std::vector<uint8_t> whole = everything();
  for (int round = 0; round < 50000; ++round) {
    std::vector<uint8_t> bytes = whole;
    const size_t changes = 1 + random() % 4;
    for (size_t i = 0; i < changes; ++i)
      bytes[4 + random() % (bytes.size() - 4)] = static_cast<uint8_t>(random());
    (void)decodes(bytes);
  }
  for (int round = 0; round < 50000; ++round) {
    std::vector<uint8_t> bytes(4 + random() % 60);
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random() % (round % 2 == 0 ? 256 : 32));
    std::memcpy(bytes.data(), whole.data(), 4);
    (void)decodes(bytes);
  }
}

CHECK_MAIN()
