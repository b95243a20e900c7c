#include "clients/bench/workload.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_format.h"

namespace bitlm::bench {
namespace {

// One request after every word of the sentence but the last, and one before the first.
void AddBeginnings(const std::string& sentence, const WorkloadOptions& options,
                   std::vector<v1::NextWordsRequest>* requests) {
  size_t end = 0;
  while (true) {
    v1::NextWordsRequest& request = requests->emplace_back();
    request.set_model(options.model);
    request.set_context(sentence.substr(0, end));
    request.set_top_k(options.top_k);
    const size_t begin = sentence.find_first_not_of(' ', end);
    if (begin == std::string::npos) return;
    end = sentence.find(' ', begin);
    if (end == std::string::npos) return;
  }
}

}  // namespace

absl::StatusOr<Workload> ReadSentences(std::istream& text, const WorkloadOptions& options) {
  Workload workload{.rpc = options.rpc, .score = {}, .next = {}};
  for (std::string line; std::getline(text, line);) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    if (options.rpc == Rpc::kNextWords) {
      AddBeginnings(line, options, &workload.next);
      continue;
    }
    if (workload.score.empty() ||
        workload.score.back().sentences_size() == options.sentences_per_request) {
      workload.score.emplace_back().set_model(options.model);
    }
    workload.score.back().add_sentences(std::move(line));
  }
  if (workload.size() == 0) return absl::InvalidArgumentError("no sentence");
  return workload;
}

absl::StatusOr<Workload> ReadNBestLists(std::istream& text, const WorkloadOptions& options) {
  Workload workload{.rpc = Rpc::kScoreSentences, .score = {}, .next = {}};
  int number = 0;
  for (std::string line; std::getline(text, line);) {
    ++number;
    const auto list = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
    const auto wrong = [number] {
      return absl::InvalidArgumentError(absl::StrFormat(
          R"(line %d: expected {"hyps": [{"text": "..."}, ...]}, at least one)", number));
    };
    if (!list.is_object() || !list.contains("hyps")) return wrong();
    const auto& hypotheses = list["hyps"];
    if (!hypotheses.is_array() || hypotheses.empty()) return wrong();
    v1::ScoreSentencesRequest& request = workload.score.emplace_back();
    request.set_model(options.model);
    for (const auto& hypothesis : hypotheses) {
      if (!hypothesis.is_object() || !hypothesis.contains("text") ||
          !hypothesis["text"].is_string()) {
        return wrong();
      }
      request.add_sentences(hypothesis["text"].get<std::string>());
    }
  }
  if (workload.size() == 0) return absl::InvalidArgumentError("no list");
  return workload;
}

}  // namespace bitlm::bench
