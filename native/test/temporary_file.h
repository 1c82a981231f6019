// A file for one test, and the bytes of an index file that something writes into one.
#pragma once

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <vector>

#include <unistd.h>

#include "check.h"
#include "base/crc32c.h"
#include "io/section_file.h"

namespace elanus::fixture {

// A file path that is removed with the object.
class TemporaryFile {
 public:
  TemporaryFile() {
    std::string name = (std::filesystem::temp_directory_path() / "elanus-test-XXXXXX").string();
    const int fd = ::mkstemp(name.data());
    CHECK(fd >= 0);
    ::close(fd);
    path_ = name;
  }
  ~TemporaryFile() { std::remove(path_.c_str()); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

inline std::vector<uint8_t> read_bytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

inline void write_bytes(const std::string& path, const std::vector<uint8_t>& bytes) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
}

// Calls build(writer) and takes the bytes of the file that it has written.
template <typename Build>
Status build_bytes(Build&& build, std::vector<uint8_t>* bytes) {
  const TemporaryFile file;
  std::unique_ptr<SectionFileWriter> writer;
  Status status = SectionFileWriter::create(file.path(), nullptr, &writer);
  if (status.is_ok()) status = build(writer.get());
  bytes->clear();
  if (status.is_ok()) *bytes = read_bytes(file.path());
  return status;
}

// Makes the checksum of header and table right again, as far as there is a header.
inline void sign_again(std::vector<uint8_t>* bytes) {
  SectionFileHeader header;
  if (bytes->size() < sizeof(header)) return;
  std::memcpy(&header, bytes->data(), sizeof(header));
  const size_t table_bytes = header.sections * sizeof(SectionEntry);
  if (header.sections > kSectionsMax || table_bytes > bytes->size() - sizeof(header)) return;
  header.crc = crc32c(&header, sizeof(header) - sizeof(header.crc));
  header.crc = crc32c(bytes->data() + sizeof(header), table_bytes, header.crc);
  std::memcpy(bytes->data(), &header, sizeof(header));
}

// Where to damage a sound file: somewhere in its header, table or sections, not between them.
inline size_t random_position(const SectionFile& file, std::mt19937_64& random) {
  const std::vector<SectionEntry>& sections = file.sections();
  const size_t head = sizeof(SectionFileHeader) + sections.size() * sizeof(SectionEntry);
  uint64_t total = head;
  for (const SectionEntry& section : sections) total += section.bytes;
  uint64_t at = random() % total;
  if (at < head) return at;
  at -= head;
  for (const SectionEntry& section : sections) {
    if (at < section.bytes) return section.offset + at;
    at -= section.bytes;
  }
  return 0;
}

// Whether every section's bytes have their checksum.
inline bool is_whole(const SectionFile& file) {
  return std::all_of(file.sections().begin(), file.sections().end(),
                     [&](const SectionEntry& section) {
                       return file.compare(static_cast<SectionTag>(section.tag)).is_ok();
                     });
}

// An index file's bytes on the heap, exactly as many as there are, so that a sanitizer sees a read
// past them.
class ExactBytes {
 public:
  explicit ExactBytes(const std::vector<uint8_t>& bytes)
      : words_(new uint64_t[(bytes.size() + 7) / 8]), size_(bytes.size()) {
    if (size_ != 0) std::memcpy(words_.get(), bytes.data(), size_);
  }
  std::span<const uint8_t> span() const {
    return {reinterpret_cast<const uint8_t*>(words_.get()), size_};
  }

 private:
  std::unique_ptr<uint64_t[]> words_;
  size_t size_;
};

}  // namespace elanus::fixture
