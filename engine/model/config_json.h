// config.json: what a model directory says about itself (docs/model-format.md).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/model/model.h"

namespace bitlm {

inline constexpr char kConfigFile[] = "config.json";
inline constexpr char kVocabularyFile[] = "vocab.txt";
inline constexpr char kTensorsFile[] = "model.safetensors";

// Longest config.json that is read, and most golden sentences in it.
inline constexpr uint64_t kMaxConfigBytes = 1 << 20;
inline constexpr size_t kMaxGoldenSentences = 1000;

// Size and checksum of another file of the directory.
struct FileRecord {
  uint64_t bytes = 0;
  std::string sha256;  // 64 lower-case hexadecimal digits.
  bool operator==(const FileRecord&) const = default;
};

// All of config.json.
struct Manifest {
  ModelConfig config;
  ModelMetadata metadata;
  std::vector<GoldenSentence> golden;
  FileRecord vocabulary;
  FileRecord tensors;
};

// INVALID_ARGUMENT naming the field when a manifest cannot be written: invalid config, text that is
// not UTF-8, numbers that are not finite or out of range.
absl::Status ValidateManifest(const Manifest& manifest);

// The text of config.json, sealed. `manifest` must be valid.
std::string SerializeManifest(const Manifest& manifest);

// Parses and proves. `source` prefixes messages. Errors: DATA_LOSS naming the field, or line and
// column where the text is not JSON; FAILED_PRECONDITION for a newer format or numerics version.
absl::StatusOr<Manifest> ParseManifest(std::string_view text, std::string_view source);

// Writes the SHA-256 of `text` into its "config_sha256", taken with that value's 64 digits as "0".
// Any change of any byte then breaks the seal. `text` unchanged when it has no such member.
std::string SealConfig(std::string text);

}  // namespace bitlm
