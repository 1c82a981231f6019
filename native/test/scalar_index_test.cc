// The scalar index by itself: what lookups give, what the file weighs, and that damaged files never
// crash.
#include "scalar/scalar_index.h"

#include <random>
#include <set>

#include "check.h"
#include "expr_support.h"
#include "temporary_file.h"
#include "scalar/json_path_index.h"
#include "scalar/scalar_index_format.h"

using namespace elanus;
using test::FakeSource;
using test::Field;
using test::Val;

namespace {

Val number(int64_t x) {
  Val value;
  value.kind = Val::kInt;
  value.i = x;
  return value;
}
Val real(double x) {
  Val value;
  value.kind = Val::kDouble;
  value.d = x;
  return value;
}
Val text(std::string x) {
  Val value;
  value.kind = Val::kString;
  value.s = std::move(x);
  return value;
}
Val list(std::vector<Val> items) {
  Val value;
  value.kind = Val::kArray;
  value.items = std::move(items);
  return value;
}

Status build_path_image(const RowSource& source, const std::vector<PathStep>& path, DataType type,
                        std::vector<uint8_t>* image) {
  return fixture::build_bytes(
      [&](SectionFileWriter* out) { return build_json_path_index(source, 100, path, type, out); },
      image);
}

// The index over bytes that outlive it.
template <typename Index>
Status open_bytes(std::span<const uint8_t> bytes, std::unique_ptr<Index>* index,
                  std::shared_ptr<const SectionFile>* file) {
  if (Status status = SectionFile::of_bytes(bytes, file); !status.is_ok()) return status;
  return Index::open(*file, index);
}

struct Built {
  std::vector<uint8_t> image;
  std::shared_ptr<const SectionFile> file;
  std::unique_ptr<ScalarIndex> index;
  size_t rows = 0;

  Built(DataType type, DataType element, std::vector<std::optional<Val>> cells)
      : rows(cells.size()) {
    const Field field{100, type, element, true, std::move(cells)};
    const FakeSource source({field}, rows, false,
                            rows > 128 ? std::vector<size_t>{0, 128} : std::vector<size_t>{0});
    const auto build = [&](SectionFileWriter* out) {
      return build_scalar_index(source, 100, type, element, out);
    };
    CHECK(fixture::build_bytes(build, &image).is_ok());
    CHECK_EQ(open_bytes(image, &index, &file).message(), std::string());
    CHECK(fixture::is_whole(*file));
  }

  std::vector<size_t> rows_of(ScalarIndex::Keys keys) const {
    Bitset bits(rows);
    CHECK(index->add_rows(keys, &bits).is_ok());
    std::vector<size_t> found;
    for_each_set(bits.words(), bits.word_count(), [&](size_t row) { found.push_back(row); });
    if (!index->is_multi_valued()) CHECK_EQ(index->estimate(keys), found.size());
    return found;
  }
};

using Rows = std::vector<size_t>;

// Every lookup there is, on an index that may be damaged.
void exercise(const ScalarIndex& index, size_t rows) {
  std::vector<ScalarIndex::Keys> runs = {index.all(),
                                         index.find(int64_t{-5}, int64_t{5}),
                                         index.find(-1.5, 9.5),
                                         index.find_prefix("a"),
                                         index.find("b", true, std::nullopt, false),
                                         {3, 1u << 30},
                                         {9, 2}};
  for (const ScalarIndex::Keys& run : runs) {
    (void)index.estimate(run);
    (void)index.cost(run);
    Bitset bits(rows);
    (void)index.add_rows(run, &bits);
    Bitset valid;
    index.not_null(&valid);
    (void)bits.count();
  }
}

}  // namespace

TEST(integers_are_found) {
  const Built b(DataType::kInt32, DataType::kNone,
                {number(5), number(-1), std::nullopt, number(5), number(7)});
  CHECK(b.rows_of(b.index->find(int64_t{5}, int64_t{5})) == Rows({0, 3}));
  CHECK(b.rows_of(b.index->find(int64_t{-1}, int64_t{6})) == Rows({0, 1, 3}));
  CHECK(b.index->find(int64_t{6}, int64_t{6}).empty());
  CHECK(b.index->find(int64_t{7}, int64_t{6}).empty());
  CHECK(b.rows_of(b.index->all()) == Rows({0, 1, 3, 4}));
  Bitset valid;
  b.index->not_null(&valid);
  CHECK_EQ(valid.count(), size_t{4});
  CHECK(!valid.test(2));
  CHECK_EQ(b.index->value_count(), uint64_t{4});
  CHECK_EQ(b.index->key_count(), uint64_t{3});
  CHECK(b.index->find(1.0, 2.0).empty());
  CHECK(b.index->find_prefix("").empty());
}

TEST(reals_have_one_zero_and_no_nan) {
  const Built b(DataType::kDouble, DataType::kNone,
                {real(-0.0), real(0.0), real(NAN), real(-INFINITY), real(INFINITY), real(-2.5)});
  CHECK(b.rows_of(b.index->find(0.0, 0.0)) == Rows({0, 1}));
  CHECK(b.rows_of(b.index->find(-0.0, -0.0)) == Rows({0, 1}));
  CHECK(b.rows_of(b.index->find(-INFINITY, INFINITY)) == Rows({0, 1, 3, 4, 5}));
  CHECK(b.rows_of(b.index->find(-3.0, -1.0)) == Rows({5}));
  CHECK(b.index->find(NAN, NAN).empty());
  CHECK(b.rows_of(b.index->all()).size() == 6);
}

TEST(strings_are_found_by_range_and_prefix) {
  const Built b(DataType::kVarChar, DataType::kNone,
                {text("b"), text("ab"), text(""), text("abc"), std::nullopt, text("a\xff")});
  CHECK(b.rows_of(b.index->find_prefix("ab")) == Rows({1, 3}));
  CHECK(b.rows_of(b.index->find_prefix("a")) == Rows({1, 3, 5}));
  CHECK(b.rows_of(b.index->find_prefix("a\xff")) == Rows({5}));
  CHECK(b.rows_of(b.index->find_prefix("")) == Rows({0, 1, 2, 3, 5}));
  CHECK(b.rows_of(b.index->find("ab", true, "b", false)) == Rows({1, 3, 5}));
  CHECK(b.rows_of(b.index->find("ab", false, "b", true)) == Rows({0, 3, 5}));
  CHECK(b.rows_of(b.index->find(std::nullopt, false, "ab", false)) == Rows({2}));
  CHECK(b.index->find("b", true, "a", true).empty());
}

TEST(an_array_row_is_found_by_each_element) {
  const Built b(
      DataType::kArray, DataType::kInt16,
      {list({number(1), number(2), number(1)}), list({}), std::nullopt, list({number(2)})});
  CHECK(b.rows_of(b.index->find(int64_t{1}, int64_t{1})) == Rows({0}));
  CHECK(b.rows_of(b.index->find(int64_t{2}, int64_t{2})) == Rows({0, 3}));
  CHECK_EQ(b.index->estimate(b.index->all()), uint64_t{3});
  CHECK_EQ(b.index->value_count(), uint64_t{3});
}

TEST(frequent_values_are_bitmaps_and_rare_ones_lists) {
  std::vector<std::optional<Val>> cells;
  for (int64_t i = 0; i < 6400; ++i) cells.push_back(number(i % 64 == 0 ? 1000 + i : i % 3));
  const Built b(DataType::kInt64, DataType::kNone, cells);
  CHECK_EQ(b.index->key_count(), uint64_t{103});
  // 100 rare rows of 4 bytes and 3 bitmaps of 800 bytes, against 25,600 bytes of lists.
  uint64_t bytes = 0;
  for (const SectionEntry& section : b.file->sections()) bytes += section.bytes;
  CHECK_EQ(bytes, uint64_t{103 * 12 + 4 + 400 + 4 * 16 + 3 * 800});
  Rows want;
  for (size_t i = 0; i < 6400; ++i) {
    if (i % 64 != 0 && i % 3 > 0) want.push_back(i);
    if (i == 640) want.push_back(i);
  }
  Rows got = b.rows_of(b.index->find(int64_t{1}, int64_t{2}));
  const Rows more = b.rows_of(b.index->find(int64_t{1640}, int64_t{1640}));
  got.insert(got.end(), more.begin(), more.end());
  std::sort(got.begin(), got.end());
  CHECK(got == want);
  CHECK(b.rows_of(b.index->all()).size() == 6400);
}

TEST(sources_without_rows_or_values_have_an_index_too) {
  for (const size_t rows : {size_t{0}, size_t{70}}) {
    for (const DataType type : {DataType::kInt64, DataType::kVarChar, DataType::kFloat}) {
      const Built b(type, DataType::kNone, std::vector<std::optional<Val>>(rows));
      CHECK_EQ(b.index->key_count(), uint64_t{0});
      exercise(*b.index, rows);
    }
  }
  const FakeSource unknown({}, 10, true, {});
  const auto code = [&](DataType type) {
    std::vector<uint8_t> image;
    const auto build = [&](SectionFileWriter* out) {
      return build_scalar_index(unknown, 5, type, DataType::kNone, out);
    };
    return fixture::build_bytes(build, &image).code();
  };
  CHECK(code(DataType::kInt64) == StatusCode::kOk);
  CHECK(code(DataType::kJson) == StatusCode::kInvalidParameter);
}

TEST(damaged_files_are_refused_or_answer_without_a_crash) {
  std::mt19937_64 random(11);
  std::vector<std::optional<Val>> ints;
  std::vector<std::optional<Val>> strings;
  std::vector<std::optional<Val>> lists;
  for (int64_t i = 0; i < 300; ++i) {
    const bool null = i % 7 == 0;
    const int64_t x = i % 2 == 0 ? 4 : static_cast<int64_t>(random() % 50);
    ints.push_back(null ? std::nullopt : std::optional<Val>(number(x)));
    strings.push_back(null ? std::nullopt
                           : std::optional<Val>(text(std::string(1, 'a') + std::to_string(x))));
    lists.push_back(null ? std::nullopt : std::optional<Val>(list({number(x), number(3)})));
  }
  const Built all[] = {Built(DataType::kInt64, DataType::kNone, ints),
                       Built(DataType::kVarChar, DataType::kNone, strings),
                       Built(DataType::kArray, DataType::kInt64, lists)};
  for (const Built& b : all) {
    const auto reopened = [&](const std::vector<uint8_t>& bytes) {
      const fixture::ExactBytes exact(bytes);
      std::unique_ptr<ScalarIndex> index;
      std::shared_ptr<const SectionFile> file;
      const Status status = open_bytes(exact.span(), &index, &file);
      if (!status.is_ok()) CHECK(status.code() == StatusCode::kDataIntegrity);
      if (status.is_ok()) exercise(*index, index->row_count());
      return status.is_ok() && fixture::is_whole(*file);
    };
    CHECK(reopened(b.image));
    for (size_t size = 0; size < b.image.size(); size += 1 + size / 64) {
      CHECK(!reopened(
          std::vector<uint8_t>(b.image.begin(), b.image.begin() + static_cast<long>(size))));
    }
    for (int round = 0; round < 4000; ++round) {
      std::vector<uint8_t> bytes = b.image;
      const size_t at = fixture::random_position(*b.file, random);
      bytes[at] = static_cast<uint8_t>(bytes[at] ^ (1u << (random() % 8)));
      CHECK(!reopened(bytes));
      // The same with a header that was damaged before its checksum was taken.
      for (int i = 0; i < 3; ++i) bytes[random() % 320] = static_cast<uint8_t>(random() % 4);
      std::memcpy(bytes.data(), b.image.data(), round % 2 == 0 ? 24 : 16);
      fixture::sign_again(&bytes);
      (void)reopened(bytes);
      // Garbage in the body under an untouched header.
      bytes = b.image;
      for (int i = 0; i < 8; ++i) {
        const size_t where = fixture::random_position(*b.file, random);
        if (where >= kSectionAlignment) bytes[where] = static_cast<uint8_t>(random());
      }
      (void)reopened(bytes);
    }
  }
}

namespace {

Val document(Val value) {
  Val outer;
  outer.kind = Val::kObject;
  outer.keys["k"] = std::move(value);
  return outer;
}

}  // namespace

TEST(a_path_index_holds_the_values_of_its_type_and_says_what_it_is) {
  Val flag;
  flag.kind = Val::kBool;
  flag.i = 1;
  const std::vector<std::optional<Val>> cells = {
      document(number(2)),  document(real(-0.5)),  document(text("2")),
      document(flag),       document(Val()),       std::nullopt,
      number(2),            document(list({number(2)})), document(number(INT64_MIN))};
  const Field field{100, DataType::kJson, DataType::kNone, true, cells};
  const std::vector<PathStep> path = {{true, 0, "k"}};
  for (const bool mapped : {false, true}) {
    const FakeSource source({field}, cells.size(), mapped, {0});
    const auto rows_of = [&](DataType type) {
      std::vector<uint8_t> image;
      CHECK(build_path_image(source, path, type, &image).is_ok());
      std::unique_ptr<JsonPathIndex> index;
      std::shared_ptr<const SectionFile> file;
      CHECK_EQ(open_bytes(image, &index, &file).message(), std::string());
      CHECK(index->cast_type() == type && is_same_path(index->path(), path));
      Bitset valid;
      index->values().not_null(&valid);
      Rows rows;
      for_each_set(valid.words(), valid.word_count(), [&](size_t row) { rows.push_back(row); });
      return rows;
    };
    CHECK(rows_of(DataType::kDouble) == Rows({0, 1, 8}));
    CHECK(rows_of(DataType::kVarChar) == Rows({2}));
    CHECK(rows_of(DataType::kBool) == Rows({3}));
  }
}

TEST(a_path_index_is_built_of_json_fields_and_of_three_types) {
  std::vector<uint8_t> image;
  const auto code = [&](const RowSource& source, DataType type, size_t steps) {
    const std::vector<PathStep> path(steps, PathStep{true, 0, "k"});
    return build_path_image(source, path, type, &image).code();
  };
  const FakeSource ints({Field{100, DataType::kInt64, DataType::kNone, false, {number(1)}}}, 1,
                        true, {});
  CHECK(code(ints, DataType::kDouble, 1) == StatusCode::kInvalidParameter);
  const FakeSource unknown({}, 10, true, {});
  CHECK(code(unknown, DataType::kInt64, 1) == StatusCode::kInvalidParameter);
  CHECK(code(unknown, DataType::kDouble, 65536) == StatusCode::kInvalidParameter);
  CHECK(code(unknown, DataType::kDouble, 65535) == StatusCode::kOk);
  std::unique_ptr<JsonPathIndex> index;
  std::shared_ptr<const SectionFile> file;
  CHECK(open_bytes(image, &index, &file).is_ok());
  CHECK_EQ(index->path().size(), size_t{65535});
  CHECK_EQ(index->values().value_count(), uint64_t{0});
  const FakeSource empty({}, 0, true, {});
  CHECK(code(empty, DataType::kVarChar, 0) == StatusCode::kOk);
  CHECK(open_bytes(image, &index, &file).is_ok());
}

TEST(damaged_path_indexes_are_refused_or_answer_without_a_crash) {
  std::mt19937_64 random(12);
  std::vector<std::optional<Val>> cells;
  for (int64_t i = 0; i < 300; ++i) {
    const int64_t x = static_cast<int64_t>(random() % 50);
    cells.push_back(document(i % 3 == 0 ? text("a" + std::to_string(x)) : number(x)));
  }
  const FakeSource source({Field{100, DataType::kJson, DataType::kNone, true, cells}}, 300, true,
                          {});
  for (const DataType type : {DataType::kDouble, DataType::kVarChar, DataType::kBool}) {
    std::vector<uint8_t> image;
    const std::vector<PathStep> path = {{true, 0, "k"}, {false, 7, {}}, {true, 0, "some key"}};
    const std::vector<PathStep> used = {path[0]};
    CHECK(build_path_image(source, random() % 2 == 0 ? path : used, type, &image).is_ok());
    std::shared_ptr<const SectionFile> sound;
    CHECK(SectionFile::of_bytes(image, &sound).is_ok());
    const auto reopened = [&](const std::vector<uint8_t>& bytes) {
      const fixture::ExactBytes exact(bytes);
      std::unique_ptr<JsonPathIndex> index;
      std::shared_ptr<const SectionFile> file;
      const Status status = open_bytes(exact.span(), &index, &file);
      if (!status.is_ok()) CHECK(status.code() == StatusCode::kDataIntegrity);
      if (!status.is_ok()) return false;
      exercise(index->values(), index->values().row_count());
      size_t key_bytes = 0;
      for (const PathStep& step : index->path()) {
        for (const char c : step.key) key_bytes += static_cast<unsigned char>(c) != 0;
      }
      CHECK(key_bytes <= bytes.size());
      return fixture::is_whole(*file);
    };
    CHECK(reopened(image));
    for (size_t size = 0; size < image.size(); size += 1 + size / 64) {
      CHECK(!reopened(
          std::vector<uint8_t>(image.begin(), image.begin() + static_cast<long>(size))));
    }
    const SectionEntry path_section = sound->sections()[0];
    for (int round = 0; round < 4000; ++round) {
      std::vector<uint8_t> bytes = image;
      const size_t at = fixture::random_position(*sound, random);
      bytes[at] = static_cast<uint8_t>(bytes[at] ^ (1u << (random() % 8)));
      CHECK(!reopened(bytes));
      // Path and header damaged before their checksums were taken.
      bytes = image;
      for (int i = 0; i < 3; ++i) {
        uint8_t& byte = bytes[path_section.offset + random() % path_section.bytes];
        byte = static_cast<uint8_t>(random() % 3 == 0 ? random() : random() % 4);
      }
      SectionEntry entry = path_section;
      entry.crc = crc32c(bytes.data() + entry.offset, entry.bytes);
      std::memcpy(bytes.data() + sizeof(SectionFileHeader), &entry, sizeof(entry));
      if (round % 2 == 0) bytes[random() % 128] = static_cast<uint8_t>(random() % 4);
      fixture::sign_again(&bytes);
      (void)reopened(bytes);
    }
  }
}

CHECK_MAIN()
