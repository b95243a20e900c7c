// bitlm-train train and export.

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "engine/base/status.h"
#include "trainer/cli/commands.h"
#include "trainer/train/training_run.h"

namespace bitlm::trainer {
namespace {

std::atomic<bool> stop_requested = false;

void RequestStop(int signal) {
  stop_requested = true;
  std::signal(signal, SIG_DFL);  // A second signal ends the process at once.
}

struct TrainArguments {
  std::string recipe;
  std::vector<std::string> overrides;
  TrainingOptions options;
  std::string precision = "auto";
  std::string device = "cpu";
};

absl::StatusOr<std::unique_ptr<TrainingRun>> CreateRun(TrainArguments& args) {
  const bool cuda = args.device == "cuda";
  if (cuda) args.options.make_device = &MakeCudaTrainer;
  if (cuda && args.precision != "fp32") {
    args.options.precision = Precision::kBfloat16;
  } else if (args.precision == "auto") {
    args.options.precision = BestPrecision();
  } else {
    args.options.precision = args.precision == "bf16" ? Precision::kBfloat16 : Precision::kFloat32;
    if (args.options.precision == Precision::kBfloat16 && BestPrecision() != Precision::kBfloat16) {
      return absl::FailedPreconditionError(
          "--precision bf16: this machine has neither AMX nor AVX-512 BF16");
    }
  }
  BITLM_ASSIGN_OR_RETURN(const Recipe recipe, ReadRecipe(args.recipe, args.overrides));
  return TrainingRun::Create(recipe, args.options);
}

absl::Status Train(TrainArguments& args) {
  std::signal(SIGINT, RequestStop);
  std::signal(SIGTERM, RequestStop);
  args.options.stop = &stop_requested;
  BITLM_ASSIGN_OR_RETURN(const auto run, CreateRun(args));
  BITLM_ASSIGN_OR_RETURN(const TrainingEnd end, run->Train());
  if (end == TrainingEnd::kStopped) {
    return absl::CancelledError("stopped; the same command goes on from the checkpoint in " +
                                args.options.output);
  }
  BITLM_ASSIGN_OR_RETURN(const std::string directory, run->Export());
  std::printf("%s\n", directory.c_str());
  return absl::OkStatus();
}

absl::Status Export(TrainArguments& args) {
  args.options.existing_only = true;
  BITLM_ASSIGN_OR_RETURN(const auto run, CreateRun(args));
  BITLM_ASSIGN_OR_RETURN(const std::string directory, run->Export());
  std::printf("%s\n", directory.c_str());
  return absl::OkStatus();
}

std::shared_ptr<TrainArguments> AddArguments(CLI::App* command) {
  auto args = std::make_shared<TrainArguments>();
  args->options.threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  command->add_option("recipe", args->recipe, "Recipe file")->required();
  command
      ->add_option("--set", args->overrides,
                   "An override of the recipe, key=value; any number of them")
      ->allow_extra_args(false);
  command->add_option("--output,-o", args->options.output, "Directory of the run")->required();
  command->add_option("--threads", args->options.threads, "Threads")
      ->capture_default_str()
      ->check(CLI::Range(1, 1024));
  command
      ->add_option(
          "--precision", args->precision,
          "Of dense products: auto takes bf16 where the CPU has AMX or AVX-512 BF16, and on a "
          "CUDA device")
      ->capture_default_str()
      ->check(CLI::IsMember({"auto", "fp32", "bf16"}));
  command
      ->add_option("--device", args->device,
                   "What takes the training steps; cuda: of language models, in a build with "
                   "BITLM_CUDA")
      ->capture_default_str()
      ->check(CLI::IsMember({"cpu", "cuda"}));
  command->add_flag("--quiet,-q", args->options.quiet, "No progress on standard error");
  return args;
}

}  // namespace

void AddTrainCommand(CLI::App& app, absl::Status* status) {
  CLI::App* command = app.add_subcommand(
      "train", "Trains a model by a recipe, or goes on with a run that was stopped");
  auto args = AddArguments(command);
  command->callback([args, status] { *status = Train(*args); });
}

void AddExportCommand(CLI::App& app, absl::Status* status) {
  CLI::App* command = app.add_subcommand(
      "export",
      "Exports the best weights so far of a run, which may still be training, and evaluates them");
  auto args = AddArguments(command);
  command->callback([args, status] { *status = Export(*args); });
}

}  // namespace bitlm::trainer
