// Building a scalar index: gather (key, row) pairs, sort them, write each key's rows as a list or a
// bitmap.
#include <algorithm>
#include <functional>
#include <string>
#include <utility>

#include "scalar/scalar_index.h"
#include "scalar/scalar_index_format.h"
#include "util/step_sort.h"
#include "util/steps.h"

namespace elanus {
namespace {

constexpr size_t kRowNs = 20;
constexpr size_t kEntryNs = 4;

Status canceled() { return {StatusCode::kCanceled, "the index build was canceled"}; }

template <typename Key>
using Entries = std::vector<std::pair<Key, uint32_t>>;

int64_t number_key(const ArrayValue& array, size_t i) {
  return is_real_key(array.element_type) ? ordered_key(array.double_at(i)) : array.int_at(i);
}

void add_row(const ColumnView& column, size_t row, uint32_t global, Entries<int64_t>* entries) {
  if (column.type == DataType::kArray) {
    const ArrayValue array = column.array_at(row);
    for (size_t i = 0; i < array.count; ++i) entries->emplace_back(number_key(array, i), global);
  } else if (column.type == DataType::kBool) {
    entries->emplace_back(column.bool_at(row) ? 1 : 0, global);
  } else {
    ArrayValue all;  // a fixed-width column reads like one long array
    all.element_type = column.type;
    all.fixed = column.data;
    entries->emplace_back(number_key(all, row), global);
  }
}

void add_row(const ColumnView& column, size_t row, uint32_t global,
             Entries<std::string_view>* entries) {
  if (column.type == DataType::kArray) {
    const ArrayValue array = column.array_at(row);
    for (size_t i = 0; i < array.count; ++i) entries->emplace_back(array.string_at(i), global);
  } else {
    entries->emplace_back(column.string_at(row), global);
  }
}

class Writer {
 public:
  Writer() : bytes_(sizeof(ScalarIndexHeader)) {}

  void put(const void* data, size_t count) {
    const auto* first = static_cast<const uint8_t*>(data);
    if (count != 0) bytes_.insert(bytes_.end(), first, first + count);
  }
  void put(uint64_t value) { put(&value, 8); }
  void pad() { bytes_.resize((bytes_.size() + 7) / 8 * 8); }

  std::vector<uint8_t> finish(ScalarIndexHeader header) {
    header.file_bytes = bytes_.size();
    header.body_checksum =
        checksum_words(bytes_.data() + sizeof(header), bytes_.size() - sizeof(header));
    std::memcpy(bytes_.data(), &header, sizeof(header));
    header.header_checksum = checksum_words(bytes_.data(), sizeof(header) - 8);
    std::memcpy(bytes_.data(), &header, sizeof(header));
    return std::move(bytes_);
  }

 private:
  std::vector<uint8_t> bytes_;
};

void put_keys(Writer* writer, const Entries<int64_t>& entries, const std::vector<size_t>& starts) {
  for (size_t k = 0; k + 1 < starts.size(); ++k)
    writer->put(static_cast<uint64_t>(entries[starts[k]].first));
}

void put_keys(Writer* writer, const Entries<std::string_view>& entries,
              const std::vector<size_t>& starts) {
  uint64_t offset = 0;
  writer->put(offset);
  for (size_t k = 0; k + 1 < starts.size(); ++k)
    writer->put(offset += entries[starts[k]].first.size());
  for (size_t k = 0; k + 1 < starts.size(); ++k) {
    const std::string_view key = entries[starts[k]].first;
    writer->put(key.data(), key.size());
  }
  writer->pad();
}

uint64_t char_bytes_of(const Entries<int64_t>&, const std::vector<size_t>&) { return 0; }

uint64_t char_bytes_of(const Entries<std::string_view>& entries,
                       const std::vector<size_t>& starts) {
  uint64_t bytes = 0;
  for (size_t k = 0; k + 1 < starts.size(); ++k) bytes += entries[starts[k]].first.size();
  return bytes;
}

// The rows of each key: a list of 4 bytes a row, or a bitmap where that is smaller. False when
// canceled.
template <typename Key>
bool put_rows(Writer* writer, const Entries<Key>& entries, const std::vector<size_t>& starts,
              ScalarIndexHeader* header, Steps* steps) {
  const size_t words = (header->rows + 63) / 64;
  const auto is_bitmap = [&](size_t k) { return (starts[k + 1] - starts[k]) * 4 > words * 8; };
  std::vector<uint32_t> begins;
  std::vector<uint32_t> lists;
  std::vector<uint64_t> bitmap_keys;
  std::vector<uint64_t> bitmaps;
  uint64_t in_bitmaps = 0;
  for (size_t k = 0; k + 1 < starts.size(); ++k) {
    if (!steps->take(kRowNs + kEntryNs * (starts[k + 1] - starts[k]))) return false;
    begins.push_back(static_cast<uint32_t>(lists.size()));
    if (!is_bitmap(k)) {
      for (size_t i = starts[k]; i < starts[k + 1]; ++i) lists.push_back(entries[i].second);
      continue;
    }
    bitmap_keys.insert(bitmap_keys.end(), {k, in_bitmaps});
    in_bitmaps += starts[k + 1] - starts[k];
    bitmaps.resize(bitmaps.size() + words);
    uint64_t* bitmap = bitmaps.data() + bitmaps.size() - words;
    for (size_t i = starts[k]; i < starts[k + 1]; ++i) {
      bitmap[entries[i].second / 64] |= uint64_t{1} << (entries[i].second % 64);
    }
  }
  begins.push_back(static_cast<uint32_t>(lists.size()));
  header->entries = lists.size();
  header->bitmaps = bitmap_keys.size() / 2;
  bitmap_keys.insert(bitmap_keys.end(), {starts.size() - 1, in_bitmaps});
  writer->put(begins.data(), begins.size() * 4);
  writer->pad();
  writer->put(lists.data(), lists.size() * 4);
  writer->pad();
  writer->put(bitmap_keys.data(), bitmap_keys.size() * 8);
  writer->put(bitmaps.data(), bitmaps.size() * 8);
  return true;
}

template <typename Key>
Status build(const RowSource& source, int64_t field_id, ScalarIndexHeader header,
             std::vector<uint8_t>* image, const CancelToken* cancel) {
  Steps steps(cancel);
  Entries<Key> entries;
  std::vector<uint64_t> valid((header.rows + 63) / 64);
  for (size_t chunk = 0; chunk < source.chunk_count(); ++chunk) {
    const ColumnView column = source.column(chunk, field_id);
    const size_t begin = source.chunk_begin(chunk);
    if (column.all_null) continue;
    if (static_cast<uint8_t>(column.type) != header.type) {
      return Status(StatusCode::kInternal, "scalar index: a column of another type");
    }
    for (size_t row = 0; row < source.chunk_rows(chunk); ++row) {
      if (!steps.take(kRowNs)) return canceled();
      if (!column.is_valid(row)) continue;
      const size_t global = begin + row;
      valid[global / 64] |= uint64_t{1} << (global % 64);
      ++header.values;
      add_row(column, row, static_cast<uint32_t>(global), &entries);
    }
  }
  if (!sort_in_steps(&entries, std::less<typename Entries<Key>::value_type>(), cancel))
    return canceled();
  entries.erase(std::unique(entries.begin(), entries.end()), entries.end());
  if (entries.size() > std::numeric_limits<uint32_t>::max()) {
    return Status(StatusCode::kInvalidParameter,
                  "scalar index: more than 4294967295 entries in one segment");
  }
  std::vector<size_t> starts;
  for (size_t i = 0; i < entries.size(); ++i) {
    if (i == 0 || entries[i].first != entries[i - 1].first) starts.push_back(i);
  }
  starts.push_back(entries.size());
  header.keys = starts.size() - 1;
  header.char_bytes = char_bytes_of(entries, starts);
  Writer writer;
  if (header.values < header.rows) writer.put(valid.data(), valid.size() * 8);
  put_keys(&writer, entries, starts);
  if (!put_rows(&writer, entries, starts, &header, &steps)) return canceled();
  *image = writer.finish(header);
  return Status::ok();
}

}  // namespace

Status build_scalar_index(const RowSource& source, int64_t field_id, DataType type,
                          DataType element_type, std::vector<uint8_t>* image,
                          const CancelToken* cancel) {
  ScalarIndexHeader header;
  header.type = static_cast<uint8_t>(type);
  header.element_type = type == DataType::kArray ? static_cast<uint8_t>(element_type) : 0;
  header.rows = source.row_count();
  if (header.rows > std::numeric_limits<uint32_t>::max()) {
    return Status(StatusCode::kInvalidParameter,
                  "scalar index: more than 4294967295 rows in one segment");
  }
  const DataType key = type == DataType::kArray ? element_type : type;
  if (key == DataType::kVarChar)
    return build<std::string_view>(source, field_id, header, image, cancel);
  if (is_integral_key(key) || is_real_key(key))
    return build<int64_t>(source, field_id, header, image, cancel);
  return Status(
      StatusCode::kInvalidParameter,
      "scalar index: data type " + std::to_string(static_cast<int>(key)) + " has no scalar index");
}

}  // namespace elanus
