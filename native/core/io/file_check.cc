// One buffer of 256 KiB, small enough to be in the cache when its checksum is taken.
#include "io/file_check.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "io/section_file.h"
#include "threads/thread_pool.h"

namespace elanus {
namespace {

constexpr uint64_t kBufferBytes = 256 << 10;

// A descriptor for reading.
class InputFile {
 public:
  explicit InputFile(const std::string& path)
      : path_(path), fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}
  ~InputFile() {
    if (fd_ >= 0) ::close(fd_);
  }
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  Status read(uint64_t offset, uint64_t bytes, uint8_t* out) const {
    while (bytes > 0) {
      const ssize_t got = ::pread(fd_, out, bytes, static_cast<off_t>(offset));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return error();
      if (got == 0) return {StatusCode::kDataIntegrity, path_ + " is shorter than it should be"};
      out += got;
      bytes -= static_cast<uint64_t>(got);
      offset += static_cast<uint64_t>(got);
    }
    return Status::ok();
  }
  Status size(uint64_t* bytes) const {
    struct stat info = {};
    if (fd_ < 0 || ::fstat(fd_, &info) != 0) return error();
    *bytes = static_cast<uint64_t>(info.st_size);
    return Status::ok();
  }

 private:
  Status error() const {
    return {StatusCode::kIo, "cannot read " + path_ + ": " + std::strerror(errno)};
  }

  const std::string& path_;
  int fd_;
};

std::string letters_of(uint32_t tag) {
  std::string letters(4, ' ');
  std::memcpy(letters.data(), &tag, 4);
  return letters;
}

void add_padding(uint64_t begin, uint64_t end, std::vector<FileCheck>* checks) {
  constexpr std::array<uint8_t, kSectionAlignment> kZeros{};
  if (begin == end) return;
  checks->push_back({"padding", begin, end - begin, crc32c(kZeros.data(), end - begin)});
}

}  // namespace

Status list_checks(const std::string& path, std::vector<FileCheck>* checks) {
  const InputFile file(path);
  uint64_t bytes = 0;
  if (Status status = file.size(&bytes); !status.is_ok()) return status;
  std::array<uint8_t, kSectionAlignment> first;
  const uint64_t read = std::min<uint64_t>(bytes, first.size());
  if (Status status = file.read(0, read, first.data()); !status.is_ok()) return status;
  SectionFileHeader header;
  std::vector<SectionEntry> sections;
  Status status = read_section_table({first.data(), read}, bytes, &header, &sections);
  if (!status.is_ok()) return {status.code(), status.message() + " (" + path + ")"};
  uint64_t end = sizeof(header) + sections.size() * sizeof(SectionEntry);
  for (const SectionEntry& section : sections) {
    add_padding(end, section.offset, checks);
    checks->push_back({letters_of(section.tag), section.offset, section.bytes, section.crc});
    end = section.offset + section.bytes;
  }
  add_padding(end, bytes, checks);
  return Status::ok();
}

Status crc32c_of_file(const std::string& path, uint64_t offset, uint64_t length,
                      const CancelToken* cancel, uint32_t* crc) {
  const InputFile file(path);
  uint64_t bytes = 0;
  if (Status status = file.size(&bytes); !status.is_ok()) return status;
  std::vector<uint8_t> buffer(std::min(length, kBufferBytes));
  while (length > 0) {
    if (is_canceled(cancel)) return {StatusCode::kCanceled, "checking " + path + " was canceled"};
    ThreadPool::give_way();
    const uint64_t some = std::min<uint64_t>(length, buffer.size());
    if (Status status = file.read(offset, some, buffer.data()); !status.is_ok()) return status;
    *crc = crc32c(buffer.data(), some, *crc);
    offset += some;
    length -= some;
  }
  return Status::ok();
}

}  // namespace elanus
