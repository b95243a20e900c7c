#include "trainer/train/publish.h"

#include <cstdint>
#include <filesystem>
#include <vector>

#include "absl/strings/str_format.h"
#include "engine/base/file.h"
#include "engine/base/status.h"
#include "engine/scoring/golden.h"
#include "engine/scoring/model_loading.h"
#include "engine/scoring/perplexity.h"
#include "trainer/tensor/random.h"

namespace bitlm::trainer {
namespace {

// Texts of the vocabulary's own words: nothing of the corpus goes into the file.
std::vector<std::string> GoldenTexts(const Vocabulary& vocabulary) {
  constexpr uint64_t kSentences = 4;
  constexpr uint64_t kWords = 6;
  std::vector<std::string> texts;
  for (uint64_t s = 0; s < kSentences; ++s) {
    std::string text;
    for (uint64_t w = 0; w < kWords; ++w) {
      const auto words = static_cast<uint64_t>(vocabulary.size());
      const auto id = static_cast<TokenId>(Combine(s, w) % words);
      if (id == vocabulary.unknown_id() || id == vocabulary.end_of_sentence_id()) continue;
      text += (text.empty() ? "" : " ") + std::string(vocabulary.Word(id));
    }
    texts.push_back(text);
  }
  return texts;
}

absl::Status FileError(const std::string& path, const char* action, const std::error_code& error) {
  return absl::InternalError(absl::StrFormat("%s: cannot %s: %s", path, action, error.message()));
}

}  // namespace

absl::StatusOr<double> PublishModel(Model model, const std::string& repository,
                                    const std::string& valid, ThreadPool* pool) {
  namespace fs = std::filesystem;
  const std::string parent = repository + "/" + model.metadata.name;
  const std::string target = parent + "/1";
  const std::string draft = parent + "/draft";  // Not a version: servers pass it by.
  std::error_code error;
  fs::create_directories(parent, error);
  if (error) return FileError(parent, "create", error);
  const auto remove = [&](const std::string& path) {
    fs::remove_all(path, error);
    return error ? FileError(path, "remove", error) : absl::OkStatus();
  };

  BITLM_RETURN_IF_ERROR(remove(draft));
  BITLM_RETURN_IF_ERROR(WriteModel(model, draft));
  BITLM_ASSIGN_OR_RETURN(const auto engine, LoadLanguageModel(draft));
  BITLM_ASSIGN_OR_RETURN(const std::string text, ReadTextFile(valid));
  const absl::StatusOr<PerplexityResult> result =
      EvaluateText(*engine, text, model.config.context, pool);
  if (!result.ok()) {
    return absl::Status(result.status().code(),
                        absl::StrFormat("%s: %s", valid, result.status().message()));
  }
  model.metadata.valid_perplexity = result->perplexity;
  BITLM_ASSIGN_OR_RETURN(model.golden,
                         ComputeGoldenSentences(*engine, GoldenTexts(model.vocabulary)));

  BITLM_RETURN_IF_ERROR(remove(draft));
  BITLM_RETURN_IF_ERROR(WriteModel(model, draft));
  BITLM_RETURN_IF_ERROR(LoadLanguageModel(draft).status());
  BITLM_RETURN_IF_ERROR(remove(target));
  fs::rename(draft, target, error);
  if (error) return FileError(target, "rename to", error);
  BITLM_RETURN_IF_ERROR(SyncDirectory(parent));
  return result->perplexity;
}

}  // namespace bitlm::trainer
