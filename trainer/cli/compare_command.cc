// bitlm-train compare: a table of models, their sizes and their perplexities of one text by the
// serving engine.

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/model/tensor.h"
#include "trainer/cli/commands.h"
#include "trainer/cli/comparison_output.h"
#include "trainer/eval/gather_models.h"
#include "trainer/eval/text_evaluation.h"

namespace bitlm::trainer {
namespace {

struct CompareArguments {
  std::vector<std::string> models;
  std::vector<std::string> repositories;
  std::string text;
  std::string protocol;  // Empty: what each model was trained for.
  std::string baseline;
  std::vector<std::string> rows;
  bool markdown = false;
  bool json = false;
  int threads = 1;
};

std::vector<ContextKind> Protocols(const std::string& protocol, const ModelConfig& config) {
  if (protocol == "both") return {ContextKind::kSentence, ContextKind::kDocument};
  if (protocol == "sentence") return {ContextKind::kSentence};
  if (protocol == "document") return {ContextKind::kDocument};
  return {config.context};
}

// The models as the rows that they are, not evaluated yet, and the figures as given after them.
absl::StatusOr<std::vector<ComparedModel>> Rows(const std::vector<NamedModel>& models,
                                                const std::vector<std::string>& given) {
  std::vector<ComparedModel> rows;
  for (const NamedModel& model : models) {
    rows.push_back({.name = model.name,
                    .config = model.engine->config(),
                    .bytes = WeightBytes(model.engine->config()),
                    .resident_bytes = model.engine->weight_bytes(),
                    .results = {}});
  }
  for (const std::string& figures : given) {
    absl::StatusOr<ComparedModel> row = ParseGivenFigures(figures);
    if (!row.ok()) {
      return absl::InvalidArgumentError(absl::StrCat("--row ", row.status().message()));
    }
    rows.push_back(*std::move(row));
  }
  return rows;
}

absl::Status Compare(const CompareArguments& args) {
  BITLM_ASSIGN_OR_RETURN(const EvaluationText text, ReadEvaluationText(args.text));
  std::vector<std::string> left_out;
  BITLM_ASSIGN_OR_RETURN(const std::vector<NamedModel> models,
                         GatherModels(args.models, args.repositories, &left_out));
  for (const std::string& reason : left_out) {
    std::fprintf(stderr, "bitlm-train: left out: %s\n", reason.c_str());
  }
  if (models.empty()) return absl::NotFoundError("no language model to compare");
  Comparison comparison;
  comparison.text = args.text;
  comparison.same_words = SeeSameWords(models);
  // What is wrong with the command line is said before minutes of computation.
  BITLM_ASSIGN_OR_RETURN(comparison.models, Rows(models, args.rows));
  BITLM_ASSIGN_OR_RETURN(comparison.baseline, FindBaseline(comparison.models, args.baseline));
  ThreadPool pool(args.threads);
  for (size_t i = 0; i < models.size(); ++i) {
    const LanguageModel& engine = *models[i].engine;
    for (const ContextKind protocol : Protocols(args.protocol, engine.config())) {
      BITLM_ASSIGN_OR_RETURN(const PerplexityResult result,
                             Evaluate(engine, text, protocol, &pool));
      comparison.models[i].results.push_back({.protocol = protocol, .perplexity = result});
    }
  }
  const std::string out =
      args.json ? ComparisonJson(comparison) : ComparisonTable(comparison, args.markdown);
  std::fputs(out.c_str(), stdout);
  return absl::OkStatus();
}

}  // namespace

void AddCompareCommand(CLI::App& app, absl::Status* status) {
  CLI::App* command = app.add_subcommand(
      "compare",
      "A table of models: sizes, compression, perplexity of a text by the serving engine");
  auto args = std::make_shared<CompareArguments>();
  args->threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  auto* models = command->add_option_group("models", "What to compare:");
  models->add_option("--model,-m", args->models, "Model directory; may be repeated");
  models->add_option("--repository", args->repositories,
                     "Model repository, all its models; may be repeated");
  models->require_option(1, 0);
  command
      ->add_option("--text,-t", args->text, "Text file, one sentence a line; .gz is decompressed")
      ->required();
  command
      ->add_option("--protocol,-p", args->protocol,
                   "sentence: state zero at every line; document: carried over; by default what "
                   "each model was trained for")
      ->check(CLI::IsMember({"sentence", "document", "both"}));
  command->add_option("--baseline", args->baseline,
                      "Name of the row that compression is measured against; by default the first "
                      "float model");
  command->add_option("--row", args->rows,
                      "A row of figures as given, not measured: NAME,BYTES,PERPLEXITY; may be "
                      "repeated");
  auto* markdown = command->add_flag("--markdown", args->markdown, "Markdown output");
  command->add_flag("--json", args->json, "JSON output")->excludes(markdown);
  command->add_option("--threads", args->threads, "Threads")
      ->capture_default_str()
      ->check(CLI::Range(1, 1024));
  command->callback([args, status] { *status = Compare(*args); });
}

}  // namespace bitlm::trainer
