#include "engine/scoring/context_states.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/support/random_model.h"

namespace bitlm {
namespace {

class ContextStatesTest : public testing::Test {
 protected:
  ContextStatesTest()
      : model_(*MakeCpuLanguageModel(
            std::make_shared<const Model>(RandomModel(TinyConfig("bllm", 40, 9, 11), 3)))) {}

  // The state after </s> and the words, step by step.
  std::vector<float> Read(const TokenizedSentence& context) const {
    std::vector<TokenId> tokens = {model_->vocabulary().end_of_sentence_id()};
    tokens.insert(tokens.end(), context.tokens.begin(), context.tokens.end());
    std::vector<float> state(model_->state_size(), 0.0f);
    for (const TokenId token : tokens) {
      const float* from = state.data();
      float* to = state.data();
      model_->Advance({&token, 1}, {&from, 1}, {&to, 1}, nullptr);
    }
    return state;
  }

  // Checks the states of `texts`; returns the number of steps they took.
  int64_t Check(const std::vector<std::string>& texts, StateCache* cache) const {
    std::vector<TokenizedSentence> contexts;
    for (const std::string& text : texts) contexts.push_back(*Tokenize(model_->model(), text));
    std::vector<const TokenizedSentence*> pointers;
    for (const TokenizedSentence& context : contexts) pointers.push_back(&context);
    ThreadPool pool(2);
    const ContextStates states(*model_, pointers, cache, &pool);
    for (size_t i = 0; i < contexts.size(); ++i) {
      const float* state = states.State(states.Of(i));
      EXPECT_EQ(std::vector<float>(state, state + model_->state_size()), Read(contexts[i]))
          << texts[i];
    }
    return states.steps();
  }

  const std::shared_ptr<const LanguageModel> model_;
};

TEST_F(ContextStatesTest, SharedPrefixesAreReadOnce) {
  EXPECT_EQ(Check({}, nullptr), 0);
  EXPECT_EQ(Check({""}, nullptr), 1);
  EXPECT_EQ(Check({"w1 w2", "w1 w3", "", "w1 w2", "w1 w2 w4 w5"}, nullptr), 6);
}

TEST_F(ContextStatesTest, AGrowingContextCostsAStepAWord) {
  StateCache cache(1 << 20);
  EXPECT_EQ(Check({"w1 w2 w3"}, &cache), 4);
  EXPECT_EQ(Check({"w1 w2 w3 w4"}, &cache), 1);
  EXPECT_EQ(Check({"w1 w2 w3 w4"}, &cache), 0);
  EXPECT_EQ(Check({"w1 w2 w3 w5 w6"}, &cache), 2);
}

TEST_F(ContextStatesTest, ContextsBeginWhereTheCacheLeavesThem) {
  StateCache cache(1 << 20);
  Check({"w1", "w1 w2 w3 w4"}, &cache);
  // Begin after one, four, no and two words; two of them share a start and a first step.
  EXPECT_EQ(
      Check({"w1 w9 w8", "w1 w2 w3 w4 w5", "w2 w2", "w1 w9 w7", "w1 w2 w3 w4 w5 w6", "w1"}, &cache),
      3 + 2 + 3);
}

TEST_F(ContextStatesTest, ATinyCacheOnlyCostsSteps) {
  StateCache cache(500);  // Some two states.
  for (int round = 0; round < 3; ++round) {
    Check({"w1 w2", "w3", "w1 w2 w3", "w4 w5 w6 w7", "w3 w3"}, &cache);
  }
}

}  // namespace
}  // namespace bitlm
