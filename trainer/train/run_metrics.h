// A training run's progress for Prometheus: a file for node_exporter's textfile collector.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace bitlm::trainer {

struct RunProgress {
  std::string model;  // Name of the model that is trained: the label of every metric.
  int64_t steps = 0, last_step = 0;
  int64_t tokens = 0;
  double epochs = 0;
  double train_seconds = 0;
  double learning_rate = 0;
  // Of the last validation of this process.
  std::optional<double> train_perplexity, valid_perplexity;
  std::optional<double> valid_accuracy;   // Of a classifier.
  std::optional<double> mean_abs_log_z;   // Of a self-normalized model, nats.
  std::optional<double> best_perplexity;  // So far; of a classifier its best accuracy instead.
  std::optional<double> best_accuracy;
  int64_t unix_seconds = 0;  // When this was.
};

// In the text exposition format, version 0.0.4.
std::string RunMetrics(const RunProgress& progress);

}  // namespace bitlm::trainer
