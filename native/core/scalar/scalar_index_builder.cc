// Building a scalar index: gather (key, row) pairs, sort them, write each key's rows as a list or a
// bitmap.
#include <algorithm>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "scalar/scalar_index.h"
#include "scalar/scalar_index_format.h"
#include "threads/step_sort.h"
#include "threads/steps.h"

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

template <typename T>
std::span<const T> view(const std::vector<T>& items) {
  return items;
}

void put_keys(const Entries<int64_t>& entries, const std::vector<size_t>& starts,
              SectionFileWriter* out) {
  out->begin(ScalarTag::kKeys);
  for (size_t k = 0; k + 1 < starts.size(); ++k) out->put(&entries[starts[k]].first, 8);
  out->begin(ScalarTag::kCharacters);
}

void put_keys(const Entries<std::string_view>& entries, const std::vector<size_t>& starts,
              SectionFileWriter* out) {
  out->begin(ScalarTag::kKeys);
  uint64_t offset = 0;
  out->put(&offset, 8);
  for (size_t k = 0; k + 1 < starts.size(); ++k) {
    offset += entries[starts[k]].first.size();
    out->put(&offset, 8);
  }
  out->begin(ScalarTag::kCharacters);
  for (size_t k = 0; k + 1 < starts.size(); ++k) {
    const std::string_view key = entries[starts[k]].first;
    out->put(key.data(), key.size());
  }
}

uint64_t char_bytes_of(const Entries<int64_t>&, const std::vector<size_t>&) { return 0; }

uint64_t char_bytes_of(const Entries<std::string_view>& entries,
                       const std::vector<size_t>& starts) {
  uint64_t bytes = 0;
  for (size_t k = 0; k + 1 < starts.size(); ++k) bytes += entries[starts[k]].first.size();
  return bytes;
}

// The rows of each key: a list of 4 bytes a row, or a bitmap where that is smaller. Bitmaps are
// made one at a time, on their way into the file. False when canceled.
template <typename Key>
bool put_rows(const Entries<Key>& entries, const std::vector<size_t>& starts, uint64_t rows,
              Steps* steps, ScalarParameters* scalar, SectionFileWriter* out) {
  const size_t words = (rows + 63) / 64;
  const auto count_of = [&](size_t k) { return starts[k + 1] - starts[k]; };
  const auto is_bitmap = [&](size_t k) { return count_of(k) * 4 > words * 8; };
  std::vector<uint32_t> begins;
  std::vector<uint64_t> bitmap_keys;
  uint32_t listed = 0;
  uint64_t in_bitmaps = 0;
  for (size_t k = 0; k + 1 < starts.size(); ++k) {
    begins.push_back(listed);
    if (is_bitmap(k)) {
      bitmap_keys.insert(bitmap_keys.end(), {k, in_bitmaps});
      in_bitmaps += count_of(k);
    } else {
      listed += static_cast<uint32_t>(count_of(k));
    }
  }
  begins.push_back(listed);
  scalar->entries = listed;
  scalar->bitmaps = bitmap_keys.size() / 2;
  bitmap_keys.insert(bitmap_keys.end(), {starts.size() - 1, in_bitmaps});
  out->put_section(ScalarTag::kPostingBegins, view(begins));
  out->begin(ScalarTag::kPostings);
  for (size_t k = 0; k + 1 < starts.size(); ++k) {
    if (!steps->take(kRowNs + kEntryNs * count_of(k))) return false;
    if (is_bitmap(k)) continue;
    for (size_t i = starts[k]; i < starts[k + 1]; ++i) out->put(&entries[i].second, 4);
  }
  out->put_section(ScalarTag::kBitmapKeys, view(bitmap_keys));
  out->begin(ScalarTag::kBitmaps);
  std::vector<uint64_t> bitmap(words);
  for (size_t b = 0; b < scalar->bitmaps; ++b) {
    const size_t k = bitmap_keys[2 * b];
    if (!steps->take(kRowNs + kEntryNs * count_of(k))) return false;
    std::fill(bitmap.begin(), bitmap.end(), 0);
    for (size_t i = starts[k]; i < starts[k + 1]; ++i)
      bitmap[entries[i].second / 64] |= uint64_t{1} << (entries[i].second % 64);
    out->put_all(view(bitmap));
  }
  return true;
}

// What is to be indexed; `path` for the values of a JSON path.
struct Target {
  int64_t field_id;
  DataType type;
  DataType element_type;
  const PathSection* path;
  const CancelToken* cancel;
};

template <typename Key>
Status collect(const RowSource& source, const Target& target, Steps* steps,
               std::vector<uint64_t>* valid, uint64_t* values, Entries<Key>* entries) {
  for (size_t chunk = 0; chunk < source.chunk_count(); ++chunk) {
    const ColumnView column = source.column(chunk, target.field_id);
    const size_t begin = source.chunk_begin(chunk);
    if (column.all_null) continue;
    if (column.type != target.type)
      return Status(StatusCode::kInternal, "scalar index: a column of another type");
    for (size_t row = 0; row < source.chunk_rows(chunk); ++row) {
      if (!steps->take(kRowNs)) return canceled();
      if (!column.is_valid(row)) continue;
      const size_t global = begin + row;
      (*valid)[global / 64] |= uint64_t{1} << (global % 64);
      ++*values;
      add_row(column, row, static_cast<uint32_t>(global), entries);
    }
  }
  return Status::ok();
}

SectionFileHeader header_of(const RowSource& source, const Target& target,
                            const ScalarParameters& scalar) {
  const bool is_path = target.path != nullptr;
  SectionFileHeader header;
  header.container = static_cast<uint32_t>(is_path ? kJsonPathContainer : kScalarContainer);
  header.rows = source.row_count();
  header.element = static_cast<uint32_t>(
      target.type == DataType::kArray ? target.element_type : target.type);
  set_parameters(header, scalar);
  return header;
}

template <typename Key>
Status build(const RowSource& source, const Target& target, SectionFileWriter* out) {
  Steps steps(target.cancel);
  Entries<Key> entries;
  const uint64_t rows = source.row_count();
  std::vector<uint64_t> valid((rows + 63) / 64);
  ScalarParameters scalar;
  scalar.type = static_cast<uint8_t>(target.type);
  Status status = collect(source, target, &steps, &valid, &scalar.values, &entries);
  if (!status.is_ok()) return status;
  if (!sort_in_steps(&entries, std::less<typename Entries<Key>::value_type>(), target.cancel))
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
  scalar.keys = starts.size() - 1;
  scalar.char_bytes = char_bytes_of(entries, starts);
  if (target.path != nullptr) {
    scalar.path_bytes = static_cast<uint32_t>(target.path->path.size());
    scalar.is_exact = target.path->is_exact ? 1 : 0;
    out->put_section(ScalarTag::kPath, target.path->path);
  }
  if (scalar.values == rows) valid.clear();
  out->put_section(ScalarTag::kValid, view(valid));
  put_keys(entries, starts, out);
  if (!put_rows(entries, starts, rows, &steps, &scalar, out)) return canceled();
  return out->finish(header_of(source, target, scalar));
}

Status build(const RowSource& source, const Target& target, SectionFileWriter* out) {
  if (source.row_count() > std::numeric_limits<uint32_t>::max()) {
    return Status(StatusCode::kInvalidParameter,
                  "scalar index: more than 4294967295 rows in one segment");
  }
  const DataType key = target.type == DataType::kArray ? target.element_type : target.type;
  if (key == DataType::kVarChar) return build<std::string_view>(source, target, out);
  if (is_integral_key(key) || is_real_key(key)) return build<int64_t>(source, target, out);
  return Status(
      StatusCode::kInvalidParameter,
      "scalar index: data type " + std::to_string(static_cast<int>(key)) + " has no scalar index");
}

}  // namespace

Status build_scalar_index(const RowSource& source, int64_t field_id, DataType type,
                          DataType element_type, SectionFileWriter* out,
                          const CancelToken* cancel) {
  return build(source, {field_id, type, element_type, nullptr, cancel}, out);
}

Status build_scalar_index_of_path(const RowSource& source, int64_t field_id, DataType cast_type,
                                  const PathSection& path, SectionFileWriter* out,
                                  const CancelToken* cancel) {
  return build(source, {field_id, cast_type, DataType::kNone, &path, cancel}, out);
}

}  // namespace elanus
