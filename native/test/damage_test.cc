// Damaged files: a segment and one index file of each kind, with bits flipped at random positions,
// are refused or read to the end. Every read of a client goes over them: searches with and without
// filters and ranges, queries, keys, all output fields, and the merge into a new segment. Run under
// a sanitizer this shows that no damage makes a read outside, and in any case that none hangs.
#include <cstdio>
#include <functional>

#include "check.h"
#include "expr_support.h"
#include "segment_fixture.h"
#include "float_vectors.h"
#include "read/query.h"
#include "read/search.h"
#include "read/visible_set.h"
#include "scalar/json_path_index.h"
#include "scalar/scalar_index.h"
#include "segment/index_file.h"

namespace elanus {
namespace {

using fixture::Bytes;
using fixture::Random;
using fixture::TemporaryFile;

constexpr uint64_t kSeed = 20261127;
constexpr size_t kRows = 200;
constexpr int kSegmentRounds = 1500;
constexpr int kIndexRounds = 400;

std::string random_document(Random& random) {
  const std::string number = std::to_string(random.below(1000));
  std::string text = "{\"b\": " + number + ", \"s\": \"" + random.text(20) + "\"";
  text += ", \"a\": [1, \"" + random.text(9) + "\", null, " + number + ".5, [true, {\"x\": 3}]]";
  for (uint64_t i = random.below(40); i > 0; --i)
    text += ", \"key " + std::to_string(i) + "\": " + std::to_string(i * 100);
  return text + "}";
}

// A sealed segment's file, sound.
struct World {
  explicit World(DataType key_type) : schema(fixture::make_schema(key_type)) {
    Random random(kSeed);
    const auto growing = GrowingSegment::create(schema);
    for (size_t i = 0; i < kRows; ++i) {
      const auto key = static_cast<int64_t>(random.below(kRows));
      fixture::Row row = fixture::random_row(schema, key, i + 1, random, 6);
      if (row.cells[fixture::kJsonField].has_value())
        row.cells[fixture::kJsonField] = random_document(random);
      CHECK(fixture::append(*growing, fixture::make_batch(schema, {row}), i + 1).is_ok());
    }
    std::unique_ptr<SegmentWriter> writer;
    CHECK(SegmentWriter::create({growing}, 0, &writer).is_ok());
    layouts = fixture::write_file(*writer, file.path());
  }

  Status open(const std::string& path, std::shared_ptr<SealedSegment>* out) const {
    return SealedSegment::open(schema, path, kRows, layouts, out);
  }

  Schema schema;
  TemporaryFile file;
  std::vector<ColumnLayout> layouts;
};

std::vector<std::vector<uint8_t>> make_plans() {
  std::vector<std::vector<uint8_t>> plans;
  const auto add = [&](test::PlanWriter& plan) { plans.push_back(std::move(plan.bytes)); };
  const auto op = [](CompareOp op) { return static_cast<int>(op); };
  test::PlanWriter number;
  number.tag(PlanTag::kCompare).field(105, DataType::kInt64).u8(op(CompareOp::kGt)).integer(0);
  add(number);
  test::PlanWriter text;
  text.tag(PlanTag::kLike).field(108, DataType::kVarChar);
  text.u8(static_cast<int>(LikeKind::kInner)).text("a");
  add(text);
  test::PlanWriter contains;
  contains.tag(PlanTag::kContains).field(112, DataType::kArray, DataType::kVarChar);
  contains.u8(static_cast<int>(ContainsMode::kAny)).put<uint32_t>(2).string("abc").string("");
  add(contains);
  test::PlanWriter bits;
  bits.tag(PlanTag::kContains).field(111, DataType::kArray, DataType::kBool);
  bits.u8(static_cast<int>(ContainsMode::kAll)).put<uint32_t>(1).boolean(true);
  add(bits);
  test::PlanWriter element;
  element.tag(PlanTag::kCompare).element(113, DataType::kDouble, 1).u8(op(CompareOp::kLt)).real(9);
  add(element);
  test::PlanWriter path;
  path.tag(PlanTag::kCompare).path(fixture::kJsonField, 1).key("b");
  path.u8(op(CompareOp::kLt)).integer(500);
  add(path);
  test::PlanWriter deep;
  deep.tag(PlanTag::kExists).path(fixture::kJsonField, 4);
  deep.key("a").index(4).index(1).key("x");
  add(deep);
  test::PlanWriter json_text;
  json_text.tag(PlanTag::kLike).path(fixture::kJsonField, 1).key("s");
  json_text.u8(static_cast<int>(LikeKind::kPrefix)).text("a");
  add(json_text);
  test::PlanWriter list;
  list.tag(PlanTag::kContains).path(fixture::kJsonField, 1).key("a");
  list.u8(static_cast<int>(ContainsMode::kOne)).put<uint32_t>(1);
  list.u8(5).put<uint32_t>(2).boolean(true).integer(3);
  add(list);
  return plans;
}

// Every value of a reply.
void read_batch(const OwnedBytes& bytes) {
  RowBatch batch;
  const Status status = RowBatch::open(bytes.data.get(), bytes.size, &batch);
  CHECK_EQ(status.message(), "");
  uint64_t sum = 0;
  for (const BatchColumn& column : batch.columns()) {
    for (size_t row = 0; row < batch.rows(); ++row) {
      const fixture::Cell cell = fixture::cell_at(column, row);
      if (!cell.has_value()) continue;
      for (const char c : *cell) sum += static_cast<unsigned char>(c);
      if (column.type != DataType::kArray || column.element_type != DataType::kVarChar) continue;
      // Offsets of an array's strings never fall and end with its bytes.
      const ArrayValue value = array_from_blob(DataType::kVarChar, *cell);
      size_t end = 0;
      for (size_t i = 0; i < value.count; ++i) end += value.string_at(i).size();
      CHECK(cell->empty() || 4 + 4 * (size_t{value.count} + 1) + end == cell->size());
    }
  }
  static volatile uint64_t sink;
  sink = sum;
}

class Reader {
 public:
  explicit Reader(const World& world) : world_(world) {
    for (const std::vector<uint8_t>& bytes : make_plans()) {
      const Status status = Plan::decode(bytes, &plans_.emplace_back());
      CHECK_EQ(status.message(), "");
    }
    for (const Field& field : world.schema.fields()) fields_.push_back(field.field_id);
  }

  // A result or an error, for each read.
  void read_all(const std::shared_ptr<SealedSegment>& sealed) const {
    const std::shared_ptr<const Segment> segment = sealed;
    for (const Metric metric : {Metric::kL2, Metric::kIp, Metric::kCosine}) {
      for (size_t i = 0; i <= plans_.size(); ++i) {
        const bool is_range = i % 3 == 1;
        search(segment, metric, i == 0 ? nullptr : &plans_[i - 1], is_range);
      }
    }
    for (size_t i = 0; i <= plans_.size(); ++i) query(segment, i == 0 ? nullptr : &plans_[i - 1]);
    const auto snapshot = sealed->snapshot(kReadAll);
    for (int64_t key = 0; key < 20; ++key) (void)fixture::find_key(*snapshot, key);
    (void)fixture::delete_key(*sealed, 3, kRows + 1, kRows);
    (void)sealed->stats();
    merge(segment);
  }

 private:
  void search(const std::shared_ptr<const Segment>& segment, Metric metric, const Plan* plan,
              bool is_range) const {
    const std::vector<float> queries = {1, 2, 3, 4, 5, -9, 0, 2, 0, 7};
    SearchRequest request;
    request.field_id = fixture::kVector;
    request.metric = metric;
    request.nq = 2;
    request.k = 10;
    request.params.set("ef", 20);
    request.read_ts = kReadAll;
    request.queries = {reinterpret_cast<const uint8_t*>(queries.data()), queries.size() * 4};
    request.plan = plan;
    if (is_range) request.radius = metric == Metric::kL2 ? 1e9f : -1e9f;
    request.output_fields = fields_;
    SearchResult result;
    const Status status = search_segments({&segment, 1}, request, nullptr, nullptr, &result);
    if (status.is_ok()) read_batch(result.rows);
  }

  void query(const std::shared_ptr<const Segment>& segment, const Plan* plan) const {
    QueryRequest request;
    request.plan = plan;
    request.read_ts = kReadAll;
    request.limit = plan == nullptr ? 0 : 50;
    request.output_fields = fields_;
    QueryResult result;
    const Status status = query_segments({&segment, 1}, request, nullptr, nullptr, &result);
    if (status.is_ok()) read_batch(result.rows);
  }

  void merge(const std::shared_ptr<const Segment>& segment) const {
    std::unique_ptr<SegmentWriter> writer;
    if (!SegmentWriter::create({segment}, 0, &writer).is_ok()) return;
    const TemporaryFile file;
    (void)fixture::write_file(*writer, file.path(), 1000);
  }

  const World& world_;
  std::vector<Plan> plans_;
  std::vector<int64_t> fields_;
};

// A bit, a byte, or some bytes; few positions, as a bad disk has them.
void damage(Bytes* bytes, Random& random) {
  for (uint64_t i = 1 + random.below(4); i > 0; --i) {
    uint8_t& byte = (*bytes)[random.below(bytes->size())];
    byte = static_cast<uint8_t>(random.chance(3) ? random.bits() : byte ^ (1u << random.below(8)));
  }
}

// Where the offsets of a column lie: what hurts most.
void damage_offsets(Bytes* bytes, const std::vector<ColumnLayout>& layouts, Random& random) {
  const ColumnLayout& layout = layouts[random.below(layouts.size())];
  const auto hit = [&](uint64_t offset, uint64_t size) {
    if (size == 0) return;
    uint8_t& byte = (*bytes)[offset + random.below(size)];
    byte = static_cast<uint8_t>(random.chance(2) ? random.bits() : byte ^ (1u << random.below(8)));
  };
  hit(layout.offsets_offset, layout.offsets_bytes);
  for (const std::optional<VarLayout>& part : {layout.variant, layout.child}) {
    if (part.has_value()) hit(part->offsets_offset, part->offsets_bytes);
  }
  if (layout.variant.has_value()) hit(layout.variant->data_offset, layout.variant->data_bytes);
}

void run_segments(DataType key_type) {
  const World world(key_type);
  const Reader reader(world);
  const Bytes sound = fixture::read_bytes(world.file.path());
  Random random(kSeed + static_cast<uint64_t>(key_type));
  const TemporaryFile damaged;
  int opened = 0;
  for (int round = 0; round < kSegmentRounds; ++round) {
    Bytes bytes = sound;
    damage(&bytes, random);
    if (!random.chance(3)) damage_offsets(&bytes, world.layouts, random);
    fixture::write_bytes(damaged.path(), bytes);
    std::shared_ptr<SealedSegment> sealed;
    const Status status = world.open(damaged.path(), &sealed);
    CHECK(status.is_ok() || status.code() == StatusCode::kDataIntegrity);
    if (!status.is_ok()) continue;
    ++opened;
    reader.read_all(sealed);
  }
  std::printf("seed %llu: %d of %d damaged segments opened\n",
              static_cast<unsigned long long>(kSeed), opened, kSegmentRounds);
  CHECK(opened > kSegmentRounds / 4);
}

// What is built into the index file of a field.
struct IndexCase {
  const char* name;
  int64_t field_id;
  std::function<Status(const SegmentSnapshot&, SectionFileWriter*)> build;
};

Status build_vectors(const char* kind, Metric metric, const SegmentSnapshot& rows,
                     SectionFileWriter* out) {
  const check::IndexSpec params(kind, metric, ParamBag().set("M", 4).set("nlist", 12));
  VisibleSet present;
  present.kept = rows.row_count();
  hide_nulls(rows, fixture::kVector, &present);
  IndexBuildControl control;
  control.present = present.words();
  const ColumnView column = rows.column(0, fixture::kVector);
  const auto* base = static_cast<const float*>(column.data);
  return params.build(check::float_rows(base, rows.row_count(), fixture::kDim), control, out);
}

std::vector<IndexCase> make_cases() {
  const auto vectors = [](const char* kind, Metric metric) {
    return [=](const SegmentSnapshot& rows, SectionFileWriter* out) {
      return build_vectors(kind, metric, rows, out);
    };
  };
  const auto scalar = [](int64_t id, DataType type, DataType element) {
    return [=](const SegmentSnapshot& rows, SectionFileWriter* out) {
      return build_scalar_index(rows, id, type, element, out);
    };
  };
  const auto path = [](const char* key, DataType type) {
    return [=](const SegmentSnapshot& rows, SectionFileWriter* out) {
      return build_json_path_index(rows, fixture::kJsonField, {{true, 0, key}}, type, out);
    };
  };
  constexpr DataType kNone = DataType::kNone;
  return {
      {"HNSW L2", fixture::kVector, vectors("HNSW", Metric::kL2)},
      {"HNSW COSINE", fixture::kVector, vectors("HNSW", Metric::kCosine)},
      {"IVF_FLAT IP", fixture::kVector, vectors("IVF_FLAT", Metric::kIp)},
      {"IVF_FLAT COSINE", fixture::kVector, vectors("IVF_FLAT", Metric::kCosine)},
      {"Int64", 105, scalar(105, DataType::kInt64, kNone)},
      {"VarChar", 108, scalar(108, DataType::kVarChar, kNone)},
      {"Array of VarChar", 112, scalar(112, DataType::kArray, DataType::kVarChar)},
      {"number at a path", fixture::kJsonField, path("b", DataType::kDouble)},
      {"text at a path", fixture::kJsonField, path("s", DataType::kVarChar)},
  };
}

void run_index(const World& world, const Reader& reader, const IndexCase& index, Random& random) {
  std::shared_ptr<SealedSegment> sealed;
  CHECK(world.open(world.file.path(), &sealed).is_ok());
  const auto rows = sealed->snapshot(kReadAll);
  Bytes sound;
  const auto build = [&](SectionFileWriter* out) { return index.build(*rows, out); };
  CHECK_EQ(fixture::build_bytes(build, &sound).message(), "");
  std::shared_ptr<const SectionFile> file;
  CHECK(SectionFile::of_bytes(sound, &file).is_ok());
  const TemporaryFile damaged;
  int opened = 0;
  for (int round = 0; round < kIndexRounds; ++round) {
    Bytes bytes = sound;
    for (uint64_t i = 1 + random.below(8); i > 0; --i) {
      uint8_t& byte = bytes[fixture::random_position(*file, random.engine())];
      const uint64_t bit = uint64_t{1} << random.below(8);
      byte = static_cast<uint8_t>(random.chance(3) ? random.bits() : byte ^ bit);
    }
    // Now and then with a header that was wrong before its checksum was taken.
    if (random.chance(4)) fixture::sign_again(&bytes);
    fixture::write_bytes(damaged.path(), bytes);
    const Status status = attach_index_file(*sealed, index.field_id, damaged.path());
    CHECK(status.is_ok() || status.code() == StatusCode::kDataIntegrity);
    if (!status.is_ok()) continue;
    ++opened;
    reader.read_all(sealed);
  }
  std::printf("%s: %d of %d damaged files opened\n", index.name, opened, kIndexRounds);
}

TEST(a_damaged_segment_is_refused_or_read_without_harm) { run_segments(DataType::kInt64); }
TEST(a_damaged_segment_with_string_keys_is_refused_or_read_without_harm) {
  run_segments(DataType::kVarChar);
}

TEST(a_damaged_index_is_refused_or_searched_without_harm) {
  const World world(DataType::kInt64);
  const Reader reader(world);
  Random random(kSeed);
  for (const IndexCase& index : make_cases()) run_index(world, reader, index, random);
}

}  // namespace
}  // namespace elanus

CHECK_MAIN()
