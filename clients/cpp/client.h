// The C++ client of bitlm-server: plain structs over the bitlm.v1 contract.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace bitlm::client {

// How a client shows itself to a server, and knows the server.
struct Credentials {
  bool tls = false;
  std::string ca_file;           // PEM; empty: the system's.
  std::string certificate_file;  // The client's, PEM; with key_file, for servers that want one.
  std::string key_file;
  std::string token;  // A bearer token; empty: none.
};

struct ClientOptions {
  // Where the server listens: "host:port", "dns:///name:port" (all its addresses, in turn), or
  // "ipv4:10.0.0.1:50051,10.0.0.2:50051".
  std::string target = "127.0.0.1:50051";
  // Of each call, retries included. At least 1 ms.
  absl::Duration timeout = absl::Seconds(60);
  Credentials credentials = {};
};

// How out-of-vocabulary (OOV) words count.
enum class OovPolicy {
  kUnknownWord,  // As the model's <unk>.
  kFixed,        // `oov_logprob` instead.
  kOffset,       // `oov_logprob` added to the score of <unk>.
};

struct ScoreOptions {
  std::string model = "";         // Empty: the server's only model.
  int64_t model_version = 0;      // 0: what model_label says.
  std::string model_label = "";   // Empty: "latest", the highest version.
  bool begin_of_sentence = true;  // False: the first word is context only.
  bool end_of_sentence = true;    // Whether </s> is scored.
  OovPolicy oov_policy = OovPolicy::kUnknownWord;
  double oov_logprob = 0;  // Nats; kFixed and kOffset.
  bool words = false;      // Whether SentenceScore::words is filled.
  // Logits as they stand, without the sum over the vocabulary: much cheaper. For models that were
  // trained for it, FAILED_PRECONDITION for others.
  bool self_normalized = false;
};

struct WordScore {
  std::string word;   // As the model normalized it; "</s>" for the end.
  int32_t id = 0;     // In the model's vocabulary.
  float logprob = 0;  // Nats.
  bool oov = false;
  int32_t rank = 0;  // 1: the most probable; 0: not computed, with self_normalized.
};

struct SentenceScore {
  double logprob = 0;  // Nats: the sum over tokens.
  int64_t word_count = 0;
  int64_t token_count = 0;  // Scored: words, and </s> if asked for.
  int64_t oov_count = 0;
  double oov_logprob = 0;        // The part of `logprob` that OOV words gave.
  std::vector<WordScore> words;  // If asked for: one entry per token.
};

struct ScoreResult {
  std::string model;
  int64_t model_version = 0;
  std::vector<SentenceScore> scores;  // In the order of the sentences.
};

struct NextWordsOptions {
  std::string model = "";
  int64_t model_version = 0;
  std::string model_label = "";
  // Range [1, the server's max_top_k]; 0: all candidates, or 10 words of the vocabulary.
  int32_t top_k = 10;
  bool allow_unknown = false;  // Also: candidates out of vocabulary, as <unk>.
  bool allow_end_of_sentence = true;
  // The words to choose from, at most the server's max_top_k; "</s>": the end of the sentence.
  // Empty: the vocabulary.
  std::vector<std::string> candidates = {};
  // The beginning of the next word: only words that start with it, never <unk> or </s>. Excludes
  // candidates.
  std::optional<std::string> prefix = std::nullopt;
  bool self_normalized = false;  // As ScoreOptions's.
};

struct NextWord {
  std::string word;
  int32_t id = 0;
  float logprob = 0;            // Nats, of the full distribution.
  bool oov = false;             // A candidate out of vocabulary, with the logprob of <unk>.
  int32_t candidate_index = 0;  // Of the first candidate that is this word.
};

struct NextWordsResult {
  std::string model;
  int64_t model_version = 0;
  std::vector<NextWord> words;  // Most probable first.
};

struct ModelSummary {
  std::string name;
  int64_t version = 0;
  bool latest = false;
  std::string preset;
  int64_t vocabulary_size = 0;
  uint64_t weight_bytes = 0;
  uint64_t vocabulary_bytes = 0;
  std::vector<std::string> labels;  // "latest" is not among them.
};

// A connection to a server, or to several that share the load. Failed connections, full queues and
// servers that shut down are retried within the timeout, for requests up to 4 MiB. Thread-safe.
//
// Errors of all calls: those of the server, INVALID_ARGUMENT naming the field as in
// "sentences[3]: ..."; UNAVAILABLE with the target when no server answers.
class Client {
 public:
  // Connects when first used; files that cannot be read are errors of the calls.
  explicit Client(const ClientOptions& options = {});
  ~Client();

  // Scores sentences in one request.
  absl::StatusOr<ScoreResult> Score(const std::vector<std::string>& sentences,
                                    const ScoreOptions& options = {}) const;
  // The most probable words after `context`.
  absl::StatusOr<NextWordsResult> NextWords(const std::string& context,
                                            const NextWordsOptions& options = {}) const;
  absl::StatusOr<std::vector<ModelSummary>> ListModels() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// The index of the sentence that an error of Score is about, from "sentences[3]: ...".
std::optional<size_t> SentenceOfError(const absl::Status& status);

}  // namespace bitlm::client
