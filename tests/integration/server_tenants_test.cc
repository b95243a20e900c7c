// Two tenants share batches and the state cache, and one of them has garbage for states: the other
// one's answers have the bits that they have alone. BITLM_SOAK_STEPS sets how many LSTM steps.
#include <atomic>
#include <cstdlib>
#include <map>
#include <thread>

#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "tests/integration/server_fixture.h"

namespace bitlm {
namespace {

// Computes as another model does, and then leaves garbage in the states, which go into the cache.
class PoisonedModel : public GatedModel {
 public:
  using GatedModel::GatedModel;

  void Advance(std::span<const TokenId> tokens, std::span<const float* const> states,
               std::span<float* const> next, ThreadPool* pool) const override {
    GatedModel::Advance(tokens, states, next, pool);
    RandomBits random(seed_++);
    for (float* state : next) {
      for (size_t i = 0; i < state_size(); ++i) state[i] = random.Uniform(-1, 1);
    }
  }

 private:
  mutable std::atomic<uint64_t> seed_ = 1;
};

int64_t StepsToDo() {
  const char* steps = std::getenv("BITLM_SOAK_STEPS");
  return steps == nullptr ? 50000 : std::atoll(steps);
}

class ServerTenantsTest : public ServerFixture {
 protected:
  static v1::NextWordsRequest Context(const std::string& model, const std::string& context) {
    v1::NextWordsRequest request;
    request.set_model(model);
    request.set_context(context);
    request.set_top_k(7);
    return request;
  }
};

TEST_F(ServerTenantsTest, OneTenantsGarbageNeverReachesAnothersScores) {
  const std::vector<std::string> sentences = TinySentences(100, 11);
  // What the clean tenant answers alone, without batches or a cache.
  std::vector<v1::ScoreSentencesResponse> scores;
  std::map<std::string, std::string> next_words;
  config_.state_cache_mib = 0;
  StartServer();
  for (const std::string& sentence : sentences) {
    scores.push_back(Score(Sentences({sentence})).second);
    const std::vector<std::string> words = absl::StrSplit(sentence, ' ');
    for (size_t n = 0; n <= words.size(); ++n) {
      const std::string context =
          absl::StrJoin(words.begin(), words.begin() + static_cast<long>(n), " ");
      next_words[context] = Next(Context("tiny", context)).second.SerializeAsString();
    }
  }
  server_.reset();
  gate_ = std::make_shared<GatedModel>(model_);
  config_.state_cache_mib = 1;
  config_.max_batch_rows = 16;
  StartServer({{"poisoned", 1, std::make_shared<PoisonedModel>(model_), absl::ZeroDuration()}});

  const int64_t steps = StepsToDo();
  std::atomic<int64_t> done = 0, different = 0, failed = 0;
  std::vector<std::thread> clients;
  for (uint64_t c = 0; c < 8; ++c) {
    clients.emplace_back([&, c] {
      RandomBits random(c);
      while (done < steps) {
        const bool clean = c % 2 == 0;
        const size_t pick = random.Below(sentences.size());
        const std::vector<std::string> words = absl::StrSplit(sentences[pick], ' ');
        if (random.Below(2) == 0) {
          v1::ScoreSentencesRequest request = Sentences({sentences[pick]});
          request.set_model(clean ? "tiny" : "poisoned");
          const auto [status, response] = Score(request);
          if (!status.ok()) ++failed;
          if (clean && response.SerializeAsString() != scores[pick].SerializeAsString()) {
            ++different;
          }
        } else {
          const size_t n = random.Below(words.size() + 1);
          const std::string context =
              absl::StrJoin(words.begin(), words.begin() + static_cast<long>(n), " ");
          const auto [status, response] = Next(Context(clean ? "tiny" : "poisoned", context));
          if (!status.ok()) ++failed;
          if (clean && response.SerializeAsString() != next_words.at(context)) ++different;
        }
        done += static_cast<int64_t>(words.size()) + 1;
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_GE(done, steps);
  EXPECT_EQ(different, 0);
  EXPECT_EQ(failed, 0);
}

}  // namespace
}  // namespace bitlm
