// Reading a scalar index. What the header says is checked at open; what lies inside the sections is
// checked where it is used, so a lookup in a damaged file ends in an error or a wrong answer and
// never outside the bytes.
#include "scalar/scalar_index.h"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "scalar/scalar_index_format.h"

namespace elanus {
namespace {

Status damaged(const char* what) {
  return Status(StatusCode::kDataIntegrity, std::string("scalar index: ") + what);
}

// More is no count of a file that a build has written; products of what is left fit into 64 bits.
constexpr uint64_t kCountMax = std::numeric_limits<uint32_t>::max();

bool are_possible(const SectionFileHeader& header, const ScalarParameters& scalar) {
  return header.rows <= kCountMax && scalar.values <= header.rows && scalar.keys <= kCountMax &&
         scalar.entries <= kCountMax && scalar.bitmaps <= scalar.keys;
}

}  // namespace

Status ScalarIndex::open(std::shared_ptr<const SectionFile> file,
                         std::unique_ptr<ScalarIndex>* index) {
  const SectionFileHeader& header = file->header();
  const auto scalar = get_parameters<ScalarParameters>(header);
  const bool is_path = file->container() == kJsonPathContainer;
  if (!is_path && file->container() != kScalarContainer) return damaged("another kind of index");
  if (header.element > 255 || !are_possible(header, scalar)) return damaged("bad counts");

  std::unique_ptr<ScalarIndex> made(new ScalarIndex);
  made->type_ = static_cast<DataType>(scalar.type);
  if (made->type_ == DataType::kArray) made->element_type_ = static_cast<DataType>(header.element);
  made->rows_ = header.rows;
  made->values_ = scalar.values;
  made->key_count_ = scalar.keys;
  made->entry_count_ = scalar.entries;
  made->bitmap_count_ = scalar.bitmaps;
  made->char_bytes_ = scalar.char_bytes;
  const bool has_strings = made->holds_strings();
  const bool has_nulls = scalar.values < header.rows;
  const uint64_t words = (header.rows + 63) / 64;
  const SectionFile::Expected sections[] = {
      {ScalarTag::kPath, scalar.path_bytes},
      {ScalarTag::kValid, has_nulls ? words * 8 : 0},
      {ScalarTag::kKeys, (scalar.keys + (has_strings ? 1 : 0)) * 8},
      {ScalarTag::kCharacters, scalar.char_bytes},
      {ScalarTag::kPostingBegins, (scalar.keys + 1) * 4},
      {ScalarTag::kPostings, scalar.entries * 4},
      {ScalarTag::kBitmapKeys, (scalar.bitmaps + 1) * 16},
      {ScalarTag::kBitmaps, scalar.bitmaps * words * 8},
  };
  const auto expected = std::span<const SectionFile::Expected>(sections).subspan(is_path ? 0 : 1);
  if (Status status = file->expect(expected); !status.is_ok()) return status;

  if (has_nulls) made->valid_ = file->section<uint64_t>(ScalarTag::kValid);
  if (has_strings) {
    made->char_offsets_ = file->section<uint64_t>(ScalarTag::kKeys);
  } else {
    made->numbers_ = file->section<int64_t>(ScalarTag::kKeys);
  }
  made->chars_ = file->section<char>(ScalarTag::kCharacters);
  made->list_begins_ = file->section<uint32_t>(ScalarTag::kPostingBegins);
  made->lists_ = file->section<uint32_t>(ScalarTag::kPostings);
  made->bitmap_keys_ = file->section<uint64_t>(ScalarTag::kBitmapKeys);
  made->bitmaps_ = file->section<uint64_t>(ScalarTag::kBitmaps);
  made->file_ = std::move(file);
  *index = std::move(made);
  return Status::ok();
}

bool ScalarIndex::holds_strings() const {
  return (is_multi_valued() ? element_type_ : type_) == DataType::kVarChar;
}

std::string_view ScalarIndex::string_key(uint64_t key) const {
  const uint64_t begin = char_offsets_[key];
  const uint64_t end = char_offsets_[key + 1];
  if (begin > end || end > char_bytes_) return {};
  return {chars_ + begin, end - begin};
}

// The number of keys at the start for which `before(key)` is true.
template <typename Before>
uint64_t ScalarIndex::partition(Before before) const {
  uint64_t low = 0;
  uint64_t high = key_count_;
  while (low < high) {
    const uint64_t middle = (low + high) / 2;
    if (before(middle)) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

ScalarIndex::Keys ScalarIndex::find(int64_t low, int64_t high) const {
  if (!is_integral_key(is_multi_valued() ? element_type_ : type_) || low > high) return {};
  return {partition([&](uint64_t key) { return numbers_[key] < low; }),
          partition([&](uint64_t key) { return numbers_[key] <= high; })};
}

ScalarIndex::Keys ScalarIndex::find(double low, double high) const {
  if (!is_real_key(is_multi_valued() ? element_type_ : type_) || !(low <= high)) return {};
  const int64_t first = ordered_key(low);
  const int64_t last = ordered_key(high);
  return {partition([&](uint64_t key) { return numbers_[key] < first; }),
          partition([&](uint64_t key) { return numbers_[key] <= last; })};
}

ScalarIndex::Keys ScalarIndex::find(std::optional<std::string_view> lower, bool lower_inclusive,
                                    std::optional<std::string_view> upper,
                                    bool upper_inclusive) const {
  if (!holds_strings()) return {};
  Keys keys = all();
  if (lower) {
    keys.begin = partition([&](uint64_t key) {
      return lower_inclusive ? string_key(key) < *lower : string_key(key) <= *lower;
    });
  }
  if (upper) {
    keys.end = partition([&](uint64_t key) {
      return upper_inclusive ? string_key(key) <= *upper : string_key(key) < *upper;
    });
  }
  return keys.empty() ? Keys{} : keys;
}

ScalarIndex::Keys ScalarIndex::find_prefix(std::string_view prefix) const {
  if (!holds_strings()) return {};
  return {
      partition([&](uint64_t key) { return string_key(key) < prefix; }),
      partition([&](uint64_t key) { return string_key(key).substr(0, prefix.size()) <= prefix; })};
}

std::pair<uint64_t, uint64_t> ScalarIndex::bitmaps_of(Keys keys) const {
  const auto first_at_or_after = [&](uint64_t key) {
    uint64_t low = 0;
    uint64_t high = bitmap_count_;
    while (low < high) {
      const uint64_t middle = (low + high) / 2;
      if (bitmap_keys_[2 * middle] < key) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  };
  return {first_at_or_after(keys.begin), first_at_or_after(keys.end)};
}

ScalarIndex::Keys ScalarIndex::clamp(Keys keys) const {
  keys.end = std::min(keys.end, key_count_);
  keys.begin = std::min(keys.begin, keys.end);
  return keys;
}

uint64_t ScalarIndex::listed(Keys keys) const {
  const uint32_t begin = list_begins_[keys.begin];
  const uint32_t end = list_begins_[keys.end];
  return begin <= end ? end - begin : 0;
}

uint64_t ScalarIndex::estimate(Keys keys) const {
  keys = clamp(keys);
  const auto [first, last] = bitmaps_of(keys);
  const uint64_t before = bitmap_keys_[2 * first + 1];
  const uint64_t after = bitmap_keys_[2 * std::max(first, last) + 1];
  return listed(keys) + (before <= after ? after - before : 0);
}

uint64_t ScalarIndex::cost(Keys keys) const {
  keys = clamp(keys);
  const auto [first, last] = bitmaps_of(keys);
  // Eight words of a bitmap take about as long as three rows of a list.
  const uint64_t words = last > first ? (last - first) * ((rows_ + 63) / 64) : 0;
  return listed(keys) + words * 3 / 8;
}

Status ScalarIndex::add_rows(Keys keys, Bitset* rows) const {
  if (rows->size() != rows_)
    return Status(StatusCode::kInternal, "scalar index: a bitset of another size");
  keys = clamp(keys);
  const uint32_t begin = list_begins_[keys.begin];
  const uint32_t end = list_begins_[keys.end];
  if (begin > end || end > entry_count_) return damaged("a list lies outside its section");
  for (uint32_t i = begin; i < end; ++i) {
    if (lists_[i] >= rows_) return damaged("a row past the end");
    rows->set(lists_[i]);
  }
  const auto [first, last] = bitmaps_of(keys);
  for (uint64_t i = first; i < last; ++i) {
    const uint64_t* bitmap = bitmaps_ + i * rows->word_count();
    for (size_t w = 0; w < rows->word_count(); ++w) rows->words()[w] |= bitmap[w];
  }
  if (first < last) rows->clear_tail();
  return Status::ok();
}

void ScalarIndex::not_null(Bitset* rows) const {
  rows->assign(rows_, valid_ == nullptr);
  if (valid_ == nullptr || rows_ == 0) return;
  std::memcpy(rows->words(), valid_, rows->word_count() * 8);
  rows->clear_tail();
}

}  // namespace elanus
