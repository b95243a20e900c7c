// Totals of sentence scores, and perplexity.
#pragma once

#include <cstdint>
#include <string>

#include "clients/cpp/client.h"

namespace bitlm::client {

// Sums of scores, added in the order of the text, so that the digits are those of bitlm-train eval
// on the same text.
struct Totals {
  int64_t sentences = 0;
  int64_t words = 0;
  int64_t tokens = 0;  // Scored, </s> and OOV included.
  int64_t oov_tokens = 0;
  double logprob = 0;      // Nats.
  double oov_logprob = 0;  // The part of OOV tokens.

  void Add(const SentenceScore& score);
  // exp(-logprob / tokens); 0 without tokens.
  double Perplexity() const;
  // The same over the tokens that are not OOV.
  double PerplexityExcludingOov() const;
};

// A perplexity with the digits that all tools print.
std::string FormatPerplexity(double perplexity);

}  // namespace bitlm::client
