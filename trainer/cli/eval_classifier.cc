#include "trainer/cli/eval_classifier.h"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "engine/base/status.h"
#include "trainer/train/classifier_evaluation.h"

namespace bitlm::trainer {

absl::Status PrintClassifierEvaluation(const LanguageModel& model, const std::string& directory,
                                       const std::string& text, uint64_t weight_bytes, bool json,
                                       ThreadPool* pool) {
  BITLM_ASSIGN_OR_RETURN(const ClassificationResult result, EvaluateClassifier(model, text, pool));
  if (json) {
    const nlohmann::ordered_json out = {{"model", directory},
                                        {"text", text},
                                        {"engine", model.description()},
                                        {"sentences", result.sentences},
                                        {"tokens", result.tokens},
                                        {"oov_tokens", result.oov_tokens},
                                        {"right", result.right},
                                        {"accuracy", result.accuracy()},
                                        {"log_probability", result.logprob},
                                        {"perplexity", result.perplexity()},
                                        {"confusion", result.confusion},
                                        {"weight_bytes", weight_bytes}};
    std::printf("%s\n", out.dump(2, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
    return absl::OkStatus();
  }
  std::printf("sentences                 %lld\n", static_cast<long long>(result.sentences));
  std::printf("words                     %lld\n", static_cast<long long>(result.tokens));
  std::printf("OOV words                 %lld\n", static_cast<long long>(result.oov_tokens));
  std::printf("right                     %lld\n", static_cast<long long>(result.right));
  std::printf("accuracy                  %.2f %%\n", 100 * result.accuracy());
  std::printf("log probability (nats)    %.4f\n", result.logprob);
  std::printf("perplexity of the classes %.4f\n", result.perplexity());
  std::printf("weight bytes              %llu\n", static_cast<unsigned long long>(weight_bytes));
  std::printf("\nlabel   answers 0 to %zu\n", result.confusion.size() - 1);
  for (size_t label = 0; label < result.confusion.size(); ++label) {
    std::printf("%5zu ", label);
    for (const int64_t count : result.confusion[label])
      std::printf(" %7lld", static_cast<long long>(count));
    std::printf("\n");
  }
  return absl::OkStatus();
}

}  // namespace bitlm::trainer
