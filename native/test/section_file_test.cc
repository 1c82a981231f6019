// ELVX files: what was written comes back, and the writer's checksum is that of the whole file;
// what does not fit its table is refused; offsets have 64 bits; a full disk and a raised token are
// told.
#include "graph/hnsw_format.h"
#include "io/section_file.h"
#include "scalar/scalar_index_format.h"

#include <numeric>

#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "temporary_file.h"
#include "base/crc32c.h"

using namespace elanus;
using fixture::TemporaryFile;

namespace {

struct Numbers {
  uint64_t first = 7;
  uint32_t second = 9;
  uint32_t zero = 0;
};

SectionFileHeader some_header() {
  SectionFileHeader header;
  header.container = static_cast<uint32_t>(kScalarContainer);
  header.rows = 11;
  header.seed = 42;
  set_parameters(header, Numbers());
  return header;
}

std::vector<uint32_t> rising(size_t count) {
  std::vector<uint32_t> numbers(count);
  std::iota(numbers.begin(), numbers.end(), 1u);
  return numbers;
}

// Sections of 4 bytes, of none, of more than a buffer, and of one byte.
Status write_some(SectionFileWriter* out) {
  const std::vector<uint32_t> large = rising(300000);
  out->put_section(ScalarTag::kKeys, std::span<const uint32_t>(large).first(1));
  out->begin(ScalarTag::kValid);
  out->begin(ScalarTag::kPostings);
  for (size_t at = 0; at < large.size(); at += 70000) {
    const size_t count = std::min<size_t>(70000, large.size() - at);
    out->put_all(std::span<const uint32_t>(large).subspan(at, count));
  }
  out->begin(ScalarTag::kCharacters);
  out->put("x", 1);
  return out->finish(some_header());
}

constexpr SectionFile::Expected kSome[] = {{ScalarTag::kKeys, 4},
                                           {ScalarTag::kValid, 0},
                                           {ScalarTag::kPostings, 1200000},
                                           {ScalarTag::kCharacters, 1}};

StatusCode code_of(const std::vector<uint8_t>& bytes) {
  const fixture::ExactBytes exact(bytes);
  std::shared_ptr<const SectionFile> file;
  return SectionFile::of_bytes(exact.span(), &file).code();
}

}  // namespace

TEST(sections_come_back_as_they_were_written) {
  const TemporaryFile path;
  std::unique_ptr<SectionFileWriter> writer;
  CHECK(SectionFileWriter::create(path.path(), nullptr, &writer).is_ok());
  CHECK(write_some(writer.get()).is_ok());
  const std::vector<uint8_t> bytes = fixture::read_bytes(path.path());
  CHECK_EQ(writer->bytes(), uint64_t{bytes.size()});
  CHECK_EQ(writer->crc32c(), crc32c(bytes.data(), bytes.size()));
  CHECK_EQ(std::string(bytes.begin(), bytes.begin() + 4), std::string("ELVX"));

  std::shared_ptr<const SectionFile> file;
  CHECK_EQ(SectionFile::open(path.path(), &file).message(), std::string());
  CHECK(file->container() == kScalarContainer);
  CHECK_EQ(file->header().rows, uint64_t{11});
  CHECK_EQ(get_parameters<Numbers>(file->header()).first, uint64_t{7});
  CHECK_EQ(file->bytes(), uint64_t{bytes.size()});
  CHECK_EQ(file->crc32c(), writer->crc32c());
  CHECK(file->expect(kSome).is_ok());
  CHECK(fixture::is_whole(*file));
  for (const SectionEntry& section : file->sections()) CHECK_EQ(section.offset % 4096, uint64_t{0});
  const uint32_t* numbers = file->section<uint32_t>(ScalarTag::kPostings);
  CHECK(std::equal(numbers, numbers + 300000, rising(300000).begin()));
  CHECK_EQ(*file->section<char>(ScalarTag::kCharacters), 'x');
  CHECK(file->section<char>(HnswTag::kLinks) == nullptr);
  CHECK(file->compare(HnswTag::kLinks).is_ok());
}

TEST(a_file_without_sections_is_a_page) {
  std::vector<uint8_t> bytes;
  const auto build = [](SectionFileWriter* out) { return out->finish(some_header()); };
  CHECK(fixture::build_bytes(build, &bytes).is_ok());
  CHECK_EQ(bytes.size(), size_t{4096});
  CHECK(code_of(bytes) == StatusCode::kOk);
}

TEST(other_sections_than_the_container_knows_are_refused) {
  std::vector<uint8_t> bytes;
  CHECK(fixture::build_bytes(write_some, &bytes).is_ok());
  std::shared_ptr<const SectionFile> file;
  CHECK(SectionFile::of_bytes(bytes, &file).is_ok());
  std::vector<SectionFile::Expected> wanted(std::begin(kSome), std::end(kSome));
  CHECK(file->expect(wanted).is_ok());
  for (size_t i = 0; i < wanted.size(); ++i) {
    std::vector<SectionFile::Expected> other = wanted;
    other[i].bytes += 4;
    CHECK(file->expect(other).code() == StatusCode::kDataIntegrity);
    other = wanted;
    other[i].tag = ScalarTag::kBitmaps;
    CHECK(file->expect(other).code() == StatusCode::kDataIntegrity);
    other.erase(other.begin() + static_cast<std::ptrdiff_t>(i));
    CHECK(file->expect(other).code() == StatusCode::kDataIntegrity);
  }
  wanted.push_back({ScalarTag::kBitmaps, 0});
  CHECK(file->expect(wanted).code() == StatusCode::kDataIntegrity);
}

TEST(every_flipped_bit_of_header_table_and_sections_is_noticed) {
  std::vector<uint8_t> bytes;
  CHECK(fixture::build_bytes(write_some, &bytes).is_ok());
  std::shared_ptr<const SectionFile> sound;
  CHECK(SectionFile::of_bytes(bytes, &sound).is_ok());
  const size_t head = sizeof(SectionFileHeader) + 4 * sizeof(SectionEntry);
  for (size_t bit = 0; bit < head * 8; ++bit) {
    bytes[bit / 8] ^= static_cast<uint8_t>(1u << (bit % 8));
    CHECK(code_of(bytes) == StatusCode::kDataIntegrity);
    bytes[bit / 8] ^= static_cast<uint8_t>(1u << (bit % 8));
  }
  std::mt19937_64 random(5);
  for (int round = 0; round < 200; ++round) {
    const size_t at = fixture::random_position(*sound, random);
    if (at < kSectionAlignment) continue;
    const auto flip = static_cast<uint8_t>(1u << (random() % 8));
    bytes[at] ^= flip;
    CHECK(!fixture::is_whole(*sound));  // over these very bytes
    bytes[at] ^= flip;
  }
  CHECK(fixture::is_whole(*sound));
}

TEST(a_table_that_lies_is_refused_though_its_checksum_is_right) {
  std::vector<uint8_t> bytes;
  CHECK(fixture::build_bytes(write_some, &bytes).is_ok());
  const auto with = [&](size_t section, auto&& change) {
    std::vector<uint8_t> bad = bytes;
    SectionEntry entry;
    uint8_t* place = bad.data() + sizeof(SectionFileHeader) + section * sizeof(entry);
    std::memcpy(&entry, place, sizeof(entry));
    change(entry);
    std::memcpy(place, &entry, sizeof(entry));
    fixture::sign_again(&bad);
    return code_of(bad);
  };
  CHECK(with(2, [](SectionEntry&) {}) == StatusCode::kOk);
  for (const uint64_t value : {uint64_t{1}, uint64_t{4097}, uint64_t{1} << 40, ~uint64_t{0},
                               ~uint64_t{4095}, uint64_t{1} << 63}) {
    for (size_t section = 0; section < 4; ++section) {
      CHECK(with(section, [&](SectionEntry& e) { e.offset = value; }) ==
            StatusCode::kDataIntegrity);
      if (section == 3 && value == 1) continue;
      CHECK(with(section, [&](SectionEntry& e) { e.bytes = value; }) ==
            (section == 0 && value == 1 ? StatusCode::kOk : StatusCode::kDataIntegrity));
    }
  }
  std::vector<uint8_t> longer = bytes;
  longer.push_back(0);
  CHECK(code_of(longer) == StatusCode::kDataIntegrity);
  for (size_t size = 0; size < bytes.size(); size += 1 + size / 16) {
    CHECK(code_of({bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size)}) ==
          StatusCode::kDataIntegrity);
  }
}

// 5 GiB, most of it a hole.
TEST(a_section_may_lie_past_four_gibibytes) {
  constexpr uint64_t kFar = uint64_t{5} << 30;
  const TemporaryFile path;
  std::unique_ptr<OutputFile> out;
  CHECK(OutputFile::create(path.path(), nullptr, &out).is_ok());
  out->skip_to(kFar);
  const std::vector<uint32_t> numbers = rising(1000);
  out->put(numbers.data(), 4000);
  std::vector<uint8_t> first(kSectionAlignment);
  SectionFileHeader header = some_header();
  header.sections = 2;
  header.file_bytes = kFar + 4000;
  CHECK_EQ(out->bytes(), header.file_bytes);
  const SectionEntry entries[] = {
      {static_cast<uint32_t>(HnswTag::kLinks), 0, kSectionAlignment, kFar - kSectionAlignment},
      {static_cast<uint32_t>(ScalarTag::kKeys), crc32c(numbers.data(), 4000), kFar, 4000}};
  std::memcpy(first.data(), &header, sizeof(header));
  std::memcpy(first.data() + sizeof(header), entries, sizeof(entries));
  fixture::sign_again(&first);
  CHECK(out->finish(first.data(), first.size()).is_ok());
  std::shared_ptr<const SectionFile> file;
  CHECK_EQ(SectionFile::open(path.path(), &file).message(), std::string());
  CHECK_EQ(file->bytes(), kFar + 4000);
  CHECK(file->compare(ScalarTag::kKeys).is_ok());
  CHECK_EQ(file->section<uint32_t>(ScalarTag::kKeys)[999], 1000u);
  CHECK_EQ(file->section<uint8_t>(HnswTag::kLinks)[kFar - 5000], 0);
}

TEST(what_cannot_be_written_is_told) {
  std::unique_ptr<SectionFileWriter> writer;
  CHECK(SectionFileWriter::create("/nowhere/x", nullptr, &writer).code() == StatusCode::kIo);
  const CancelToken token;
  token.cancel();
  const TemporaryFile path;
  CHECK(SectionFileWriter::create(path.path(), &token, &writer).is_ok());
  CHECK(write_some(writer.get()).code() == StatusCode::kCanceled);
  if (::access("/dev/full", W_OK) != 0) return;
  CHECK(SectionFileWriter::create("/dev/full", nullptr, &writer).is_ok());
  const Status full = write_some(writer.get());
  CHECK(full.code() == StatusCode::kDiskLimit);
  CHECK(full.message().find("/dev/full") != std::string::npos);
}

CHECK_MAIN()
