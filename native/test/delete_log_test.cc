// The delete log against a map, for reads at any timestamp; and beside a writer, for reads older
// than its deletes.
#include "segment/delete_log.h"

#include <thread>

#include "segment_fixture.h"

namespace elanus {
namespace {

using fixture::Random;

TEST(delete_log_without_deletes_costs_nothing) {
  const DeleteLog log;
  CHECK_EQ(log.memory_bytes(), 0u);
  CHECK(!log.any_at(kReadAll - 1));
  CHECK_EQ(log.timestamp_at(5), 0u);
  CHECK_EQ(log.timestamp_at(4000000000), 0u);
}

TEST(delete_log_equals_a_map_at_every_read_timestamp) {
  Random random(21);
  for (const size_t rows : {1, 63, 64, 65, 1024, 1025, 9000}) {
    DeleteLog log;
    std::map<size_t, uint64_t> model;
    for (size_t n = 0; n < rows / 3 + 1; ++n) {
      const size_t row = random.below(rows);
      const uint64_t timestamp = 1 + random.below(50);
      CHECK_EQ(log.mark(row, timestamp), model.emplace(row, timestamp).second);
    }
    CHECK_EQ(log.count(), model.size());
    for (uint64_t read_ts = 0; read_ts <= 51; ++read_ts) {
      Bitset visible(rows, true);
      log.clear_deleted(read_ts, rows, visible.words());
      bool any = false;
      for (size_t row = 0; row < rows; ++row) {
        const auto found = model.find(row);
        const bool is_deleted = found != model.end() && found->second <= read_ts;
        any = any || is_deleted;
        CHECK_EQ(visible.test(row), !is_deleted);
      }
      CHECK_EQ(log.any_at(read_ts), any);
      CHECK_EQ(log.count_at(read_ts), rows - visible.count());
    }
    uint64_t last = 0;
    for (const auto& [row, timestamp] : model) last = std::max(last, timestamp);
    CHECK_EQ(log.last_timestamp(), last);
    for (size_t row = 0; row < rows; ++row) {
      CHECK_EQ(log.timestamp_at(row), model.count(row) != 0 ? model[row] : 0);
    }
  }
}

TEST(delete_log_reads_rows_far_apart) {
  DeleteLog log;
  CHECK(log.mark(4000000000, 9));
  CHECK(log.mark(0, 8));
  CHECK_EQ(log.timestamp_at(4000000000), 9u);
  CHECK_EQ(log.timestamp_at(0), 8u);
  CHECK_EQ(log.timestamp_at(2000000), 0u);
}

TEST(delete_log_reader_never_sees_a_later_delete) {
  constexpr size_t kRows = 5000;
  DeleteLog log;
  for (size_t row = 0; row < kRows; row += 10) log.mark(row, 5);
  std::atomic<bool> done{false};
  std::thread writer([&] {
    for (size_t row = 0; row < kRows; ++row) log.mark(row, 10 + row);
    done.store(true);
  });
  std::vector<std::thread> readers;
  std::atomic<size_t> wrong{0};
  for (int r = 0; r < 3; ++r) {
    readers.emplace_back([&] {
      bool last = false;
      while (!last) {
        last = done.load();
        Bitset visible(kRows, true);
        log.clear_deleted(9, kRows, visible.words());
        for (size_t row = 0; row < kRows; ++row) wrong += visible.test(row) != (row % 10 != 0);
      }
    });
  }
  writer.join();
  for (std::thread& reader : readers) reader.join();
  CHECK_EQ(wrong.load(), 0u);
  CHECK_EQ(log.count(), kRows);
}

}  // namespace
}  // namespace elanus

CHECK_MAIN()
