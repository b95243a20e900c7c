// Workload: the requests that bitlm-bench sends, from real text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <istream>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "bitlm/v1/language_model_service.pb.h"

namespace bitlm::bench {

enum class Rpc { kScoreSentences, kNextWords };

struct WorkloadOptions {
  Rpc rpc = Rpc::kScoreSentences;
  std::string model;
  int sentences_per_request = 1;  // Of texts; an n-best list is one request. At least 1.
  int top_k = 10;                 // kNextWords.
};

// Requests of one kind, sent in turn.
struct Workload {
  Rpc rpc = Rpc::kScoreSentences;
  std::vector<v1::ScoreSentencesRequest> score;  // One of the two is empty.
  std::vector<v1::NextWordsRequest> next;

  size_t size() const { return rpc == Rpc::kScoreSentences ? score.size() : next.size(); }
};

// One sentence a line; empty lines are left out. NextWords asks after every beginning of every
// sentence, as somebody types it. Errors: INVALID_ARGUMENT when there is no sentence.
absl::StatusOr<Workload> ReadSentences(std::istream& text, const WorkloadOptions& options);

// N-best lists, one a line: {"hyps": [{"text": "..."}, ...]}. Errors: INVALID_ARGUMENT naming the
// line.
absl::StatusOr<Workload> ReadNBestLists(std::istream& text, const WorkloadOptions& options);

}  // namespace bitlm::bench
