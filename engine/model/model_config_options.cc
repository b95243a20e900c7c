// Names of options and of their values, as config.json, recipes and --set write them.
#include "engine/model/model_config_options.h"

#include <array>
#include <charconv>
#include <optional>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "engine/base/status.h"

namespace bitlm {
namespace {

template <typename E>
struct Name {
  E value;
  std::string_view name;
};

constexpr std::array kMatrixNames = {
    Name<MatrixKind>{MatrixKind::kNone, "none"}, Name<MatrixKind>{MatrixKind::kFloat, "float"},
    Name<MatrixKind>{MatrixKind::kBinary, "binary"}, Name<MatrixKind>{MatrixKind::kInt8, "int8"},
    Name<MatrixKind>{MatrixKind::kTied, "tied"}};
constexpr std::array kScaleNames = {Name<ScaleKind>{ScaleKind::kPerMatrix, "per_matrix"},
                                    Name<ScaleKind>{ScaleKind::kPerRow, "per_row"}};
constexpr std::array kActivationNames = {Name<ActivationKind>{ActivationKind::kReal, "real"},
                                         Name<ActivationKind>{ActivationKind::kSign, "sign"}};
constexpr std::array kNormNames = {Name<NormKind>{NormKind::kNone, "none"},
                                   Name<NormKind>{NormKind::kBatch, "batch"},
                                   Name<NormKind>{NormKind::kLayer, "layer"}};
constexpr std::array kHeadNames = {Name<HeadKind>{HeadKind::kLanguageModel, "language_model"},
                                   Name<HeadKind>{HeadKind::kClassifier, "classifier"}};
constexpr std::array kContextNames = {Name<ContextKind>{ContextKind::kSentence, "sentence"},
                                      Name<ContextKind>{ContextKind::kDocument, "document"}};
constexpr std::array kNormalizationNames = {
    Name<NormalizationKind>{NormalizationKind::kNone, "none"},
    Name<NormalizationKind>{NormalizationKind::kLowercaseNoPunctuation,
                            "lowercase_no_punctuation"}};

const auto& NamesOf(MatrixKind) { return kMatrixNames; }
const auto& NamesOf(ScaleKind) { return kScaleNames; }
const auto& NamesOf(ActivationKind) { return kActivationNames; }
const auto& NamesOf(NormKind) { return kNormNames; }
const auto& NamesOf(HeadKind) { return kHeadNames; }
const auto& NamesOf(ContextKind) { return kContextNames; }
const auto& NamesOf(NormalizationKind) { return kNormalizationNames; }

template <typename E>
std::string_view NameOf(E value) {
  for (const auto& known : NamesOf(value)) {
    if (known.value == value) return known.name;
  }
  return "invalid";
}

absl::Status BadValue(std::string_view option, std::string_view value, std::string_view expected) {
  return absl::InvalidArgumentError(
      absl::StrFormat("%s: \"%s\", expected %s", option, value, expected));
}

struct Parser {
  std::string_view option;
  std::string_view value;

  absl::Status operator()(std::string* out) const {
    *out = std::string(value);
    return absl::OkStatus();
  }
  absl::Status operator()(int* out) const {
    int parsed = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), parsed);
    if (error != std::errc() || end != value.data() + value.size() || value.empty()) {
      return BadValue(option, value, "an integer");
    }
    *out = parsed;
    return absl::OkStatus();
  }
  absl::Status operator()(bool* out) const {
    if (value != "true" && value != "false") return BadValue(option, value, "true or false");
    *out = value == "true";
    return absl::OkStatus();
  }
  template <typename E>
  absl::Status operator()(E* out) const {
    std::vector<absl::string_view> names;
    for (const auto& known : NamesOf(E{})) {
      if (known.name == value) {
        *out = known.value;
        return absl::OkStatus();
      }
      names.push_back(ToAbsl(known.name));
    }
    return BadValue(option, value, "one of: " + absl::StrJoin(names, ", "));
  }
};

}  // namespace

std::string_view ToString(MatrixKind kind) { return NameOf(kind); }
std::string_view ToString(ScaleKind kind) { return NameOf(kind); }
std::string_view ToString(ActivationKind kind) { return NameOf(kind); }
std::string_view ToString(NormKind kind) { return NameOf(kind); }
std::string_view ToString(HeadKind kind) { return NameOf(kind); }
std::string_view ToString(ContextKind kind) { return NameOf(kind); }
std::string_view ToString(NormalizationKind kind) { return NameOf(kind); }

absl::Status SetConfigOption(std::string_view name, std::string_view value, ModelConfig* config) {
  std::optional<absl::Status> result;
  VisitConfigOptions(*config, [&](std::string_view option, auto& field) {
    if (option == name) result = Parser{name, value}(&field);
  });
  if (result.has_value()) return *result;
  std::vector<std::string> names;
  VisitConfigOptions(*config, [&](std::string_view option, auto&) { names.emplace_back(option); });
  return absl::InvalidArgumentError(
      absl::StrFormat("%s: unknown option of a model (value \"%s\"), expected one of: %s", name,
                      value, absl::StrJoin(names, ", ")));
}

}  // namespace bitlm
