// Writes one small random model of each servable kind, with golden sentences, to DIRECTORY/<name>.
#include <cstdio>
#include <string>
#include <vector>

#include "engine/base/status.h"
#include "engine/model/model.h"
#include "engine/nn/language_model.h"
#include "engine/scoring/golden.h"
#include "tests/support/random_model.h"

namespace bitlm {
namespace {

constexpr uint64_t kSeed = 20260101;

// Odd sizes, so that rows end inside bytes and vectors.
std::vector<std::pair<std::string, ModelConfig>> Configs() {
  std::vector<std::pair<std::string, ModelConfig>> configs = {
      {"lstm", TinyConfig("lstm", 19, 11, 11)},
      {"belm", TinyConfig("belm", 37, 13, 11)},
      {"bllm", TinyConfig("bllm", 37, 13, 11)},
      {"bllm-no-io", TinyConfig("bllm-no-io", 19, 11, 11)},
      {"planes", TinyConfig("bllm", 37, 13, 11)},
      {"options", TinyConfig("bllm", 37, 13, 11)},
  };
  ModelConfig& planes = configs[configs.size() - 2].second;
  planes.preset = "custom";
  planes.recurrent_planes = 2;
  planes.projection_planes = 3;
  ModelConfig& options = configs.back().second;
  options.preset = "custom";
  options.layers = 2;
  options.activation_planes = 2;
  options.output_bias = true;
  options.embedding = MatrixKind::kFloat;
  options.normalization = NormalizationKind::kLowercaseNoPunctuation;
  return configs;
}

absl::Status Write(const std::string& directory, const std::string& name,
                   const ModelConfig& config) {
  auto model = std::make_shared<Model>(RandomModel(config, kSeed));
  model->metadata.name = "golden-" + name;
  BITLM_ASSIGN_OR_RETURN(const auto network,
                         MakeCpuLanguageModel(std::make_shared<Model>(RandomModel(config, kSeed))));
  const std::vector<std::string> texts = {"", "w0", "w3 w1 w4 w1 w5 w9 w2 w6",
                                          "w2 unheard w2 w2 of w2 w16"};
  BITLM_ASSIGN_OR_RETURN(model->golden, ComputeGoldenSentences(*network, texts));
  return WriteModel(*model, directory + "/" + name);
}

int Main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
    return 2;
  }
  for (const auto& [name, config] : Configs()) {
    if (const absl::Status status = Write(argv[1], name, config); !status.ok()) {
      std::fprintf(stderr, "%s\n", status.ToString().c_str());
      return 1;
    }
  }
  return 0;
}

}  // namespace
}  // namespace bitlm

int main(int argc, char** argv) { return bitlm::Main(argc, argv); }
