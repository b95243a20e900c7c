#include "engine/model/model_config.h"

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "engine/base/status.h"

namespace bitlm {
namespace {

constexpr int kMaxSize = 65536;
constexpr int kMaxVocabulary = 4194304;
constexpr int kMaxLayers = 8;

absl::Status CheckRange(const char* option, int value, int low, int high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrFormat("%s: %d, expected %d to %d", option, value, low, high));
}

absl::Status NotAllowed(const char* option, std::string_view value, const char* expected) {
  return absl::InvalidArgumentError(
      absl::StrFormat("%s: \"%s\", expected %s", option, value, expected));
}

absl::Status CheckKinds(const ModelConfig& config) {
  const auto is_float_or_binary = [](MatrixKind kind) {
    return kind == MatrixKind::kFloat || kind == MatrixKind::kBinary;
  };
  const auto is_projection = [&](MatrixKind kind) {
    return kind == MatrixKind::kNone || is_float_or_binary(kind);
  };
  if (!is_float_or_binary(config.embedding)) {
    return NotAllowed("embedding", ToString(config.embedding), "float or binary");
  }
  if (!is_float_or_binary(config.output_embedding) &&
      config.output_embedding != MatrixKind::kTied) {
    return NotAllowed("output_embedding", ToString(config.output_embedding),
                      "float, binary or tied");
  }
  if (!is_projection(config.input_projection)) {
    return NotAllowed("input_projection", ToString(config.input_projection),
                      "none, float or binary");
  }
  if (!is_projection(config.output_projection)) {
    return NotAllowed("output_projection", ToString(config.output_projection),
                      "none, float or binary");
  }
  if (!is_float_or_binary(config.recurrent) && config.recurrent != MatrixKind::kInt8) {
    return NotAllowed("recurrent", ToString(config.recurrent), "float, int8 or binary");
  }
  return absl::OkStatus();
}

bool HasBinaryMatrix(const ModelConfig& config) {
  for (MatrixKind kind : {config.embedding, config.output_embedding, config.input_projection,
                          config.output_projection, config.recurrent}) {
    if (kind == MatrixKind::kBinary) return true;
  }
  return false;
}

// Options that contradict each other.
absl::Status CheckCombination(const ModelConfig& config) {
  if (config.head == HeadKind::kClassifier) {
    if (config.output_embedding == MatrixKind::kTied) {
      return absl::InvalidArgumentError(
          "output_embedding: \"tied\" has a row per word, head \"classifier\" needs one per class");
    }
    BITLM_RETURN_IF_ERROR(CheckRange("classes", config.classes, 2, kMaxSize));
  } else if (config.classes != 0) {
    return absl::InvalidArgumentError(
        absl::StrFormat("classes: %d, expected 0 with head \"language_model\"", config.classes));
  }
  if (config.output_projection == MatrixKind::kNone &&
      config.embedding_size != config.hidden_size) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "embedding_size: %d, expected hidden_size %d because output_projection is \"none\"",
        config.embedding_size, config.hidden_size));
  }
  if (config.activation == ActivationKind::kSign && config.recurrent != MatrixKind::kBinary) {
    return absl::InvalidArgumentError(
        absl::StrFormat("activation: \"sign\" needs recurrent \"binary\", which is \"%s\"",
                        ToString(config.recurrent)));
  }
  if (config.recurrent_planes != 0 && config.recurrent != MatrixKind::kBinary) {
    return absl::InvalidArgumentError(
        absl::StrFormat("recurrent_planes: %d, expected 0 because recurrent is \"%s\"",
                        config.recurrent_planes, ToString(config.recurrent)));
  }
  if (config.projection_planes != 0 && config.input_projection != MatrixKind::kBinary &&
      config.output_projection != MatrixKind::kBinary) {
    return absl::InvalidArgumentError(
        absl::StrFormat("projection_planes: %d, expected 0 because no projection is binary",
                        config.projection_planes));
  }
  if (config.bit_planes > 1 && !HasBinaryMatrix(config)) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "bit_planes: %d, expected 1 because no matrix is binary", config.bit_planes));
  }
  return absl::OkStatus();
}

ModelConfig Bllm(MatrixKind input_projection, MatrixKind output_projection) {
  ModelConfig config;
  config.embedding = MatrixKind::kBinary;
  config.output_embedding = MatrixKind::kBinary;
  config.input_projection = input_projection;
  config.output_projection = output_projection;
  config.recurrent = MatrixKind::kBinary;
  return config;
}

ModelConfig Belm() {
  ModelConfig config = Bllm(MatrixKind::kFloat, MatrixKind::kFloat);
  config.recurrent = MatrixKind::kFloat;
  return config;
}

// [ZT]: only the recurrent matrices are binary, one alpha a matrix.
ModelConfig BinaryWeightLstm(ActivationKind activation, NormKind norm) {
  ModelConfig config;
  config.recurrent = MatrixKind::kBinary;
  config.scale = ScaleKind::kPerMatrix;
  config.activation = activation;
  config.norm = norm;
  return config;
}

struct Preset {
  const char* name;
  ModelConfig config;
};

const std::vector<Preset>& Presets() {
  constexpr MatrixKind kNo = MatrixKind::kNone;
  constexpr MatrixKind kYes = MatrixKind::kBinary;
  static const auto* const presets = new std::vector<Preset>{
      {"lstm", ModelConfig{}},                                                // [LCY18] section 3.1
      {"belm", Belm()},                                                       // [LCY18] section 3.2
      {"bllm", Bllm(kYes, kYes)},                                             // [LCY18] section 3.3
      {"bllm-no-i", Bllm(kNo, kYes)},                                         // [LCY18] Table 5
      {"bllm-no-o", Bllm(kYes, kNo)},                                         // [LCY18] Table 5
      {"bllm-no-io", Bllm(kNo, kNo)},                                         // [LCY18] Table 5
      {"bw-lstm", BinaryWeightLstm(ActivationKind::kReal, NormKind::kNone)},  // [ZT] section 3.1
      {"xnor-lstm", BinaryWeightLstm(ActivationKind::kSign, NormKind::kNone)},  // [ZT] section 3.1
      {"xnor-lstm-bn", BinaryWeightLstm(ActivationKind::kSign, NormKind::kBatch)},  // [ZT] 4.2
  };
  return *presets;
}

absl::Status NotServable(const char* option, std::string_view value, const char* served) {
  return absl::FailedPreconditionError(
      absl::StrFormat("%s: \"%s\" is valid, but this version of the engine computes only %s",
                      option, value, served));
}

}  // namespace

int ModelConfig::LstmInputSize(int layer) const {
  if (layer > 0 || input_projection != MatrixKind::kNone) return hidden_size;
  return embedding_size;
}

absl::StatusOr<ModelConfig> PresetConfig(std::string_view preset) {
  for (const Preset& known : Presets()) {
    if (preset != known.name) continue;
    ModelConfig config = known.config;
    config.preset = known.name;
    return config;
  }
  return absl::InvalidArgumentError(
      absl::StrFormat("preset: unknown name \"%s\", expected one of: %s", preset,
                      absl::StrJoin(PresetNames(), ", ")));
}

std::vector<std::string> PresetNames() {
  std::vector<std::string> names;
  for (const Preset& preset : Presets()) names.emplace_back(preset.name);
  return names;
}

absl::Status ValidateConfig(const ModelConfig& config) {
  // "custom" is a network that no paper names.
  if (config.preset != "custom") BITLM_RETURN_IF_ERROR(PresetConfig(config.preset).status());
  BITLM_RETURN_IF_ERROR(CheckKinds(config));
  BITLM_RETURN_IF_ERROR(CheckRange("bit_planes", config.bit_planes, 1, 3));
  BITLM_RETURN_IF_ERROR(CheckRange("recurrent_planes", config.recurrent_planes, 0, 3));
  BITLM_RETURN_IF_ERROR(CheckRange("projection_planes", config.projection_planes, 0, 3));
  BITLM_RETURN_IF_ERROR(CheckRange("activation_planes", config.activation_planes, 1, 2));
  BITLM_RETURN_IF_ERROR(CheckRange("layers", config.layers, 1, kMaxLayers));
  BITLM_RETURN_IF_ERROR(CheckRange("hidden_size", config.hidden_size, 1, kMaxSize));
  BITLM_RETURN_IF_ERROR(CheckRange("embedding_size", config.embedding_size, 1, kMaxSize));
  BITLM_RETURN_IF_ERROR(CheckRange("vocabulary_size", config.vocabulary_size, 2, kMaxVocabulary));
  return CheckCombination(config);
}

absl::Status CheckServable(const ModelConfig& config) {
  BITLM_RETURN_IF_ERROR(ValidateConfig(config));
  if (config.recurrent == MatrixKind::kInt8 && config.activation_planes == 2) {
    // 128 * 127 * 128 * 1024 is what an int32 holds.
    for (int layer = 0; layer < config.layers; ++layer) {
      const int columns = std::max(config.hidden_size, config.LstmInputSize(layer));
      if (columns > 1024) {
        return NotServable("activation_planes", "2",
                           "1 for int8 matrices of more than 1,024 columns");
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace bitlm
