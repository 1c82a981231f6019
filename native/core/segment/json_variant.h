// A binary form of JSON for evaluation, so that no filter parses text. Encoded once when a row
// arrives, kept in growing segments and as a LargeBinary column in segment files. Little-endian, no
// alignment.
//
//   blob   := u32 position of the root value, values (children lie before their parent)
//   value  := u8 tag, body        tag = kind | width << 4; width 0 = u8, 1 = u16, 2 = u32, 3 = u64
//     0 null, 1 false, 2 true     no body
//     3 integer                   two's complement of the width
//     4 double                    f64
//     5 string                    length of the width (0 or 2), UTF-8
//     6 array                     n, n × distance back from this tag to the element's tag
//     7 object                    n, n × (distance to the key's string, distance to its value),
//                                 ascending by key bytes, keys distinct
//
// Integers of int64 stay exact; other numbers are doubles (out of range: infinity). Readers compare
// each number with the blob's bounds before they follow it: in a damaged file a value may be wrong,
// empty or missing, and nothing outside its blob is read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

namespace elanus {

enum class VariantType : uint8_t {
  kMissing,
  kNull,
  kBool,
  kInt64,
  kDouble,
  kString,
  kArray,
  kObject
};

// One value inside a blob: 16 bytes, cheap to copy. Nothing here allocates.
class VariantValue {
 public:
  VariantValue() = default;  // missing
  // The root of a blob; of bytes that are no blob a missing value.
  static VariantValue open(std::string_view blob) {
    if (blob.size() < 5 || blob.size() > UINT32_MAX) return {};
    const uint8_t* bytes = reinterpret_cast<const uint8_t*>(blob.data());
    uint32_t root;
    std::memcpy(&root, bytes, 4);
    if (root >= blob.size()) return {};
    return {bytes + root, root, static_cast<uint32_t>(blob.size()) - root - 1};
  }

  VariantType type() const;
  bool is_missing() const { return tag_ == nullptr; }
  bool is_null() const { return type() == VariantType::kNull; }
  bool is_number() const { return tag_ != nullptr && (kind() == 3 || kind() == 4); }
  bool as_bool() const { return kind() == 2; }
  int64_t as_int64() const;          // of an integer
  double as_double() const;          // of an integer or double
  std::string_view string() const;   // of a string
  size_t size() const;               // elements of an array, keys of an object, else 0
  VariantValue at(
      size_t i) const;  // element of an array or value of an object; missing when out of range
  // Of an array, i < size().
  VariantValue element(size_t i) const { return back(number_at(1 + i)); }
  std::string_view key_at(size_t i) const;          // of an object, i < size()
  // Missing when not an object or without the key. `slot`, any number, says where to look first and
  // is set to where the key was: documents of one field mostly have one form.
  VariantValue find(std::string_view key, uint32_t* slot) const;

 private:
  VariantValue(const uint8_t* tag, uint32_t before, uint32_t after)
      : tag_(tag), before_(before), after_(after) {}
  unsigned kind() const { return *tag_ & 15; }
  // Of a number: 1, 2, 4 or 8 bytes, as a shift. Counts and distances have 4 at most.
  unsigned width() const { return (*tag_ >> 4) & 3; }
  uint32_t number_at(size_t slot) const;  // slot 0 is the count, then the distances
  template <typename Number>
  VariantValue find_in(std::string_view key, uint32_t* slot) const;
  // A child, which lies wholly before its parent.
  VariantValue back(uint32_t distance) const {
    if (distance - 1 >= before_) return {};  // 0 is no distance either
    return {tag_ - distance, before_ - distance, distance - 1};
  }

  static constexpr uint8_t kShortString = 5;  // the tag of a string with a length of one byte

  const uint8_t* tag_ = nullptr;
  uint32_t before_ = 0;  // bytes of the blob before the tag
  uint32_t after_ = 0;   // bytes after it that can be the value's own
};

// Encodes JSON text (RFC 8259, UTF-8, at most kMaxDepth nested containers). Of a repeated key the
// last value wins. A lone surrogate escape becomes U+FFFD. Keeps its buffers between calls; one
// thread at a time.
class VariantEncoder {
 public:
  static constexpr int kMaxDepth = 128;
  static constexpr size_t kMaxTextBytes = size_t{1} << 28;

  VariantEncoder();
  ~VariantEncoder();
  VariantEncoder(const VariantEncoder&) = delete;
  VariantEncoder& operator=(const VariantEncoder&) = delete;

  // On success sets `blob`, valid until the next call, and returns true; else false and
  // `error_offset` says where.
  bool encode(std::string_view text, std::string_view* blob);
  size_t error_offset() const { return error_offset_; }

  // Offset of the first byte at which the text stops being JSON, or -1 when it is JSON.
  static int64_t validate(std::string_view text);

 private:
  struct State;
  std::unique_ptr<State> state_;
  size_t error_offset_ = 0;
};

// Offset of the first error in the JSON text, or -1.
inline int64_t validate_json(std::string_view text) { return VariantEncoder::validate(text); }

inline VariantType VariantValue::type() const {
  constexpr VariantType kTypes[16] = {
      VariantType::kNull,   VariantType::kBool,   VariantType::kBool,  VariantType::kInt64,
      VariantType::kDouble, VariantType::kString, VariantType::kArray, VariantType::kObject};
  return tag_ == nullptr ? VariantType::kMissing : kTypes[kind()];
}

inline int64_t VariantValue::as_int64() const {
  int8_t byte;
  int16_t half;
  int32_t word;
  int64_t full;
  if (1u << width() > after_) return 0;
  switch (width()) {
    case 0:
      std::memcpy(&byte, tag_ + 1, 1);
      return byte;
    case 1:
      std::memcpy(&half, tag_ + 1, 2);
      return half;
    case 2:
      std::memcpy(&word, tag_ + 1, 4);
      return word;
    default:
      std::memcpy(&full, tag_ + 1, 8);
      return full;
  }
}

inline double VariantValue::as_double() const {
  if (kind() == 3) return static_cast<double>(as_int64());
  double value = 0;
  if (after_ >= 8) std::memcpy(&value, tag_ + 1, 8);
  return value;
}

inline std::string_view VariantValue::string() const {
  const char* body = reinterpret_cast<const char*>(tag_ + 1);
  if (width() == 0) {
    const bool fits = after_ != 0 && tag_[1] < after_;
    return fits ? std::string_view(body + 1, tag_[1]) : std::string_view();
  }
  if (after_ < 4) return {};
  uint32_t length;
  std::memcpy(&length, body, 4);
  return length <= after_ - 4 ? std::string_view(body + 4, length) : std::string_view();
}

// The slot lies inside: `size` has looked.
inline uint32_t VariantValue::number_at(size_t slot) const {
  const uint8_t* body = tag_ + 1;
  if (width() == 0) return body[slot];
  if (width() == 1) {
    uint16_t half;
    std::memcpy(&half, body + 2 * slot, 2);
    return half;
  }
  uint32_t word;
  std::memcpy(&word, body + 4 * slot, 4);
  return word;
}

inline size_t VariantValue::size() const {
  if (tag_ == nullptr || (kind() & 14) != 6 || 1u << width() > after_) return 0;
  const uint64_t count = number_at(0);
  const uint64_t slots = 1 + (count << (kind() & 1));
  return slots << width() <= after_ ? count : 0;
}

inline VariantValue VariantValue::at(size_t i) const {
  if (i >= size()) return {};
  return kind() == 6 ? element(i) : back(number_at(2 + 2 * i));
}

inline std::string_view VariantValue::key_at(size_t i) const {
  const VariantValue key = back(number_at(1 + 2 * i));
  return key.tag_ != nullptr && key.kind() == 5 ? key.string() : std::string_view();
}

inline VariantValue VariantValue::find(std::string_view key, uint32_t* slot) const {
  if (tag_ == nullptr || kind() != 7) return {};
  switch (width()) {
    case 0:
      return find_in<uint8_t>(key, slot);
    case 1:
      return find_in<uint16_t>(key, slot);
    default:
      return find_in<uint32_t>(key, slot);
  }
}

// Where the key stood in the last document is looked at first, then a binary search. Most documents
// have short keys with tags of one form, which are read here; `key_at` reads the others.
template <typename Number>
VariantValue VariantValue::find_in(std::string_view key, uint32_t* slot) const {
  const auto number = [this](size_t at) {
    Number value;
    std::memcpy(&value, tag_ + 1 + at * sizeof(Number), sizeof(Number));
    return static_cast<uint32_t>(value);
  };
  const auto key_of = [&](size_t i) -> std::string_view {
    const uint32_t distance = number(1 + 2 * i);
    if (distance < 2 || distance > before_ || *(tag_ - distance) != kShortString) return key_at(i);
    const uint8_t* text = tag_ - distance + 2;
    if (text + text[-1] > tag_) return {};
    return {reinterpret_cast<const char*>(text), text[-1]};
  };
  size_t high = size();
  if (*slot < high && key_of(*slot) == key) return back(number(2 + 2 * size_t{*slot}));
  size_t low = 0;
  while (low < high) {
    const size_t middle = (low + high) / 2;
    const std::string_view other = key_of(middle);
    // Most keys differ in their first byte, which needs no call.
    int order = 0;
    if (!other.empty() && !key.empty())
      order = static_cast<uint8_t>(other[0]) - static_cast<uint8_t>(key[0]);
    if (order == 0) order = other.compare(key);
    if (order == 0) {
      *slot = static_cast<uint32_t>(middle);
      return back(number(2 + 2 * middle));
    }
    if (order < 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return {};
}

}  // namespace elanus
