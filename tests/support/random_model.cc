#include "tests/support/random_model.h"

#include <cstdio>
#include <cstdlib>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace bitlm {
namespace {

void CheckOk(const absl::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "random_model: %s\n", status.ToString().c_str());
  std::abort();
}

void FillBits(int64_t columns, RandomBits& random, Tensor* tensor) {
  const size_t row_bytes = static_cast<size_t>(tensor->shape.back());
  const int used_bits = static_cast<int>(columns - 8 * (static_cast<int64_t>(row_bytes) - 1));
  std::span<uint8_t> values = tensor->mutable_u8();
  for (size_t i = 0; i < values.size(); ++i) {
    const unsigned mask = i % row_bytes == row_bytes - 1 ? (1u << used_bits) - 1 : 0xFFu;
    values[i] = static_cast<uint8_t>(random.Next() & mask);
  }
}

void FillFloats(float low, float high, RandomBits& random, Tensor* tensor) {
  for (float& value : tensor->mutable_f32()) value = random.Uniform(low, high);
}

void FillInt8(RandomBits& random, Tensor* tensor) {
  for (int8_t& value : tensor->mutable_i8()) {
    value = static_cast<int8_t>(static_cast<int>(random.Below(255)) - 127);
  }
}

Vocabulary MakeWords(int size) {
  std::vector<std::string> words;
  for (int id = 0; id < size - 2; ++id) words.push_back(absl::StrCat("w", id));
  words.insert(words.begin() + (words.empty() ? 0 : 1), std::string(kUnknownWord));
  words.emplace_back(kEndOfSentence);
  absl::StatusOr<Vocabulary> vocabulary = Vocabulary::FromWords(std::move(words));
  CheckOk(vocabulary.status());
  return *std::move(vocabulary);
}

}  // namespace

uint64_t RandomBits::Next() {
  uint64_t z = (state_ += 0x9E3779B97F4A7C15u);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

float RandomBits::Uniform(float low, float high) {
  const float unit = static_cast<float>(Next() >> 40) * 0x1p-24f;
  return low + (high - low) * unit;
}

Model RandomModel(const ModelConfig& config, uint64_t seed) {
  CheckOk(ValidateConfig(config));
  RandomBits random(seed);
  TensorMap tensors;
  for (const TensorSpec& spec : RequiredTensors(config)) {
    Tensor tensor = MakeTensor(spec.dtype, spec.shape);
    switch (spec.dtype) {
      case DType::kU8:
        FillBits(spec.columns, random, &tensor);
        break;
      case DType::kI8:
        FillInt8(random, &tensor);
        break;
      case DType::kF32:
        if (config.norm == NormKind::kLayer && absl::StrContains(spec.name, ".gain")) {
          FillFloats(0.5f, 1.5f, random, &tensor);
        } else if (absl::StrContains(spec.name, ".scale") ||
                   absl::StrContains(spec.name, ".gain")) {
          // An int8 weight is as large as another.
          const bool int8 = config.recurrent == MatrixKind::kInt8 && spec.name.starts_with("lstm.");
          const float unit = int8 ? 1.0f / 64 : 1.0f;
          FillFloats(0.02f * unit, 0.1f * unit, random, &tensor);
        } else {
          FillFloats(-0.3f, 0.3f, random, &tensor);
        }
        break;
    }
    tensors.emplace(spec.name, std::move(tensor));
  }
  ModelMetadata metadata;
  metadata.name = "random";
  metadata.corpus = "none: random weights";
  return Model{.config = config,
               .metadata = std::move(metadata),
               .vocabulary = MakeWords(config.vocabulary_size),
               .tensors = std::move(tensors),
               .golden = {}};
}

ModelConfig TinyConfig(std::string_view preset, int vocabulary, int embedding, int hidden) {
  absl::StatusOr<ModelConfig> config = PresetConfig(preset);
  CheckOk(config.status());
  config->vocabulary_size = vocabulary;
  config->embedding_size = embedding;
  config->hidden_size = hidden;
  CheckOk(ValidateConfig(*config));
  return *std::move(config);
}

ModelConfig UnservableConfig() {
  ModelConfig config = TinyConfig("bllm", 20, 8, 1025);
  config.recurrent = MatrixKind::kInt8;
  config.activation_planes = 2;
  return config;
}

}  // namespace bitlm
