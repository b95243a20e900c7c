#include "engine/scoring/context_states.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/support/context_state.h"
#include "tests/support/random_model.h"

namespace bitlm {
namespace {

class ContextStatesTest : public testing::Test {
 protected:
  ContextStatesTest()
      : model_(*MakeCpuLanguageModel(
            std::make_shared<const Model>(RandomModel(TinyConfig("bllm", 40, 9, 11), 3)))) {}

  // Checks the states of `texts`; returns the number of steps they took.
  int64_t Check(const std::vector<std::string>& texts) const {
    std::vector<TokenizedSentence> contexts;
    for (const std::string& text : texts) contexts.push_back(*Tokenize(model_->model(), text));
    std::vector<const TokenizedSentence*> pointers;
    for (const TokenizedSentence& context : contexts) pointers.push_back(&context);
    ThreadPool pool(2);
    const ContextStates states(*model_, pointers, &pool);
    for (size_t i = 0; i < contexts.size(); ++i) {
      const float* state = states.State(states.Of(i));
      EXPECT_EQ(std::vector<float>(state, state + model_->state_size()),
                StateAfter(*model_, contexts[i]))
          << texts[i];
    }
    return states.steps();
  }

  const std::shared_ptr<const LanguageModel> model_;
};

TEST_F(ContextStatesTest, SharedPrefixesAreReadOnce) {
  EXPECT_EQ(Check({}), 0);
  EXPECT_EQ(Check({""}), 1);
  EXPECT_EQ(Check({"w1 w2", "w1 w3", "", "w1 w2", "w1 w2 w4 w5"}), 6);
}

}  // namespace
}  // namespace bitlm
