// bitlm-train quantize: a smaller model of a trained float one, without training.

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>

#include "absl/strings/str_format.h"
#include "engine/base/status.h"
#include "engine/base/thread_pool.h"
#include "engine/model/model_repository.h"
#include "trainer/cli/commands.h"
#include "trainer/export/binarize.h"
#include "trainer/export/copy_model.h"
#include "trainer/export/quantize.h"
#include "trainer/train/publish.h"

namespace bitlm::trainer {
namespace {

struct QuantizeArguments {
  std::string model;
  std::string valid;
  std::string repository;
  std::string name;
  std::string recurrent;
  std::string embedding;
  int activation_planes = 0;
  int threads = 1;
};

absl::Status Quantize(const QuantizeArguments& args) {
  if (!args.name.empty() && !IsModelName(args.name)) {
    return absl::InvalidArgumentError(
        absl::StrFormat("--name: \"%s\": expected %s", args.name, kModelNameForm));
  }
  BITLM_ASSIGN_OR_RETURN(const auto model, ReadModel(args.model));
  Model quantized = CopyModel(*model);
  if (args.embedding == "sign") {
    BITLM_ASSIGN_OR_RETURN(quantized, BinarizeEmbedding(quantized));
  }
  if (args.recurrent == "int8" || (args.recurrent.empty() && args.embedding.empty())) {
    BITLM_ASSIGN_OR_RETURN(quantized, QuantizeRecurrent(quantized));
  }
  if (!args.name.empty()) quantized.metadata.name = args.name;
  if (args.activation_planes > 0) quantized.config.activation_planes = args.activation_planes;
  const std::string directory = args.repository + "/" + quantized.metadata.name + "/1";
  std::error_code absent;
  if (std::filesystem::equivalent(directory, args.model, absent)) {
    return absl::FailedPreconditionError(
        directory +
        ": would replace the model that it is made of; give another --name or --output");
  }
  const uint64_t bytes = WeightBytes(quantized.config);
  ThreadPool pool(args.threads);
  const ContextKind context = quantized.config.context;
  BITLM_ASSIGN_OR_RETURN(const TextScore score,
                         PublishModel(std::move(quantized), args.repository, args.valid, &pool));
  std::printf("%s: %s of %s by the serving engine, %llu bytes of weights (%llu)\n",
              directory.c_str(), score.Description(context).c_str(), args.valid.c_str(),
              static_cast<unsigned long long>(bytes),
              static_cast<unsigned long long>(WeightBytes(model->config)));
  return absl::OkStatus();
}

}  // namespace

void AddQuantizeCommand(CLI::App& app, absl::Status* status) {
  CLI::App* command =
      app.add_subcommand("quantize", "Makes a smaller model of a float one, without training");
  auto args = std::make_shared<QuantizeArguments>();
  args->threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  command->add_option("--model,-m", args->model, "Model directory")->required();
  command
      ->add_option("--recurrent", args->recurrent,
                   "int8: recurrent matrices of int8 values; the default without --embedding")
      ->check(CLI::IsMember({"int8"}));
  command
      ->add_option(
          "--embedding", args->embedding,
          "sign: an input table of signs, by the mean of each dimension ([LCY18] LSTM-bin)")
      ->check(CLI::IsMember({"sign"}));
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
