#include "clients/cpp/totals.h"

#include <gtest/gtest.h>

#include <cmath>

namespace bitlm::client {
namespace {

TEST(TotalsTest, SumsAndGivesPerplexityWithAndWithoutOov) {
  Totals totals;
  totals.Add({.logprob = -3 * std::log(4.0),
              .word_count = 2,
              .token_count = 3,
              .oov_count = 1,
              .oov_logprob = -2 * std::log(4.0),
              .words = {}});
  totals.Add({.logprob = -std::log(4.0), .word_count = 0, .token_count = 1, .words = {}});
  EXPECT_EQ(totals.sentences, 2);
  EXPECT_EQ(totals.words, 2);
  EXPECT_EQ(totals.tokens, 4);
  EXPECT_EQ(totals.oov_tokens, 1);
  EXPECT_EQ(FormatPerplexity(totals.Perplexity()), "4.0000");
  // Two of the four factors of 4 are the OOV word's; three tokens are left.
  EXPECT_EQ(FormatPerplexity(totals.PerplexityExcludingOov()),
            FormatPerplexity(std::pow(4.0, 2.0 / 3.0)));
}

TEST(TotalsTest, IsZeroWithoutTokens) {
  Totals totals;
  EXPECT_EQ(totals.Perplexity(), 0);
  totals.Add({.logprob = -1, .token_count = 1, .oov_count = 1, .oov_logprob = -1, .words = {}});
  EXPECT_EQ(totals.PerplexityExcludingOov(), 0);
}

}  // namespace
}  // namespace bitlm::client
