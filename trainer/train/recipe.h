// Recipe: one text file that says how a model is made: data, network, optimizer, schedule,
// regularization, seed, expected result.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/model/model_config.h"
#include "trainer/init/initialize.h"
#include "trainer/layers/network.h"
#include "trainer/optim/optimizer.h"
#include "trainer/optim/schedule.h"

namespace bitlm::trainer {

// Lines `key = value`; # starts a comment. ${NAME} in a value is the environment variable NAME.
// Keys and defaults:
struct Recipe {
  std::string name;     // name: of the exported model
  std::string corpus;   // corpus: its description, for the model's metadata
  std::string license;  // license: of the model
  std::vector<std::string>
      train;  // data.train: files, separated by white space; .gz is decompressed
  // data.synthetic: more files to train on, whose words do not count for the vocabulary: text that
  // a teacher has generated.
  std::vector<std::string> synthetic;
  std::string valid;  // data.valid
  int64_t max_tokens =
      0;  // data.max_tokens: use only the first sentences up to so many tokens; 0 = all
  int vocabulary_size = 0;  // vocabulary: <unk> and </s> included; 0 = every word
  ModelConfig model;        // model.preset first, then model.<option of config.json>
  NetworkShape shape;       // batch.streams (64), batch.steps (35), softmax.samples (0)
                            // binary.scales (learned, fitted): of binary matrices, see
                            // layers/planes.h; with model.bit_planes above 1 always fitted
  // binary.anneal: the part of the run, from its start, over which binary matrices with fitted
  // scales go linearly from their latent values to planes; validations are of planes. With
  // init.model they start from the values of its matrices as they are.
  double anneal = 0;
  DropoutRates dropout;        // dropout.input, .hidden, .output, .words, .recurrent,
                               // .variational (true, false)
  OptimizerOptions optimizer;  // optimizer (sgd, adam), clip_norm, adam.beta1, adam.beta2,
                               // adam.epsilon, weight_decay, latent_lr_scale
  ScheduleOptions
      schedule;  // schedule (halving, linear, constant), learning_rate, …, see schedule.h
  // average.decay: of the average of the weights, which is what is validated and exported, see
  // weight_average.h; 0 = the weights themselves. average.from: the part of the run without it.
  double average_decay = 0;
  double average_from = 0;
  // softmax.sampled_part: of the run, from its start; its rest computes every word.
  double sampled_part = 0.8;
  double epochs = 20;             // epochs: may be a fraction
  int validations_per_epoch = 1;  // validations_per_epoch
  InitialValues initial;          // init.uniform, .forget_bias, .gamma_input, .gamma_output
  // init.model: directory of a trained model to start from instead, see from_model.h.
  std::string initial_model;
  double initial_count_power = 0.5;  // init.count_power: of the words in its fit
  // distillation.model: directory of a trained model that teaches this one, and
  // distillation.weight: the share of its distributions in the loss, see soft_targets.h. The
  // dropout is the pupil's alone.
  std::string teacher_model;
  double distillation_weight = 0.5;
  uint64_t seed = 1;                   // seed
  double checkpoint_interval_s = 120;  // checkpoint_seconds
  // temperature (1, tuned): tuned = at export, the logits are multiplied with the factor that gives
  // the best perplexity of data.valid (Melis et al. 2018 section 4.3 tune it likewise).
  bool tune_temperature = false;
  double expected_perplexity =
      0;  // expected_perplexity: what the recipe gave, for people; 0 = unknown

  // The file's text with all overrides, as it is stored beside the results.
  std::string text;
};

// Reads `path` and applies `overrides` ("key=value"), in order. Errors: NOT_FOUND; INVALID_ARGUMENT
// naming file, line and key.
absl::StatusOr<Recipe> ReadRecipe(const std::string& path,
                                  const std::vector<std::string>& overrides);
absl::StatusOr<Recipe> ParseRecipe(std::string_view text, std::string_view source,
                                   const std::vector<std::string>& overrides);

// FAILED_PRECONDITION when this version of the trainer cannot train the network, naming the option.
absl::Status CheckTrainable(const ModelConfig& config);

}  // namespace bitlm::trainer
