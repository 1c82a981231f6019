// The walk over the tree. Each node gets the rows that are still undecided, so a cheap or selective
// child spares the dear ones their work; children are ordered by what their scan costs.
#include "filter/evaluate.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "filter/index_leaf.h"
#include "filter/leaf.h"
#include "threads/steps.h"

namespace elanus {
namespace {

enum class Kind : uint8_t { kConst, kAnd, kOr, kNot, kLeaf };

struct Node {
  Kind kind = Kind::kConst;
  uint8_t constant = 0;
  uint64_t cost = 1;
  std::unique_ptr<Leaf> leaf;
  std::vector<Node> children;
};

// Bits of one block, by level of the tree: what a node's child found, and the rows that it is asked
// about.
struct Level {
  uint64_t truth[Block::kWords];
  uint64_t known[Block::kWords];
  uint64_t active[Block::kWords];
};

class Builder {
 public:
  Builder(const RowSource& source, const EvaluateOptions& options, FieldSlots* slots)
      : source_(source), options_(options), slots_(slots), steps_(options.cancel) {}

  Status build(const PlanNode& plan, Node* node) {
    switch (plan.tag) {
      case PlanTag::kConst:
        node->constant = plan.constant;
        return Status::ok();
      case PlanTag::kAnd:
      case PlanTag::kOr:
      case PlanTag::kNot:
        return build_children(plan, node);
      default:
        return build_leaf(plan, node);
    }
  }
  int index_leaf_count() const { return index_leaf_count_; }

 private:
  Status build_children(const PlanNode& plan, Node* node) {
    node->kind = plan.tag == PlanTag::kAnd  ? Kind::kAnd
                 : plan.tag == PlanTag::kOr ? Kind::kOr
                                            : Kind::kNot;
    node->children.resize(plan.children.size());
    for (size_t i = 0; i < plan.children.size(); ++i) {
      if (Status s = build(plan.children[i], &node->children[i]); !s.is_ok()) return s;
      node->cost += node->children[i].cost;
    }
    std::stable_sort(node->children.begin(), node->children.end(),
                     [](const Node& a, const Node& b) { return a.cost < b.cost; });
    return Status::ok();
  }

  Status build_leaf(const PlanNode& plan, Node* node) {
    node->kind = Kind::kLeaf;
    node->cost = scan_cost(plan);
    // The scan is made in any case: it checks the types.
    if (Status s = make_leaf(plan, slots_, &node->leaf); !s.is_ok()) return s;
    if (!options_.use_indexes) return Status::ok();
    std::unique_ptr<Leaf> indexed;
    Status status = make_index_leaf(plan, source_, options_.always_index, &steps_, &indexed);
    if (!status.is_ok()) return status;
    if (indexed == nullptr) return Status::ok();
    node->leaf = std::move(indexed);
    node->cost = 1;
    ++index_leaf_count_;
    return Status::ok();
  }

  const RowSource& source_;
  const EvaluateOptions& options_;
  FieldSlots* slots_;
  Steps steps_;
  int index_leaf_count_ = 0;
};

class Walker {
 public:
  Walker(const Block& block, std::vector<Level>* levels) : block_(block), levels_(*levels) {}

  // Like Leaf::evaluate. With `only_truth` the caller does not tell null from false.
  void walk(const Node& node, size_t depth, bool only_truth, const uint64_t* active,
            uint64_t* truth, uint64_t* known) {
    switch (node.kind) {
      case Kind::kConst:
        for (size_t w = 0; w < block_.words(); ++w) {
          truth[w] = node.constant == 1 ? block_.row_bits(w) : 0;
          known[w] = node.constant == 2 ? 0 : block_.row_bits(w);
        }
        return;
      case Kind::kAnd:
        return walk_and(node, depth, only_truth, active, truth, known);
      case Kind::kOr:
        return walk_or(node, depth, only_truth, active, truth, known);
      case Kind::kNot:
        walk(node.children[0], depth, false, active, truth, known);
        for (size_t w = 0; w < block_.words(); ++w) truth[w] = known[w] & ~truth[w];
        return;
      case Kind::kLeaf:
        return node.leaf->evaluate(block_, active, truth, known);
    }
  }

 private:
  // While children are visited, truth = all so far are true and known = some is false (which
  // decides the row).
  void walk_and(const Node& node, size_t depth, bool only_truth, const uint64_t* active,
                uint64_t* truth, uint64_t* known) {
    Level& level = levels_[depth];
    const size_t words = block_.words();
    for (size_t w = 0; w < words; ++w) {
      truth[w] = block_.row_bits(w);
      known[w] = 0;
    }
    for (const Node& child : node.children) {
      uint64_t any = 0;
      for (size_t w = 0; w < words; ++w) {
        level.active[w] = active[w] & (only_truth ? truth[w] : ~known[w]);
        any |= level.active[w];
      }
      if (any == 0) break;
      walk(child, depth + 1, only_truth, level.active, level.truth, level.known);
      for (size_t w = 0; w < words; ++w) {
        truth[w] &= level.truth[w];
        known[w] |= level.known[w] & ~level.truth[w];
      }
    }
    for (size_t w = 0; w < words; ++w) {
      // A row that a child was not asked about is false already.
      truth[w] &= ~known[w];
      known[w] |= truth[w];
    }
  }

  // While children are visited, truth = some is true and known = none was null.
  void walk_or(const Node& node, size_t depth, bool only_truth, const uint64_t* active,
               uint64_t* truth, uint64_t* known) {
    Level& level = levels_[depth];
    const size_t words = block_.words();
    for (size_t w = 0; w < words; ++w) {
      truth[w] = 0;
      known[w] = block_.row_bits(w);
    }
    for (const Node& child : node.children) {
      uint64_t any = 0;
      for (size_t w = 0; w < words; ++w) {
        level.active[w] = active[w] & ~truth[w];
        any |= level.active[w];
      }
      if (any == 0) break;
      walk(child, depth + 1, only_truth, level.active, level.truth, level.known);
      for (size_t w = 0; w < words; ++w) {
        truth[w] |= level.truth[w] & level.active[w];
        known[w] &= level.known[w];
      }
    }
    for (size_t w = 0; w < words; ++w) known[w] |= truth[w];
  }

  const Block& block_;
  std::vector<Level>& levels_;
};

}  // namespace

struct Evaluator::State {
  const RowSource* source = nullptr;
  FieldSlots slots;
  Node root;
  size_t depth = 1;
  int index_leaf_count = 0;
  const CancelToken* cancel = nullptr;

  Status columns_of(size_t chunk, std::vector<ColumnView>* columns) const;
  Status evaluate_chunk(size_t chunk, size_t row_begin, size_t row_end, std::vector<Level>* levels,
                        Steps* steps, Bitset* truth) const;
};

Evaluator::Evaluator(std::unique_ptr<State> state) : state_(std::move(state)) {}
Evaluator::~Evaluator() = default;
int Evaluator::index_leaf_count() const { return state_->index_leaf_count; }

Status Evaluator::prepare(const Plan& plan, const RowSource& source, const EvaluateOptions& options,
                          std::unique_ptr<Evaluator>* evaluator) {
  auto state = std::make_unique<State>();
  state->source = &source;
  state->depth = static_cast<size_t>(plan.depth());
  state->cancel = options.cancel;
  Builder builder(source, options, &state->slots);
  if (Status s = builder.build(plan.root(), &state->root); !s.is_ok()) return s;
  state->index_leaf_count = builder.index_leaf_count();
  evaluator->reset(new Evaluator(std::move(state)));
  return Status::ok();
}

Status Evaluator::State::columns_of(size_t chunk, std::vector<ColumnView>* columns) const {
  columns->clear();
  for (const FieldSlots::Field& field : slots.fields()) {
    ColumnView column = source->column(chunk, field.id);
    const bool lacks_variant = field.type == DataType::kJson && column.json_variant == nullptr;
    if (!column.all_null && (column.type != field.type || lacks_variant)) {
      return Status(StatusCode::kInternal,
                    "filter: field " + std::to_string(field.id) + " does not have the plan's type");
    }
    columns->push_back(column);
  }
  return Status::ok();
}

// The part of the chunk that lies in the range.
Status Evaluator::State::evaluate_chunk(size_t chunk, size_t row_begin, size_t row_end,
                                        std::vector<Level>* levels, Steps* steps,
                                        Bitset* truth) const {
  const size_t chunk_begin = source->chunk_begin(chunk);
  const size_t begin = std::max(row_begin, chunk_begin);
  const size_t end = std::min(row_end, chunk_begin + source->chunk_rows(chunk));
  if (begin >= end) return Status::ok();
  std::vector<ColumnView> columns;
  if (Status s = columns_of(chunk, &columns); !s.is_ok()) return s;
  uint64_t active[Block::kWords];
  uint64_t known[Block::kWords];
  for (size_t row = begin; row < end; row += Block::kRows) {
    Block block;
    block.columns = columns.data();
    block.first = row - chunk_begin;
    block.rows = std::min(Block::kRows, end - row);
    block.global = row;
    block.steps = steps;
    // Leaves that visit rows one by one count them too.
    if (!steps->take(1 + block.rows * root.cost / 1000)) return Status::ok();
    for (size_t w = 0; w < block.words(); ++w) active[w] = block.row_bits(w);
    Walker(block, levels).walk(root, 0, true, active, truth->words() + row / 64, known);
  }
  return Status::ok();
}

Status Evaluator::evaluate_range(size_t row_begin, size_t row_end, Bitset* truth) const {
  const size_t rows = state_->source->row_count();
  const bool aligned = row_begin % 64 == 0 && (row_end % 64 == 0 || row_end == rows);
  if (!aligned || row_end > rows || truth->size() != rows) {
    return Status(StatusCode::kInternal, "filter: a range that does not fit the rows");
  }
  std::vector<Level> levels(state_->depth);
  Steps steps(state_->cancel);
  for (size_t chunk = 0; chunk < state_->source->chunk_count(); ++chunk) {
    Status status = state_->evaluate_chunk(chunk, row_begin, row_end, &levels, &steps, truth);
    if (!status.is_ok()) return status;
  }
  return Status::ok();
}

Status evaluate(const Plan& plan, const RowSource& source, Bitset* truth,
                const EvaluateOptions& options) {
  truth->assign(source.row_count(), false);
  return evaluate_range(plan, source, 0, source.row_count(), truth, options);
}

Status evaluate_range(const Plan& plan, const RowSource& source, size_t row_begin, size_t row_end,
                      Bitset* truth, const EvaluateOptions& options) {
  std::unique_ptr<Evaluator> evaluator;
  if (Status s = Evaluator::prepare(plan, source, options, &evaluator); !s.is_ok()) return s;
  return evaluator->evaluate_range(row_begin, row_end, truth);
}

}  // namespace elanus
