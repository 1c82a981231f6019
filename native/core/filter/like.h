// One LIKE pattern, prepared once and matched against many strings. `%` is any run of characters,
// `_` one UTF-8 code point, `\` takes the next character as it is. Matching takes O(text * pattern)
// at worst, usually one pass.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "filter/plan.h"

namespace elanus {

class LikeMatcher {
 public:
  LikeMatcher() = default;
  LikeMatcher(LikeKind kind, std::string_view pattern);

  bool matches(std::string_view text) const;
  LikeKind kind() const { return kind_; }
  // The literal text of every kind but kPattern; of kPattern the literal characters that a match
  // begins with.
  std::string_view literal() const { return literal_; }

 private:
  // What lies between two `%`: literal runs and single characters, with a fixed number of code
  // points.
  struct Piece {
    bool any_character = false;
    std::string literal;
  };
  struct Segment {
    std::vector<Piece> pieces;
    size_t characters = 0;
    size_t least_bytes = 0;
  };

  void parse(std::string_view pattern);
  static const char* match_at(const Segment& segment, const char* at, const char* end);
  static const char* find(const Segment& segment, const char* at, const char* end);
  bool match_pattern(std::string_view text) const;

  LikeKind kind_ = LikeKind::kEqual;
  std::string literal_;
  std::vector<Segment> segments_;  // kPattern: one more than there are `%`
};

}  // namespace elanus
