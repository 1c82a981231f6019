// Delete batches against plain lists of deletes: what is written is read, what is damaged is
// refused, and applying one marks the rows that deletes one by one mark.
#include "segment/delete_batch.h"

#include "segment_fixture.h"
#include "base/crc32c.h"
#include "segment/apply_deletes.h"

namespace elanus {
namespace {

using fixture::Bytes;
using fixture::Random;
using fixture::raw;

struct PlainDelete {
  uint64_t timestamp = 0;
  uint64_t kills_up_to = 0;
  int64_t partition_id = 0;
  std::vector<int64_t> keys;
};

std::string text_of(int64_t key) { return "key-" + std::to_string(key); }

void pad(std::string* bytes) { bytes->resize((bytes->size() + 7) / 8 * 8); }

// Column by column, as the format's page says.
Bytes encode(const std::vector<PlainDelete>& deletes, bool is_string) {
  std::string kills, partitions, ends, values, text, timestamps;
  uint32_t count = 0;
  if (is_string) values += raw(uint32_t{0});
  for (const PlainDelete& one : deletes) {
    timestamps += raw(one.timestamp);
    kills += raw(one.kills_up_to);
    partitions += raw(one.partition_id);
    for (const int64_t key : one.keys) {
      if (is_string) text += text_of(key);
      values += is_string ? raw(static_cast<uint32_t>(text.size())) : raw(key);
    }
    ends += raw(count += static_cast<uint32_t>(one.keys.size()));
  }
  pad(&ends);
  pad(&values);
  const std::string rest = raw(uint32_t{is_string}) + raw(static_cast<uint32_t>(deletes.size())) +
                           raw(count) + raw(uint32_t{0}) + raw(uint64_t{text.size()}) + timestamps +
                           kills + partitions + ends + values + text;
  const std::string all = raw(kDeleteBatchMagic) + raw(crc32c(rest.data(), rest.size())) + rest;
  return Bytes(all.begin(), all.end());
}

std::vector<PlainDelete> random_deletes(Random& random, size_t count, size_t keys_max,
                                        uint64_t first = 100) {
  std::vector<PlainDelete> deletes(count);
  for (PlainDelete& one : deletes) {
    one.timestamp = first += random.below(3);
    one.kills_up_to = random.chance(4) ? random.below(one.timestamp) : one.timestamp - 1;
    one.partition_id = static_cast<int64_t>(random.below(3));
    one.keys.resize(random.below(keys_max + 1));
    for (int64_t& key : one.keys) key = static_cast<int64_t>(random.below(60));
  }
  return deletes;
}

std::vector<PlainDelete> decode(const DeleteBatch& batch) {
  std::vector<PlainDelete> deletes;
  for (size_t i = 0; i < batch.runs().size(); ++i) {
    const DeleteRun& run = batch.runs()[i];
    PlainDelete one{run.timestamp, run.kills_up_to, run.partition_id, {}};
    for (size_t k = batch.first_key(i); k < run.key_end; ++k) {
      one.keys.push_back(batch.keys().is_string()
                             ? std::stoll(std::string(batch.keys().string_at(k).substr(4)))
                             : batch.keys().int_at(k));
    }
    deletes.push_back(one);
  }
  return deletes;
}

void check_equal(const std::vector<PlainDelete>& got, const std::vector<PlainDelete>& wanted) {
  CHECK_EQ(got.size(), wanted.size());
  for (size_t i = 0; i < std::min(got.size(), wanted.size()); ++i) {
    CHECK_EQ(got[i].timestamp, wanted[i].timestamp);
    CHECK_EQ(got[i].kills_up_to, wanted[i].kills_up_to);
    CHECK_EQ(got[i].partition_id, wanted[i].partition_id);
    CHECK(got[i].keys == wanted[i].keys);
  }
}

TEST(delete_batch_reads_what_was_written_at_any_address) {
  Random random(11);
  for (size_t round = 0; round < 60; ++round) {
    const auto deletes = random_deletes(random, random.below(8), 5);
    Bytes bytes(round % 8);
    const Bytes batch = encode(deletes, round % 2 == 0);
    bytes.insert(bytes.end(), batch.begin(), batch.end());
    DeleteBatch read;
    const Status status = DeleteBatch::open(std::span(bytes).subspan(round % 8), &read);
    CHECK_EQ(status.message(), "");
    check_equal(decode(read), deletes);
  }
}

TEST(delete_batch_refuses_each_damaged_byte_and_each_length) {
  Random random(12);
  for (const bool is_string : {false, true}) {
    const Bytes sound = encode(random_deletes(random, 6, 4), is_string);
    for (size_t at = 0; at < sound.size(); ++at) {
      Bytes damaged = sound;
      damaged[at] ^= static_cast<uint8_t>(1u << random.below(8));
      DeleteBatch read;
      CHECK(DeleteBatch::open(damaged, &read).code() == StatusCode::kDataIntegrity);
      DeleteBatch cut;
      CHECK(DeleteBatch::open(std::span(sound).first(at), &cut).code() ==
            StatusCode::kDataIntegrity);
    }
  }
}

// The checksum is right and the rest is not: no read is out of bounds.
TEST(delete_batch_trusts_no_number_behind_a_sound_checksum) {
  Random random(13);
  for (size_t round = 0; round < 4000; ++round) {
    Bytes bytes = encode(random_deletes(random, 5, 4), round % 2 == 0);
    for (size_t n = 0; n < 1 + random.below(3); ++n) {
      bytes[8 + random.below(bytes.size() - 8)] = static_cast<uint8_t>(random.bits());
    }
    const uint32_t checksum = crc32c(bytes.data() + 8, bytes.size() - 8);
    std::memcpy(bytes.data() + 4, &checksum, 4);
    // A copy of its own size, so that a sanitizer sees what lies behind it.
    const Bytes exact(bytes);
    DeleteBatch read;
    if (!DeleteBatch::open(exact, &read).is_ok()) continue;
    size_t characters = 0;
    for (size_t k = 0; read.keys().is_string() && k < read.keys().size(); ++k) {
      for (const char c : read.keys().string_at(k)) characters += static_cast<uint8_t>(c);
    }
    CHECK(characters < ~size_t{0});
  }
}

TEST(delete_batches_merge_to_what_is_later) {
  Random random(14);
  for (size_t round = 0; round < 60; ++round) {
    const bool is_string = round % 2 == 0;
    std::vector<Bytes> files;
    std::vector<PlainDelete> all;
    uint64_t first = 100;
    for (size_t i = 0; i < random.below(5); ++i) {
      const auto deletes = random_deletes(random, random.below(6), 4, first);
      if (!deletes.empty()) first = deletes.back().timestamp;
      files.push_back(encode(deletes, is_string));
      all.insert(all.end(), deletes.begin(), deletes.end());
    }
    std::vector<DeleteBatch> batches(files.size());
    for (size_t i = 0; i < files.size(); ++i) {
      CHECK(DeleteBatch::open(files[i], &batches[i]).is_ok());
    }
    const uint64_t after = 95 + random.below(20);
    std::erase_if(all, [&](const PlainDelete& one) { return one.timestamp <= after; });
    OwnedBytes merged;
    CHECK(merge_delete_batches(batches, after, &merged).is_ok());
    DeleteBatch read;
    CHECK_EQ(DeleteBatch::open({merged.data.get(), merged.size}, &read).message(), "");
    check_equal(decode(read), all);
  }
}

TEST(delete_batches_of_different_kinds_do_not_merge) {
  const Bytes ints = encode({{5, 4, 0, {1}}}, false);
  const Bytes texts = encode({{6, 5, 0, {1}}}, true);
  std::vector<DeleteBatch> batches(2);
  CHECK(DeleteBatch::open(ints, &batches[0]).is_ok());
  CHECK(DeleteBatch::open(texts, &batches[1]).is_ok());
  OwnedBytes merged;
  CHECK(merge_delete_batches(batches, 0, &merged).code() == StatusCode::kInvalidParameter);
}

// Segments with the same rows: one gets the batch, one each delete by itself, in the order of time.
void run_apply(DataType key_type, uint64_t seed, bool is_sealed) {
  Random random(seed);
  const Schema schema = fixture::make_schema(key_type);
  for (size_t round = 0; round < 8; ++round) {
    const fixture::TemporaryFile file;
    const auto make = [&](uint64_t rows_seed) -> std::shared_ptr<Segment> {
      Random own(rows_seed);
      auto growing = GrowingSegment::create(schema);
      std::vector<fixture::Row> rows;
      for (size_t i = 0; i < 150; ++i) {
        const int64_t key = static_cast<int64_t>(own.below(50));
        rows.push_back(fixture::random_row(schema, key, 1 + i, own, 0));
      }
      CHECK(fixture::append(*growing, fixture::make_batch(schema, rows, true), 0).is_ok());
      if (!is_sealed) return growing;
      return fixture::seal({growing}, schema, file.path());
    };
    const auto batched = make(seed + round);
    const auto single = make(seed + round);
    const auto deletes = random_deletes(random, 40, 20, 20);
    const DeleteTarget target{batched, 2, 20 + random.below(30)};
    const Bytes bytes = encode(deletes, key_type == DataType::kVarChar);
    DeleteBatch batch;
    CHECK(DeleteBatch::open(bytes, &batch).is_ok());
    CHECK_EQ(apply_deletes(batch, {&target, 1}, nullptr).message(), "");
    for (const PlainDelete& one : deletes) {
      if (one.timestamp <= target.deletes_up_to) continue;
      if (one.partition_id != 0 && one.partition_id != 2) continue;
      for (const int64_t key : one.keys) {
        fixture::delete_key(*single, key, one.timestamp, one.kills_up_to);
      }
    }
    const auto a = batched->snapshot(kReadAll);
    const auto b = single->snapshot(kReadAll);
    CHECK(single->stats().deleted_rows > 0);
    for (size_t row = 0; row < 150; ++row) {
      CHECK_EQ(a->delete_timestamp_at(row), b->delete_timestamp_at(row));
    }
  }
}

TEST(delete_batch_marks_sealed_rows_as_single_deletes_do) {
  run_apply(DataType::kInt64, 15, true);
  run_apply(DataType::kVarChar, 16, true);
}

TEST(delete_batch_marks_growing_rows_as_single_deletes_do) {
  run_apply(DataType::kInt64, 17, false);
  run_apply(DataType::kVarChar, 18, false);
}

TEST(delete_batch_of_the_other_kind_of_keys_is_refused) {
  const DeleteTarget target{GrowingSegment::create(fixture::make_schema(DataType::kVarChar)), 0, 0};
  const Bytes bytes = encode({{5, 4, 0, {1}}}, false);
  DeleteBatch batch;
  CHECK(DeleteBatch::open(bytes, &batch).is_ok());
  CHECK(apply_deletes(batch, {&target, 1}, nullptr).code() == StatusCode::kInvalidParameter);
}

TEST(delete_batch_stops_when_it_is_canceled) {
  const DeleteTarget target{GrowingSegment::create(fixture::make_schema()), 0, 0};
  const Bytes bytes = encode({{5, 4, 0, {1}}}, false);
  DeleteBatch batch;
  CHECK(DeleteBatch::open(bytes, &batch).is_ok());
  const CancelToken cancel;
  cancel.cancel();
  CHECK(apply_deletes(batch, {&target, 1}, &cancel).code() == StatusCode::kCanceled);
}

}  // namespace
}  // namespace elanus

CHECK_MAIN()
