// bitlm-train generate: sentences drawn from a model.

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>

#include "absl/strings/str_format.h"
#include "engine/base/file.h"
#include "engine/base/status.h"
#include "trainer/cli/commands.h"
#include "trainer/data/corpus.h"
#include "trainer/train/text_generator.h"

namespace bitlm::trainer {
namespace {

struct GenerateArguments {
  std::string model;
  std::string output;
  std::string text;
  GeneratorOptions options;
  int threads = 1;
};

absl::Status Generate(GenerateArguments& args) {
  BITLM_ASSIGN_OR_RETURN(const auto model, ReadModel(args.model));
  ThreadPool pool(args.threads);
  args.options.precision = BestPrecision();
  if (!args.text.empty()) {
    BITLM_ASSIGN_OR_RETURN(const auto sentences,
                           ReadSentences({args.text}, model->config.normalization));
    if (sentences.empty()) {
      return absl::InvalidArgumentError(absl::StrFormat("%s: no sentence", args.text));
    }
    args.options.text = TokenizeCorpus(sentences, model->vocabulary);
  }
  std::string text;
  BITLM_RETURN_IF_ERROR(GenerateText(*model, args.options, &pool, [&](std::string_view line) {
    text += line;
    text.push_back('\n');
  }));
  if (args.output == "-") {
    std::fwrite(text.data(), 1, text.size(), stdout);
    return std::fflush(stdout) == 0 ? absl::OkStatus()
                                    : absl::InternalError("standard output: cannot write");
  }
  return WriteFileAtomically(args.output, text);
}

}  // namespace

void AddGenerateCommand(CLI::App& app, absl::Status* status) {
  CLI::App* command = app.add_subcommand("generate", "Draws sentences from a model, one a line");
  auto args = std::make_shared<GenerateArguments>();
  args->threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  command->add_option("--model,-m", args->model, "Model directory")->required();
  command->add_option("--tokens,-n", args->options.tokens, "Words and sentence ends to write")
      ->required()
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 32));
  command->add_option("--output,-o", args->output, "Text file; - is standard output")
      ->default_val("-");
  command->add_option("--seed", args->options.seed, "Of the random numbers")->capture_default_str();
  command
      ->add_option("--temperature", args->options.temperature,
                   "Divides the logits: below 1, likely words become likelier")
      ->capture_default_str()
      ->check(CLI::Range(0.05, 20.0));
  CLI::Option* text = command->add_option(
      "--text", args->text, "Follows its sentences, over and over, but for the words of --redraw");
  command
      ->add_option("--redraw", args->options.redraw,
                   "Share of words that are drawn, the others being those of --text")
      ->capture_default_str()
      ->needs(text)
      ->check(CLI::Range(0.0, 1.0));
  command->add_option("--threads", args->threads, "Threads")
      ->capture_default_str()
      ->check(CLI::Range(1, 1024));
  command->callback([args, status] { *status = Generate(*args); });
}

}  // namespace bitlm::trainer
