// The binary form of JSON: equal to the text for every document, and strict about what a document
// is.
#include "segment/json_variant.h"

#include <chrono>
#include <cmath>
#include <limits>
#include <memory>
#include <utility>

#include "segment_fixture.h"

namespace elanus {
namespace {

using fixture::Random;

// Keeps the blob in a buffer of its exact size, so that a reader that goes past it is caught.
struct Document {
  std::vector<char> bytes;
  VariantValue root;
  bool is_ok = false;
  size_t error = 0;

  explicit Document(std::string_view text) {
    const std::vector<char> exact(text.begin(), text.end());
    const std::string_view copy(exact.data(), exact.size());
    VariantEncoder encoder;
    std::string_view blob;
    is_ok = encoder.encode(copy, &blob);
    error = encoder.error_offset();
    const int64_t checked = validate_json(copy);
    CHECK_EQ(checked, is_ok ? int64_t{-1} : static_cast<int64_t>(error));
    if (!is_ok) return;
    bytes.assign(blob.begin(), blob.end());
    root = VariantValue::open({bytes.data(), bytes.size()});
  }
};

// The value of a key, found alike wherever the look-up begins.
VariantValue find(const VariantValue& object, std::string_view key) {
  uint32_t slot = UINT32_MAX;
  const VariantValue value = object.find(key, &slot);
  for (const uint32_t first : {uint32_t{0}, slot, slot + 1, slot - 1}) {
    uint32_t hint = first;
    const VariantValue again = object.find(key, &hint);
    CHECK(again.type() == value.type());
    if (!value.is_missing()) CHECK_EQ(hint, slot);
  }
  return value;
}

TEST(variant_reads_scalars) {
  CHECK(Document("null").root.is_null());
  CHECK(Document(" true ").root.as_bool());
  CHECK(!Document("false").root.as_bool());
  CHECK(Document("false").root.type() == VariantType::kBool);
  CHECK_EQ(Document("\"a\"").root.string(), "a");
  CHECK_EQ(Document("\"\"").root.string(), "");
  CHECK(VariantValue().is_missing());
  CHECK(VariantValue::open("").is_missing());
  CHECK(VariantValue().type() == VariantType::kMissing);
  CHECK(find(VariantValue(), "a").is_missing());
  CHECK_EQ(VariantValue().size(), 0u);
}

TEST(variant_keeps_int64_exact_and_makes_other_numbers_double) {
  for (const int64_t value : std::initializer_list<int64_t>{
           0, 1, -1, 127, 128, -128, -129, 32767, 32768, -32768, -32769, 2147483647, 2147483648,
           -2147483648LL, -2147483649LL, 9007199254740993, std::numeric_limits<int64_t>::max(),
           std::numeric_limits<int64_t>::min()}) {
    const Document document(std::to_string(value));
    CHECK(document.root.type() == VariantType::kInt64);
    CHECK_EQ(document.root.as_int64(), value);
  }
  const std::pair<const char*, double> doubles[] = {
      {"9223372036854775808", 9223372036854775808.0},
      {"18446744073709551615", 18446744073709551615.0},
      {"-9223372036854775809", -9223372036854775809.0},
      {"1.0", 1.0},
      {"-0.0", -0.0},
      {"0.1", 0.1},
      {"1e2", 100.0},
      {"1E+2", 100.0},
      {"1.5e-3", 1.5e-3},
      {"123456789012345.6", 123456789012345.6},
      {"0.123456789012345678", 0.123456789012345678},
      {"5e-324", 5e-324},
      {"1.7976931348623157e308", 1.7976931348623157e308},
      {"1e400", HUGE_VAL},
      {"-1e400", -HUGE_VAL},
      {"1e-400", 0.0},
      {"0.00000001e-400", 0.0},
      {"100000e999999999999999999999", HUGE_VAL},
      {"0e999999999999999999999", 0.0}};
  for (const auto& [text, value] : doubles) {
    const Document document(text);
    CHECK(document.is_ok);
    CHECK(document.root.type() == VariantType::kDouble);
    CHECK_EQ(document.root.as_double(), value);
    CHECK_EQ(std::signbit(document.root.as_double()), std::signbit(value));
  }
  CHECK_EQ(Document("-0").root.as_int64(), 0);
}

TEST(variant_finds_keys_and_elements) {
  const Document document(R"({"b":1,"a":[10,"x",{"c":null}],"":2,"b":3,"ab":4})");
  CHECK(document.is_ok);
  CHECK_EQ(document.root.size(), 4u);
  CHECK_EQ(document.root.key_at(0), "");
  CHECK_EQ(document.root.key_at(1), "a");
  CHECK_EQ(document.root.key_at(2), "ab");
  CHECK_EQ(document.root.key_at(3), "b");
  CHECK_EQ(find(document.root, "b").as_int64(), 3);
  CHECK_EQ(find(document.root, "").as_int64(), 2);
  CHECK(find(document.root, "c").is_missing());
  const VariantValue list = find(document.root, "a");
  CHECK_EQ(list.size(), 3u);
  CHECK_EQ(list.at(0).as_int64(), 10);
  CHECK_EQ(list.at(1).string(), "x");
  CHECK(find(list.at(2), "c").is_null());
  CHECK(list.at(3).is_missing());
  CHECK(find(list, "a").is_missing());
  CHECK(Document("[]").root.type() == VariantType::kArray);
  CHECK(Document("{}").root.type() == VariantType::kObject);
}

TEST(variant_unescapes_strings) {
  CHECK_EQ(Document(R"("\"\\\/\b\f\n\r\t")").root.string(), "\"\\/\b\f\n\r\t");
  CHECK_EQ(Document(R"("\u0041\u00e9\u20AC\ud83d\ude00")").root.string(),
           "A\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80");
  CHECK_EQ(Document(R"("\ud800")").root.string(), "\xEF\xBF\xBD");
  CHECK_EQ(Document(R"("\udc00x")").root.string(), "\xEF\xBF\xBDx");
  CHECK_EQ(Document(R"("\ud800\u0041")").root.string(), "\xEF\xBF\xBD""A");
  CHECK_EQ(Document(R"("\ud800\ud800\udc00")").root.string(), "\xEF\xBF\xBD\xF0\x90\x80\x80");
  CHECK_EQ(Document(R"("\u0000")").root.string(), std::string_view("\0", 1));
  CHECK_EQ(find(Document(R"({"\u0061":1})").root, "a").as_int64(), 1);
  const std::string text(300, 'x');
  CHECK_EQ(Document("\"" + text + "\"").root.string(), text);
  CHECK_EQ(Document("\"\\n" + text + "\"").root.string(), "\n" + text);
}

TEST(variant_is_strict) {
  for (const char* text : {"",
                           " ",
                           "nul",
                           "tru",
                           "True",
                           "[",
                           "]",
                           "[1",
                           "[1,",
                           "[1,]",
                           "[,1]",
                           "{",
                           "}",
                           "{\"a\"",
                           "{\"a\":",
                           "{\"a\":1",
                           "{\"a\":1,",
                           "{\"a\":1,}",
                           "{a:1}",
                           "{1:1}",
                           "{\"a\" 1}",
                           "01",
                           "-",
                           "+1",
                           ".5",
                           "1.",
                           "1.e1",
                           "1e",
                           "1e+",
                           "--1",
                           "0x1",
                           "NaN",
                           "Infinity",
                           "-Infinity",
                           "1 2",
                           "\"",
                           "\"a",
                           "\"\\",
                           "\"\\x\"",
                           "\"\\u12\"",
                           "\"\\u12g4\"",
                           "'a'",
                           "[1] x",
                           "\"\n\"",
                           "\"\x1f\"",
                           "// c",
                           "[1 2]",
                           "\xEF\xBB\xBF[]",
                           "\"\x80\"",
                           "\"\xC0\x80\"",
                           "\"\xC1\xBF\"",
                           "\"\xE0\x80\x80\"",
                           "\"\xED\xA0\x80\"",
                           "\"\xF0\x80\x80\x80\"",
                           "\"\xF4\x90\x80\x80\"",
                           "\"\xF5\x80\x80\x80\"",
                           "\"\xE2\x82\"",
                           "\"\xF0\x9F\x98\"",
                           "\"\xC3\"",
                           "\"\xC3",
                           "-a",
                           "12a",
                           "1.5.5",
                           "nullx",
                           "\v1"}) {
    if (Document(text).is_ok) check::fail(__FILE__, __LINE__, std::string("accepted: ") + text);
  }
  CHECK(!Document(std::string_view("1\0", 2)).is_ok);
  CHECK(!Document(std::string_view("\"\0\"", 3)).is_ok);
  CHECK_EQ(Document("{\"a\": tru}").error, 9u);
  CHECK_EQ(Document("[1,2,x]").error, 5u);
  CHECK_EQ(Document("[1,2").error, 4u);
  CHECK(Document("\"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\x7F\"").is_ok);
}

TEST(variant_bounds_depth) {
  const auto nested = [](int depth) {
    return std::string(static_cast<size_t>(depth), '[') +
           std::string(static_cast<size_t>(depth), ']');
  };
  CHECK(Document(nested(128)).is_ok);
  CHECK(!Document(nested(129)).is_ok);
  CHECK(!Document(nested(1000000)).is_ok);
  std::string objects;
  for (int i = 0; i < 129; ++i) objects += "{\"a\":";
  CHECK(!Document(objects).is_ok);
}

// A tree and its text.
struct Tree {
  VariantType type = VariantType::kNull;
  int64_t integer = 0;
  double real = 0;
  std::string text;
  std::vector<Tree> items;
  std::map<std::string, Tree> members;
};

std::string random_text(Random& random) {
  static const char* const kPieces[] = {
      "a", "bc",         "\"", "\\",  "\n", "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80",
      " ", "0123456789", "/",  "\x01"};
  std::string out;
  for (uint64_t n = random.below(12); n > 0; --n) out += kPieces[random.below(std::size(kPieces))];
  if (random.chance(40)) out += std::string(random.below(70000), 'z');
  return out;
}

Tree random_tree(Random& random, int depth) {
  Tree tree;
  const uint64_t pick = random.below(depth > 4 ? 5 : 8);
  if (pick == 0) {
    tree.type = VariantType::kNull;
  } else if (pick == 1) {
    tree.type = VariantType::kBool;
    tree.integer = static_cast<int64_t>(random.below(2));
  } else if (pick == 2) {
    tree.type = VariantType::kInt64;
    tree.integer = static_cast<int64_t>(random.bits()) >> random.below(64);
  } else if (pick == 3) {
    tree.type = VariantType::kDouble;
    do {
      const uint64_t bits = random.bits();
      std::memcpy(&tree.real, &bits, 8);
    } while (!std::isfinite(tree.real));
    if (random.chance(2)) tree.real = static_cast<double>(random.below(100000)) / 100;
  } else if (pick == 4) {
    tree.type = VariantType::kString;
    tree.text = random_text(random);
  } else if (pick == 5) {
    tree.type = VariantType::kArray;
    for (uint64_t n = random.below(random.chance(30) ? 400 : 6); n > 0; --n) {
      tree.items.push_back(random_tree(random, depth + 1 + (n > 6 ? 9 : 0)));
    }
  } else {
    tree.type = VariantType::kObject;
    for (uint64_t n = random.below(random.chance(30) ? 400 : 6); n > 0; --n) {
      tree.members[random_text(random)] = random_tree(random, depth + 1 + (n > 6 ? 9 : 0));
    }
  }
  return tree;
}

std::string quote(const std::string& text, Random& random) {
  std::string out = "\"";
  for (const char c : text) {
    const uint8_t byte = static_cast<uint8_t>(c);
    char escape[8];
    std::snprintf(escape, sizeof escape, "\\u%04x", byte);
    if (c == '"' || c == '\\') {
      out += std::string("\\") + c;
    } else if (byte < 0x20 || (byte < 0x80 && random.chance(20))) {
      out += escape;
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string space(Random& random) {
  return random.chance(4) ? std::string(random.below(3), " \n\t\r"[random.below(4)])
                          : std::string();
}

std::string to_text(const Tree& tree, Random& random) {
  std::string out;
  char number[40];
  switch (tree.type) {
    case VariantType::kNull: return "null";
    case VariantType::kBool: return tree.integer != 0 ? "true" : "false";
    case VariantType::kInt64: return std::to_string(tree.integer);
    case VariantType::kDouble:
      std::snprintf(number, sizeof number, "%.17g", tree.real);
      return std::strpbrk(number, ".e") == nullptr ? std::string(number) + ".0" : number;
    case VariantType::kString: return quote(tree.text, random);
    case VariantType::kArray:
      for (const Tree& item : tree.items) {
        out += (out.empty() ? "" : ",") + space(random) + to_text(item, random) + space(random);
      }
      return "[" + out + space(random) + "]";
    default: break;
  }
  // Any order, and some keys twice: the last wins.
  std::vector<std::pair<std::string, std::string>> parts;
  for (const auto& [key, value] : tree.members) parts.emplace_back(key, to_text(value, random));
  for (size_t i = parts.size(); i > 1; --i) std::swap(parts[i - 1], parts[random.below(i)]);
  const size_t doubles = parts.empty() ? 0 : random.below(2);
  for (size_t i = 0; i < doubles; ++i)
    parts.insert(parts.begin(), {parts[random.below(parts.size())].first, "[7]"});
  for (const auto& [key, value] : parts) {
    out += (out.empty() ? "" : ",") + space(random) + quote(key, random) + space(random) + ":" +
           space(random) + value + space(random);
  }
  return "{" + out + space(random) + "}";
}

bool same(const Tree& tree, VariantValue value) {
  if (value.type() != tree.type) return false;
  switch (tree.type) {
    case VariantType::kBool: return value.as_bool() == (tree.integer != 0);
    case VariantType::kInt64: return value.as_int64() == tree.integer;
    case VariantType::kDouble: return value.as_double() == tree.real;
    case VariantType::kString: return value.string() == tree.text;
    case VariantType::kArray:
      if (value.size() != tree.items.size()) return false;
      for (size_t i = 0; i < tree.items.size(); ++i) {
        if (!same(tree.items[i], value.at(i))) return false;
      }
      return true;
    case VariantType::kObject: {
      if (value.size() != tree.members.size()) return false;
      size_t i = 0;
      for (const auto& [key, member] : tree.members) {
        if (value.key_at(i) != key || !same(member, value.at(i)) || !same(member, find(value, key)))
          return false;
        ++i;
      }
      return true;
    }
    default: return true;
  }
}

TEST(variant_equals_random_documents) {
  Random random(11);
  for (int round = 0; round < 3000; ++round) {
    const Tree tree = random_tree(random, 0);
    const Document document(space(random) + to_text(tree, random) + space(random));
    CHECK(document.is_ok);
    if (document.is_ok) CHECK(same(tree, document.root));
  }
}

TEST(variant_survives_damaged_text) {
  Random random(12);
  for (int round = 0; round < 20000; ++round) {
    Tree tree = random_tree(random, 3);
    std::string text = to_text(tree, random).substr(0, 400);
    for (uint64_t n = random.below(4); n > 0 && !text.empty(); --n) {
      text[random.below(text.size())] = "{}[]\",:\\u0e-. \x80\xF0"[random.below(16)];
    }
    const Document document(text);  // compares encode and validate
  }
}

TEST(variant_encodes_fast) {
  Random random(13);
  std::string text = "[";
  while (text.size() < (1 << 20)) {
    text += "{\"id\":" + std::to_string(random.below(1000000)) +
            ",\"price\":" + std::to_string(random.below(10000)) + ".25,\"title\":\"" +
            random.text(80) + "\",\"tags\":[\"" + random.text(9) + "\",\"" + random.text(9) +
            "\"],\"ok\":true},";
  }
  text.back() = ']';
  VariantEncoder encoder;
  std::string_view blob;
  const auto rate = [&](auto&& work) {
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < 20; ++i) CHECK(work());
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
    return 20 * static_cast<double>(text.size()) / 1e6 / seconds.count();
  };
  const double encode_rate = rate([&] { return encoder.encode(text, &blob); });
  const double validate_rate = rate([&] { return validate_json(text) == -1; });
  std::printf("     encode %.0f MB/s, validate %.0f MB/s, %.2f bytes of blob per byte of text\n",
              encode_rate, validate_rate,
              static_cast<double>(blob.size()) / static_cast<double>(text.size()));
}

}  // namespace
}  // namespace elanus

CHECK_MAIN()
