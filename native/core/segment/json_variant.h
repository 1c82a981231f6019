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
// Integers of int64 stay exact; other numbers are doubles (out of range: infinity). Readers trust
// the bytes: they come from the encoder, directly or through a file whose checksums are scrubbed.
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

// One value inside a blob: a pointer, cheap to copy. Nothing here allocates.
class VariantValue {
 public:
  VariantValue() = default;  // missing
  // The root of a blob; no bytes give a missing value.
  static VariantValue open(std::string_view blob) {
    VariantValue value;
    if (blob.size() < 5) return value;
    const uint8_t* bytes = reinterpret_cast<const uint8_t*>(blob.data());
    uint32_t root;
    std::memcpy(&root, bytes, 4);
    value.tag_ = bytes + root;
    return value;
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
  std::string_view key_at(size_t i) const;          // of an object, i < size()
  VariantValue find(std::string_view key) const;    // missing when not an object or without the key

 private:
  friend class VariantEncoder;
  unsigned kind() const { return *tag_ & 15; }
  unsigned width() const { return *tag_ >> 4; }
  uint32_t number_at(size_t slot) const;  // slot 0 is the count, then the distances
  VariantValue back(uint32_t distance) const {
    VariantValue value;
    value.tag_ = tag_ - distance;
    return value;
  }

  const uint8_t* tag_ = nullptr;
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
  double value;
  std::memcpy(&value, tag_ + 1, 8);
  return value;
}

inline std::string_view VariantValue::string() const {
  const char* body = reinterpret_cast<const char*>(tag_ + 1);
  if (width() == 0) return {body + 1, tag_[1]};
  uint32_t length;
  std::memcpy(&length, body, 4);
  return {body + 4, length};
}

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
  return tag_ != nullptr && (kind() == 6 || kind() == 7) ? number_at(0) : 0;
}

inline VariantValue VariantValue::at(size_t i) const {
  if (i >= size()) return {};
  return back(kind() == 6 ? number_at(1 + i) : number_at(2 + 2 * i));
}

inline std::string_view VariantValue::key_at(size_t i) const {
  return back(number_at(1 + 2 * i)).string();
}

inline VariantValue VariantValue::find(std::string_view key) const {
  if (tag_ == nullptr || kind() != 7) return {};
  size_t low = 0;
  size_t high = number_at(0);
  while (low < high) {
    const size_t middle = (low + high) / 2;
    const int order = key_at(middle).compare(key);
    if (order == 0) return back(number_at(2 + 2 * middle));
    if (order < 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return {};
}

}  // namespace elanus
