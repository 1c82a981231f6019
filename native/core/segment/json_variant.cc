// One pass from JSON text to its binary form: values are written when they end, so a container's
// table comes after its children and nothing is moved but the rare escaped string.
#include "segment/json_variant.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <limits>

namespace elanus {

namespace {

constexpr uint8_t kTagNull = 0;
constexpr uint8_t kTagFalse = 1;
constexpr uint8_t kTagTrue = 2;
constexpr uint8_t kTagInteger = 3;
constexpr uint8_t kTagDouble = 4 | 3 << 4;
constexpr uint8_t kTagString = 5;
constexpr uint8_t kTagArray = 6;
constexpr uint8_t kTagObject = 7;

constexpr uint64_t kOnes = 0x0101010101010101ULL;
constexpr uint64_t kHighs = 0x8080808080808080ULL;

// High bit of the first byte that is '"', '\', a control character or not ASCII; later bytes may be
// marked wrongly.
uint64_t special_bytes(uint64_t word) {
  const uint64_t quote = word ^ (kOnes * '"');
  const uint64_t slash = word ^ (kOnes * '\\');
  return (((word - kOnes * 0x20) & ~word) | ((quote - kOnes) & ~quote) |
          ((slash - kOnes) & ~slash) | word) &
         kHighs;
}

// Bytes of the UTF-8 sequence at p (a byte >= 0x80), or 0 when it is not well-formed (Unicode 15,
// table 3-7).
size_t utf8_length(const char* p, const char* end) {
  const auto byte = [p](size_t i) { return static_cast<uint8_t>(p[i]); };
  const auto is_tail = [&](size_t i) { return (byte(i) & 0xC0) == 0x80; };
  const size_t left = static_cast<size_t>(end - p);
  const uint8_t lead = byte(0);
  if (lead >= 0xC2 && lead <= 0xDF) return left >= 2 && is_tail(1) ? 2 : 0;
  if (lead >= 0xE0 && lead <= 0xEF) {
    if (left < 3 || !is_tail(1) || !is_tail(2)) return 0;
    if (lead == 0xE0 && byte(1) < 0xA0) return 0;
    if (lead == 0xED && byte(1) > 0x9F) return 0;
    return 3;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {
    if (left < 4 || !is_tail(1) || !is_tail(2) || !is_tail(3)) return 0;
    if (lead == 0xF0 && byte(1) < 0x90) return 0;
    if (lead == 0xF4 && byte(1) > 0x8F) return 0;
    return 4;
  }
  return 0;
}

size_t put_utf8(uint32_t code, uint8_t* out) {
  if (code < 0x80) {
    out[0] = static_cast<uint8_t>(code);
    return 1;
  }
  if (code < 0x800) {
    out[0] = static_cast<uint8_t>(0xC0 | code >> 6);
    out[1] = static_cast<uint8_t>(0x80 | (code & 63));
    return 2;
  }
  if (code < 0x10000) {
    out[0] = static_cast<uint8_t>(0xE0 | code >> 12);
    out[1] = static_cast<uint8_t>(0x80 | (code >> 6 & 63));
    out[2] = static_cast<uint8_t>(0x80 | (code & 63));
    return 3;
  }
  out[0] = static_cast<uint8_t>(0xF0 | code >> 18);
  out[1] = static_cast<uint8_t>(0x80 | (code >> 12 & 63));
  out[2] = static_cast<uint8_t>(0x80 | (code >> 6 & 63));
  out[3] = static_cast<uint8_t>(0x80 | (code & 63));
  return 4;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Four hexadecimal digits, or -1.
int32_t hex4(const char* p, const char* end) {
  if (end - p < 4) return -1;
  int32_t value = 0;
  for (int i = 0; i < 4; ++i) {
    const char c = p[i];
    int32_t digit;
    if (is_digit(c)) {
      digit = c - '0';
    } else if (c >= 'a' && c <= 'f') {
      digit = c - 'a' + 10;
    } else if (c >= 'A' && c <= 'F') {
      digit = c - 'A' + 10;
    } else {
      return -1;
    }
    value = value << 4 | digit;
  }
  return value;
}

// The text must already have been checked: every backslash begins a valid escape. Returns the bytes
// written, which are never more than those read.
size_t unescape(const char* p, const char* end, uint8_t* out) {
  uint8_t* const begin = out;
  while (p < end) {
    const char* slash = static_cast<const char*>(
        std::memchr(p, '\\', static_cast<size_t>(end - p)));
    const size_t run = static_cast<size_t>((slash == nullptr ? end : slash) - p);
    std::memcpy(out, p, run);
    out += run;
    if (slash == nullptr) break;
    p = slash + 2;
    switch (slash[1]) {
      case 'b': *out++ = '\b'; break;
      case 'f': *out++ = '\f'; break;
      case 'n': *out++ = '\n'; break;
      case 'r': *out++ = '\r'; break;
      case 't': *out++ = '\t'; break;
      case 'u': {
        uint32_t code = static_cast<uint32_t>(hex4(p, end));
        p += 4;
        if (code >= 0xD800 && code < 0xE000) {
          const bool is_pair = code < 0xDC00 && end - p >= 6 && p[0] == '\\' && p[1] == 'u';
          const int32_t low = is_pair ? hex4(p + 2, end) : -1;
          if (low >= 0xDC00 && low < 0xE000) {
            code = 0x10000 + ((code - 0xD800) << 10) + static_cast<uint32_t>(low - 0xDC00);
            p += 6;
          } else {
            code = 0xFFFD;
          }
        }
        out += put_utf8(code, out);
        break;
      }
      default: *out++ = static_cast<uint8_t>(slash[1]);
    }
  }
  return static_cast<size_t>(out - begin);
}

// Powers of ten that doubles hold exactly.
constexpr double kExactPowers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                   1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                   1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

// Whether a number that no double can hold is too large (and not too small): the power of ten of
// its first digit that is not 0 says so. The exponent saturates.
bool is_huge(const char* p, const char* end) {
  int64_t power = -1;  // of the digit before the point
  bool past_point = false;
  bool found = false;
  for (; p < end && *p != 'e' && *p != 'E'; ++p) {
    if (*p == '.') {
      past_point = true;
    } else if (is_digit(*p)) {
      found = found || *p != '0';
      if (found && !past_point) ++power;
      if (!found && past_point) --power;
    }
  }
  int64_t exponent = 0;
  const bool is_negative = end - p > 1 && p[1] == '-';
  for (; p < end; ++p) {
    if (is_digit(*p) && exponent < (int64_t{1} << 40)) exponent = exponent * 10 + (*p - '0');
  }
  return power + (is_negative ? -exponent : exponent) > 0;
}

double slow_double(const char* p, const char* end) {
  double value = 0;
  if (std::from_chars(p, end, value).ec != std::errc::result_out_of_range) return value;
  const double magnitude = is_huge(p, end) ? std::numeric_limits<double>::infinity() : 0.0;
  return *p == '-' ? -magnitude : magnitude;
}

struct Entry {
  uint32_t key = 0;    // position of the key's tag; 0 in an array
  uint32_t value = 0;  // position of the value's tag
  uint32_t chars = 0;  // of the key
  uint32_t length = 0;
};

}  // namespace

struct VariantEncoder::State {
  std::unique_ptr<uint8_t[]> buffer;
  size_t capacity = 0;
  size_t used = 0;
  std::vector<Entry> entries;  // of the open containers, innermost last

  void ensure(size_t bytes) {
    if (capacity - used < bytes) grow(bytes);
  }
  void grow(size_t bytes) {
    const size_t wanted = std::max(capacity * 2, used + bytes + 256);
    auto larger = std::make_unique_for_overwrite<uint8_t[]>(wanted);
    if (used != 0) std::memcpy(larger.get(), buffer.get(), used);
    buffer = std::move(larger);
    capacity = wanted;
  }
  template <typename T>
  void put(T value) {
    std::memcpy(buffer.get() + used, &value, sizeof(T));
    used += sizeof(T);
  }
};

namespace {

// Recursive descent over the text. With kEmit false it only checks. State must have the members of
// VariantEncoder::State.
template <typename State, bool kEmit>
class Parser {
 public:
  Parser(std::string_view text, State* state)
      : begin_(text.data()), p_(text.data()), end_(text.data() + text.size()), state_(state) {}

  bool parse_document(uint32_t* root) {
    skip_space();
    if (!parse_value(0, root)) return false;
    skip_space();
    return p_ == end_;
  }
  size_t offset() const { return static_cast<size_t>(p_ - begin_); }

 private:
  void skip_space() {
    while (p_ < end_ && (*p_ == ' ' || *p_ == '\n' || *p_ == '\t' || *p_ == '\r')) ++p_;
  }

  // `position` gets where the value's tag lies.
  bool parse_value(int depth, uint32_t* position) {
    if (p_ == end_) return false;
    switch (*p_) {
      case '{': return parse_object(depth, position);
      case '[': return parse_array(depth, position);
      case '"': return parse_string(position, nullptr);
      case 't': return parse_word("true", kTagTrue, position);
      case 'f': return parse_word("false", kTagFalse, position);
      case 'n': return parse_word("null", kTagNull, position);
      default: return parse_number(position);
    }
  }

  bool parse_word(std::string_view word, uint8_t tag, uint32_t* position) {
    for (const char c : word) {
      if (p_ == end_ || *p_ != c) return false;
      ++p_;
    }
    if constexpr (kEmit) {
      state_->ensure(1);
      *position = static_cast<uint32_t>(state_->used);
      state_->put(tag);
    }
    return true;
  }

  // Moves p_ past the closing quote; `has_escape` says whether the text between needs unescaping.
  bool scan_string(bool* has_escape) {
    *has_escape = false;
    for (;;) {
      while (end_ - p_ >= 8) {
        uint64_t word;
        std::memcpy(&word, p_, 8);
        const uint64_t special = special_bytes(word);
        if (special != 0) {
          p_ += std::countr_zero(special) >> 3;
          break;
        }
        p_ += 8;
      }
      if (p_ == end_) return false;
      const uint8_t c = static_cast<uint8_t>(*p_);
      if (c == '"') {
        ++p_;
        return true;
      }
      if (c == '\\') {
        *has_escape = true;
        if (!skip_escape()) return false;
      } else if (c < 0x20) {
        return false;
      } else if (c < 0x80) {
        ++p_;
      } else {
        const size_t length = utf8_length(p_, end_);
        if (length == 0) return false;
        p_ += length;
      }
    }
  }

  bool skip_escape() {
    if (end_ - p_ < 2) return false;
    switch (p_[1]) {
      case '"': case '\\': case '/': case 'b': case 'f': case 'n': case 'r': case 't':
        p_ += 2;
        return true;
      case 'u':
        if (hex4(p_ + 2, end_) < 0) return false;
        p_ += 6;
        return true;
      default:
        return false;
    }
  }

  // `key`, if given, gets the characters' place.
  bool parse_string(uint32_t* position, Entry* key) {
    ++p_;
    const char* first = p_;
    bool has_escape;
    if (!scan_string(&has_escape)) return false;
    if constexpr (kEmit) {
      const size_t raw = static_cast<size_t>(p_ - 1 - first);
      state_->ensure(raw + 5);
      *position = static_cast<uint32_t>(state_->used);
      uint8_t* tag = state_->buffer.get() + state_->used;
      size_t length = raw;
      if (has_escape) {
        length = unescape(first, first + raw, tag + 5);
        if (length < 256) std::memmove(tag + 2, tag + 5, length);
      } else {
        std::memcpy(tag + (raw < 256 ? 2 : 5), first, raw);
      }
      const uint32_t head = length < 256 ? 2 : 5;
      if (head == 2) {
        tag[0] = kTagString;
        tag[1] = static_cast<uint8_t>(length);
      } else {
        tag[0] = kTagString | 2 << 4;
        const uint32_t length32 = static_cast<uint32_t>(length);
        std::memcpy(tag + 1, &length32, 4);
      }
      state_->used += head + length;
      if (key != nullptr) {
        key->key = *position;
        key->chars = *position + head;
        key->length = static_cast<uint32_t>(length);
      }
    }
    return true;
  }

  bool skip_digits() {
    const char* first = p_;
    while (p_ < end_ && is_digit(*p_)) ++p_;
    return p_ != first;
  }

  bool parse_number(uint32_t* position) {
    const char* first = p_;
    const bool is_negative = *p_ == '-';
    if (is_negative) ++p_;
    const char* digits = p_;
    if (p_ == end_ || !is_digit(*p_)) return false;
    if (*p_ == '0') {
      ++p_;
    } else {
      skip_digits();
    }
    const size_t integer_digits = static_cast<size_t>(p_ - digits);
    const bool is_integer = p_ == end_ || (*p_ != '.' && *p_ != 'e' && *p_ != 'E');
    if (is_integer) {
      if constexpr (kEmit) put_integer(first, digits, integer_digits, is_negative, position);
      return true;
    }
    size_t fraction_digits = 0;
    if (*p_ == '.') {
      ++p_;
      const char* fraction = p_;
      if (!skip_digits()) return false;
      fraction_digits = static_cast<size_t>(p_ - fraction);
    }
    const bool has_exponent = p_ < end_ && (*p_ == 'e' || *p_ == 'E');
    if (has_exponent) {
      ++p_;
      if (p_ < end_ && (*p_ == '+' || *p_ == '-')) ++p_;
      if (!skip_digits()) return false;
    }
    if constexpr (kEmit) {
      // An integer of at most 15 digits over an exact power of ten is one correctly rounded
      // division (Clinger 1990).
      if (!has_exponent && integer_digits + fraction_digits <= 15) {
        uint64_t mantissa = 0;
        for (const char* d = digits; d < p_; ++d) {
          if (*d != '.') mantissa = mantissa * 10 + static_cast<uint64_t>(*d - '0');
        }
        const double value = static_cast<double>(mantissa) / kExactPowers[fraction_digits];
        put_double(is_negative ? -value : value, position);
      } else {
        put_double(slow_double(first, p_), position);
      }
    }
    return true;
  }

  void put_integer(const char* first, const char* digits, size_t count, bool is_negative,
                   uint32_t* position) {
    int64_t value = 0;
    if (count <= 18) {
      for (size_t i = 0; i < count; ++i) value = value * 10 + (digits[i] - '0');
      if (is_negative) value = -value;
    } else if (std::from_chars(first, p_, value).ec != std::errc()) {
      put_double(slow_double(first, p_), position);
      return;
    }
    state_->ensure(9);
    *position = static_cast<uint32_t>(state_->used);
    if (value == static_cast<int8_t>(value)) {
      state_->put(kTagInteger);
      state_->put(static_cast<int8_t>(value));
    } else if (value == static_cast<int16_t>(value)) {
      state_->put(static_cast<uint8_t>(kTagInteger | 1 << 4));
      state_->put(static_cast<int16_t>(value));
    } else if (value == static_cast<int32_t>(value)) {
      state_->put(static_cast<uint8_t>(kTagInteger | 2 << 4));
      state_->put(static_cast<int32_t>(value));
    } else {
      state_->put(static_cast<uint8_t>(kTagInteger | 3 << 4));
      state_->put(value);
    }
  }

  void put_double(double value, uint32_t* position) {
    state_->ensure(9);
    *position = static_cast<uint32_t>(state_->used);
    state_->put(kTagDouble);
    state_->put(value);
  }

  bool parse_array(int depth, uint32_t* position) {
    if (depth == VariantEncoder::kMaxDepth) return false;
    ++p_;
    const size_t frame = frame_begin();
    skip_space();
    if (p_ < end_ && *p_ == ']') {
      ++p_;
      close_container<1>(kTagArray, frame, position);
      return true;
    }
    for (;;) {
      skip_space();
      Entry entry;
      if (!parse_value(depth + 1, &entry.value)) return false;
      if constexpr (kEmit) state_->entries.push_back(entry);
      skip_space();
      if (p_ == end_) return false;
      if (*p_ == ',') {
        ++p_;
        continue;
      }
      if (*p_ != ']') return false;
      ++p_;
      close_container<1>(kTagArray, frame, position);
      return true;
    }
  }

  bool parse_object(int depth, uint32_t* position) {
    if (depth == VariantEncoder::kMaxDepth) return false;
    ++p_;
    const size_t frame = frame_begin();
    skip_space();
    if (p_ < end_ && *p_ == '}') {
      ++p_;
      close_container<2>(kTagObject, frame, position);
      return true;
    }
    for (;;) {
      skip_space();
      if (p_ == end_ || *p_ != '"') return false;
      Entry entry;
      uint32_t key_position = 0;
      if (!parse_string(&key_position, &entry)) return false;
      skip_space();
      if (p_ == end_ || *p_ != ':') return false;
      ++p_;
      skip_space();
      if (!parse_value(depth + 1, &entry.value)) return false;
      if constexpr (kEmit) state_->entries.push_back(entry);
      skip_space();
      if (p_ == end_) return false;
      if (*p_ == ',') {
        ++p_;
        continue;
      }
      if (*p_ != '}') return false;
      ++p_;
      if constexpr (kEmit) sort_keys(frame);
      close_container<2>(kTagObject, frame, position);
      return true;
    }
  }

  size_t frame_begin() const {
    if constexpr (kEmit) return state_->entries.size();
    return 0;
  }

  std::string_view key_of(const Entry& entry) const {
    return {reinterpret_cast<const char*>(state_->buffer.get()) + entry.chars, entry.length};
  }

  // Sorts the innermost object's entries by key and keeps the last of equal ones.
  void sort_keys(size_t frame) {
    std::vector<Entry>& entries = state_->entries;
    const auto first = entries.begin() + static_cast<std::ptrdiff_t>(frame);
    bool is_sorted = true;
    for (auto e = first + 1; e < entries.end() && is_sorted; ++e) {
      is_sorted = key_of(*(e - 1)) < key_of(*e);
    }
    if (is_sorted) return;
    std::sort(first, entries.end(), [this](const Entry& a, const Entry& b) {
      const int order = key_of(a).compare(key_of(b));
      return order != 0 ? order < 0 : a.key < b.key;
    });
    auto kept = first;
    for (auto e = first + 1; e < entries.end(); ++e) {
      if (key_of(*e) != key_of(*kept)) ++kept;
      *kept = *e;
    }
    entries.erase(kept + 1, entries.end());
  }

  // Writes the container's table; kSlots is 1 for an array, 2 for an object.
  template <size_t kSlots>
  void close_container(uint8_t kind, size_t frame, uint32_t* position) {
    if constexpr (kEmit) {
      const size_t count = state_->entries.size() - frame;
      const uint32_t tag = static_cast<uint32_t>(state_->used);
      uint32_t lowest = tag;
      for (size_t i = 0; i < count; ++i) {
        const Entry& entry = state_->entries[frame + i];
        lowest = std::min({lowest, entry.value, kSlots == 2 ? entry.key : entry.value});
      }
      const size_t largest = std::max<size_t>(count, tag - lowest);
      state_->ensure(5 + 4 * kSlots * count);
      *position = tag;
      if (largest < 256) {
        state_->put(kind);
        put_table<uint8_t, kSlots>(tag, frame, count);
      } else if (largest < 65536) {
        state_->put(static_cast<uint8_t>(kind | 1 << 4));
        put_table<uint16_t, kSlots>(tag, frame, count);
      } else {
        state_->put(static_cast<uint8_t>(kind | 2 << 4));
        put_table<uint32_t, kSlots>(tag, frame, count);
      }
      state_->entries.resize(frame);
    }
  }

  template <typename T, size_t kSlots>
  void put_table(uint32_t tag, size_t frame, size_t count) {
    state_->put(static_cast<T>(count));
    for (size_t i = 0; i < count; ++i) {
      const Entry& entry = state_->entries[frame + i];
      if constexpr (kSlots == 2) state_->put(static_cast<T>(tag - entry.key));
      state_->put(static_cast<T>(tag - entry.value));
    }
  }

  const char* begin_;
  const char* p_;
  const char* end_;
  State* state_;
};

}  // namespace

VariantEncoder::VariantEncoder() : state_(std::make_unique<State>()) {}
VariantEncoder::~VariantEncoder() = default;

bool VariantEncoder::encode(std::string_view text, std::string_view* blob) {
  error_offset_ = 0;
  if (text.size() > kMaxTextBytes) return false;
  state_->used = 0;
  state_->entries.clear();
  state_->ensure(text.size() + 64);
  state_->used = 4;
  Parser<State, true> parser(text, state_.get());
  uint32_t root = 0;
  if (!parser.parse_document(&root)) {
    error_offset_ = parser.offset();
    return false;
  }
  std::memcpy(state_->buffer.get(), &root, 4);
  *blob = {reinterpret_cast<const char*>(state_->buffer.get()), state_->used};
  return true;
}

int64_t VariantEncoder::validate(std::string_view text) {
  if (text.size() > kMaxTextBytes) return 0;
  Parser<State, false> parser(text, nullptr);
  uint32_t root = 0;
  return parser.parse_document(&root) ? -1 : static_cast<int64_t>(parser.offset());
}

}  // namespace elanus
