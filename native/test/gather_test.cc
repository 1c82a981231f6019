// Gather: rows of several segments, of both kinds, in any order and more than once.
#include "read/gather.h"

#include "segment_fixture.h"

namespace elanus {
namespace {

using fixture::append;
using fixture::Random;
using fixture::Row;

void run(DataType key_type, uint64_t seed) {
  Random random(seed);
  const Schema schema = fixture::make_schema(key_type);
  std::vector<std::shared_ptr<Segment>> segments;
  std::vector<std::vector<Row>> rows(3);
  std::vector<std::unique_ptr<fixture::TemporaryFile>> files;
  for (size_t s = 0; s < 3; ++s) {
    const auto growing = GrowingSegment::create(schema);
    // Keys ascend as text and as numbers, so that the sealed segment has the same order.
    for (int64_t key = 1000; key < 1150; ++key)
      rows[s].push_back(fixture::random_row(schema, key, s + 5, random, s));
    CHECK(append(*growing, fixture::make_batch(schema, rows[s]), s + 5).is_ok());
    if (s == 1) {
      segments.push_back(growing);
      continue;
    }
    files.push_back(std::make_unique<fixture::TemporaryFile>());
    segments.push_back(fixture::seal({growing}, schema, files.back()->path()));
  }
  std::vector<std::unique_ptr<SegmentSnapshot>> snapshots;
  std::vector<const SegmentSnapshot*> sources;
  for (const auto& segment : segments) {
    snapshots.push_back(segment->snapshot(100));
    sources.push_back(snapshots.back().get());
  }
  for (const size_t count : {0, 1, 7, 8, 9, 1000}) {
    std::vector<RowRef> refs;
    std::vector<Row> expected;
    for (size_t i = 0; i < count; ++i) {
      const RowRef ref{static_cast<uint32_t>(random.below(3)),
                       static_cast<uint32_t>(random.below(150))};
      refs.push_back(ref);
      expected.push_back(rows[ref.source][ref.row]);
    }
    fixture::check_gather(sources, refs, expected);
  }
}

TEST(gather_mixes_segments) { run(DataType::kInt64, 81); }
TEST(gather_mixes_segments_with_string_keys) { run(DataType::kVarChar, 82); }

TEST(gather_gives_the_columns_that_are_asked_for) {
  Random random(83);
  const Schema schema = fixture::make_schema();
  const auto segment = GrowingSegment::create(schema);
  CHECK(append(*segment,
               fixture::make_batch(schema, {fixture::random_row(schema, 7, 9, random, 0)}), 9)
            .is_ok());
  const auto snapshot = segment->snapshot(9);
  const SegmentSnapshot* source = snapshot.get();
  const RowRef ref{0, 0};
  const auto ids_of = [&](std::span<const int64_t> wanted) {
    OwnedBytes bytes;
    CHECK(gather_rows({&source, 1}, {&ref, 1}, wanted, &bytes).is_ok());
    RowBatch batch;
    CHECK(RowBatch::open(bytes.data.get(), bytes.size, &batch).is_ok());
    std::vector<int64_t> ids;
    for (const BatchColumn& column : batch.columns()) ids.push_back(column.field_id);
    return ids;
  };
  CHECK((ids_of({}) == std::vector<int64_t>{1, 100}));
  CHECK((ids_of(std::vector<int64_t>{120, 104, 100, 104, 0, 999}) ==
         std::vector<int64_t>{0, 1, 100, 104, 120}));
  OwnedBytes bytes;
  CHECK(gather_rows({}, {}, {}, &bytes).is_ok());
  RowBatch batch;
  CHECK(RowBatch::open(bytes.data.get(), bytes.size, &batch).is_ok());
  CHECK_EQ(batch.rows(), 0u);
  CHECK(batch.columns().empty());
}

TEST(gather_reads_a_field_that_a_segment_lacks_as_null) {
  Random random(84);
  const Schema schema = fixture::make_schema();
  Schema older;
  CHECK(Schema::create(
            {{.field_id = fixture::kKey, .type = DataType::kInt64, .is_primary_key = true}}, &older)
            .is_ok());
  const auto a = GrowingSegment::create(older);
  const auto b = GrowingSegment::create(schema);
  const Row row_a = fixture::random_row(older, 1, 5, random, 0);
  const Row row_b = fixture::random_row(schema, 2, 5, random, 0);
  CHECK(append(*a, fixture::make_batch(older, {row_a}), 5).is_ok());
  CHECK(append(*b, fixture::make_batch(schema, {row_b}), 5).is_ok());
  const auto snapshot_a = a->snapshot(5);
  const auto snapshot_b = b->snapshot(5);
  fixture::check_gather({snapshot_b.get(), snapshot_a.get()}, {{1, 0}, {0, 0}, {1, 0}},
                        {row_a, row_b, row_a});
}

}  // namespace
}  // namespace elanus

CHECK_MAIN()
