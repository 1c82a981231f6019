// The automaton of regular expressions against the slow one of the oracle: random programs, states
// that are forgotten and made again, several threads.
#include "filter/regex.h"

#include <atomic>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "check.h"
#include "regex_oracle.h"
#include "threads/steps.h"

using namespace elanus;
using test::a_then_b;
using test::random_ab;
using test::slow_match;

namespace {

RegexInstruction byte(uint8_t low, uint8_t high, uint32_t next) {
  return {RegexOp::kByte, low, high, next, 0};
}
RegexInstruction split(uint32_t next, uint32_t other) {
  return {RegexOp::kSplit, 0, 0, next, other};
}

std::string random_text(std::mt19937_64* random, size_t longest) {
  const std::string letters("abln\n _\0\xc3\xa9\xe6\xff", 12);
  std::string text;
  for (size_t left = (*random)() % (longest + 1); left > 0; --left) {
    text += letters[(*random)() % letters.size()];
  }
  return text;
}

bool matches(const Regex& regex, std::string_view text) {
  Steps steps(nullptr);
  return regex.matches(text, &steps);
}

}  // namespace

TEST(random_programs_agree_with_the_oracle) {
  std::mt19937_64 random(20260901);
  size_t matched = 0;
  size_t asked = 0;
  for (int round = 0; round < 4000; ++round) {
    const RegexProgram program = test::random_program(&random);
    const Regex regex(program);
    for (int i = 0; i < 12; ++i) {
      const std::string text = random_text(&random, 12);
      const bool expected = slow_match(text, program);
      CHECK_EQ(matches(regex, text), expected);
      matched += expected ? 1 : 0;
      ++asked;
    }
  }
  CHECK(matched > asked / 10 && matched < asked - asked / 10);
}

TEST(an_anchored_pattern_is_given_up_at_the_first_byte_that_differs) {
  RegexProgram program;  // \Aab
  program.instructions = {{RegexOp::kAssert, 0, 0, 1, 0}, byte('a', 'a', 2), byte('b', 'b', 3), {}};
  const Regex regex(program);
  CHECK(matches(regex, "ab"));
  CHECK(matches(regex, "abc"));
  CHECK(!matches(regex, "cab"));
  CHECK(!matches(regex, "a"));
  CHECK(!matches(regex, ""));
}

TEST(loops_without_bytes_end) {
  RegexProgram program;  // (()*)*b
  program.instructions = {split(0, 1), split(1, 2), split(0, 3), byte('b', 'b', 4), {}};
  const Regex regex(program);
  CHECK(matches(regex, "aab"));
  CHECK(!matches(regex, "aa"));
}

TEST(states_are_forgotten_and_made_again_when_they_are_too_many) {
  std::mt19937_64 random(7);
  constexpr uint32_t kLength = 40;
  const RegexProgram program = a_then_b(kLength);
  const Regex regex(program);
  for (int round = 0; round < 6; ++round) {
    // Nowhere an a with a b at that distance: the b's only where there was no a.
    std::string text = random_ab(&random, 60000);
    for (size_t i = kLength + 1; i < text.size(); ++i) {
      if (text[i - kLength - 1] == 'a') text[i] = 'a';
    }
    CHECK(!matches(regex, text));
    text[text.size() - 1] = 'b';
    text[text.size() - kLength - 2] = 'a';
    CHECK(matches(regex, text));
  }
}

TEST(threads_share_one_regex) {
  const RegexProgram program = a_then_b(12);
  const Regex regex(program);
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (uint64_t seed = 0; seed < 4; ++seed) {
    threads.emplace_back([&, seed] {
      std::mt19937_64 random(seed);
      for (int i = 0; i < 300; ++i) {
        const std::string text = random_ab(&random, 5 + random() % 40);
        if (matches(regex, text) != slow_match(text, program)) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK_EQ(wrong.load(), 0);
}

CHECK_MAIN()
