#include "engine/scoring/score_walk.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "tests/support/random_model.h"

namespace bitlm {
namespace {

// A request of sentences that share prefixes, with options of their own.
struct Request {
  std::deque<TokenizedSentence> sentences;  // Items point into it.
  std::vector<ScoreItem> items;
};

Request RandomRequest(const Model& model, std::mt19937* random) {
  Request request;
  const size_t count = (*random)() % 12;
  for (size_t i = 0; i < count; ++i) {
    std::string text;
    if (i > 0 && (*random)() % 2 == 0) {  // Begins as the one before.
      for (const std::string& word : request.sentences.back().words) text += word + " ";
    }
    for (size_t words = (*random)() % 6; words > 0; --words) {
      const unsigned word = (*random)() % 44;  // Those from 40 on are out of vocabulary.
      text += "w" + std::to_string(word) + " ";
    }
    request.sentences.push_back(*Tokenize(model, text));
    ScoreOptions options;
    options.begin_of_sentence = (*random)() % 4 != 0;
    options.end_of_sentence = (*random)() % 4 != 0;
    options.want_ranks = (*random)() % 3 == 0;
    options.self_normalized = (*random)() % 3 == 0;
    options.oov_policy = static_cast<OovPolicy>((*random)() % 3);
    options.oov_logprob = -7;
    request.items.push_back({.sentence = &request.sentences.back(), .options = options});
  }
  return request;
}

void ExpectEqual(const std::vector<SentenceScore>& a, const std::vector<SentenceScore>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].token_logprobs, b[i].token_logprobs);
    EXPECT_EQ(a[i].token_ranks, b[i].token_ranks);
    EXPECT_EQ(a[i].logprob, b[i].logprob);
    EXPECT_EQ(a[i].oov_logprob, b[i].oov_logprob);
    EXPECT_EQ(a[i].oov_count, b[i].oov_count);
  }
}

class ScoreWalkTest : public testing::Test {
 protected:
  ScoreWalkTest()
      : model_(*MakeCpuLanguageModel(
            std::make_shared<const Model>(RandomModel(TinyConfig("bllm", 40, 9, 11), 3)))) {}

  std::vector<SentenceScore> Alone(const ScoreItem& item) const {
    return SentenceScorer(model_).Score({&item, 1}, nullptr);
  }

  const std::shared_ptr<const LanguageModel> model_;
};

// Walks join and leave between steps and take any number of them: every item scores as it does
// alone, to the bit.
TEST_F(ScoreWalkTest, StepsInAnyCompanyGiveTheSameBits) {
  std::mt19937 random(5);
  ThreadPool pool(2);
  std::deque<Request> requests;
  for (int i = 0; i < 60; ++i) requests.push_back(RandomRequest(model_->model(), &random));
  struct Running {
    const Request* request;
    std::unique_ptr<ScoreWalk> walk;
  };
  std::deque<Running> running;
  size_t joined = 0, finished = 0;
  while (finished < requests.size()) {
    while (joined < requests.size() && (running.empty() || random() % 3 == 0)) {
      running.push_back(
          {&requests[joined], std::make_unique<ScoreWalk>(*model_, requests[joined].items)});
      ++joined;
    }
    StepBatch batch;
    std::vector<Running*> taken;
    for (Running& one : running) {
      if (one.walk->ready() == 0 || random() % 3 == 0) continue;
      one.walk->Take(1 + random() % one.walk->ready(), &batch);
      taken.push_back(&one);
    }
    batch.Execute(*model_, &pool);
    for (Running* one : taken) one->walk->Finish();
    for (auto one = running.begin(); one != running.end();) {
      if (one->walk->ready() > 0) {
        ++one;
        continue;
      }
      EXPECT_EQ(one->walk->depth_left(), 0u);
      const std::vector<SentenceScore> scores = one->walk->TakeScores();
      ASSERT_EQ(scores.size(), one->request->items.size());
      for (size_t i = 0; i < scores.size(); ++i) {
        ExpectEqual({scores[i]}, Alone(one->request->items[i]));
      }
      one = running.erase(one);
      ++finished;
    }
  }
}

TEST_F(ScoreWalkTest, TellsWhatIsReadyAndHowDeepItIs) {
  std::deque<TokenizedSentence> sentences;
  std::vector<ScoreItem> items;
  for (const char* text : {"w1 w2", "w1 w3 w4 w5", "w2"}) {
    sentences.push_back(*Tokenize(model_->model(), text));
    items.push_back({.sentence = &sentences.back(), .options = {}});
  }
  ScoreWalk walk(*model_, items);
  std::vector<size_t> ready, depth_left;
  while (walk.ready() > 0) {
    ready.push_back(walk.ready());
    EXPECT_EQ(walk.steps_left(), 7 - ready.size() + 1);
    depth_left.push_back(walk.depth_left());
    StepBatch batch;
    walk.Take(1, &batch);
    EXPECT_EQ(batch.tokens.size(), 1u);
    batch.Execute(*model_, nullptr);
    walk.Finish();
  }
  // Depths: </s>; w1, w2; w2, w3; w4; w5.
  EXPECT_EQ(ready, (std::vector<size_t>{1, 2, 1, 2, 1, 1, 1}));
  EXPECT_EQ(depth_left, (std::vector<size_t>{5, 4, 4, 3, 3, 2, 1}));
  EXPECT_EQ(walk.statistics().steps, 7);
}

TEST_F(ScoreWalkTest, NothingToScoreIsDoneAtOnce) {
  ScoreWalk walk(*model_, {});
  EXPECT_EQ(walk.ready(), 0u);
  EXPECT_EQ(walk.depth_left(), 0u);
  EXPECT_TRUE(walk.TakeScores().empty());
}

}  // namespace
}  // namespace bitlm
