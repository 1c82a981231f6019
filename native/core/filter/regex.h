// A regular expression over the bytes of a text, as the automaton that docs/formats/plan.md
// describes (its parser is in TypeScript). Matching takes one table lookup a byte: the states of a
// deterministic automaton are made when they are first met (K. Thompson, CACM 1968; R. Cox,
// "Regular Expression Matching in the Wild", 2010).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

namespace elanus {

class Steps;  // threads/steps.h

enum class RegexOp : uint8_t { kByte, kSplit, kAssert, kMatch };
// The condition of a kAssert, in its `low`.
enum class RegexAssert : uint8_t { kTextStart, kTextEnd, kLineStart, kLineEnd, kWord, kNotWord };

struct RegexInstruction {
  RegexOp op = RegexOp::kMatch;
  uint8_t low = 0;
  uint8_t high = 0;
  uint32_t next = 0;
  uint32_t other = 0;
};

// Every `next` and `other` is within the program: Plan::decode sees to it.
struct RegexProgram {
  // As many as TypeScript makes; it bounds the states below.
  static constexpr size_t kMaxInstructions = 20000;

  uint32_t start = 0;
  std::vector<RegexInstruction> instructions;
};

class RegexAutomaton;

// Safe to use from several threads. The program must outlive it.
class Regex {
 public:
  explicit Regex(const RegexProgram& program);
  ~Regex();
  Regex(const Regex&) = delete;
  Regex& operator=(const Regex&) = delete;

  // Whether the pattern matches anywhere in the text. A byte that leads to a new state takes up to
  // O(instructions): for texts of 64 KB seconds, so `steps` is asked on the way. False when
  // canceled.
  bool matches(std::string_view text, Steps* steps) const;

 private:
  // The states met so far belong to one thread at a time. Nobody waits for a slot, as its holder
  // may be waiting for a turn: with more threads than slots some begin with no states.
  static constexpr size_t kSlots = 16;
  struct Slot {
    std::mutex mutex;
    std::unique_ptr<RegexAutomaton> automaton;
  };

  const RegexProgram& program_;
  mutable Slot slots_[kSlots];
};

}  // namespace elanus
