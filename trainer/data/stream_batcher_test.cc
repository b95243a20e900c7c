#include "trainer/data/stream_batcher.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <vector>

namespace bitlm::trainer {
namespace {

constexpr TokenId kEnd = 1;

// Sentences of distinct tokens: 100 s + 2, 100 s + 3, …, then kEnd.
TokenizedCorpus MakeCorpus(int sentences) {
  TokenizedCorpus corpus;
  for (int s = 0; s < sentences; ++s) {
    for (int w = 0; w < 1 + s % 5; ++w) corpus.tokens.push_back(100 * s + 2 + w);
    corpus.tokens.push_back(kEnd);
    corpus.starts.push_back(static_cast<int64_t>(corpus.tokens.size()));
  }
  return corpus;
}

TEST(StreamBatcherTest, EveryTokenIsATargetOnceAndFollowsItsPredecessor) {
  const TokenizedCorpus corpus = MakeCorpus(23);
  for (const ContextKind context : {ContextKind::kSentence, ContextKind::kDocument}) {
    StreamBatcher batcher(corpus, context, 4, 5, 7, true, kEnd);
    for (const int64_t epoch : {0, 1}) {
      batcher.StartEpoch(epoch);
      std::multiset<TokenId> targets;
      Batch batch;
      for (int64_t i = 0; i < batcher.segments(); ++i) {
        batcher.Fill(i, &batch);
        int64_t scored = 0;
        for (size_t e = 0; e < batch.targets.size(); ++e) {
          const TokenId target = batch.targets[e];
          if (target < 0) continue;
          ++scored;
          targets.insert(target);
          if (target == kEnd) continue;
          const bool first = target % 100 == 2;
          const bool stream_start = i == 0 && e < 4;
          if (first) {
            EXPECT_EQ(batch.inputs[e], kEnd);
            EXPECT_EQ(batch.resets[e], context == ContextKind::kSentence || stream_start);
          } else {
            EXPECT_EQ(batch.inputs[e], target - 1);
            EXPECT_EQ(batch.resets[e], stream_start);
          }
        }
        EXPECT_EQ(batch.scored, scored);
      }
      EXPECT_EQ(targets, std::multiset<TokenId>(corpus.tokens.begin(), corpus.tokens.end()));
    }
  }
}

TEST(StreamBatcherTest, EpochsDifferAndRepeat) {
  const TokenizedCorpus corpus = MakeCorpus(40);
  StreamBatcher batcher(corpus, ContextKind::kSentence, 2, 8, 7, true, kEnd);
  Batch first, second, again;
  batcher.Fill(0, &first);
  batcher.StartEpoch(1);
  batcher.Fill(0, &second);
  batcher.StartEpoch(0);
  batcher.Fill(0, &again);
  EXPECT_NE(first.targets, second.targets);
  EXPECT_EQ(first.targets, again.targets);
}

TEST(StreamBatcherTest, FewerTokensThanStreams) {
  const TokenizedCorpus corpus = MakeCorpus(1);  // Two tokens.
  StreamBatcher batcher(corpus, ContextKind::kSentence, 8, 4, 7, false, kEnd);
  ASSERT_EQ(batcher.segments(), 1);
  Batch batch;
  batcher.Fill(0, &batch);
  EXPECT_EQ(batch.scored, 2);
}

}  // namespace
}  // namespace bitlm::trainer
