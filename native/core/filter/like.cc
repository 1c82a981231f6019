// LIKE: the first segment is anchored at the start, the last one at the end, those between are
// found leftmost, which is enough because a `%` between them takes whatever is left.
#include "filter/like.h"

#include <cstring>

namespace elanus {
namespace {

bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

// The character after the one at `at`.
const char* next_character(const char* at, const char* end) {
  ++at;
  while (at != end && is_continuation(*at)) ++at;
  return at;
}

size_t count_characters(std::string_view text) {
  size_t count = 0;
  for (const char c : text) count += is_continuation(c) ? 0 : 1;
  return count;
}

}  // namespace

LikeMatcher::LikeMatcher(LikeKind kind, std::string_view pattern) : kind_(kind) {
  if (kind == LikeKind::kPattern) {
    parse(pattern);
  } else {
    literal_ = pattern;
  }
}

void LikeMatcher::parse(std::string_view pattern) {
  segments_.emplace_back();
  for (size_t i = 0; i < pattern.size(); ++i) {
    char c = pattern[i];
    if (c == '%') {
      segments_.emplace_back();
      continue;
    }
    std::vector<Piece>& pieces = segments_.back().pieces;
    if (c == '_') {
      pieces.push_back({true, {}});
      continue;
    }
    if (c == '\\' && i + 1 < pattern.size()) c = pattern[++i];
    if (pieces.empty() || pieces.back().any_character) pieces.emplace_back();
    pieces.back().literal += c;
  }
  for (Segment& segment : segments_) {
    for (const Piece& piece : segment.pieces) {
      segment.characters += piece.any_character ? 1 : count_characters(piece.literal);
      segment.least_bytes += piece.any_character ? 1 : piece.literal.size();
    }
  }
  const Segment& first = segments_.front();
  if (!first.pieces.empty() && !first.pieces[0].any_character) literal_ = first.pieces[0].literal;
}

// Where the segment ends when it begins at `at`, or nullptr.
const char* LikeMatcher::match_at(const Segment& segment, const char* at, const char* end) {
  for (const Piece& piece : segment.pieces) {
    if (piece.any_character) {
      if (at == end) return nullptr;
      at = next_character(at, end);
      continue;
    }
    const size_t bytes = piece.literal.size();
    if (static_cast<size_t>(end - at) < bytes) return nullptr;
    if (std::memcmp(at, piece.literal.data(), bytes) != 0) return nullptr;
    at += bytes;
  }
  return at;
}

// Where the leftmost occurrence of the segment from `at` on ends, or nullptr.
const char* LikeMatcher::find(const Segment& segment, const char* at, const char* end) {
  if (segment.pieces.empty()) return at;
  const Piece& first = segment.pieces[0];
  while (static_cast<size_t>(end - at) >= segment.least_bytes) {
    if (!first.any_character) {
      at = static_cast<const char*>(
          memmem(at, static_cast<size_t>(end - at), first.literal.data(), first.literal.size()));
      if (at == nullptr) return nullptr;
    }
    if (const char* after = match_at(segment, at, end); after != nullptr) return after;
    if (at == end) return nullptr;
    at = next_character(at, end);
  }
  return nullptr;
}

bool LikeMatcher::match_pattern(std::string_view text) const {
  if (text.empty()) {
    for (const Segment& segment : segments_) {
      if (!segment.pieces.empty()) return false;
    }
    return true;
  }
  const char* end = text.data() + text.size();
  const char* at = match_at(segments_.front(), text.data(), end);
  if (at == nullptr) return false;
  if (segments_.size() == 1) return at == end;
  for (size_t i = 1; i + 1 < segments_.size(); ++i) {
    at = find(segments_[i], at, end);
    if (at == nullptr) return false;
  }
  // The last segment takes exactly as many characters as it has, counted from the end.
  const Segment& last = segments_.back();
  const char* start = end;
  for (size_t left = last.characters; left > 0; --left) {
    if (start <= at) return false;
    --start;
    while (start > at && is_continuation(*start)) --start;
  }
  return match_at(last, start, end) == end;
}

bool LikeMatcher::matches(std::string_view text) const {
  switch (kind_) {
    case LikeKind::kEqual:
      return text == literal_;
    case LikeKind::kPrefix:
      return text.starts_with(literal_);
    case LikeKind::kPostfix:
      return text.ends_with(literal_);
    case LikeKind::kInner:
      if (literal_.empty()) return true;
      return !text.empty() &&
             memmem(text.data(), text.size(), literal_.data(), literal_.size()) != nullptr;
    case LikeKind::kPattern:
      return match_pattern(text);
  }
  return false;
}

}  // namespace elanus
