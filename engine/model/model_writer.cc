#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_format.h"
#include "engine/base/file.h"
#include "engine/base/sha256.h"
#include "engine/base/status.h"
#include "engine/model/config_json.h"
#include "engine/model/model.h"
#include "engine/model/safetensors.h"

namespace bitlm {
namespace {

namespace fs = std::filesystem;

absl::Status CheckTensors(const Model& model) {
  const std::vector<TensorSpec> specs = RequiredTensors(model.config);
  for (const TensorSpec& spec : specs) {
    const auto found = model.tensors.find(spec.name);
    if (found == model.tensors.end()) {
      return absl::InvalidArgumentError(absl::StrFormat("tensor \"%s\": missing", spec.name));
    }
    if (absl::Status status = CheckTensor(spec, found->second); !status.ok()) {
      return absl::InvalidArgumentError(status.message());
    }
  }
  for (const auto& [name, tensor] : model.tensors) {
    bool known = false;
    for (const TensorSpec& spec : specs) known = known || spec.name == name;
    if (!known) {
      return absl::InvalidArgumentError(
          absl::StrFormat("tensor \"%s\": not one that the config asks for", name));
    }
  }
  return absl::OkStatus();
}

FileRecord Record(std::string_view contents) { return {contents.size(), Sha256Hex(contents)}; }

// A fresh directory beside `target`, hidden from ListModels; removed unless it was renamed.
class StagingDirectory {
 public:
  explicit StagingDirectory(const fs::path& target)
      : path_((target.parent_path() / ("." + target.filename().string() + ".XXXXXX")).string()) {
    ok_ = mkdtemp(path_.data()) != nullptr && chmod(path_.c_str(), 0755) == 0;
  }
  ~StagingDirectory() {
    std::error_code ignored;
    if (ok_ && !renamed_) fs::remove_all(path_, ignored);
  }
  StagingDirectory(const StagingDirectory&) = delete;
  StagingDirectory& operator=(const StagingDirectory&) = delete;

  bool ok() const { return ok_; }
  const std::string& path() const { return path_; }

  // Replaces `target`, which may exist only as an empty directory.
  absl::Status RenameTo(const fs::path& target) {
    if (::rename(path_.c_str(), target.c_str()) == 0) {
      renamed_ = true;
      return absl::OkStatus();
    }
    const int error = errno;
    const std::string message = absl::StrFormat("%s: cannot rename to this name: %s",
                                                target.string(), std::strerror(error));
    const bool taken = error == ENOTEMPTY || error == EEXIST || error == ENOTDIR;
    return taken ? absl::AlreadyExistsError(message) : absl::InternalError(message);
  }

 private:
  std::string path_;
  bool ok_ = false;
  bool renamed_ = false;
};

absl::Status CheckTarget(const fs::path& target) {
  std::error_code error;
  const fs::file_status status = fs::symlink_status(target, error);
  if (status.type() == fs::file_type::not_found) return absl::OkStatus();
  if (status.type() != fs::file_type::directory || !fs::is_empty(target, error) || error) {
    return absl::AlreadyExistsError(
        absl::StrFormat("%s: exists, expected a new name or an empty directory", target.string()));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status WriteModel(const Model& model, const std::string& directory) {
  Manifest manifest{.config = model.config,
                    .metadata = model.metadata,
                    .golden = model.golden,
                    .vocabulary = {},
                    .tensors = {}};
  BITLM_RETURN_IF_ERROR(ValidateManifest(manifest));
  if (model.vocabulary.size() != model.config.vocabulary_size) {
    return absl::InvalidArgumentError(
        absl::StrFormat("vocabulary_size: %d, but the vocabulary has %d words",
                        model.config.vocabulary_size, model.vocabulary.size()));
  }
  BITLM_RETURN_IF_ERROR(CheckTensors(model));

  if (directory.empty()) return absl::InvalidArgumentError("directory: empty");
  // Absolute and without a trailing slash, so that it has a parent and a name.
  std::error_code error;
  fs::path target = fs::absolute(directory, error).lexically_normal();
  if (!target.has_filename()) target = target.parent_path();
  BITLM_RETURN_IF_ERROR(CheckTarget(target));
  fs::create_directories(target.parent_path(), error);
  if (error) {
    return absl::InternalError(
        absl::StrFormat("%s: cannot create: %s", target.parent_path().string(), error.message()));
  }
  StagingDirectory staging(target);
  if (!staging.ok()) {
    return absl::InternalError(
        absl::StrFormat("%s: cannot create: %s", staging.path(), std::strerror(errno)));
  }

  const std::string vocabulary = model.vocabulary.Serialize();
  const std::string tensors = SerializeSafetensors(model.tensors);
  manifest.vocabulary = Record(vocabulary);
  manifest.tensors = Record(tensors);
  const std::string config = SerializeManifest(manifest);
  if (config.size() > kMaxConfigBytes) {
    return absl::InvalidArgumentError(absl::StrFormat("config.json: %d bytes, expected at most %d",
                                                      config.size(), kMaxConfigBytes));
  }
  // Each of these syncs the file and the staging directory.
  const std::string prefix = staging.path() + "/";
  BITLM_RETURN_IF_ERROR(WriteFileAtomically(prefix + kVocabularyFile, vocabulary));
  BITLM_RETURN_IF_ERROR(WriteFileAtomically(prefix + kTensorsFile, tensors));
  BITLM_RETURN_IF_ERROR(WriteFileAtomically(prefix + kConfigFile, config));
  BITLM_RETURN_IF_ERROR(staging.RenameTo(target));
  return SyncDirectory(target.parent_path().string());
}

}  // namespace bitlm
