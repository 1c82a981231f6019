// Turns the constants of a leaf into runs of the index's dictionary, weighs them against a scan,
// and reads the rows.
#include "filter/index_leaf.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/bitset.h"
#include "filter/mask_kernels.h"
#include "filter/value_test.h"
#include "scalar/json_path_index.h"
#include "scalar/scalar_index.h"

namespace elanus {
namespace {

using Keys = ScalarIndex::Keys;

// Picoseconds: one row of a list set in a bitset, one word of a bitset written and combined, one
// binary search in the dictionary, one dictionary string matched, by a
// pattern or by a regular expression.
constexpr uint64_t kRowCost = 1200;
constexpr uint64_t kWordCost = 2000;
constexpr uint64_t kSearchCost = 200000;
constexpr uint64_t kMatchCost = 30000;
constexpr uint64_t kRegexCost = 100000;

class IndexLeaf : public Leaf {
 public:
  IndexLeaf(Bitset truth, Bitset known) : truth_(std::move(truth)), known_(std::move(known)) {}

  void evaluate(const Block& block, const uint64_t*, uint64_t* truth,
                uint64_t* known) const override {
    const size_t first = block.global / 64;
    std::copy_n(truth_.words() + first, block.words(), truth);
    std::copy_n(known_.words() + first, block.words(), known);
  }

 private:
  Bitset truth_;
  Bitset known_;
};

// One lookup: rows with a key in any of the runs.
struct Lookup {
  std::vector<Keys> runs;
  uint64_t cost = 0;
};

class IndexPlanner {
 public:
  IndexPlanner(const PlanNode& node, const ScalarIndex& index, bool always, Steps* steps)
      : node_(node),
        index_(index),
        always_(always),
        steps_(steps),
        words_(words_of(index.row_count())) {}

  Status make(std::unique_ptr<Leaf>* leaf) {
    const uint64_t budget = always_ ? ~uint64_t{0} : index_.row_count() * scan_cost(node_);
    cost_ = kWordCost * words_ + kSearchCost * (node_.literals.size() + 1);
    if (cost_ >= budget) return Status::ok();
    const bool is_planned = plan();
    if (is_canceled_) return canceled();
    if (!is_planned) return Status::ok();
    for (const Lookup& lookup : lookups_) cost_ += kRowCost * lookup.cost + kWordCost * words_;
    if (cost_ >= budget) return Status::ok();
    return read(leaf);
  }

 private:
  // Fills lookups_; false when the index cannot answer.
  bool plan() {
    ValueTest test;
    switch (node_.tag) {
      case PlanTag::kCompare:
        test = ValueTest::of_compare(node_.op, node_.literals[0]);
        break;
      case PlanTag::kRange:
        test = ValueTest::of_range(node_);
        break;
      case PlanTag::kIn:
        test = ValueTest::of_list(node_.literals);
        break;
      case PlanTag::kLike:
        test = ValueTest::of_like(node_.like, node_.pattern);
        break;
      case PlanTag::kRegex:
        return plan_regex();
      case PlanTag::kContains:
        if (node_.mode == ContainsMode::kAll) return plan_all();
        test = ValueTest::of_list(node_.literals);
        break;
      default:
        return false;
    }
    negate_ = test.negate;
    return add_lookup(test);
  }

  // A row has all: it has each.
  bool plan_all() {
    for (const Literal& literal : node_.literals) {
      if (!add_lookup(ValueTest::of_compare(CompareOp::kEq, literal))) return false;
    }
    all_of_lookups_ = true;
    return true;
  }

  bool plan_regex() {
    const Regex regex(node_.regex);
    Lookup lookup;
    const auto matches = [&](std::string_view text) { return regex.matches(text, steps_); };
    if (!add_matching(index_.all(), kRegexCost, matches, &lookup)) return false;
    add(std::move(lookup));
    return true;
  }

  bool add_lookup(const ValueTest& test) {
    Lookup lookup;
    const DataType type = index_.is_multi_valued() ? index_.element_type() : index_.type();
    switch (type) {
      case DataType::kBool:
        for (int64_t x = 0; x < 2; ++x) {
          if (test.bools[x]) lookup.runs.push_back(index_.find(x, x));
        }
        break;
      case DataType::kFloat:
        add_reals(test.floats, &lookup);
        break;
      case DataType::kDouble:
        add_reals(test.doubles, &lookup);
        break;
      case DataType::kVarChar:
        if (!add_strings(test.strings, &lookup)) return false;
        break;
      default:
        for (const Interval<int64_t>& in : test.ints.intervals)
          lookup.runs.push_back(index_.find(in.lo, in.hi));
        for (const int64_t x : test.ints.set.values()) lookup.runs.push_back(index_.find(x, x));
        break;
    }
    add(std::move(lookup));
    return true;
  }

  void add(Lookup lookup) {
    merge(&lookup.runs);
    for (const Keys& run : lookup.runs) lookup.cost += index_.cost(run);
    lookups_.push_back(std::move(lookup));
    if (!index_.is_multi_valued()) prefer_complement();
  }

  template <typename T>
  void add_reals(const RealTest<T>& test, Lookup* lookup) {
    for (const Interval<T>& in : test.intervals) {
      lookup->runs.push_back(index_.find(static_cast<double>(in.lo), static_cast<double>(in.hi)));
    }
    for (const int64_t bits : test.set.values()) {
      const double x = std::bit_cast<double>(bits);
      lookup->runs.push_back(index_.find(x, x));
    }
  }

  bool add_strings(const StringTest& test, Lookup* lookup) {
    switch (test.kind) {
      case StringTest::Kind::kNever:
        return true;
      case StringTest::Kind::kEqual:
        lookup->runs.push_back(index_.find(test.lower, true, test.lower, true));
        return true;
      case StringTest::Kind::kBetween:
        lookup->runs.push_back(
            index_.find(test.lower, test.lower_inclusive, test.upper, test.upper_inclusive));
        return true;
      case StringTest::Kind::kSet:
        for (const std::string_view x : test.set.values())
          lookup->runs.push_back(index_.find(x, true, x, true));
        return true;
      case StringTest::Kind::kLike:
        return add_like(test.like, lookup);
    }
    return false;
  }

  bool add_like(const LikeMatcher& like, Lookup* lookup) {
    const bool is_prefix = like.kind() == LikeKind::kPrefix;
    const bool begins = is_prefix || like.kind() == LikeKind::kPattern;
    const Keys keys = begins ? index_.find_prefix(like.literal()) : index_.all();
    if (is_prefix) {
      lookup->runs.push_back(keys);
      return true;
    }
    const auto matches = [&](std::string_view text) { return like.matches(text); };
    return add_matching(keys, kMatchCost, matches, lookup);
  }

  // Matches the dictionary instead of the rows: worth it when few values repeat often.
  template <typename Matches>
  bool add_matching(const Keys& keys, uint64_t cost, const Matches& matches, Lookup* lookup) {
    if (keys.empty()) return true;
    const uint64_t matching = (keys.end - keys.begin) * cost;
    if (!always_ && cost_ + matching >= index_.row_count() * scan_cost(node_)) return false;
    cost_ += matching;
    const uint64_t byte_ps = node_.tag == PlanTag::kLike ? byte_cost(node_) : 0;
    for (uint64_t key = keys.begin; key < keys.end; ++key) {
      const std::string_view text = index_.string_key(key);
      if (!take(cost + byte_ps * text.size())) return false;
      if (matches(text)) lookup->runs.push_back({key, key + 1});
    }
    return true;
  }

  static void merge(std::vector<Keys>* runs) {
    std::erase_if(*runs, [](const Keys& run) { return run.empty(); });
    std::sort(runs->begin(), runs->end(),
              [](const Keys& a, const Keys& b) { return a.begin < b.begin; });
    size_t kept = 0;
    for (const Keys& run : *runs) {
      if (kept > 0 && run.begin <= (*runs)[kept - 1].end) {
        (*runs)[kept - 1].end = std::max((*runs)[kept - 1].end, run.end);
      } else {
        (*runs)[kept++] = run;
      }
    }
    runs->resize(kept);
  }

  // Where most rows match, reads those that do not: every row that is not null has exactly one key.
  void prefer_complement() {
    Lookup& lookup = lookups_.back();
    Lookup rest;
    uint64_t at = 0;
    for (const Keys& run : lookup.runs) {
      if (at < run.begin) rest.runs.push_back({at, run.begin});
      at = run.end;
    }
    if (at < index_.key_count()) rest.runs.push_back({at, index_.key_count()});
    for (const Keys& run : rest.runs) rest.cost += index_.cost(run);
    if (rest.cost >= lookup.cost) return;
    lookup = std::move(rest);
    negate_ = !negate_;
  }

  Status read(std::unique_ptr<Leaf>* leaf) {
    Bitset known;
    index_.not_null(&known);
    Bitset truth(index_.row_count(), all_of_lookups_);
    for (const Lookup& lookup : lookups_) {
      Bitset found(index_.row_count());
      for (const Keys& run : lookup.runs) {
        if (!take(kRowCost * index_.cost(run))) return canceled();
        if (Status s = index_.add_rows(run, &found); !s.is_ok()) return s;
      }
      if (all_of_lookups_) {
        for (size_t w = 0; w < words_; ++w) truth.words()[w] &= found.words()[w];
      } else {
        truth = std::move(found);
      }
    }
    for (size_t w = 0; w < words_; ++w) {
      const uint64_t found = truth.words()[w];
      truth.words()[w] = (negate_ ? ~found : found) & known.words()[w];
    }
    *leaf = std::make_unique<IndexLeaf>(std::move(truth), std::move(known));
    return Status::ok();
  }

  static Status canceled() { return {StatusCode::kCanceled, "the filter was canceled"}; }

  // Counts work. False when canceled.
  bool take(uint64_t picoseconds) {
    is_canceled_ = is_canceled_ || !steps_->take(picoseconds / 1000);
    return !is_canceled_;
  }

  const PlanNode& node_;
  const ScalarIndex& index_;
  const bool always_;
  Steps* const steps_;
  bool is_canceled_ = false;
  const size_t words_;
  uint64_t cost_ = 0;  // picoseconds
  bool negate_ = false;
  bool all_of_lookups_ = false;
  std::vector<Lookup> lookups_;
};

// The type of the values that the node decides about, which is that of its literals; kNone when
// they have several, or one that no index has.
DataType type_of_literals(const PlanNode& node) {
  if (node.tag == PlanTag::kLike || node.tag == PlanTag::kRegex) return DataType::kVarChar;
  const auto type_of = [](const Literal& literal) {
    switch (literal.kind) {
      case LiteralKind::kBool:
        return DataType::kBool;
      case LiteralKind::kString:
        return DataType::kVarChar;
      case LiteralKind::kArray:
        return DataType::kNone;
      default:
        return DataType::kDouble;
    }
  };
  if (node.literals.empty()) return DataType::kNone;
  const DataType type = type_of(node.literals[0]);
  for (const Literal& literal : node.literals) {
    if (type_of(literal) != type) return DataType::kNone;
  }
  return type;
}

// The index over the operand's path, when its null rows are the node's unknown ones and it orders
// the literals as a scan does.
const ScalarIndex* json_index(const PlanNode& node, const RowSource& source) {
  const bool is_value_test = node.tag == PlanTag::kCompare || node.tag == PlanTag::kRange ||
                             node.tag == PlanTag::kIn || node.tag == PlanTag::kLike ||
                             (node.tag == PlanTag::kRegex && !node.negated);
  const DataType type = is_value_test ? type_of_literals(node) : DataType::kNone;
  if (type == DataType::kNone) return nullptr;
  const Operand& operand = node.operands[0];
  const JsonPathIndex* index = source.json_index(operand.field_id, operand.path, type);
  if (index == nullptr || index->values().row_count() != source.row_count()) return nullptr;
  const bool can_compare =
      std::all_of(node.literals.begin(), node.literals.end(),
                  [&](const Literal& literal) { return index->can_compare(literal); });
  return can_compare ? &index->values() : nullptr;
}

}  // namespace

Status make_index_leaf(const PlanNode& node, const RowSource& source, bool always, Steps* steps,
                       std::unique_ptr<Leaf>* leaf) {
  if (node.operands.size() != 1) return Status::ok();
  const Operand& operand = node.operands[0];
  if (operand.data_type == DataType::kJson) {
    const ScalarIndex* values = json_index(node, source);
    return values == nullptr ? Status::ok() : IndexPlanner(node, *values, always, steps).make(leaf);
  }
  if (operand.kind != OperandKind::kField) return Status::ok();
  const ScalarIndex* index = source.scalar_index(operand.field_id);
  if (index == nullptr || index->row_count() != source.row_count()) return Status::ok();
  if (index->type() != operand.data_type) return Status::ok();
  if (index->is_multi_valued()) {
    if (node.tag != PlanTag::kContains || index->element_type() != operand.element_type)
      return Status::ok();
  }
  return IndexPlanner(node, *index, always, steps).make(leaf);
}

}  // namespace elanus
