// Plain pwrite calls: what lies in large pieces goes out without a copy.
#include "io/output_file.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

namespace elanus {
namespace {

constexpr uint64_t kBufferBytes = 256 << 10;
// Written between two looks at the token: about a millisecond into the page cache.
constexpr uint64_t kPieceBytes = 4 << 20;

Status write_error(int error, const std::string& path) {
  const bool is_full = error == ENOSPC || error == EDQUOT;
  return {is_full ? StatusCode::kDiskLimit : StatusCode::kIo,
          "cannot write " + path + ": " + std::strerror(error)};
}

}  // namespace

Status OutputFile::create(const std::string& path, const CancelToken* cancel,
                          std::unique_ptr<OutputFile>* out) {
  out->reset(new OutputFile(path, cancel));
  OutputFile& file = **out;
  file.buffer_.reserve(kBufferBytes);
  file.fd_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  return file.fd_ < 0 ? write_error(errno, path) : Status::ok();
}

OutputFile::OutputFile(std::string path, const CancelToken* cancel)
    : path_(std::move(path)), cancel_(cancel) {}

OutputFile::~OutputFile() {
  if (fd_ >= 0) ::close(fd_);
}

void OutputFile::put(const void* data, uint64_t bytes) {
  const auto* from = static_cast<const uint8_t*>(data);
  if (buffer_.size() + bytes > kBufferBytes) flush();
  if (bytes >= kBufferBytes) {
    write_at(from, bytes, offset_);
  } else {
    buffer_.insert(buffer_.end(), from, from + bytes);
  }
  offset_ += bytes;
}

void OutputFile::skip_to(uint64_t offset) {
  flush();
  offset_ = std::max(offset_, offset);
}

Status OutputFile::finish(const void* first, uint64_t first_bytes) {
  flush();
  write_at(static_cast<const uint8_t*>(first), first_bytes, 0);
  // A hole at the end belongs to the file.
  if (status_.is_ok() && ::ftruncate(fd_, static_cast<off_t>(offset_)) != 0) fail(errno);
  const int fd = std::exchange(fd_, -1);
  if (::close(fd) != 0 && errno != EINTR) fail(errno);
  return status_;
}

void OutputFile::flush() {
  write_at(buffer_.data(), buffer_.size(), offset_ - buffer_.size());
  buffer_.clear();
}

void OutputFile::write_at(const uint8_t* data, uint64_t bytes, uint64_t offset) {
  while (bytes > 0 && status_.is_ok()) {
    if (is_canceled(cancel_)) {
      status_ = {StatusCode::kCanceled, "writing " + path_ + " was canceled"};
      return;
    }
    const ssize_t written =
        ::pwrite(fd_, data, std::min(bytes, kPieceBytes), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return fail(errno);
    data += written;
    bytes -= static_cast<uint64_t>(written);
    offset += static_cast<uint64_t>(written);
  }
}

// The first failure is the one to tell.
void OutputFile::fail(int error) {
  if (status_.is_ok()) status_ = write_error(error, path_);
}

}  // namespace elanus
