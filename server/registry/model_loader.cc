#include "server/registry/model_loader.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "engine/base/status.h"
#include "engine/scoring/model_loading.h"
#include "engine/scoring/next_word.h"

namespace bitlm {

absl::StatusOr<LoadedModel> LoadModel(const ModelLocation& location) {
  const absl::Time start = absl::Now();
  BITLM_ASSIGN_OR_RETURN(std::shared_ptr<const LanguageModel> model,
                         LoadLanguageModel(location.directory));
  if (model->config().head != HeadKind::kLanguageModel) {
    return absl::FailedPreconditionError(
        absl::StrCat(location.directory, ": head: \"", ToAbsl(ToString(model->config().head)),
                     "\" is valid, but this version of the server has no call for it"));
  }
  // A model need not have golden sentences: a pass through every weight for those that have none,
  // and the first touch of all memory.
  const TokenizedSentence empty;
  const NextWordItem item = {.context = &empty, .options = {.top_k = 1}};
  NextWords(*model, {&item, 1}, /*cache=*/nullptr, /*pool=*/nullptr);
  return LoadedModel{location.name, location.version, std::move(model), absl::Now() - start};
}

std::string Fingerprint(const std::string& directory) {
  std::vector<std::string> files;
  std::error_code error;
  namespace fs = std::filesystem;
  for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    struct stat status;
    if (stat(it->path().c_str(), &status) != 0) continue;
    files.push_back(absl::StrCat(it->path().filename().string(), " ", status.st_ino, " ",
                                 status.st_size, " ", status.st_mtim.tv_sec, ".",
                                 status.st_mtim.tv_nsec));
  }
  std::sort(files.begin(), files.end());
  return absl::StrJoin(files, "\n");
}

absl::Status WithoutPaths(const absl::Status& status, const std::string& directory) {
  std::string message = absl::StrReplaceAll(
      status.message(), {{absl::StrCat(directory, "/"), ""}, {absl::StrCat(directory, ": "), ""}});
  message = absl::StrReplaceAll(message, {{directory, "the model"}});
  return absl::Status(status.code(), message);
}

}  // namespace bitlm
