// bitlm-train eval: perplexity of a text, or accuracy of a classifier, by the serving engine or by
// the double-precision reference.

#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "engine/base/status.h"
#include "engine/model/tensor.h"
#include "engine/scoring/model_loading.h"
#include "trainer/cli/commands.h"
#include "trainer/cli/eval_classifier.h"
#include "trainer/eval/text_evaluation.h"

namespace bitlm::trainer {
namespace {

struct EvalArguments {
  std::string model;
  std::string text;
  std::string protocol;
  bool json = false;
  bool reference = false;
  int threads = 1;
};

// What the serving engine keeps in memory; the reference model keeps doubles, which nobody serves.
uint64_t ResidentBytes(const EvalArguments& args, const LanguageModel& engine) {
  return args.reference ? WeightBytes(engine.config()) : engine.weight_bytes();
}

absl::Status Eval(const EvalArguments& args) {
  std::shared_ptr<const LanguageModel> engine;
  if (args.reference) {
    BITLM_ASSIGN_OR_RETURN(const auto model, ReadModel(args.model));
    BITLM_ASSIGN_OR_RETURN(engine, MakeReferenceLanguageModel(model));
  } else {
    BITLM_ASSIGN_OR_RETURN(engine, LoadLanguageModel(args.model));
  }
  ThreadPool pool(args.threads);
  if (engine->config().head == HeadKind::kClassifier) {
    if (args.protocol == "document")
      return absl::InvalidArgumentError("--protocol document: not of a classifier");
    return PrintClassifierEvaluation(*engine, args.model, args.text, ResidentBytes(args, *engine),
                                     args.json, &pool);
  }
  if (args.protocol.empty()) return absl::InvalidArgumentError("--protocol is required");
  BITLM_ASSIGN_OR_RETURN(const EvaluationText text, ReadEvaluationText(args.text));
  const ContextKind context =
      args.protocol == "document" ? ContextKind::kDocument : ContextKind::kSentence;
  BITLM_ASSIGN_OR_RETURN(const PerplexityResult result, Evaluate(*engine, text, context, &pool));
  if (args.json) {
    nlohmann::ordered_json out = {{"model", args.model},
                                  {"text", args.text},
                                  {"protocol", args.protocol},
                                  {"engine", engine->description()},
                                  {"sentences", result.sentences},
                                  {"tokens", result.tokens},
                                  {"oov_tokens", result.oov_tokens},
                                  {"log_probability", result.logprob},
                                  {"perplexity", result.perplexity},
                                  {"perplexity_excluding_oov", result.perplexity_excluding_oov},
                                  {"weight_bytes", ResidentBytes(args, *engine)}};
    if (engine->config().self_normalized) out["mean_abs_log_z"] = result.mean_abs_log_z;
    std::printf("%s\n", out.dump(2, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
    return absl::OkStatus();
  }
  std::printf("protocol                  %s\n", args.protocol.c_str());
  std::printf("sentences                 %lld\n", static_cast<long long>(result.sentences));
  std::printf("tokens (with </s>)        %lld\n", static_cast<long long>(result.tokens));
  std::printf("OOV tokens                %lld\n", static_cast<long long>(result.oov_tokens));
  std::printf("log probability (nats)    %.4f\n", result.logprob);
  std::printf("perplexity including OOV  %.4f\n", result.perplexity);
  std::printf("perplexity excluding OOV  %.4f\n", result.perplexity_excluding_oov);
  if (engine->config().self_normalized)
    std::printf("mean |log Z| (nats)       %.4f\n", result.mean_abs_log_z);
  std::printf("weight bytes              %llu\n",
              static_cast<unsigned long long>(ResidentBytes(args, *engine)));
  return absl::OkStatus();
}

}  // namespace

void AddEvalCommand(CLI::App& app, absl::Status* status) {
  CLI::App* command = app.add_subcommand(
      "eval",
      "Perplexity of a text, one sentence a line, or accuracy of a classifier on labelled text, by "
      "the serving engine");
  auto args = std::make_shared<EvalArguments>();
  args->threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  command->add_option("--model,-m", args->model, "Model directory")->required();
  command
      ->add_option("--text,-t", args->text,
                   "Text file; of a classifier with labels or trees; .gz is decompressed")
      ->required();
  command
      ->add_option("--protocol,-p", args->protocol,
                   "sentence: state zero at every line; document: carried over. Required of a "
                   "language model")
      ->check(CLI::IsMember({"sentence", "document"}));
  command->add_flag("--json", args->json, "JSON output");
  command->add_flag("--reference", args->reference,
                    "By the double-precision reference model instead (slow)");
  command->add_option("--threads", args->threads, "Threads")
      ->capture_default_str()
      ->check(CLI::Range(1, 1024));
  command->callback([args, status] { *status = Eval(*args); });
}

}  // namespace bitlm::trainer
