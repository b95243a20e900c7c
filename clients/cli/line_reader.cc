#include "clients/cli/line_reader.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

namespace bitlm::cli {

void LineReader::Fill() {
  buffer_.erase(0, start_);
  searched_ -= start_;
  start_ = 0;
  if (buffer_.size() > max_line_bytes_) {
    error_ = absl::ResourceExhaustedError(
        absl::StrCat(name_, ": a line is longer than ", max_line_bytes_, " bytes"));
    return;
  }
  constexpr size_t kBlock = 1 << 16;
  const size_t old_size = buffer_.size();
  buffer_.resize(old_size + kBlock);
  ssize_t count = 0;
  do {
    count = read(fd_, buffer_.data() + old_size, kBlock);
  } while (count < 0 && errno == EINTR);
  if (count < 0) error_ = absl::UnknownError(absl::StrCat(name_, ": ", std::strerror(errno)));
  if (count == 0) end_ = true;
  buffer_.resize(old_size + static_cast<size_t>(count > 0 ? count : 0));
}

bool LineReader::HasLine() {
  const size_t newline = buffer_.find('\n', searched_);
  searched_ = newline != std::string::npos ? newline : buffer_.size();
  return newline != std::string::npos;
}

bool LineReader::Ready() {
  while (!HasLine() && !end_ && error_.ok()) {
    pollfd poll_fd = {.fd = fd_, .events = POLLIN, .revents = 0};
    if (poll(&poll_fd, 1, 0) <= 0) return false;
    Fill();
  }
  return true;
}

absl::StatusOr<std::optional<std::string>> LineReader::Next() {
  while (!HasLine()) {
    if (!error_.ok()) return error_;
    if (end_) {
      if (start_ == buffer_.size()) return std::nullopt;
      return std::optional<std::string>(buffer_.substr(std::exchange(start_, buffer_.size())));
    }
    Fill();
  }
  std::string line = buffer_.substr(start_, searched_ - start_);
  start_ = ++searched_;
  return std::optional<std::string>(std::move(line));
}

}  // namespace bitlm::cli
