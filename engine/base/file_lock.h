// FileLock: an exclusive lock that ends with the process, however it ends.
#pragma once

#include <string>
#include <utility>

#include "absl/status/statusor.h"

namespace bitlm {

class FileLock {
 public:
  // Locks `path`, which is created when it is not there and stays. Errors: FAILED_PRECONDITION when
  // another holder has it; as WriteFileAtomically otherwise.
  static absl::StatusOr<FileLock> Acquire(const std::string& path);

  FileLock(FileLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileLock& operator=(FileLock&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~FileLock();

 private:
  explicit FileLock(int fd) : fd_(fd) {}
  int fd_;
};

}  // namespace bitlm
