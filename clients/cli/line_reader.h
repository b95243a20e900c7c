// LineReader: lines of a file or pipe, without waiting for more than one.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "absl/status/statusor.h"

namespace bitlm::cli {

// Reads lines from a file descriptor in memory bounded by the longest line.
class LineReader {
 public:
  // Does not own `fd`. `name` begins error messages.
  LineReader(int fd, std::string name, size_t max_line_bytes = size_t{64} << 20)
      : fd_(fd), name_(std::move(name)), max_line_bytes_(max_line_bytes) {}

  // The next line without its newline, waiting for it; nothing at the end. A last line needs no
  // newline. Errors: UNKNOWN for a read error, RESOURCE_EXHAUSTED for a line over the limit.
  absl::StatusOr<std::optional<std::string>> Next();

  // Whether Next would not wait: a whole line, the end or an error is there.
  bool Ready();

  const std::string& name() const { return name_; }

 private:
  // Reads once; sets end_ or error_ too.
  void Fill();
  bool HasLine();

  int fd_;
  std::string name_;
  size_t max_line_bytes_;
  std::string buffer_;
  size_t start_ = 0;     // Of what has not been given out.
  size_t searched_ = 0;  // No newline in [start_, searched_).
  bool end_ = false;
  absl::Status error_;
};

}  // namespace bitlm::cli
