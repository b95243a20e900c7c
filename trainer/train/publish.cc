#include "trainer/train/publish.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <vector>

#include "absl/strings/str_format.h"
#include "engine/base/file.h"
#include "engine/base/status.h"
#include "engine/scoring/golden.h"
#include "engine/scoring/model_loading.h"
#include "engine/scoring/perplexity.h"
#include "trainer/tensor/random.h"
#include "trainer/train/classifier_evaluation.h"

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

// Puts the directory `draft` in the place of `target`, which may be there: one exchange of names.
// What people put beside the model's files, a README say, goes along. The old directory is removed.
absl::Status Replace(const std::string& draft, const std::string& target) {
  namespace fs = std::filesystem;
  std::error_code error;
  if (fs::exists(target, error)) {
    fs::copy(target, draft, fs::copy_options::recursive | fs::copy_options::skip_existing, error);
    if (error) return FileError(target, "copy", error);
    if (::renameat2(AT_FDCWD, draft.c_str(), AT_FDCWD, target.c_str(), RENAME_EXCHANGE) == 0) {
      fs::remove_all(draft, error);
      return error ? FileError(draft, "remove", error) : absl::OkStatus();
    }
    if (errno != EINVAL && errno != ENOSYS) {
      return FileError(target, "exchange", std::error_code(errno, std::generic_category()));
    }
    // A file system without the exchange: for a moment the name is gone.
    const std::string old = draft + "-old";
    fs::rename(target, old, error);
    if (error) return FileError(target, "rename", error);
    fs::rename(draft, target, error);
    if (error) return FileError(draft, "rename", error);
    fs::remove_all(old, error);
    return error ? FileError(old, "remove", error) : absl::OkStatus();
  }
  fs::rename(draft, target, error);
  return error ? FileError(target, "rename to", error) : absl::OkStatus();
}

}  // namespace

std::string TextScore::Description(ContextKind protocol) const {
  if (accuracy) {
    return absl::StrFormat("accuracy %.2f %%, perplexity of the classes %.4f", 100 * *accuracy,
                           perplexity);
  }
  return absl::StrFormat("%s perplexity %.4f", ToString(protocol), perplexity);
}

absl::StatusOr<TextScore> ScoreText(const LanguageModel& model, const std::string& path,
                                    ThreadPool* pool) {
  if (model.config().head == HeadKind::kClassifier) {
    BITLM_ASSIGN_OR_RETURN(const ClassificationResult result,
                           EvaluateClassifier(model, path, pool));
    return TextScore{.perplexity = result.perplexity(), .accuracy = result.accuracy()};
  }
  BITLM_ASSIGN_OR_RETURN(const std::string text, ReadTextFile(path));
  const absl::StatusOr<PerplexityResult> result =
      EvaluateText(model, text, model.config().context, pool);
  if (!result.ok()) {
    return absl::Status(result.status().code(),
                        absl::StrFormat("%s: %s", path, result.status().message()));
  }
  return TextScore{.perplexity = result->perplexity, .accuracy = {}};
}

absl::StatusOr<TextScore> PublishModel(Model model, const std::string& repository,
                                       const std::string& valid, ThreadPool* pool) {
  namespace fs = std::filesystem;
  const std::string parent = repository + "/" + model.metadata.name;
  const std::string target = parent + "/1";
  // Hidden and no version: servers pass it by. One of each process.
  const std::string draft = absl::StrFormat("%s/.draft-%d", parent, ::getpid());
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
  BITLM_ASSIGN_OR_RETURN(const TextScore score, ScoreText(*engine, valid, pool));
  model.metadata.valid_perplexity = score.perplexity;
  BITLM_ASSIGN_OR_RETURN(model.golden,
                         ComputeGoldenSentences(*engine, GoldenTexts(model.vocabulary)));

  BITLM_RETURN_IF_ERROR(remove(draft));
  BITLM_RETURN_IF_ERROR(WriteModel(model, draft));
  BITLM_RETURN_IF_ERROR(LoadLanguageModel(draft).status());
  BITLM_RETURN_IF_ERROR(Replace(draft, target));
  BITLM_RETURN_IF_ERROR(SyncDirectory(parent));
  return score;
}

}  // namespace bitlm::trainer
