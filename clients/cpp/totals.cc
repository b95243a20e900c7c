#include "clients/cpp/totals.h"

#include <cmath>

#include "absl/strings/str_format.h"

namespace bitlm::client {
namespace {

double Perplexity(double logprob, int64_t tokens) {
  return tokens > 0 ? std::exp(-logprob / static_cast<double>(tokens)) : 0;
}

}  // namespace

void Totals::Add(const SentenceScore& score) {
  ++sentences;
  words += score.word_count;
  tokens += score.token_count;
  oov_tokens += score.oov_count;
  logprob += score.logprob;
  oov_logprob += score.oov_logprob;
}

double Totals::Perplexity() const { return client::Perplexity(logprob, tokens); }

double Totals::PerplexityExcludingOov() const {
  return client::Perplexity(logprob - oov_logprob, tokens - oov_tokens);
}

std::string FormatPerplexity(double perplexity) { return absl::StrFormat("%.4f", perplexity); }

}  // namespace bitlm::client
