// mmap of a whole file; the descriptor is closed at once because the mapping outlives it.
#include "io/mapped_file.h"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace elanus {

namespace {

Status io_error(const char* what, const std::string& path) {
  return {StatusCode::kIo, std::string(what) + " " + path + ": " + std::strerror(errno)};
}

}  // namespace

Status MappedFile::open(const std::string& path, std::unique_ptr<MappedFile>* out) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return io_error("cannot open", path);
  struct stat info = {};
  if (::fstat(fd, &info) != 0) {
    const Status status = io_error("cannot stat", path);
    ::close(fd);
    return status;
  }
  const size_t size = static_cast<size_t>(info.st_size);
  const uint8_t* data = nullptr;
  if (size != 0) {
    void* mapped = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED) {
      const Status status = io_error("cannot map", path);
      ::close(fd);
      return status;
    }
    data = static_cast<const uint8_t*>(mapped);
  }
  ::close(fd);
  out->reset(new MappedFile(data, size));
  return Status::ok();
}

MappedFile::~MappedFile() {
  if (size_ != 0) ::munmap(const_cast<uint8_t*>(data_), size_);
}

}  // namespace elanus
