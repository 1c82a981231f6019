// A library to preload into a program (LD_PRELOAD): writes down, in order, what the program tells
// the system to do with the files of one directory, and what it prints. disk-journal.ts reads it.
// Each call and its record are made under one lock, so the order is the order that the disk saw.
// A record is five u64 words (kind, open number, flags, offset, length) and `length` bytes.
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#include <map>
#include <mutex>
#include <string>

namespace {

enum Kind : uint64_t { kOpen = 1, kWrite, kTruncate, kSync, kNote, kMapped, kMakeDirectory };
constexpr uint64_t kDurable = 1;  // the descriptor was opened with O_DSYNC or O_SYNC

struct OpenFile {
  uint64_t number;
  bool is_durable;
};

std::recursive_mutex mutex;
uint64_t opened = 0;
int journal = -2;

std::map<int, OpenFile>& files() {
  static auto* map = new std::map<int, OpenFile>();  // other threads may outlive statics
  return *map;
}

template <typename Function>
Function real(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

#define REAL(name) static const auto real_##name = real<decltype(&name)>(#name)

void record(Kind kind, uint64_t number, uint64_t flags, uint64_t offset, const void* bytes,
            uint64_t length) {
  REAL(write);
  if (journal == -2) {
    REAL(open);
    const char* path = getenv("ELANUS_JOURNAL");
    journal = path == nullptr ? -1 : real_open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
  }
  if (journal < 0) return;
  const uint64_t head[5] = {kind, number, flags, offset, length};
  std::string whole(reinterpret_cast<const char*>(head), sizeof head);
  if (length > 0) whole.append(static_cast<const char*>(bytes), length);
  if (real_write(journal, whole.data(), whole.size()) != static_cast<ssize_t>(whole.size()))
    abort();
}

bool is_watched(const char* path) {
  static const char* root = getenv("ELANUS_JOURNAL_ROOT");
  return root != nullptr && strncmp(path, root, strlen(root)) == 0;
}

int note_open(int fd, const char* path, int flags) {
  if (fd < 0) return fd;
  files().erase(fd);  // closed by a way that is not watched
  if (!is_watched(path)) return fd;
  const bool is_durable = (flags & (O_DSYNC | O_SYNC)) != 0;
  files()[fd] = {++opened, is_durable};
  record(kOpen, opened, is_durable ? kDurable : 0, 0, path, strlen(path));
  return fd;
}

void note_write(int fd, off64_t offset, const struct iovec* pieces, int count, ssize_t written) {
  const auto found = files().find(fd);
  const bool is_output = fd == STDOUT_FILENO;
  if (written <= 0 || (found == files().end() && !is_output)) return;
  std::string bytes;
  for (int i = 0; i < count; ++i) {
    bytes.append(static_cast<const char*>(pieces[i].iov_base), pieces[i].iov_len);
  }
  bytes.resize(static_cast<size_t>(written));
  if (is_output) {
    record(kNote, 0, 0, 0, bytes.data(), bytes.size());
    return;
  }
  const uint64_t flags = found->second.is_durable ? kDurable : 0;
  record(kWrite, found->second.number, flags, static_cast<uint64_t>(offset), bytes.data(),
         bytes.size());
}

void note(Kind kind, int fd, uint64_t offset) {
  const auto found = files().find(fd);
  if (found != files().end()) record(kind, found->second.number, 0, offset, nullptr, 0);
}

mode_t read_mode(int flags, va_list arguments) {
  return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(arguments, mode_t) : 0;
}

}  // namespace

#define OPEN(name)                                                 \
  extern "C" int name(const char* path, int flags, ...) {          \
    REAL(name);                                                    \
    va_list arguments;                                             \
    va_start(arguments, flags);                                    \
    const mode_t mode = read_mode(flags, arguments);               \
    va_end(arguments);                                             \
    const std::lock_guard lock(mutex);                             \
    return note_open(real_##name(path, flags, mode), path, flags); \
  }
OPEN(open)
OPEN(open64)

extern "C" int mkdir(const char* path, mode_t mode) {
  REAL(mkdir);
  const std::lock_guard lock(mutex);
  const int result = real_mkdir(path, mode);
  if (result == 0 && is_watched(path)) record(kMakeDirectory, 0, 0, 0, path, strlen(path));
  return result;
}

extern "C" int close(int fd) {
  REAL(close);
  const std::lock_guard lock(mutex);
  files().erase(fd);
  return real_close(fd);
}

extern "C" ssize_t write(int fd, const void* bytes, size_t size) {
  REAL(write);
  const std::lock_guard lock(mutex);
  const off64_t at = files().count(fd) != 0 ? lseek64(fd, 0, SEEK_CUR) : 0;
  const ssize_t written = real_write(fd, bytes, size);
  const struct iovec piece = {const_cast<void*>(bytes), size};
  note_write(fd, at, &piece, 1, written);
  return written;
}

extern "C" ssize_t writev(int fd, const struct iovec* pieces, int count) {
  REAL(writev);
  const std::lock_guard lock(mutex);
  const off64_t at = files().count(fd) != 0 ? lseek64(fd, 0, SEEK_CUR) : 0;
  const ssize_t written = real_writev(fd, pieces, count);
  note_write(fd, at, pieces, count, written);
  return written;
}

#define PWRITE(name)                                                                \
  extern "C" ssize_t name(int fd, const void* bytes, size_t size, off64_t offset) { \
    REAL(name);                                                                     \
    const std::lock_guard lock(mutex);                                              \
    const ssize_t written = real_##name(fd, bytes, size, offset);                   \
    const struct iovec piece = {const_cast<void*>(bytes), size};                    \
    note_write(fd, offset, &piece, 1, written);                                     \
    return written;                                                                 \
  }
PWRITE(pwrite)
PWRITE(pwrite64)

#define PWRITEV(name)                                                                      \
  extern "C" ssize_t name(int fd, const struct iovec* pieces, int count, off64_t offset) { \
    REAL(name);                                                                            \
    const std::lock_guard lock(mutex);                                                     \
    const ssize_t written = real_##name(fd, pieces, count, offset);                        \
    note_write(fd, offset, pieces, count, written);                                        \
    return written;                                                                        \
  }
PWRITEV(pwritev)
PWRITEV(pwritev64)

#define TRUNCATE(name)                                                   \
  extern "C" int name(int fd, off64_t length) {                          \
    REAL(name);                                                          \
    const std::lock_guard lock(mutex);                                   \
    const int result = real_##name(fd, length);                          \
    if (result == 0) note(kTruncate, fd, static_cast<uint64_t>(length)); \
    return result;                                                       \
  }
TRUNCATE(ftruncate)
TRUNCATE(ftruncate64)

#define SYNC(name)                       \
  extern "C" int name(int fd) {          \
    REAL(name);                          \
    const std::lock_guard lock(mutex);   \
    const int result = real_##name(fd);  \
    if (result == 0) note(kSync, fd, 0); \
    return result;                       \
  }
SYNC(fsync)
SYNC(fdatasync)

// Writes through a mapping cannot be seen here.
#define MMAP(name)                                                                  \
  extern "C" void* name(void* at, size_t length, int protection, int flags, int fd, \
                        off64_t offset) {                                           \
    REAL(name);                                                                     \
    void* mapped = real_##name(at, length, protection, flags, fd, offset);          \
    if (fd >= 0 && (protection & PROT_WRITE) != 0 && (flags & MAP_SHARED) != 0) {   \
      const std::lock_guard lock(mutex);                                            \
      note(kMapped, fd, 0);                                                         \
    }                                                                               \
    return mapped;                                                                  \
  }
MMAP(mmap)
MMAP(mmap64)
