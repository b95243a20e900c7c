// Writes a random bllm, with golden sentences, as a version of a model repository: what the suites
// of the server serve.
//
//   bitlm-bench-model --output repository/bllm-500/1 --seed 1
#include "tests/support/random_model.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>
#include <vector>

#include "engine/model/model.h"
#include "engine/nn/language_model.h"
#include "engine/scoring/golden.h"

int main(int argc, char** argv) {
  using namespace bitlm;  // NOLINT: a program of its own.
  CLI::App app("Writes a random bllm");
  std::string output;
  uint64_t seed = 1;
  int vocabulary = 10000, hidden = 500;
  app.add_option("--output", output, "Directory of the version")->required();
  app.add_option("--seed", seed, "Of the weights")->capture_default_str();
  app.add_option("--vocabulary", vocabulary, "Words: w0, w1, ...")->capture_default_str();
  app.add_option("--hidden", hidden, "E and H")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  Model model = RandomModel(TinyConfig("bllm", vocabulary, hidden, hidden), seed);
  // The same again: computing takes a model's tensors for itself.
  const auto computed = MakeCpuLanguageModel(std::make_shared<const Model>(
      RandomModel(TinyConfig("bllm", vocabulary, hidden, hidden), seed)));
  absl::Status status = computed.status();
  if (status.ok()) {
    const std::vector<std::string> texts = {"w1 w2 w3 w4", "w5 unheard w6"};
    auto golden = ComputeGoldenSentences(**computed, texts);
    status = golden.status();
    if (status.ok()) model.golden = *std::move(golden);
  }
  if (status.ok()) status = WriteModel(model, output);
  if (status.ok()) return 0;
  std::fprintf(stderr, "bitlm-bench-model: %s\n", std::string(status.message()).c_str());
  return 1;
}
