// LoadLanguageModel: refuses a directory with a Status, or gives a model that computes.
//
// An input is the length of config.json and that of vocab.txt, 32 bits each, little endian, these
// files, and model.safetensors. The checksums in the config are made right, so that what they
// guard is reached.
#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "engine/base/file.h"
#include "engine/base/sha256.h"
#include "engine/model/config_json.h"
#include "engine/scoring/model_loading.h"
#include "engine/scoring/sentence_scorer.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/support/temporary_directory.h"

namespace {

std::string_view Take(std::string_view* input, size_t size) {
  const std::string_view part = input->substr(0, size);
  input->remove_prefix(part.size());
  return part;
}

size_t TakeLength(std::string_view* input) {
  size_t length = 0, shift = 0;
  for (const char byte : Take(input, 4)) {
    length |= static_cast<size_t>(static_cast<unsigned char>(byte)) << shift;
    shift += 8;
  }
  return length;
}

std::string WithChecksums(std::string_view config, std::string_view vocabulary,
                          std::string_view tensors) {
  nlohmann::ordered_json json = nlohmann::ordered_json::parse(config, nullptr, false);
  if (!json.is_object() || !json["files"].is_object()) return std::string(config);
  for (const auto& [name, bytes] :
       {std::pair<const char*, std::string_view>{"vocab.txt", vocabulary},
        {"model.safetensors", tensors}}) {
    if (!json["files"][name].is_object()) continue;
    json["files"][name]["sha256"] = bitlm::Sha256Hex(bytes);
    if (json["files"][name].contains("bytes")) json["files"][name]["bytes"] = bytes.size();
  }
  return bitlm::SealConfig(
      json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
}

void Write(const std::string& path, std::string_view text) {
  std::FILE* file = std::fopen(path.c_str(), "wb");  // Not durably: this is done often.
  std::fwrite(text.data(), 1, text.size(), file);
  std::fclose(file);
}

}  // namespace

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto* const directory = new bitlm::TemporaryDirectory;
  std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t config_size = TakeLength(&input), vocabulary_size = TakeLength(&input);
  const std::string_view config = Take(&input, config_size);
  const std::string_view vocabulary = Take(&input, vocabulary_size);
  Write(directory->Path("config.json"), WithChecksums(config, vocabulary, input));
  Write(directory->Path("vocab.txt"), vocabulary);
  Write(directory->Path("model.safetensors"), input);
  const auto model = bitlm::LoadLanguageModel(directory->path());
  if (!model.ok()) {
    BITLM_FUZZ_CHECK(absl::IsDataLoss(model.status()) ||
                     absl::IsFailedPrecondition(model.status()));
    return 0;
  }
  if ((*model)->config().head != bitlm::HeadKind::kLanguageModel) return 0;
  const auto sentence = bitlm::Tokenize((*model)->model(), "w1 w2 zebra");
  BITLM_FUZZ_CHECK(sentence.ok());
  const bitlm::ScoreItem item = {.sentence = &*sentence, .options = {}};
  const auto scores = bitlm::SentenceScorer(*model).Score({&item, 1}, nullptr);
  BITLM_FUZZ_CHECK(scores.size() == 1 && !std::isnan(scores[0].logprob));
  return 0;
}
