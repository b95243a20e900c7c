// Training speed of one network on random words: our side of `scripts/bench trainer`.
//
//   bitlm-bench-trainer --threads 2 --steps 20
//
// The same work as bench/trainer_peer.py: SGD steps of truncated back-propagation, full softmax,
// clipping, clamping. Random words, since the time of a step does not depend on which words they
// are. Prints one JSON object.

#include <CLI/CLI.hpp>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>

#include "trainer/layers/network.h"
#include "trainer/optim/optimizer.h"
#include "trainer/tensor/fast_backend.h"
#include "trainer/tensor/random.h"

namespace bitlm::trainer {
namespace {

struct Arguments {
  std::string preset = "bllm";
  int hidden = 500;
  int vocabulary = 10000;
  NetworkShape shape;
  int threads = 1;
  int steps = 20;
  int warm_up = 3;
  std::string precision = "auto";
};

Batch RandomBatch(const Arguments& args, uint64_t seed) {
  Batch batch{.streams = args.shape.streams,
              .steps = args.shape.steps,
              .inputs = {},
              .targets = {},
              .resets = {},
              .scored = args.shape.streams * args.shape.steps};
  for (uint64_t i = 0; i < static_cast<uint64_t>(batch.scored); ++i) {
    const auto words = static_cast<uint64_t>(args.vocabulary);
    batch.inputs.push_back(static_cast<int32_t>(Combine(seed, 2 * i) % words));
    batch.targets.push_back(static_cast<int32_t>(Combine(seed, 2 * i + 1) % words));
    batch.resets.push_back(0);
  }
  return batch;
}

int Run(const Arguments& args) {
  ModelConfig config = PresetConfig(args.preset).value();
  config.hidden_size = config.embedding_size = args.hidden;
  config.vocabulary_size = args.vocabulary;
  ThreadPool pool(args.threads);
  const Precision precision = args.precision == "fp32" ? Precision::kFloat32 : BestPrecision();
  FastBackend backend(precision, &pool);
  Network<FastBackend> network(backend, config, args.shape);
  uint64_t key = 1;
  for (Parameter<float>* p : network.Parameters()) {
    if (p->rows > 1) {
      for (size_t i = 0; i < p->value.size(); ++i)
        p->value[i] = static_cast<float>(0.04 * GaussianAt(key, i));
    }
    ++key;
  }
  Optimizer optimizer({}, network.Parameters(), &pool);
  auto state = network.ZeroState();
  double loss = 0;
  std::chrono::steady_clock::time_point start;
  for (int step = -args.warm_up; step < args.steps; ++step) {
    if (step == 0) start = std::chrono::steady_clock::now();
    const Batch batch = RandomBatch(args, static_cast<uint64_t>(step + args.warm_up) % 8);
    network.Pack();
    loss = network.LossAndGradient(batch, {}, 0, 1.0f / static_cast<float>(args.shape.streams),
                                   &state);
    if (const absl::Status status = optimizer.Step(1.0); !status.ok()) {
      std::fprintf(stderr, "bitlm-bench-trainer: %s\n", std::string(status.message()).c_str());
      return 1;
    }
    network.embedding().ClearGradient();
  }
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const double tokens = static_cast<double>(args.shape.streams * args.shape.steps);
  if (!std::isfinite(loss)) {
    std::fprintf(stderr, "bitlm-bench-trainer: the loss is not finite\n");
    return 1;
  }
  const nlohmann::ordered_json out = {
      {"tokens_per_second", tokens * args.steps / seconds},
      {"seconds", seconds},
      {"loss", loss / tokens},
      {"threads", args.threads},
      {"precision", precision == Precision::kBfloat16 ? "bf16" : "fp32"}};
  std::printf("%s\n", out.dump().c_str());
  return 0;
}

}  // namespace
}  // namespace bitlm::trainer

int main(int argc, char** argv) {
  bitlm::trainer::Arguments args;
  CLI::App app("Training speed of one network on random words.", "bitlm-bench-trainer");
  app.add_option("--preset", args.preset)
      ->capture_default_str()
      ->check(CLI::IsMember({"lstm", "belm", "bllm"}));
  app.add_option("--hidden", args.hidden, "Hidden and embedding size")
      ->capture_default_str()
      ->check(CLI::Range(1, 65536));
  app.add_option("--vocabulary", args.vocabulary)
      ->capture_default_str()
      ->check(CLI::Range(2, 4194304));
  app.add_option("--batch", args.shape.streams, "Text streams")
      ->capture_default_str()
      ->check(CLI::Range(1, 4096));
  app.add_option("--bptt", args.shape.steps, "Time steps")
      ->capture_default_str()
      ->check(CLI::Range(1, 4096));
  app.add_option("--threads", args.threads)->capture_default_str()->check(CLI::Range(1, 1024));
  app.add_option("--steps", args.steps, "Steps measured")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000000));
  app.add_option("--warm-up", args.warm_up, "Steps before")
      ->capture_default_str()
      ->check(CLI::Range(0, 1000000));
  app.add_option("--precision", args.precision)
      ->capture_default_str()
      ->check(CLI::IsMember({"auto", "fp32"}));
  CLI11_PARSE(app, argc, argv);
  return bitlm::trainer::Run(args);
}
