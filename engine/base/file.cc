#include "engine/base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <new>

#include "absl/strings/str_format.h"
#include "engine/base/status.h"

namespace bitlm {
namespace {

absl::Status ErrnoStatus(const std::string& path, const char* action) {
  const int error = errno;
  const std::string message =
      absl::StrFormat("%s: cannot %s: %s", path, action, std::strerror(error));
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return absl::NotFoundError(message);
    case EACCES:
    case EPERM:
    case EROFS:
      return absl::PermissionDeniedError(message);
    case ENOSPC:
    case EDQUOT:
      return absl::ResourceExhaustedError(message);
    default:
      return absl::InternalError(message);
  }
}

class FileDescriptor {
 public:
  explicit FileDescriptor(int fd) : fd_(fd) {}
  ~FileDescriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  int get() const { return fd_; }
  bool ok() const { return fd_ >= 0; }

 private:
  int fd_;
};

absl::Status WriteAll(int fd, const std::string& path, std::string_view contents) {
  while (!contents.empty()) {
    const ssize_t written = ::write(fd, contents.data(), contents.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      return ErrnoStatus(path, "write");
    }
    contents.remove_prefix(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> Gunzip(const std::string& path, const std::string& compressed) {
  z_stream stream = {};
  if (inflateInit2(&stream, 16 + MAX_WBITS) != Z_OK)
    return absl::InternalError("inflateInit2 failed");
  std::unique_ptr<z_stream, decltype(&inflateEnd)> end(&stream, &inflateEnd);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(compressed.data()));
  size_t left = compressed.size();  // zlib counts in 32 bits.
  std::string out;
  std::string chunk(1 << 20, '\0');
  for (;;) {
    if (stream.avail_in == 0) {
      stream.avail_in = static_cast<uInt>(std::min<size_t>(left, 1 << 30));
      left -= stream.avail_in;
    }
    stream.next_out = reinterpret_cast<Bytef*>(chunk.data());
    stream.avail_out = static_cast<uInt>(chunk.size());
    const int result = inflate(&stream, Z_NO_FLUSH);
    if (result != Z_OK && result != Z_STREAM_END) {
      return absl::DataLossError(absl::StrFormat("%s: damaged or truncated gzip stream", path));
    }
    out.append(chunk, 0, chunk.size() - stream.avail_out);
    if (result == Z_STREAM_END) {
      if (stream.avail_in == 0 && left == 0) return out;
      if (inflateReset(&stream) != Z_OK) return absl::InternalError("inflateReset failed");
    }
  }
}

}  // namespace

absl::StatusOr<std::string> ReadFile(const std::string& path, uint64_t max_bytes) {
  FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.ok()) return ErrnoStatus(path, "open");
  struct stat info;
  if (::fstat(file.get(), &info) != 0) return ErrnoStatus(path, "stat");
  if (S_ISDIR(info.st_mode))
    return absl::InvalidArgumentError(path + ": is a directory, expected a file");
  std::string contents;
  if (S_ISREG(info.st_mode)) {
    if (static_cast<uint64_t>(info.st_size) > max_bytes) {
      return absl::ResourceExhaustedError(
          absl::StrFormat("%s: %d bytes, the limit is %d", path, info.st_size, max_bytes));
    }
    try {
      contents.reserve(static_cast<size_t>(info.st_size));
    } catch (const std::bad_alloc&) {
      return absl::ResourceExhaustedError(
          absl::StrFormat("%s: no memory for %d bytes", path, info.st_size));
    }
  }
  // Read until the end, not until the size that stat gave: pipes have none and files can change.
  char chunk[1 << 16];
  for (;;) {
    const ssize_t got = ::read(file.get(), chunk, sizeof(chunk));
    if (got < 0) {
      if (errno == EINTR) continue;
      return ErrnoStatus(path, "read");
    }
    if (got == 0) return contents;
    if (contents.size() + static_cast<size_t>(got) > max_bytes) {
      return absl::ResourceExhaustedError(
          absl::StrFormat("%s: larger than the limit of %d bytes", path, max_bytes));
    }
    contents.append(chunk, static_cast<size_t>(got));
  }
}

absl::StatusOr<std::string> ReadFilePrefix(const std::string& path, size_t bytes) {
  FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.ok()) return ErrnoStatus(path, "open");
  std::string contents(bytes, '\0');
  size_t size = 0;
  while (size < bytes) {
    const ssize_t got = ::read(file.get(), contents.data() + size, bytes - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus(path, "read");
    if (got == 0) break;
    size += static_cast<size_t>(got);
  }
  contents.resize(size);
  return contents;
}

absl::StatusOr<std::string> ReadTextFile(const std::string& path) {
  BITLM_ASSIGN_OR_RETURN(std::string contents, ReadFile(path));
  if (path.size() > 3 && path.compare(path.size() - 3, 3, ".gz") == 0)
    return Gunzip(path, contents);
  return contents;
}

absl::Status SyncDirectory(const std::string& path) {
  FileDescriptor directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory.ok()) return ErrnoStatus(path, "open");
  if (::fsync(directory.get()) != 0) return ErrnoStatus(path, "sync");
  return absl::OkStatus();
}

absl::Status WriteFileAtomically(const std::string& path, std::string_view contents) {
  const std::string temporary = path + ".tmp";
  absl::Status status;
  {
    FileDescriptor file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (!file.ok()) return ErrnoStatus(temporary, "create");
    status = WriteAll(file.get(), temporary, contents);
    if (status.ok() && ::fsync(file.get()) != 0) status = ErrnoStatus(temporary, "sync");
  }
  if (status.ok() && ::rename(temporary.c_str(), path.c_str()) != 0)
    status = ErrnoStatus(path, "rename to");
  if (!status.ok()) {
    ::unlink(temporary.c_str());
    return status;
  }
  std::string parent = std::filesystem::path(path).parent_path().string();
  if (parent.empty()) parent = ".";
  return SyncDirectory(parent);
}

}  // namespace bitlm
