#include "trainer/data/labelled_batcher.h"

#include <gtest/gtest.h>

#include <set>
#include <utility>
#include <vector>

namespace bitlm::trainer {
namespace {

constexpr TokenId kEnd = 1;
constexpr int64_t kStreams = 3, kSteps = 7;

// Sentences of 0 to 6 distinct words and kEnd; sentence s has the label s % 4.
struct Text {
  TokenizedCorpus corpus;
  std::vector<int32_t> labels;
};

Text MakeText(int sentences) {
  Text text;
  for (int s = 0; s < sentences; ++s) {
    for (int w = 0; w < s % 7; ++w) text.corpus.tokens.push_back(100 * s + 2 + w);
    text.corpus.tokens.push_back(kEnd);
    text.corpus.starts.push_back(static_cast<int64_t>(text.corpus.tokens.size()));
    text.labels.push_back(s % 4);
  }
  return text;
}

// What a network that reads the batcher's segments one after the other is asked: each scored
// sentence, from the last reset on, with its target.
std::multiset<std::pair<std::vector<TokenId>, int32_t>> Asked(const LabelledBatcher& batcher) {
  std::multiset<std::pair<std::vector<TokenId>, int32_t>> asked;
  Batch batch;
  for (int64_t i = 0; i < batcher.segments(); ++i) {
    batcher.Fill(i, &batch);
    int64_t scored = 0;
    for (int64_t b = 0; b < kStreams; ++b) {
      std::vector<TokenId> read;
      for (int64_t t = 0; t < kSteps; ++t) {
        const auto entry = static_cast<size_t>(t * kStreams + b);
        if (batch.resets[entry]) read.clear();
        read.push_back(batch.inputs[entry]);
        if (batch.targets[entry] < 0) continue;
        asked.emplace(read, batch.targets[entry]);
        ++scored;
      }
    }
    EXPECT_EQ(batch.scored, scored);
  }
  return asked;
}

std::multiset<std::pair<std::vector<TokenId>, int32_t>> Expected(const Text& text) {
  std::multiset<std::pair<std::vector<TokenId>, int32_t>> expected;
  for (size_t s = 0; s < text.labels.size(); ++s) {
    std::vector<TokenId> read{kEnd};
    for (int64_t i = text.corpus.starts[s]; i + 1 < text.corpus.starts[s + 1]; ++i)
      read.push_back(text.corpus.tokens[static_cast<size_t>(i)]);
    expected.emplace(read, text.labels[s]);
  }
  return expected;
}

TEST(LabelledBatcherTest, EverySentenceIsReadWholeAndAskedOnce) {
  const Text text = MakeText(50);
  LabelledBatcher batcher(text.corpus, text.labels, kStreams, kSteps, 7, true, kEnd);
  const int64_t segments = batcher.segments();
  for (const int64_t epoch : {0, 1, 2}) {
    batcher.StartEpoch(epoch);
    EXPECT_EQ(batcher.segments(), segments);
    EXPECT_EQ(Asked(batcher), Expected(text)) << epoch;
  }
}

TEST(LabelledBatcherTest, EpochsDifferAndRepeat) {
  const Text text = MakeText(50);
  LabelledBatcher one(text.corpus, text.labels, kStreams, kSteps, 7, true, kEnd);
  LabelledBatcher other(text.corpus, text.labels, kStreams, kSteps, 7, true, kEnd);
  const auto first = [](LabelledBatcher& batcher, int64_t epoch) {
    batcher.StartEpoch(epoch);
    Batch batch;
    batcher.Fill(0, &batch);
    return batch.inputs;
  };
  EXPECT_NE(first(one, 0), first(one, 1));
  EXPECT_EQ(first(one, 1), first(other, 1));
  LabelledBatcher still(text.corpus, text.labels, kStreams, kSteps, 7, false, kEnd);
  EXPECT_EQ(first(still, 0), first(still, 1));
}

// Lengths 1 to 7, equally often: what is short fills what is long to 7 steps, and nothing is empty
// but in the last segment.
TEST(LabelledBatcherTest, PacksWithoutGaps) {
  const Text text = MakeText(70);
  const LabelledBatcher batcher(text.corpus, text.labels, kStreams, kSteps, 7, true, kEnd);
  EXPECT_EQ(LongestSentence(text.corpus), 7);
  EXPECT_EQ(batcher.segments(), (280 + kStreams * kSteps - 1) / (kStreams * kSteps));
  Batch batch;
  batcher.Fill(0, &batch);
  EXPECT_EQ(batch.tokens, kStreams * kSteps);
}

}  // namespace
}  // namespace bitlm::trainer
