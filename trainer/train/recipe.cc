#include "trainer/train/recipe.h"

#include <cmath>
#include <cstdlib>
#include <cstring>
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
           return BadValue(value, "a name of letters, digits, \".\", \"_\" and \"-\"");
         }
         r->name = value;
         return absl::OkStatus();
       }},
      {"corpus", Text(&r->corpus)},
      {"license", Text(&r->license)},
      {"data.train", Files(&r->train)},
      {"data.synthetic", Files(&r->synthetic)},
      {"data.valid", Text(&r->valid)},
      {"data.max_tokens", Integer(&r->max_tokens, 0, kMany)},
      {"vocabulary", Integer(&r->vocabulary_size, 0, 4194304)},
      {"batch.streams", Integer(&r->shape.streams, 1, 4096)},
      {"batch.steps", Integer(&r->shape.steps, 1, 4096)},
      {"softmax.samples", Integer(&r->shape.softmax_samples, 0, kMany)},
      {"softmax.sampled_part", Number(&r->sampled_part, 0, 1)},
      {"binary.anneal", Number(&r->anneal, 0, 1)},
      {"binary.scales",
       Choice<bool>(&r->shape.fitted_scales, {{"learned", false}, {"fitted", true}})},
      {"dropout.input", Number(&r->dropout.input, 0, 0.99)},
      {"dropout.hidden", Number(&r->dropout.hidden, 0, 0.99)},
      {"dropout.output", Number(&r->dropout.output, 0, 0.99)},
      {"dropout.words", Number(&r->dropout.words, 0, 0.99)},
      {"dropout.recurrent", Number(&r->dropout.recurrent, 0, 0.99)},
      {"dropout.variational",
       Choice<bool>(&r->dropout.variational, {{"true", true}, {"false", false}})},
      {"optimizer", Choice<OptimizerKind>(&r->optimizer.kind, {{"sgd", OptimizerKind::kSgd},
                                                               {"adam", OptimizerKind::kAdam}})},
      {"clip_norm", Number(&r->optimizer.clip_norm, 0, 1e9)},
      {"adam.beta1", Number(&r->optimizer.beta1, 0, 0.999999)},
      {"adam.beta2", Number(&r->optimizer.beta2, 0, 0.999999)},
      {"adam.epsilon", Number(&r->optimizer.epsilon, 1e-12, 1)},
      {"weight_decay", Number(&r->optimizer.weight_decay, 0, 1)},
      {"latent_lr_scale", Number(&r->optimizer.latent_lr_scale, 0, 1e6)},
      {"schedule",
       Choice<ScheduleKind>(&r->schedule.kind, {{"halving", ScheduleKind::kHalving},
                                                {"linear", ScheduleKind::kLinear},
                                                {"constant", ScheduleKind::kConstant}})},
      {"learning_rate", Number(&r->schedule.learning_rate, 0, 1e6)},
      {"warmup_steps", Integer(&r->schedule.warmup_steps, 0, kMany)},
      {"decay", Number(&r->schedule.decay, 0, 1)},
      {"patience", Integer(&r->schedule.patience, 1, 1000000)},
      {"minimum_fraction", Number(&r->schedule.minimum_fraction, 0, 1)},
      {"final_fraction", Number(&r->schedule.final_fraction, 0, 1)},
      {"average.decay", Number(&r->average_decay, 0, 1)},
      {"average.from", Number(&r->average_from, 0, 1)},
      {"epochs", Number(&r->epochs, 1e-6, 1e6)},
      {"validations_per_epoch", Integer(&r->validations_per_epoch, 1, 10000)},
      {"distillation.model", Text(&r->teacher_model)},
      {"distillation.weight", Number(&r->distillation_weight, 0, 1)},
      {"init.model", Text(&r->initial_model)},
      {"init.count_power", Number(&r->initial_count_power, 0, 2)},
      {"init.uniform", Number(&r->initial.uniform, 0, 10)},
      {"init.forget_bias", Number(&r->initial.forget_bias, -10, 10)},
      {"init.gamma_input", Number(&r->initial.gamma_input, -20, 20)},
      {"init.gamma_output", Number(&r->initial.gamma_output, -20, 20)},
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

}  // namespace

absl::StatusOr<Recipe> ParseRecipe(std::string_view text, std::string_view source,
                                   const std::vector<std::string>& overrides) {
  Recipe recipe;
  const auto setters = Setters(&recipe);
  recipe.text = std::string(text);
  if (!recipe.text.empty() && recipe.text.back() != '\n') recipe.text.push_back('\n');
  int line_number = 0;
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
  for (absl::string_view line : absl::StrSplit(ToAbsl(text), '\n')) {
    ++line_number;
    line = absl::StripAsciiWhitespace(line.substr(0, line.find('#')));
    if (line.empty()) continue;
    BITLM_RETURN_IF_ERROR(apply(line, absl::StrFormat("%s: line %d", source, line_number)));
  }
  for (const std::string& override_text : overrides) {
    BITLM_RETURN_IF_ERROR(apply(override_text, "--set"));
    recipe.text += override_text + "\n";
  }
  for (const auto& [key, missing] :
       std::map<std::string, bool>{{"name", recipe.name.empty()},
                                   {"data.train", recipe.train.empty()},
                                   {"data.valid", recipe.valid.empty()},
                                   {"model.hidden_size", recipe.model.hidden_size == 0}}) {
    if (missing)
      return absl::InvalidArgumentError(absl::StrFormat("%s: %s is missing", source, key));
  }
  if (recipe.shape.softmax_samples % kSampleUnit != 0) {
    return absl::InvalidArgumentError(
        absl::StrFormat("%s: softmax.samples: %d, expected a multiple of %d", source,
                        recipe.shape.softmax_samples, kSampleUnit));
  }
  if (recipe.anneal > 0 && !recipe.shape.fitted_scales && recipe.model.bit_planes == 1) {
    return absl::InvalidArgumentError(
        absl::StrFormat("%s: binary.anneal: needs fitted scales (binary.scales)", source));
  }
  if (const size_t at = FindInvalidUtf8(recipe.text); at != std::string_view::npos) {
    return absl::InvalidArgumentError(absl::StrFormat("%s: invalid UTF-8 at byte %d", source, at));
  }
  if (recipe.model.embedding_size == 0) recipe.model.embedding_size = recipe.model.hidden_size;
  return recipe;
}

absl::StatusOr<Recipe> ReadRecipe(const std::string& path,
                                  const std::vector<std::string>& overrides) {
  BITLM_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, 1 << 20));
  return ParseRecipe(text, path, overrides);
}

absl::Status CheckTrainable(const ModelConfig& config) {
  BITLM_RETURN_IF_ERROR(ValidateConfig(config));
  BITLM_RETURN_IF_ERROR(CheckServable(config));
  const bool scaled = config.recurrent == MatrixKind::kBinary ||
                      config.input_projection == MatrixKind::kBinary ||
                      config.output_projection == MatrixKind::kBinary;
  for (const auto& [set, name] :
       {std::pair(config.self_normalized, "self_normalized"),
        std::pair(config.recurrent == MatrixKind::kInt8, "recurrent"),
        std::pair(scaled && config.scale != ScaleKind::kPerRow, "scale"),
        std::pair(config.activation != ActivationKind::kReal, "activation"),
        std::pair(config.head != HeadKind::kLanguageModel, "head"),
        std::pair(config.norm != NormKind::kNone, "norm")}) {
    if (set) {
      return absl::FailedPreconditionError(
          absl::StrFormat("model.%s: this version does not train it", name));
    }
  }
  return absl::OkStatus();
}

}  // namespace bitlm::trainer
