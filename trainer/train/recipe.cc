#include "trainer/train/recipe.h"

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <map>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "engine/base/file.h"
#include "engine/base/status.h"
#include "engine/model/model_repository.h"
#include "engine/model/text_normalizer.h"
#include "trainer/layers/matrix_planes.h"

namespace bitlm::trainer {
namespace {

using Setter = std::function<absl::Status(const std::string& value)>;

absl::Status BadValue(const std::string& value, const char* expected) {
  return absl::InvalidArgumentError(absl::StrFormat("\"%s\": expected %s", value, expected));
}

Setter Text(std::string* field) {
  return [field](const std::string& value) {
    *field = value;
    return absl::OkStatus();
  };
}

Setter Files(std::vector<std::string>* field) {
  return [field](const std::string& value) {
    *field = absl::StrSplit(value, absl::ByAnyChar(" \t"), absl::SkipEmpty());
    return absl::OkStatus();
  };
}

Setter Number(double* field, double least, double most) {
  return [=](const std::string& value) {
    double x;
    if (!absl::SimpleAtod(value, &x) || !std::isfinite(x) || x < least || x > most) {
      return BadValue(value, absl::StrFormat("a number in [%g, %g]", least, most).c_str());
    }
    *field = x;
    return absl::OkStatus();
  };
}

template <typename Int>
Setter Integer(Int* field, int64_t least, int64_t most) {
  return [=](const std::string& value) {
    int64_t x;
    if (!absl::SimpleAtoi(value, &x) || x < least || x > most) {
      return BadValue(value, absl::StrFormat("an integer in [%d, %d]", least, most).c_str());
    }
    *field = static_cast<Int>(x);
    return absl::OkStatus();
  };
}

template <typename T>
Setter Choice(T* field, std::map<std::string, T> values) {
  return [field, values = std::move(values)](const std::string& value) {
    const auto it = values.find(value);
    if (it == values.end()) {
      std::string names;
      for (const auto& [name, unused] : values) names += (names.empty() ? "" : ", ") + name;
      return BadValue(value, ("one of: " + names).c_str());
    }
    *field = it->second;
    return absl::OkStatus();
  };
}

std::map<std::string, Setter> Setters(Recipe* r) {
  constexpr int64_t kMany = int64_t{1} << 40;
  return {
      {"name",
       [r](const std::string& value) {
         if (!IsModelName(value)) {
           return BadValue(value, kModelNameForm);
         }
         r->name = value;
         return absl::OkStatus();
       }},
      {"corpus", Text(&r->corpus)},
      {"license", Text(&r->license)},
      {"data.train", Files(&r->train)},
      {"data.synthetic", Files(&r->synthetic)},
      {"data.valid", Text(&r->valid)},
      {"data.hold_out",
       [r](const std::string& value) {
         BITLM_RETURN_IF_ERROR(Integer(&r->hold_out, 0, kMany)(value));
         return r->hold_out == 1 ? BadValue(value, "0, or an integer from 2") : absl::OkStatus();
       }},
      {"data.column", Integer(&r->line_format.column, 0, 1000)},
      {"data.longest_sentence", Integer(&r->line_format.longest, 0, kMany)},
      {"data.blank_lines",
       Choice<bool>(&r->line_format.blank_lines, {{"true", true}, {"false", false}})},
      {"data.phrases", Choice<PhraseKind>(&r->phrases, {{"sentences", PhraseKind::kSentences},
                                                        {"distinct", PhraseKind::kDistinct},
                                                        {"all", PhraseKind::kAll}})},
      {"data.max_tokens", Integer(&r->max_tokens, 0, kMany)},
      {"vocabulary", Integer(&r->vocabulary_size, 0, 4194304)},
      {"batch.streams", Integer(&r->shape.streams, 1, 4096)},
      {"batch.steps", Integer(&r->shape.steps, 1, 4096)},
      {"softmax.samples", Integer(&r->shape.softmax_samples, 0, kMany)},
      {"softmax.sampled_part", Number(&r->sampled_part, 0, 1)},
      {"binary.anneal", Number(&r->anneal, 0, 1)},
      {"binary.scales",
       Choice<bool>(&r->shape.fitted_scales, {{"learned", false}, {"fitted", true}})},
      {"binary.bias", Choice<bool>(&r->shape.binary_bias, {{"true", true}, {"false", false}})},
      {"dropout.input", Number(&r->dropout.input, 0, 0.99)},
      {"dropout.hidden", Number(&r->dropout.hidden, 0, 0.99)},
      {"dropout.output", Number(&r->dropout.output, 0, 0.99)},
      {"dropout.words", Number(&r->dropout.words, 0, 0.99)},
      {"dropout.projection", Number(&r->dropout.projection, 0, 0.99)},
      {"dropout.state", Number(&r->dropout.state, 0, 0.99)},
      {"dropout.recurrent", Number(&r->dropout.recurrent, 0, 0.99)},
      {"dropout.variational",
       Choice<bool>(&r->dropout.variational, {{"true", true}, {"false", false}})},
      {"activation_regularization", Number(&r->penalties.activations.activation, 0, 1e6)},
      {"temporal_activation_regularization", Number(&r->penalties.activations.temporal, 0, 1e6)},
      {"activation_quantization",
       Choice<bool>(&r->activation_quantization, {{"true", true}, {"false", false}})},
      {"self_normalization.weight", Number(&r->penalties.self_normalization, 0, 1e6)},
      {"self_normalization.dimensions", Integer(&r->constant_dimensions, 0, 65536)},
      {"optimizer", Choice<OptimizerKind>(&r->optimizer.kind, {{"sgd", OptimizerKind::kSgd},
                                                               {"adam", OptimizerKind::kAdam}})},
      {"clip_norm", Number(&r->optimizer.clip_norm, 0, 1e9)},
      {"clip_latent", Choice<bool>(&r->optimizer.clip_latent, {{"true", true}, {"false", false}})},
      {"adam.beta1", Number(&r->optimizer.beta1, 0, 0.999999)},
      {"adam.beta2", Number(&r->optimizer.beta2, 0, 0.999999)},
      {"adam.epsilon", Number(&r->optimizer.epsilon, 1e-12, 1)},
      {"weight_decay", Number(&r->optimizer.weight_decay, 0, 1)},
      {"l2", Number(&r->optimizer.l2, 0, 1)},
      {"latent_lr_scale", Number(&r->optimizer.latent_lr_scale, 0, 1e6)},
      {"schedule",
       Choice<ScheduleKind>(&r->schedule.kind, {{"halving", ScheduleKind::kHalving},
                                                {"linear", ScheduleKind::kLinear},
                                                {"cosine", ScheduleKind::kCosine},
                                                {"constant", ScheduleKind::kConstant}})},
      {"learning_rate", Number(&r->schedule.learning_rate, 0, 1e6)},
      {"warmup_steps", Integer(&r->schedule.warmup_steps, 0, kMany)},
      {"decay", Number(&r->schedule.decay, 0, 1)},
      {"patience", Integer(&r->schedule.patience, 1, 1000000)},
      {"minimum_fraction", Number(&r->schedule.minimum_fraction, 0, 1)},
      {"final_fraction", Number(&r->schedule.final_fraction, 0, 1)},
      {"average.decay", Number(&r->average_decay, 0, 1)},
      {"average.from", Number(&r->average_from, 0, 1)},
      {"average.patience", Integer(&r->average_patience, 0, 1000000)},
      {"epochs", Number(&r->epochs, 1e-6, 1e6)},
      {"stop_epoch", Number(&r->stop_epoch, 0, 1e6)},
      {"validations_per_epoch", Integer(&r->validations_per_epoch, 1, 10000)},
      {"epochs_per_validation", Integer(&r->epochs_per_validation, 1, 10000)},
      {"distillation.model", Files(&r->teacher_models)},
      {"pruning.embedding", Number(&r->pruning.embedding, 0, 0.9999)},
      {"pruning.recurrent", Number(&r->pruning.recurrent, 0, 0.9999)},
      {"distillation.weight", Number(&r->distillation_weight, 0, 1)},
      {"distillation.temperature", Number(&r->distillation_temperature, 0.1, 100)},
      {"init.model", Text(&r->initial_model)},
      {"init.run", Text(&r->initial_run)},
      {"init.word_vectors", Text(&r->word_vectors)},
      {"init.count_power", Number(&r->initial_count_power, 0, 2)},
      {"init.uniform", Number(&r->initial.uniform, 0, 10)},
      {"init.forget_bias", Number(&r->initial.forget_bias, -10, 10)},
      {"init.gamma_input", Number(&r->initial.gamma_input, -20, 20)},
      {"init.gamma_output", Number(&r->initial.gamma_output, -20, 20)},
      {"init.gain", Number(&r->initial.gain, 0, 100)},
      {"seed", Integer(&r->seed, 0, kMany)},
      {"checkpoint_seconds", Number(&r->checkpoint_interval_s, 0, 1e6)},
      {"temperature", Choice<bool>(&r->tune_temperature, {{"1", false}, {"tuned", true}})},
      {"expected_perplexity", Number(&r->expected_perplexity, 0, 1e9)},
  };
}

absl::StatusOr<std::string> ExpandVariables(std::string value) {
  for (size_t begin = 0; (begin = value.find("${", begin)) != std::string::npos;) {
    const size_t end = value.find('}', begin);
    if (end == std::string::npos) return absl::InvalidArgumentError("\"${\" without \"}\"");
    const std::string variable = value.substr(begin + 2, end - begin - 2);
    const char* found = std::getenv(variable.c_str());
    if (found == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrFormat("the environment variable %s is not set", variable));
    }
    value.replace(begin, end - begin + 1, found);
    begin += std::strlen(found);
  }
  return value;
}

absl::Status Set(const std::map<std::string, Setter>& setters, const std::string& key,
                 const std::string& raw, Recipe* recipe) {
  BITLM_ASSIGN_OR_RETURN(const std::string value, ExpandVariables(raw));
  if (key == "model.preset") {
    // A preset sets every option: after another model.* key it would undo it without a word.
    if (recipe->model != ModelConfig{}) {
      return absl::InvalidArgumentError("has to come before all other model.* keys");
    }
    if (value == "custom") {
      recipe->model.preset = value;
      return absl::OkStatus();
    }
    BITLM_ASSIGN_OR_RETURN(recipe->model, PresetConfig(value));
    return absl::OkStatus();
  }
  if (key == "model.vocabulary_size") {
    return absl::InvalidArgumentError("comes from the text; use the key vocabulary");
  }
  if (key.starts_with("model.")) return SetConfigOption(key.substr(6), value, &recipe->model);
  const auto it = setters.find(key);
  if (it == setters.end()) return absl::InvalidArgumentError("unknown key");
  return it->second(value);
}

// A line of a recipe, and where it is.
struct Line {
  std::string source;
  int number = 0;
  std::string text;
};

// The recipe without its last newline: no line is added by reading it again.
absl::string_view WithoutLastNewline(absl::string_view text) {
  if (!text.empty() && text.back() == '\n') text.remove_suffix(1);
  return text;
}

std::vector<Line> LinesOf(std::string_view text, std::string_view source) {
  std::vector<Line> lines;
  int number = 0;
  for (absl::string_view line : absl::StrSplit(WithoutLastNewline(ToAbsl(text)), '\n')) {
    lines.push_back({std::string(source), ++number, std::string(line)});
  }
  return lines;
}

// A # inside of a word is one of a path.
absl::string_view WithoutComment(absl::string_view line) {
  for (size_t at = 0; at < line.size(); ++at) {
    if (line[at] == '#' && (at == 0 || line[at - 1] == ' ' || line[at - 1] == '\t')) {
      line = line.substr(0, at);
      break;
    }
  }
  return absl::StripAsciiWhitespace(line);
}

// Adds the lines of `path`; lines of other files in the place of those that include them.
absl::Status AddLines(const std::string& path, int depth, std::vector<Line>* lines) {
  constexpr int kDeepest = 8;
  BITLM_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, 1 << 20));
  for (Line& line : LinesOf(text, path)) {
    const absl::string_view code = WithoutComment(line.text);
    const auto equals = code.find('=');
    if (absl::StripAsciiWhitespace(code.substr(0, equals)) != "include") {
      lines->push_back(std::move(line));
      continue;
    }
    const std::string name(equals == absl::string_view::npos
                               ? ""
                               : absl::StripAsciiWhitespace(code.substr(equals + 1)));
    absl::Status status;
    if (name.empty() || depth == kDeepest) {
      status = absl::InvalidArgumentError(name.empty() ? "expected a file" : "too deep");
    } else {
      const auto folder = std::filesystem::path(path).parent_path();
      status = AddLines((folder / name).string(), depth + 1, lines);
    }
    if (!status.ok()) {
      return absl::Status(status.code(), absl::StrFormat("%s: line %d: include: %s", path,
                                                         line.number, status.message()));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Recipe> ParseLines(const std::vector<Line>& lines, std::string_view source,
                                  const std::vector<std::string>& overrides) {
  Recipe recipe;
  const auto setters = Setters(&recipe);
  const auto apply = [&](absl::string_view line, const std::string& where) -> absl::Status {
    const auto equals = line.find('=');
    if (equals == absl::string_view::npos) {
      return absl::InvalidArgumentError(absl::StrFormat("%s: expected \"key = value\"", where));
    }
    const std::string key(absl::StripAsciiWhitespace(line.substr(0, equals)));
    const std::string value(absl::StripAsciiWhitespace(line.substr(equals + 1)));
    const absl::Status status = Set(setters, key, value, &recipe);
    if (status.ok()) return status;
    return absl::InvalidArgumentError(absl::StrFormat("%s: %s: %s", where, key, status.message()));
  };
  for (const Line& line : lines) {
    recipe.text += line.text + "\n";
    const absl::string_view code = WithoutComment(line.text);
    if (code.empty()) continue;
    BITLM_RETURN_IF_ERROR(apply(code, absl::StrFormat("%s: line %d", line.source, line.number)));
  }
  for (const std::string& override_text : overrides) {
    BITLM_RETURN_IF_ERROR(apply(override_text, "--set"));
    recipe.text += override_text + "\n";
  }
  for (const auto& [key, missing] :
       std::map<std::string, bool>{{"name", recipe.name.empty()},
                                   {"data.train", recipe.train.empty()},
                                   {"data.valid", recipe.valid.empty() && recipe.hold_out == 0},
                                   {"model.hidden_size", recipe.model.hidden_size == 0}}) {
    if (missing)
      return absl::InvalidArgumentError(absl::StrFormat("%s: %s is missing", source, key));
  }
  if (recipe.hold_out > 0 && !recipe.valid.empty()) {
    return absl::InvalidArgumentError(
        absl::StrFormat("%s: data.hold_out: data.valid is there, too", source));
  }
  const bool plain = recipe.model.scale == ScaleKind::kPerRow &&
                     recipe.model.activation == ActivationKind::kReal &&
                     recipe.model.norm == NormKind::kNone;
  if (recipe.shape.fitted_scales && !plain) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "%s: binary.scales: \"fitted\" goes with scale per_row, activation real and norm none",
        source));
  }
  if (recipe.shape.binary_bias && (recipe.model.recurrent != MatrixKind::kBinary ||
                                   recipe.model.scale != ScaleKind::kPerMatrix)) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "%s: binary.bias: goes with recurrent binary and scale per_matrix", source));
  }
  if (recipe.shape.softmax_samples % kSampleUnit != 0) {
    return absl::InvalidArgumentError(
        absl::StrFormat("%s: softmax.samples: %d, expected a multiple of %d", source,
                        recipe.shape.softmax_samples, kSampleUnit));
  }
  if (recipe.average_patience > 0 && recipe.average_decay == 0) {
    return absl::InvalidArgumentError(
        absl::StrFormat("%s: average.patience: needs average.decay", source));
  }
  if (recipe.dropout.projection > 0 && recipe.model.output_projection == MatrixKind::kNone) {
    return absl::InvalidArgumentError(
        absl::StrFormat("%s: dropout.projection: the model has no output_projection", source));
  }
  if (recipe.dropout.hidden > 0 && recipe.model.layers == 1) {
    return absl::InvalidArgumentError(
        absl::StrFormat("%s: dropout.hidden: is between layers, and there is one", source));
  }
  if (recipe.constant_dimensions > 0 && !recipe.model.self_normalized) {
    return absl::InvalidArgumentError(
        absl::StrFormat("%s: self_normalization.dimensions: needs model.self_normalized", source));
  }
  if (recipe.anneal > 0 && !AllFitted(recipe.model, recipe.shape)) {
    return absl::InvalidArgumentError(
        absl::StrFormat("%s: binary.anneal: needs fitted scales (binary.scales)", source));
  }
  if (const size_t at = FindInvalidUtf8(recipe.text); at != std::string_view::npos) {
    return absl::InvalidArgumentError(absl::StrFormat("%s: invalid UTF-8 at byte %d", source, at));
  }
  if (recipe.model.embedding_size == 0) recipe.model.embedding_size = recipe.model.hidden_size;
  return recipe;
}

}  // namespace

absl::StatusOr<Recipe> ParseRecipe(std::string_view text, std::string_view source,
                                   const std::vector<std::string>& overrides) {
  return ParseLines(LinesOf(text, source), source, overrides);
}

absl::StatusOr<Recipe> ReadRecipe(const std::string& path,
                                  const std::vector<std::string>& overrides) {
  std::vector<Line> lines;
  BITLM_RETURN_IF_ERROR(AddLines(path, 0, &lines));
  return ParseLines(lines, path, overrides);
}

absl::Status CheckTrainable(const ModelConfig& config) {
  BITLM_RETURN_IF_ERROR(ValidateConfig(config));
  BITLM_RETURN_IF_ERROR(CheckServable(config));
  const bool plain = config.scale == ScaleKind::kPerRow &&
                     config.activation == ActivationKind::kReal && config.norm == NormKind::kNone;
  for (const auto& [set, name] :
       {std::pair(config.recurrent == MatrixKind::kInt8, "recurrent = int8"),
        std::pair(config.MostPlanes() > 1 && !plain, "bit_planes")}) {
    if (set) {
      return absl::FailedPreconditionError(
          absl::StrFormat("model.%s: no network of the trainer computes it", name));
    }
  }
  return absl::OkStatus();
}

}  // namespace bitlm::trainer
