#include "filter/regex.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <string>
#include <unordered_map>
#include <utility>

#include "threads/steps.h"

namespace elanus {

// A state is the set of instructions that wait for the next byte, with what their conditions must
// know of the byte before. Bytes that no instruction tells apart share a column of the table; the
// last column is the end of the text.
class RegexAutomaton {
 public:
  explicit RegexAutomaton(const RegexProgram& program)
      : program_(program),
        seen_(program.instructions.size()),
        waits_(program.instructions.size()) {
    classify();
    const RegexInstruction& first = program.instructions[program.start];
    is_anchored_ = first.op == RegexOp::kAssert && asserts(first, RegexAssert::kTextStart);
    forget();
  }

  bool matches(std::string_view text, Steps* steps) {
    int32_t state = 0;
    if (!steps->take(text.size())) return false;
    for (const char c : text) {
      const size_t column = classes_[static_cast<uint8_t>(c)];
      const int32_t known = table_[static_cast<size_t>(state) + column];
      if (known != kUnknown) {
        state = known;
      } else {
        state = step(state, column);
        if (!steps->take(kVisitNs * visited_)) return false;
      }
      if (state < 0) return state == kMatched;
    }
    const int32_t end = table_[static_cast<size_t>(state) + columns_ - 1];
    return (end != kUnknown ? end : step(state, columns_ - 1)) == kMatched;
  }

 private:
  // What stands in the table in place of a state's row.
  static constexpr int32_t kUnknown = -1;
  static constexpr int32_t kMatched = -2;
  static constexpr int32_t kDead = -3;
  // What is before a place.
  static constexpr uint32_t kTextStartBefore = 1;
  static constexpr uint32_t kNewlineBefore = 2;
  static constexpr uint32_t kWordBefore = 4;
  // Above it all states are forgotten, and made again as they are met.
  static constexpr size_t kMaxBytes = 2 << 20;
  static constexpr int kEnd = 256;
  static constexpr size_t kVisitNs = 20;  // an instruction, with its part of making a state

  // The waiting instructions, ascending, and kind of byte before, in that order: also the key by
  // which a state is found.
  using State = std::vector<uint32_t>;
  struct StateHash {
    size_t operator()(const State& state) const {
      const auto* bytes = reinterpret_cast<const char*>(state.data());
      return std::hash<std::string_view>()({bytes, state.size() * sizeof(uint32_t)});
    }
  };

  static bool asserts(const RegexInstruction& i, RegexAssert what) {
    return i.low == static_cast<uint8_t>(what);
  }
  static bool is_word(int byte) {
    return (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= 'a' && byte <= 'z') || byte == '_';
  }

  // Gives each byte its column, and each column one of its bytes.
  void classify() {
    std::array<bool, 257> begins{};
    const auto tell_apart = [&](int low, int high) {
      begins[static_cast<size_t>(low)] = true;
      begins[static_cast<size_t>(high) + 1] = true;
    };
    for (const RegexInstruction& i : program_.instructions) {
      if (i.op == RegexOp::kByte && i.low <= i.high) tell_apart(i.low, i.high);
      if (i.op != RegexOp::kAssert) continue;
      if (asserts(i, RegexAssert::kLineStart) || asserts(i, RegexAssert::kLineEnd)) {
        sees_lines_ = true;
      } else if (asserts(i, RegexAssert::kWord) || asserts(i, RegexAssert::kNotWord)) {
        sees_words_ = true;
      }
    }
    if (sees_lines_) tell_apart('\n', '\n');
    if (sees_words_) {
      tell_apart('0', '9');
      tell_apart('A', 'Z');
      tell_apart('_', '_');
      tell_apart('a', 'z');
    }
    for (int byte = 0; byte < 256; ++byte) {
      if (byte == 0 || begins[static_cast<size_t>(byte)]) samples_.push_back(byte);
      classes_[static_cast<size_t>(byte)] = static_cast<uint16_t>(samples_.size() - 1);
    }
    samples_.push_back(kEnd);
    columns_ = samples_.size();
  }

  void forget() {
    rows_.clear();
    states_.clear();
    table_.clear();
    bytes_ = 0;
    intern({program_.start, kTextStartBefore});  // state 0
  }

  // Follows every waiting instruction over one byte, or over the end.
  int32_t step(int32_t from, size_t column) {
    const int byte = samples_[column];
    const State& state = *states_[static_cast<size_t>(from) / columns_];
    int32_t to = kMatched;
    State after;
    if (!advance(state, byte, &after)) to = after.empty() ? kDead : intern_after(&after, byte);
    // The state it came from may just have been forgotten.
    if (!has_forgotten_) table_[static_cast<size_t>(from) + column] = to;
    has_forgotten_ = false;
    return to;
  }

  int32_t intern_after(State* after, int byte) {
    std::sort(after->begin(), after->end());
    uint32_t before = 0;
    if (sees_lines_ && byte == '\n') before |= kNewlineBefore;
    if (sees_words_ && is_word(byte)) before |= kWordBefore;
    after->push_back(before);
    if (bytes_ > kMaxBytes) {
      forget();
      has_forgotten_ = true;
    }
    return intern(*after);
  }

  // True when a match is reached before the byte; else `after` gets who waits after it.
  bool advance(const State& state, int byte, State* after) {
    const uint32_t before = state.back();
    ++steps_;
    visited_ = 1;
    stack_.assign(state.begin(), state.end() - 1);
    const auto wait = [&](uint32_t at) {
      if (waits_[at] == steps_) return;
      waits_[at] = steps_;
      after->push_back(at);
    };
    while (!stack_.empty()) {
      const uint32_t at = stack_.back();
      stack_.pop_back();
      if (seen_[at] == steps_) continue;
      seen_[at] = steps_;
      ++visited_;
      const RegexInstruction& i = program_.instructions[at];
      switch (i.op) {
        case RegexOp::kMatch:
          return true;
        case RegexOp::kSplit:
          stack_.push_back(i.other);
          stack_.push_back(i.next);
          break;
        case RegexOp::kAssert:
          if (holds(static_cast<RegexAssert>(i.low), before, byte)) stack_.push_back(i.next);
          break;
        case RegexOp::kByte:
          if (i.low <= byte && byte <= i.high) wait(i.next);
          break;
      }
    }
    // A match may begin at any place.
    if (!is_anchored_ && byte != kEnd) wait(program_.start);
    return false;
  }

  static bool holds(RegexAssert what, uint32_t before, int byte) {
    switch (what) {
      case RegexAssert::kTextStart:
        return (before & kTextStartBefore) != 0;
      case RegexAssert::kTextEnd:
        return byte == kEnd;
      case RegexAssert::kLineStart:
        return (before & (kTextStartBefore | kNewlineBefore)) != 0;
      case RegexAssert::kLineEnd:
        return byte == kEnd || byte == '\n';
      case RegexAssert::kWord:
        return ((before & kWordBefore) != 0) != is_word(byte);
      case RegexAssert::kNotWord:
        return ((before & kWordBefore) != 0) == is_word(byte);
    }
    return false;
  }

  int32_t intern(const State& state) {
    const auto [found, is_new] = rows_.try_emplace(state, static_cast<int32_t>(table_.size()));
    if (is_new) {
      states_.push_back(&found->first);
      table_.resize(table_.size() + columns_, kUnknown);
      bytes_ += (state.size() + columns_) * sizeof(uint32_t) + 64;
    }
    return found->second;
  }

  const RegexProgram& program_;
  bool is_anchored_ = false;
  bool sees_lines_ = false;
  bool sees_words_ = false;
  bool has_forgotten_ = false;
  size_t columns_ = 0;
  size_t bytes_ = 0;
  std::array<uint16_t, 256> classes_{};
  std::vector<int> samples_;
  // A state goes by where its row of the table begins; the first one is 0.
  std::unordered_map<State, int32_t, StateHash> rows_;
  std::vector<const State*> states_;  // keys of rows_, which do not move, by row
  std::vector<int32_t> table_;        // of columns_ each
  // Scratch of advance(): the last step that has seen an instruction, and that has kept it.
  uint64_t steps_ = 0;
  size_t visited_ = 0;  // instructions, in the last step
  std::vector<uint64_t> seen_;
  std::vector<uint64_t> waits_;
  std::vector<uint32_t> stack_;
};

Regex::Regex(const RegexProgram& program) : program_(program) {}
Regex::~Regex() = default;

bool Regex::matches(std::string_view text, Steps* steps) const {
  static std::atomic<size_t> threads{0};
  thread_local const size_t thread = threads++;
  for (size_t i = 0; i < kSlots; ++i) {
    Slot& slot = slots_[(thread + i) % kSlots];
    const std::unique_lock<std::mutex> lock(slot.mutex, std::try_to_lock);
    if (!lock.owns_lock()) continue;
    // One that has run out of memory between two of its tables is not used again.
    std::unique_ptr<RegexAutomaton> automaton = std::move(slot.automaton);
    if (automaton == nullptr) automaton = std::make_unique<RegexAutomaton>(program_);
    const bool has_match = automaton->matches(text, steps);
    slot.automaton = std::move(automaton);
    return has_match;
  }
  return RegexAutomaton(program_).matches(text, steps);
}

}  // namespace elanus
