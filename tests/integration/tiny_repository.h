// A model repository with a tiny random model, and text for it.
#pragma once

#include <string>
#include <vector>

#include "tests/support/temporary_directory.h"

namespace bitlm {

// Holds models "tiny" versions 1 and 3, of different weights.
class TinyRepository {
 public:
  // Aborts when the models cannot be written.
  TinyRepository();
  const std::string& path() const { return directory_.path(); }
  std::string ModelDirectory(int version) const {
    return path() + "/tiny/" + std::to_string(version);
  }

 private:
  TemporaryDirectory directory_;
};

// Sentences of 0 to 20 words of the tiny vocabulary, about one word in ten out of it. Many share
// prefixes.
std::vector<std::string> TinySentences(int count, uint64_t seed);

}  // namespace bitlm
