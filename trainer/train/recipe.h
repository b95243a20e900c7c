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
#include "trainer/data/labelled_text.h"
#include "trainer/data/line_format.h"
#include "trainer/init/initialize.h"
#include "trainer/layers/network.h"
#include "trainer/optim/optimizer.h"
#include "trainer/optim/pruning.h"
#include "trainer/optim/schedule.h"

namespace bitlm::trainer {

// Lines `key = value`; # starts a comment, at the start of a line or after white space. ${NAME} in
// a value is the environment variable NAME. `include = FILE` stands for the lines of FILE, relative
// to the including file; a key that comes again replaces the value. Keys and defaults:
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
  // data.hold_out: instead of data.valid, every n-th sentence of data.train (context sentence) or
  // its last n-th part (document) is the validation text; 0 = not.
  int64_t hold_out = 0;
  // data.column, data.longest_sentence, data.blank_lines: of data.train and data.valid; the last
  // of data.synthetic, too
  LineFormat line_format;
  // data.phrases (sentences, distinct, all): of labelled trees, see labelled_text.h. A classifier's
  // texts are labelled: model.head = classifier, model.classes.
  PhraseKind phrases = PhraseKind::kSentences;
  int64_t max_tokens =
      0;  // data.max_tokens: use only the first sentences up to so many tokens; 0 = all
  int vocabulary_size = 0;  // vocabulary: <unk> and </s> included; 0 = every word
  ModelConfig model;        // model.preset first, then model.<option of config.json>
  NetworkShape shape;       // batch.streams (64), batch.steps (35), softmax.samples (0)
                            // binary.scales (learned, fitted): of binary matrices, see
                            // layers/planes.h; with model.bit_planes above 1 always fitted
                            // binary.bias (false): LSTM biases of one bit and a scale
  // binary.anneal: the part of the run, from its start, over which binary matrices with fitted
  // scales go linearly from their latent values to planes; validations are of planes. With
  // init.model they start from the values of its matrices as they are.
  double anneal = 0;
  DropoutRates dropout;  // dropout.input, .hidden, .output, .projection, .words, .recurrent,
                         // .state, .variational (true, false), see network.h
  // activation_regularization (0), temporal_activation_regularization (0): see
  // activation_regularization.h. self_normalization.weight: of (log Z)^2 of a scored position,
  // where model.self_normalized is true.
  Penalties penalties{.activations = {}, .self_normalization = 0.1};
  // self_normalization.dimensions (0): so many of a binary output table's dimensions are the same
  // for every word, see constant_dimensions.h.
  int constant_dimensions = 0;
  OptimizerOptions optimizer;  // optimizer (sgd, adam), clip_norm, clip_latent (true, false),
                               // adam.beta1, adam.beta2, adam.epsilon, weight_decay, l2,
                               // latent_lr_scale
  ScheduleOptions
      schedule;  // schedule (halving, linear, cosine, constant), learning_rate, …, see schedule.h
  // activation_quantization (false, true): inputs of binary matrices are rounded in training as the
  // engine rounds them, see activation_quantization.h.
  bool activation_quantization = false;
  // average.decay: of the average of the weights, which is what is validated and exported, see
  // weight_average.h; 0 = the weights themselves. average.from: the part of the run without it.
  // average.patience: it begins only when validations have stopped falling for so long, see
  // average_trigger.h; 0 = at average.from.
  double average_decay = 0;
  double average_from = 0;
  int average_patience = 0;
  // softmax.sampled_part: of the run, from its start; its rest computes every word.
  double sampled_part = 0.8;
  double epochs = 20;  // epochs: may be a fraction
  // stop_epoch: training ends there, as if stopped; schedules are those of all epochs. 0 = not.
  double stop_epoch = 0;
  // validations_per_epoch, epochs_per_validation: their quotient counts.
  int validations_per_epoch = 1, epochs_per_validation = 1;
  InitialValues initial;  // init.uniform, .forget_bias, .gamma_input,
                          // .gamma_output, .gain
  // init.model: directory of a trained model to start from instead, see from_model.h.
  std::string initial_model;
  double initial_count_power = 0.5;  // init.count_power: of the words in its fit
  // init.run: directory of another run of the same network, whose best weights this one starts
  // from, latent values as they are. Data, optimizer and regularization may differ.
  std::string initial_run;
  std::string word_vectors;  // init.word_vectors: a file of them, see word_vectors.h
  // pruning.embedding, pruning.recurrent: the part of the weights of init.model that is taken out,
  // see pruning.h.
  PruningRates pruning;
  // distillation.model: directories of trained models that teach this one, separated by white
  // space; distillation.weight: the share of their mean distribution in the loss;
  // distillation.temperature (1): T, see soft_targets.h. The dropout is the pupil's alone.
  std::vector<std::string> teacher_models;
  double distillation_weight = 0.5;
  double distillation_temperature = 1;
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

// Reads `path` with what it includes, and applies `overrides` ("key=value"), in order. Errors:
// NOT_FOUND; INVALID_ARGUMENT naming file, line and key.
absl::StatusOr<Recipe> ReadRecipe(const std::string& path,
                                  const std::vector<std::string>& overrides);
absl::StatusOr<Recipe> ParseRecipe(std::string_view text, std::string_view source,
                                   const std::vector<std::string>& overrides);

// FAILED_PRECONDITION when this version of the trainer cannot train the network, naming the option.
absl::Status CheckTrainable(const ModelConfig& config);

}  // namespace bitlm::trainer
