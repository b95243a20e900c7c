#include "tests/integration/tiny_repository.h"

#include <sys/stat.h>

#include <cstdio>
#include <cstdlib>

#include "engine/model/model.h"
#include "tests/support/random_model.h"

namespace bitlm {

TinyRepository::TinyRepository() {
  mkdir((path() + "/tiny").c_str(), 0755);
  for (const int version : {1, 3}) {
    const Model model = RandomModel(TinyConfig("bllm", 50, 24, 20), static_cast<uint64_t>(version));
    if (const absl::Status status = WriteModel(model, ModelDirectory(version)); !status.ok()) {
      std::fprintf(stderr, "%s\n", status.ToString().c_str());
      std::abort();
    }
  }
}

std::vector<std::string> TinySentences(int count, uint64_t seed) {
  RandomBits random(seed);
  std::vector<std::string> sentences;
  for (int i = 0; i < count; ++i) {
    std::string sentence;
    const uint64_t words = random.Below(21);
    for (uint64_t w = 0; w < words; ++w) {
      // Few words at the beginning, so that prefixes are shared.
      const uint64_t word = random.Below(w < 3 ? 3 : 52);
      sentence += (w > 0 ? " " : "") +
                  (word < 47 ? "w" + std::to_string(word) : "zz" + std::to_string(word));
    }
    sentences.push_back(sentence);
  }
  return sentences;
}

}  // namespace bitlm
