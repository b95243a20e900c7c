#include "engine/scoring/next_word_walk.h"

#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/context_state.h"
#include "tests/support/random_model.h"

namespace bitlm {
namespace {

class NextWordWalkTest : public testing::Test {
 protected:
  NextWordWalkTest()
      : model_(*MakeCpuLanguageModel(
            std::make_shared<const Model>(RandomModel(TinyConfig("bllm", 40, 9, 11), 3)))) {}

  // The words after `text`, read from zero in one go, step by step.
  std::vector<TokenScore> Expected(const std::string& text) const {
    const TokenizedSentence context = *Tokenize(model_->model(), text);
    const std::vector<float> state = StateAfter(*model_, context);
    std::vector<TokenScore> top(5);
    OutputRow row;
    row.state = state.data();
    row.top = top.data();
    row.top_k = 5;
    model_->Output({&row, 1}, nullptr);
    return top;
  }

  // Checks the words after `text`; returns the number of steps they took.
  int64_t Check(const std::string& text, StateCache* cache) const {
    const TokenizedSentence context = *Tokenize(model_->model(), text);
    NextWordWalk walk(*model_,
                      {.context = &context, .options = {.top_k = 5, .allow_unknown = true}}, cache);
    EXPECT_EQ(walk.depth_left(), context.tokens.size() + 1);  // The cache is not looked at yet.
    size_t left = 0;
    while (walk.ready() > 0) {
      if (left > 0) {
        EXPECT_EQ(walk.depth_left(), left);
      }
      StepBatch batch;
      walk.Take(&batch);
      batch.Execute(*model_, nullptr);
      walk.Finish();
      left = walk.depth_left();
    }
    EXPECT_EQ(walk.depth_left(), 0u);
    EXPECT_EQ(walk.TakeWords(), Expected(text)) << text;
    return walk.steps();
  }

  const std::shared_ptr<const LanguageModel> model_;
};

TEST_F(NextWordWalkTest, TakesAStepAToken) {
  EXPECT_EQ(Check("", nullptr), 1);
  EXPECT_EQ(Check("w1 w2 w3", nullptr), 4);
}

TEST_F(NextWordWalkTest, AGrowingContextCostsAStepAWord) {
  StateCache cache(1 << 20);
  EXPECT_EQ(Check("w1 w2 w3", &cache), 4);
  EXPECT_EQ(Check("w1 w2 w3 w4", &cache), 1);
  EXPECT_EQ(Check("w1 w2 w3 w4", &cache), 0);
  EXPECT_EQ(Check("w1 w2 w3 w5 w6", &cache), 2);
  EXPECT_EQ(Check("w2 w2", &cache), 3);
}

TEST_F(NextWordWalkTest, ATinyCacheOnlyCostsSteps) {
  StateCache cache(500);  // Some two states.
  for (int round = 0; round < 3; ++round) {
    for (const char* text : {"w1 w2", "w3", "w1 w2 w3", "w4 w5 w6 w7", "w3 w3"}) {
      Check(text, &cache);
    }
  }
}

// A state that is evicted while a walk begins at it stays until the walk has read on.
TEST_F(NextWordWalkTest, WalksShareBatchesAndACacheThatEvicts) {
  RandomBits random(4);
  StateCache cache(1000);
  std::vector<std::string> texts;
  std::deque<TokenizedSentence> contexts;
  std::vector<NextWordItem> items;
  for (int i = 0; i < 200; ++i) {
    std::string text;
    for (uint64_t words = random.Below(6); words > 0; --words) {
      text += "w" + std::to_string(1 + random.Below(3)) + " ";
    }
    texts.push_back(text);
    contexts.push_back(*Tokenize(model_->model(), text));
    items.push_back({.context = &contexts.back(), .options = {.top_k = 5, .allow_unknown = true}});
  }
  ThreadPool pool(2);
  for (size_t first = 0; first < items.size(); first += 20) {
    const auto answers = NextWords(*model_, std::span(items).subspan(first, 20), &cache, &pool);
    for (size_t i = 0; i < answers.size(); ++i) {
      EXPECT_EQ(answers[i], Expected(texts[first + i])) << texts[first + i];
    }
  }
  EXPECT_GT(cache.statistics().evictions, 0u);
  EXPECT_GT(cache.statistics().hits, 0u);
}

}  // namespace
}  // namespace bitlm
