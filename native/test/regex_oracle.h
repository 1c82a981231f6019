// The slow twin of the automaton of regular expressions, and random programs for both.
#pragma once

#include <cctype>
#include <random>
#include <set>
#include <string>
#include <utility>

#include "filter/regex.h"

namespace elanus::test {

// Whether a match ends somewhere when the automaton is at instruction `at` before text[t].
inline bool slow_match_from(const std::string& text, const RegexProgram& program, uint32_t at,
                            size_t t, std::set<std::pair<uint32_t, size_t>>* seen) {
  if (!seen->insert({at, t}).second) return false;
  const auto word = [&](size_t i) {
    if (i >= text.size()) return false;
    const auto byte = static_cast<unsigned char>(text[i]);
    return byte < 128 && (std::isalnum(byte) != 0 || byte == '_');
  };
  const RegexInstruction& i = program.instructions[at];
  const auto go = [&](uint32_t to, size_t next) {
    return slow_match_from(text, program, to, next, seen);
  };
  switch (i.op) {
    case RegexOp::kMatch:
      return true;
    case RegexOp::kSplit:
      return go(i.next, t) || go(i.other, t);
    case RegexOp::kByte: {
      if (t == text.size()) return false;
      const auto byte = static_cast<uint8_t>(text[t]);
      return i.low <= byte && byte <= i.high && go(i.next, t + 1);
    }
    case RegexOp::kAssert: {
      const bool boundary = (t > 0 && word(t - 1)) != word(t);
      const bool holds[] = {t == 0, t == text.size(), t == 0 || text[t - 1] == '\n',
                            t == text.size() || text[t] == '\n', boundary, !boundary};
      return holds[i.low] && go(i.next, t);
    }
  }
  return false;
}

// Whether the automaton reaches a match from any place in the text, one place after the other.
inline bool slow_match(const std::string& text, const RegexProgram& program) {
  for (size_t from = 0; from <= text.size(); ++from) {
    std::set<std::pair<uint32_t, size_t>> seen;
    if (slow_match_from(text, program, program.start, from, &seen)) return true;
  }
  return false;
}

// Mostly a chain, so that matches are neither always nor never found.
inline RegexProgram random_program(std::mt19937_64* random) {
  const auto below = [&](size_t n) { return static_cast<uint32_t>((*random)() % n); };
  RegexProgram program;
  const uint32_t n = 1 + below(9);
  for (uint32_t i = 0; i < n; ++i) {
    RegexInstruction instruction;
    instruction.next = below(4) == 0 ? below(n) : (i + 1) % n;
    instruction.other = below(n);
    const uint32_t kind = i + 1 == n ? 9 : below(10);
    if (kind < 5) {
      constexpr uint8_t kBytes[] = {'a', 'b', 'l', 'n', '\n', ' ', 0, 0xc3, 0xa9, 0xe6, 0xff};
      instruction.op = RegexOp::kByte;
      instruction.low = kBytes[below(sizeof(kBytes))];
      instruction.high = below(3) == 0 ? kBytes[below(sizeof(kBytes))] : instruction.low;
    } else if (kind < 7) {
      instruction.op = RegexOp::kSplit;
    } else if (kind < 9) {
      instruction.op = RegexOp::kAssert;
      instruction.low = static_cast<uint8_t>(below(6));
    }
    program.instructions.push_back(instruction);
  }
  program.start = below(4) == 0 ? below(n) : 0;
  return program;
}

// a.{length}b: a deterministic automaton of it has 2^length states.
inline RegexProgram a_then_b(uint32_t length) {
  const auto byte = [](uint8_t low, uint8_t high, uint32_t next) {
    return RegexInstruction{RegexOp::kByte, low, high, next, 0};
  };
  RegexProgram program;
  program.instructions.push_back(byte('a', 'a', 1));
  for (uint32_t i = 1; i <= length; ++i) program.instructions.push_back(byte(0, 255, i + 1));
  program.instructions.push_back(byte('b', 'b', length + 2));
  program.instructions.push_back({});
  return program;
}

inline std::string random_ab(std::mt19937_64* random, size_t size) {
  std::string text(size, 'a');
  for (char& c : text) c = (*random)() % 2 == 0 ? 'a' : 'b';
  return text;
}

}  // namespace elanus::test
