#include "trainer/train/run_metrics.h"

#include "absl/strings/str_format.h"

namespace bitlm::trainer {

std::string RunMetrics(const RunProgress& progress) {
  std::string text;
  const auto add = [&](const char* name, const char* type, const char* help,
                       std::optional<double> value) {
    if (!value) return;
    absl::StrAppendFormat(&text, "# HELP %s %s\n# TYPE %s %s\n%s{model=\"%s\"} %.17g\n", name, help,
                          name, type, name, progress.model, *value);
  };
  const auto number = [](int64_t n) { return static_cast<double>(n); };
  add("bitlm_train_steps_total", "counter", "Steps of the optimizer.", number(progress.steps));
  add("bitlm_train_last_step", "gauge", "The step at which training ends.",
      number(progress.last_step));
  add("bitlm_train_tokens_total", "counter", "Tokens trained on, all epochs.",
      number(progress.tokens));
  add("bitlm_train_epochs", "gauge", "Passes over the text so far.", progress.epochs);
  add("bitlm_train_step_seconds_total", "counter", "Time in steps, all processes of the run.",
      progress.train_seconds);
  add("bitlm_train_learning_rate", "gauge", "Learning rate of the last step.",
      progress.learning_rate);
  add("bitlm_train_perplexity", "gauge", "Training perplexity up to the last validation.",
      progress.train_perplexity);
  add("bitlm_train_valid_perplexity", "gauge", "Perplexity of the last validation.",
      progress.valid_perplexity);
  add("bitlm_train_valid_accuracy_ratio", "gauge", "Accuracy of the last validation.",
      progress.valid_accuracy);
  add("bitlm_train_valid_mean_abs_log_z", "gauge", "Mean abs. log Z of the last validation, nats.",
      progress.mean_abs_log_z);
  add("bitlm_train_best_valid_perplexity", "gauge", "Least perplexity of the validations.",
      progress.best_perplexity);
  add("bitlm_train_best_valid_accuracy_ratio", "gauge", "Best accuracy of the validations.",
      progress.best_accuracy);
  add("bitlm_train_updated_timestamp_seconds", "gauge", "When this file was written.",
      number(progress.unix_seconds));
  return text;
}

}  // namespace bitlm::trainer
