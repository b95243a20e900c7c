// bitlm-train quantize: a model with int8 recurrent matrices from a float one.

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>

#include "engine/base/status.h"
#include "engine/base/thread_pool.h"
#include "trainer/cli/commands.h"
#include "trainer/export/quantize.h"
#include "trainer/train/publish.h"

namespace bitlm::trainer {
namespace {

struct QuantizeArguments {
  std::string model;
  std::string valid;
  std::string repository;
  std::string name;
  int activation_planes = 0;
  int threads = 1;
};

absl::Status Quantize(const QuantizeArguments& args) {
  BITLM_ASSIGN_OR_RETURN(const auto model, ReadModel(args.model));
  BITLM_ASSIGN_OR_RETURN(Model quantized, QuantizeRecurrent(*model));
  if (!args.name.empty()) quantized.metadata.name = args.name;
  if (args.activation_planes > 0) quantized.config.activation_planes = args.activation_planes;
  const std::string directory = args.repository + "/" + quantized.metadata.name + "/1";
  const uint64_t bytes = WeightBytes(quantized.config);
  ThreadPool pool(args.threads);
  BITLM_ASSIGN_OR_RETURN(const double perplexity,
                         PublishModel(std::move(quantized), args.repository, args.valid, &pool));
  std::printf("%s: perplexity of %s by the serving engine: %.4f, %llu bytes of weights (%llu)\n",
              directory.c_str(), args.valid.c_str(), perplexity,
              static_cast<unsigned long long>(bytes),
              static_cast<unsigned long long>(WeightBytes(model->config)));
  return absl::OkStatus();
}

}  // namespace

void AddQuantizeCommand(CLI::App& app, absl::Status* status) {
  CLI::App* command =
      app.add_subcommand("quantize", "Makes a model with int8 recurrent matrices of a float one");
  auto args = std::make_shared<QuantizeArguments>();
  args->threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  command->add_option("--model,-m", args->model, "Model directory")->required();
  command->add_option("--text", args->valid, "Text whose perplexity the new model states")
      ->required();
  command->add_option("--output,-o", args->repository, "Model repository: gets <name>/1")
      ->required();
  command->add_option("--name", args->name, "Of the new model; the old one's by default");
  command
      ->add_option("--activation-planes", args->activation_planes,
                   "int8 planes of the inputs of products; the old model's by default")
      ->check(CLI::Range(1, 2));
  command->add_option("--threads", args->threads, "Threads")
      ->capture_default_str()
      ->check(CLI::Range(1, 1024));
  command->callback([args, status] { *status = Quantize(*args); });
}

}  // namespace bitlm::trainer
