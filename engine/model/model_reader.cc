#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_format.h"
#include "engine/base/file.h"
#include "engine/base/sha256.h"
#include "engine/base/status.h"
#include "engine/model/config_json.h"
#include "engine/model/model.h"
#include "engine/model/safetensors.h"

namespace bitlm {
namespace {

// Longest word of vocab.txt and its newline (vocabulary.cc).
constexpr uint64_t kMaxVocabularyLineBytes = 1025;

absl::Status WrongSize(const std::string& path, const FileRecord& record, const char* name,
                       uint64_t bytes) {
  return absl::DataLossError(absl::StrFormat(
      "%s: %d bytes, expected %d (config.json: files.%s.bytes)", path, bytes, record.bytes, name));
}

// Compares a file's size with the one that config.json tells, and that with the most it may be.
absl::Status CheckSize(const std::string& path, const FileRecord& record, const char* name,
                       uint64_t most_bytes) {
  if (record.bytes > most_bytes) {
    return absl::DataLossError(
        absl::StrFormat("%s: %d bytes (config.json: files.%s.bytes), expected at most %d", path,
                        record.bytes, name, most_bytes));
  }
  std::error_code error;
  const uint64_t bytes = std::filesystem::file_size(path, error);
  if (!error && bytes != record.bytes) return WrongSize(path, record, name, bytes);
  return absl::OkStatus();
}

// Reads a file that config.json describes. Its size is checked before anything is read.
absl::StatusOr<std::string> ReadRecorded(const std::string& path, const FileRecord& record,
                                         const char* name, uint64_t most_bytes) {
  BITLM_RETURN_IF_ERROR(CheckSize(path, record, name, most_bytes));
  BITLM_ASSIGN_OR_RETURN(std::string contents, ReadFile(path, record.bytes));
  if (contents.size() != record.bytes) return WrongSize(path, record, name, contents.size());
  return contents;
}

absl::Status CheckSha256(const std::string& path, const FileRecord& record, const char* name,
                         std::string_view contents) {
  const std::string sha256 = Sha256Hex(contents);
  if (sha256 == record.sha256) return absl::OkStatus();
  return absl::DataLossError(
      absl::StrFormat("%s: sha256 %s, expected %s (config.json: files.%s.sha256)", path, sha256,
                      record.sha256, name));
}

absl::StatusOr<Vocabulary> ReadVocabulary(const std::string& path, const Manifest& manifest) {
  const int size = manifest.config.vocabulary_size;
  BITLM_ASSIGN_OR_RETURN(const std::string text,
                         ReadRecorded(path, manifest.vocabulary, kVocabularyFile,
                                      kMaxVocabularyLineBytes * static_cast<uint64_t>(size)));
  BITLM_ASSIGN_OR_RETURN(Vocabulary vocabulary, Vocabulary::Parse(text, path));
  if (vocabulary.size() != size) {
    return absl::DataLossError(
        absl::StrFormat("%s: %d lines, expected %d (config.json: network.vocabulary_size)", path,
                        vocabulary.size(), size));
  }
  BITLM_RETURN_IF_ERROR(CheckSha256(path, manifest.vocabulary, kVocabularyFile, text));
  return vocabulary;
}

absl::StatusOr<TensorMap> ReadTensors(const std::string& path, const Manifest& manifest) {
  const uint64_t most_bytes = 8 + kMaxSafetensorsHeaderBytes + WeightBytes(manifest.config);
  const std::vector<TensorSpec> specs = RequiredTensors(manifest.config);
  BITLM_RETURN_IF_ERROR(CheckSize(path, manifest.tensors, kTensorsFile, most_bytes));
  BITLM_ASSIGN_OR_RETURN(std::string prefix, ReadFilePrefix(path, 8));
  BITLM_ASSIGN_OR_RETURN(prefix, ReadFilePrefix(path, SafetensorsHeaderBytes(prefix)));
  BITLM_RETURN_IF_ERROR(CheckSafetensorsHeader(prefix, manifest.tensors.bytes, specs, path));
  BITLM_ASSIGN_OR_RETURN(const std::string file,
                         ReadRecorded(path, manifest.tensors, kTensorsFile, most_bytes));
  BITLM_ASSIGN_OR_RETURN(TensorMap tensors, ParseSafetensors(file, specs, path));
  BITLM_RETURN_IF_ERROR(CheckSha256(path, manifest.tensors, kTensorsFile, file));
  return tensors;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const Model>> ReadModel(const std::string& directory) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(directory, ignored)) {
    return absl::NotFoundError(absl::StrFormat("%s: no such model directory", directory));
  }
  const std::string config_path = directory + "/" + kConfigFile;
  absl::StatusOr<std::string> config_text = ReadFile(config_path, kMaxConfigBytes);
  if (absl::IsResourceExhausted(config_text.status())) {
    return absl::DataLossError(config_text.status().message());
  }
  BITLM_RETURN_IF_ERROR(config_text.status());
  BITLM_ASSIGN_OR_RETURN(Manifest manifest, ParseManifest(*config_text, config_path));
  BITLM_ASSIGN_OR_RETURN(Vocabulary vocabulary,
                         ReadVocabulary(directory + "/" + kVocabularyFile, manifest));
  BITLM_ASSIGN_OR_RETURN(TensorMap tensors, ReadTensors(directory + "/" + kTensorsFile, manifest));
  return std::make_shared<const Model>(Model{.config = std::move(manifest.config),
                                             .metadata = std::move(manifest.metadata),
                                             .vocabulary = std::move(vocabulary),
                                             .tensors = std::move(tensors),
                                             .golden = std::move(manifest.golden)});
}

}  // namespace bitlm
