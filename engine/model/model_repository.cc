#include "engine/model/model_repository.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <tuple>

#include "absl/strings/str_format.h"
#include "engine/base/status.h"
#include "engine/model/config_json.h"

namespace bitlm {
namespace {

namespace fs = std::filesystem;

bool IsAsciiAlphanumeric(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

// A positive integer without leading zeros or sign, or 0.
int64_t ParseVersion(std::string_view text) {
  if (text.empty() || text[0] < '1' || text[0] > '9') return 0;
  int64_t version = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), version);
  return error == std::errc() && end == text.data() + text.size() ? version : 0;
}

// Names of the directories in `directory`, links to directories included. Errors: INTERNAL when it
// cannot be read; one that is gone is empty.
absl::StatusOr<std::vector<std::string>> Subdirectories(const fs::path& directory) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    std::error_code not_readable;
    if (it->is_directory(not_readable)) names.push_back(it->path().filename().string());
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    return absl::InternalError(
        absl::StrFormat("%s: cannot be read: %s", directory.string(), error.message()));
  }
  return names;
}

}  // namespace

bool IsModelName(std::string_view name) {
  return !name.empty() && IsAsciiAlphanumeric(name[0]) &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return IsAsciiAlphanumeric(c) || c == '.' || c == '_' || c == '-';
         });
}

absl::StatusOr<std::vector<ModelLocation>> ListModels(const std::string& repository,
                                                      std::vector<std::string>* skipped) {
  std::error_code error;
  if (!fs::is_directory(repository, error)) {
    return absl::NotFoundError(absl::StrFormat("%s: no such model repository", repository));
  }
  std::vector<ModelLocation> models;
  BITLM_ASSIGN_OR_RETURN(const std::vector<std::string> names, Subdirectories(repository));
  for (const std::string& name : names) {
    if (!IsModelName(name)) continue;
    BITLM_ASSIGN_OR_RETURN(const std::vector<std::string> version_names,
                           Subdirectories(fs::path(repository) / name));
    for (const std::string& version_name : version_names) {
      const int64_t version = ParseVersion(version_name);
      const fs::path directory = fs::path(repository) / name / version_name;
      if (version == 0) continue;
      if (fs::is_regular_file(directory / kConfigFile, error)) {
        models.push_back({name, version, directory.string()});
      } else if (skipped != nullptr) {
        skipped->push_back(directory.string());
      }
    }
  }
  std::sort(models.begin(), models.end(), [](const ModelLocation& a, const ModelLocation& b) {
    return std::tie(a.name, a.version) < std::tie(b.name, b.version);
  });
  return models;
}

}  // namespace bitlm
