// Sealed segments: deletes and reads as a growing segment gives them, layouts that lie are refused,
// indexes and the file itself may go while a snapshot is held.
#include "segment/sealed_segment.h"

#include <fstream>
#include <thread>

#include "segment_fixture.h"
#include "index/vector_index.h"
#include "scalar/json_path_index.h"
#include "segment/index_file.h"

namespace elanus {
namespace {

using fixture::append;
using fixture::Random;
using fixture::Row;

std::shared_ptr<GrowingSegment> make_growing(const Schema& schema, size_t rows, Random& random) {
  const auto segment = GrowingSegment::create(schema);
  for (size_t i = 0; i < rows; ++i) {
    const int64_t key = static_cast<int64_t>(random.below(rows / 2 + 1));
    const std::vector<Row> one = {fixture::random_row(schema, key, i + 1, random)};
    CHECK(append(*segment, fixture::make_batch(schema, one), i + 1).is_ok());
  }
  return segment;
}

// (key, timestamp) of the visible rows, sorted.
std::vector<std::pair<std::string, uint64_t>> visible_rows(const Segment& segment,
                                                           uint64_t read_ts) {
  const auto snapshot = segment.snapshot(read_ts);
  Bitset visible;
  snapshot->fill_visible(read_ts, &visible);
  std::vector<std::pair<std::string, uint64_t>> rows;
  for (size_t row = 0; row < visible.size(); ++row) {
    CHECK_EQ(visible.test(row), snapshot->is_visible(row, read_ts));
    if (!visible.test(row)) continue;
    rows.emplace_back(segment.schema().has_string_keys() ? std::string(snapshot->key_string_at(row))
                                                         : std::to_string(snapshot->key_at(row)),
                      snapshot->timestamp_at(row));
  }
  std::sort(rows.begin(), rows.end());
  return rows;
}

void run_equal_to_growing(DataType key_type, uint64_t seed) {
  Random random(seed);
  const Schema schema = fixture::make_schema(key_type);
  const auto growing = make_growing(schema, 400, random);
  const fixture::TemporaryFile file;
  const auto sealed = fixture::seal({growing}, schema, file.path());
  CHECK_EQ(sealed->stats().rows, 400u);
  CHECK_EQ(sealed->stats().min_timestamp, 0u);
  CHECK_EQ(sealed->stats().max_timestamp, 0u);
  for (uint64_t timestamp = 401; timestamp < 500; ++timestamp) {
    const int64_t key = static_cast<int64_t>(random.below(250));
    const uint64_t kills_up_to = random.chance(2) ? timestamp - 1 : random.below(400);
    CHECK_EQ(fixture::delete_key(*sealed, key, timestamp, kills_up_to),
             fixture::delete_key(*growing, key, timestamp, kills_up_to));
  }
  CHECK_EQ(sealed->stats().deleted_rows, growing->stats().deleted_rows);
  for (uint64_t read_ts = 0; read_ts <= 500; read_ts += 13) {
    CHECK(visible_rows(*sealed, read_ts) == visible_rows(*growing, read_ts));
  }
  const auto of_sealed = sealed->snapshot(kReadAll);
  const auto of_growing = growing->snapshot(kReadAll);
  for (int64_t key = -1; key < 250; ++key) {
    const std::vector<size_t> a = fixture::find_key(*of_sealed, key);
    const std::vector<size_t> b = fixture::find_key(*of_growing, key);
    CHECK_EQ(a.size(), b.size());
    for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
      CHECK_EQ(of_sealed->timestamp_at(a[i]), of_growing->timestamp_at(b[i]));
      CHECK_EQ(of_sealed->delete_timestamp_at(a[i]), of_growing->delete_timestamp_at(b[i]));
    }
  }
}

TEST(sealed_reads_and_deletes_like_growing) { run_equal_to_growing(DataType::kInt64, 71); }
TEST(sealed_reads_and_deletes_like_growing_with_string_keys) {
  run_equal_to_growing(DataType::kVarChar, 72);
}

TEST(sealed_find_rows_stops_when_told) {
  Random random(73);
  const Schema schema = fixture::make_schema();
  const auto growing = make_growing(schema, 50, random);
  const fixture::TemporaryFile file;
  const auto sealed = fixture::seal({growing}, schema, file.path());
  std::vector<int64_t> keys;
  for (int64_t key = 0; key < 30; ++key) keys.push_back(key);
  for (const Segment* segment :
       {static_cast<const Segment*>(growing.get()), static_cast<const Segment*>(sealed.get())}) {
    const auto snapshot = segment->snapshot(kReadAll);
    size_t calls = 0;
    snapshot->find_rows(KeySpan::of(keys), [&](size_t, size_t) {
      return ++calls == 3 ? VisitNext::kStop : VisitNext::kRow;
    });
    CHECK_EQ(calls, 3u);
    std::vector<size_t> seen(keys.size());
    snapshot->find_rows(KeySpan::of(keys), [&](size_t key, size_t) {
      ++seen[key];
      return VisitNext::kKey;
    });
    for (size_t k = 0; k < keys.size(); ++k)
      CHECK_EQ(seen[k], fixture::find_key(*snapshot, keys[k]).empty() ? 0u : 1u);
  }
}

struct FileAndLayout {
  fixture::TemporaryFile file;
  std::vector<ColumnLayout> layouts;
  size_t rows = 0;
};

void write_some(const Schema& schema, FileAndLayout* out) {
  Random random(74);
  std::unique_ptr<SegmentWriter> writer;
  CHECK(SegmentWriter::create({make_growing(schema, 100, random)}, 0, &writer).is_ok());
  out->layouts = fixture::write_file(*writer, out->file.path());
  out->rows = writer->rows();
}

TEST(sealed_refuses_layouts_that_do_not_fit) {
  const Schema schema = fixture::make_schema();
  FileAndLayout good;
  write_some(schema, &good);
  const auto code_of = [&](const std::vector<ColumnLayout>& layouts, size_t rows) {
    std::shared_ptr<SealedSegment> sealed;
    return SealedSegment::open(schema, good.file.path(), rows, layouts, &sealed).code();
  };
  CHECK(code_of(good.layouts, good.rows) == StatusCode::kOk);
  CHECK(code_of(good.layouts, good.rows + 1) == StatusCode::kDataIntegrity);
  CHECK(code_of(good.layouts, good.rows - 1) == StatusCode::kDataIntegrity);
  CHECK(code_of(good.layouts, 0) == StatusCode::kDataIntegrity);
  CHECK(code_of({}, good.rows) == StatusCode::kDataIntegrity);
  CHECK(code_of(good.layouts, ~size_t{0}) == StatusCode::kInvalidParameter);
  std::vector<ColumnLayout> twice = good.layouts;
  twice.push_back(twice.back());
  CHECK(code_of(twice, good.rows) == StatusCode::kDataIntegrity);
  const uint64_t size = std::filesystem::file_size(good.file.path());
  const auto damage = [&](auto member) {
    for (size_t c = 0; c < good.layouts.size(); ++c) {
      for (const uint64_t value :
           {size, size - 8, size + 8, ~uint64_t{0}, ~uint64_t{7}, uint64_t{1} << 63, uint64_t{3}}) {
        std::vector<ColumnLayout> layouts = good.layouts;
        uint64_t* place = member(layouts[c]);
        if (place == nullptr || *place == value) continue;
        *place = value;
        std::shared_ptr<SealedSegment> sealed;
        const Status status =
            SealedSegment::open(schema, good.file.path(), good.rows, layouts, &sealed);
        if (!status.is_ok()) {
          CHECK(status.code() == StatusCode::kDataIntegrity);
          continue;
        }
        // What is accepted (a bitmap elsewhere in the file, the place of an empty range) must be
        // readable.
        const auto snapshot = sealed->snapshot(kReadAll);
        const SegmentSnapshot* source = snapshot.get();
        OwnedBytes bytes;
        CHECK(gather_rows({&source, 1}, fixture::all_rows(*snapshot),
                          std::vector<int64_t>{layouts[c].field_id}, &bytes)
                  .is_ok());
      }
    }
  };
  damage([](ColumnLayout& layout) { return &layout.validity_offset; });
  damage([](ColumnLayout& layout) {
    return layout.validity_bytes != 0 ? &layout.validity_bytes : nullptr;
  });
  damage([](ColumnLayout& layout) { return &layout.offsets_offset; });
  damage([](ColumnLayout& layout) { return &layout.offsets_bytes; });
  damage([](ColumnLayout& layout) { return &layout.data_offset; });
  damage([](ColumnLayout& layout) { return &layout.data_bytes; });
  for (const auto part : {&ColumnLayout::variant, &ColumnLayout::child}) {
    for (const auto member : {&VarLayout::offsets_offset, &VarLayout::offsets_bytes,
                              &VarLayout::data_offset, &VarLayout::data_bytes}) {
      damage([=](ColumnLayout& layout) {
        return (layout.*part).has_value() ? &((*(layout.*part)).*member) : nullptr;
      });
    }
  }
  const auto changed = [&](int64_t field_id, auto&& change) {
    std::vector<ColumnLayout> layouts = good.layouts;
    for (ColumnLayout& layout : layouts) {
      if (layout.field_id == field_id) change(layout);
    }
    return code_of(layouts, good.rows);
  };
  for (const int64_t id : {kTimestampField, fixture::kKey}) {
    CHECK(changed(id, [](ColumnLayout& layout) { layout.field_id = 999; }) ==
          StatusCode::kDataIntegrity);
  }
  CHECK(changed(fixture::kJsonField, [](ColumnLayout& l) { l.variant.reset(); }) ==
        StatusCode::kDataIntegrity);
  CHECK(changed(112, [](ColumnLayout& l) { l.child.reset(); }) == StatusCode::kDataIntegrity);
  CHECK(changed(107, [](ColumnLayout& l) { l.data_bytes -= 8; }) == StatusCode::kDataIntegrity);
  CHECK(changed(107, [](ColumnLayout& l) { l.data_offset += 4; }) == StatusCode::kDataIntegrity);
  CHECK(changed(108, [](ColumnLayout& l) { l.data_bytes += 1; }) == StatusCode::kDataIntegrity);
  CHECK(changed(fixture::kVector, [&](ColumnLayout& l) { l.data_offset = size; }) ==
        StatusCode::kDataIntegrity);
}

TEST(sealed_says_which_file_it_cannot_open) {
  std::shared_ptr<SealedSegment> sealed;
  const Status status = SealedSegment::open(fixture::make_schema(), "/nowhere/x", 0, {}, &sealed);
  CHECK(status.code() == StatusCode::kIo);
  CHECK(status.message().find("/nowhere/x") != std::string::npos);
}

TEST(r15_sealed_reads_an_unlinked_file_and_fields_it_lacks_as_null) {
  const Schema schema = fixture::make_schema();
  FileAndLayout good;
  write_some(schema, &good);
  std::vector<ColumnLayout> layouts;
  for (const ColumnLayout& layout : good.layouts) {
    if (layout.field_id != 105 && layout.field_id != fixture::kVector && layout.field_id != 112)
      layouts.push_back(layout);
  }
  std::shared_ptr<SealedSegment> sealed;
  CHECK(SealedSegment::open(schema, good.file.path(), good.rows, layouts, &sealed).is_ok());
  std::remove(good.file.path().c_str());
  const auto snapshot = sealed->snapshot(kReadAll);
  sealed.reset();
  for (const int64_t id : {int64_t{105}, int64_t{112}, fixture::kVector}) {
    const ColumnView view = snapshot->column(0, id);
    CHECK(view.all_null);
    CHECK(view.type == schema.find(id)->type);
  }
  CHECK(snapshot->inv_norms(0, fixture::kVector, nullptr) == nullptr);
  OwnedBytes bytes;
  const SegmentSnapshot* source = snapshot.get();
  const std::vector<RowRef> refs = fixture::all_rows(*snapshot);
  const int64_t ids[] = {105, 108, 112, fixture::kVector};
  CHECK(gather_rows({&source, 1}, refs, ids, &bytes).is_ok());
  RowBatch batch;
  CHECK(RowBatch::open(bytes.data.get(), bytes.size, &batch).is_ok());
  for (size_t i = 0; i < batch.rows(); ++i) {
    CHECK(!batch.find(105)->is_valid(i));
    CHECK(!batch.find(112)->is_valid(i));
    CHECK(!batch.find(fixture::kVector)->is_valid(i));
  }
}

// The file lacks the fields; opened with them, or told of them later.
void run_defaults(bool is_told_later) {
  Random random(75);
  const Schema schema = fixture::make_schema();
  const auto [wide, defaults] = fixture::add_default_fields(schema);
  const fixture::TemporaryFile file;
  const auto growing = make_growing(schema, 200, random);
  const auto old = fixture::seal({growing}, is_told_later ? schema : wide, file.path());
  if (is_told_later) {
    const auto before = old->snapshot(kReadAll);
    CHECK(old->update_schema(wide).is_ok());
    CHECK(before->column(0, 204).all_null);
  }
  CHECK_EQ(old->memory_bytes(), 0u);
  const auto snapshot = old->snapshot(kReadAll);
  (void)snapshot->column(0, 204);
  CHECK_EQ(old->memory_bytes(), 200 * sizeof(int64_t));
  // A merge with newer rows, which have values of their own, writes the defaults as values.
  const auto newer = GrowingSegment::create(wide);
  const std::vector<Row> one = {fixture::random_row(wide, 1000, 900, random, 0)};
  CHECK(append(*newer, fixture::make_batch(wide, one), 900).is_ok());
  const fixture::TemporaryFile merged_file;
  const auto merged = fixture::seal({old, newer}, wide, merged_file.path());
  const auto after = merged->snapshot(kReadAll);
  CHECK_EQ(after->row_count(), 201u);
  for (const auto& [id, value] : defaults) {
    const ColumnView view = snapshot->column(0, id);
    CHECK(!view.may_have_nulls());
    CHECK(view.type == wide.find(id)->type);
  }
  OwnedBytes bytes;
  const SegmentSnapshot* sources[] = {snapshot.get(), after.get()};
  std::vector<RowRef> refs = fixture::all_rows(*snapshot);
  const std::vector<RowRef> more = fixture::all_rows(*after, 1);
  refs.insert(refs.end(), more.begin(), more.end());
  std::vector<int64_t> ids;
  for (const auto& [id, value] : defaults) ids.push_back(id);
  CHECK(gather_rows(sources, refs, ids, &bytes).is_ok());
  RowBatch batch;
  CHECK(RowBatch::open(bytes.data.get(), bytes.size, &batch).is_ok());
  CHECK_EQ(batch.rows(), 401u);
  for (const auto& [id, value] : defaults) {
    for (size_t row = 0; row < 400; ++row) CHECK(fixture::cell_at(*batch.find(id), row) == value);
    CHECK(fixture::cell_at(*batch.find(id), 400) == one[0].cells.at(id));
  }
  // Values of the merged file lie in it: nothing had to be made for them.
  CHECK_EQ(merged->memory_bytes(), 0u);
}

TEST(sealed_reads_fields_it_lacks_as_their_defaults) { run_defaults(false); }
TEST(sealed_reads_fields_added_while_it_is_open_as_their_defaults) { run_defaults(true); }

class FakeIndex final : public VectorIndex {
 public:
  FakeIndex(std::vector<float> norms, std::atomic<int>* alive)
      : VectorIndex({.count = norms.size(), .inv_norms = norms.empty() ? nullptr : norms.data()},
                    Metric::kCosine),
        norms_(std::move(norms)),
        alive_(alive) {
    ++*alive_;
  }
  ~FakeIndex() override { --*alive_; }
  size_t search(const QuerySet&, size_t, const IndexSearchParams&, const uint64_t*, size_t, TopK&,
                SearchScratch&) const override {
    return 0;
  }
  double expected_distances(const IndexSearchParams&, size_t, size_t) const override { return 0; }

 private:
  const std::vector<float> norms_;
  std::atomic<int>* alive_;
};

TEST(r15_sealed_snapshot_keeps_the_index_it_began_with) {
  Random random(75);
  const Schema schema = fixture::make_schema();
  const auto growing = make_growing(schema, 60, random);
  const fixture::TemporaryFile file;
  const auto sealed = fixture::seal({growing}, schema, file.path());
  std::atomic<int> alive{0};
  sealed->attach_vector_index(fixture::kVector,
                              std::make_shared<FakeIndex>(std::vector<float>(60, 9.0f), &alive));
  auto held = sealed->snapshot(kReadAll);
  CHECK_EQ(held->inv_norms(0, fixture::kVector, nullptr)[0], 9.0f);
  CHECK(held->vector_index(fixture::kVector) != nullptr);
  CHECK(held->scalar_index(105) == nullptr);
  sealed->attach_vector_index(fixture::kVector,
                              std::make_shared<FakeIndex>(std::vector<float>(), &alive));
  CHECK_EQ(alive.load(), 2);
  CHECK_EQ(held->inv_norms(0, fixture::kVector, nullptr)[0], 9.0f);
  held.reset();
  CHECK_EQ(alive.load(), 1);
  sealed->attach_vector_index(fixture::kVector, nullptr);
  CHECK_EQ(alive.load(), 0);
  const auto after = sealed->snapshot(kReadAll);
  CHECK(after->vector_index(fixture::kVector) == nullptr);
  // Without an index's norms, the segment's own are those of a growing segment, bit for bit.
  const auto of_growing = growing->snapshot(kReadAll);
  const float* norms = after->inv_norms(0, fixture::kVector, nullptr);
  for (size_t row = 0; row < after->row_count(); ++row) {
    const int64_t key = after->key_at(row);
    for (const size_t other : fixture::find_key(*of_growing, key)) {
      if (of_growing->timestamp_at(other) != after->timestamp_at(row)) continue;
      const size_t chunk = of_growing->chunk_of(other);
      CHECK_EQ(
          of_growing->inv_norms(chunk, fixture::kVector,
                                nullptr)[other - of_growing->chunk_begin(chunk)],
          norms[row]);
    }
  }
}

TEST(a_json_field_has_an_index_for_each_path_and_type) {
  Random random(77);
  const Schema schema = fixture::make_schema();
  const fixture::TemporaryFile file;
  const auto sealed = fixture::seal({make_growing(schema, 60, random)}, schema, file.path());
  const std::vector<PathStep> b = {{true, 0, "b"}};
  const std::vector<PathStep> text = {{true, 0, "a"}, {false, 0, {}}};
  const auto attach = [&](const std::vector<PathStep>& path, DataType type, int64_t field_id) {
    const fixture::TemporaryFile index;
    std::unique_ptr<SectionFileWriter> writer;
    CHECK(SectionFileWriter::create(index.path(), nullptr, &writer).is_ok());
    const auto rows = sealed->snapshot(kReadAll);
    CHECK(build_json_path_index(*rows, fixture::kJsonField, path, type, writer.get()).is_ok());
    return attach_index_file(*sealed, field_id, index.path()).code();
  };
  constexpr int64_t kJson = fixture::kJsonField;
  CHECK(attach(b, DataType::kDouble, kJson) == StatusCode::kOk);
  CHECK(attach(b, DataType::kVarChar, kJson) == StatusCode::kOk);
  CHECK(attach(text, DataType::kVarChar, kJson) == StatusCode::kOk);
  CHECK(attach(b, DataType::kDouble, 105) == StatusCode::kDataIntegrity);
  CHECK(attach(b, DataType::kDouble, 999) == StatusCode::kInvalidParameter);

  const auto held = sealed->snapshot(kReadAll);
  const JsonPathIndex* numbers = held->json_index(kJson, b, DataType::kDouble);
  CHECK(numbers != nullptr && numbers->values().value_count() > 0);
  CHECK(held->json_index(kJson, b, DataType::kVarChar)->values().value_count() == 0);
  CHECK(held->json_index(kJson, text, DataType::kVarChar) != nullptr);
  CHECK(held->json_index(kJson, text, DataType::kDouble) == nullptr);
  CHECK(held->json_index(kJson, {}, DataType::kDouble) == nullptr);
  CHECK(held->json_index(105, b, DataType::kDouble) == nullptr);
  CHECK(held->scalar_index(kJson) == nullptr);

  CHECK(attach(b, DataType::kDouble, kJson) == StatusCode::kOk);  // replaces its like
  CHECK(sealed->snapshot(kReadAll)->json_index(kJson, b, DataType::kDouble) != numbers);
  detach_index(*sealed, kJson);
  CHECK(sealed->snapshot(kReadAll)->json_index(kJson, b, DataType::kDouble) != nullptr);
  sealed->detach_json_index(kJson, b, DataType::kDouble);
  CHECK(sealed->snapshot(kReadAll)->json_index(kJson, b, DataType::kDouble) == nullptr);
  CHECK(sealed->snapshot(kReadAll)->json_index(kJson, b, DataType::kVarChar) != nullptr);
  CHECK(attach(b, DataType::kDouble, kJson) == StatusCode::kOk);
  sealed->detach_json_index(kJson, b, DataType::kNone);
  const auto after = sealed->snapshot(kReadAll);
  CHECK(after->json_index(kJson, b, DataType::kDouble) == nullptr);
  CHECK(after->json_index(kJson, b, DataType::kVarChar) == nullptr);
  CHECK(after->json_index(kJson, text, DataType::kVarChar) != nullptr);
  // The files and the segment's hold on them are gone; the snapshot's is not.
  CHECK(held->json_index(kJson, b, DataType::kDouble) == numbers);
  CHECK(numbers->path()[0].key == "b");
}

TEST(r15_sealed_readers_beside_deletes_and_index_changes) {
  Random random(76);
  const Schema schema = fixture::make_schema();
  const auto growing = make_growing(schema, 500, random);
  const fixture::TemporaryFile file;
  const auto sealed = fixture::seal({growing}, schema, file.path());
  std::atomic<int> alive{0};
  std::atomic<uint64_t> applied{500};
  std::atomic<size_t> wrong{0};
  std::atomic<size_t> deleted{0};
  std::thread writer([&] {
    for (uint64_t timestamp = 501; timestamp < 800; ++timestamp) {
      deleted += fixture::delete_key(*sealed, static_cast<int64_t>(timestamp - 501), timestamp,
                                     timestamp - 1);
      applied.store(timestamp);
      sealed->attach_vector_index(
          fixture::kVector,
          timestamp % 3 == 0 ? nullptr
                             : std::make_shared<FakeIndex>(std::vector<float>(500, 1.0f), &alive));
    }
  });
  std::vector<std::thread> readers;
  for (int r = 0; r < 3; ++r) {
    readers.emplace_back([&] {
      uint64_t read_ts = 0;
      while (read_ts < 799) {
        read_ts = applied.load();
        const auto snapshot = sealed->snapshot(read_ts);
        Bitset visible;
        snapshot->fill_visible(read_ts, &visible);
        for (size_t row = 0; row < visible.size(); ++row) {
          wrong +=
              visible.test(row) != (static_cast<uint64_t>(snapshot->key_at(row)) + 501 > read_ts);
        }
        if (const VectorIndex* index = snapshot->vector_index(fixture::kVector))
          wrong += index->rows().count != 500;
        wrong += snapshot->inv_norms(0, fixture::kVector, nullptr) == nullptr;
        (void)sealed->stats();
      }
    });
  }
  writer.join();
  for (std::thread& reader : readers) reader.join();
  CHECK_EQ(wrong.load(), 0u);
  CHECK_EQ(deleted.load(), 500u);
}

// A read has the fields of its begin: each row null in an added one, or each row the default.
TEST(sealed_readers_while_fields_are_added) {
  Random random(77);
  const Schema schema = fixture::make_schema();
  const Schema wide = fixture::add_default_fields(schema).schema;
  const auto growing = make_growing(schema, 500, random);
  const fixture::TemporaryFile file;
  const auto sealed = fixture::seal({growing}, schema, file.path());
  std::atomic<size_t> wrong{0};
  std::vector<std::thread> readers;
  for (int r = 0; r < 3; ++r) {
    readers.emplace_back([&] {
      for (bool is_there = false; !is_there;) {
        const auto snapshot = sealed->snapshot(kReadAll);
        is_there = snapshot->schema().find(207) != nullptr;
        const ColumnView view = snapshot->column(0, 207);
        wrong += view.all_null == is_there;
        for (size_t row = 0; is_there && row < 500; ++row)
          wrong += view.string_at(row) != "a default";
        (void)sealed->memory_bytes();
      }
    });
  }
  wrong += !sealed->update_schema(wide).is_ok();
  for (std::thread& reader : readers) reader.join();
  CHECK_EQ(wrong.load(), 0u);
}

}  // namespace
}  // namespace elanus

CHECK_MAIN()
