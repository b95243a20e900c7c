// Runs a fuzz target over the files of a corpus, and over every truncation and many small changes
// of each: <target>_corpus_test DIRECTORY.
#include <algorithm>
#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

#include "engine/base/file.h"
#include "tests/fuzz/fuzz_target.h"

namespace {

void Run(const std::string& input) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(input.data()), input.size());
}

// At most about `kMost` positions of an input are changed, evenly spread.
constexpr size_t kMost = 2000;

void RunVariations(const std::string& input) {
  Run(input);
  const size_t step = std::max<size_t>(1, input.size() / kMost);
  for (size_t i = 0; i < input.size(); i += step) {
    Run(input.substr(0, i));
    for (int pattern : {0x01, 0x04, 0x10, 0x80, 0xFF}) {
      std::string changed = input;
      changed[i] = static_cast<char>(changed[i] ^ pattern);
      Run(changed);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
    return 2;
  }
  std::vector<std::string> paths;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(argv[1], error)) {
    paths.push_back(entry.path().string());
  }
  std::sort(paths.begin(), paths.end());
  for (const std::string& path : paths) {
    const absl::StatusOr<std::string> input = bitlm::ReadFile(path);
    if (!input.ok()) {
      std::fprintf(stderr, "%s\n", input.status().ToString().c_str());
      return 1;
    }
    std::printf("%s\n", path.c_str());
    RunVariations(*input);
  }
  std::printf("%zu inputs\n", paths.size());
  return paths.empty() ? 1 : 0;
}
