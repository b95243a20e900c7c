// TemporaryDirectory: an empty directory that disappears with the object.
#pragma once

#include <string>

namespace bitlm {

class TemporaryDirectory {
 public:
  // Under $TMPDIR or /tmp. Aborts when it cannot be made.
  TemporaryDirectory();
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  const std::string& path() const { return path_; }
  std::string Path(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace bitlm
