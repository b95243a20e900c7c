// NextWords in all its forms, in-process.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <tuple>
#include <vector>

#include "engine/scoring/next_word.h"
#include "tests/integration/server_fixture.h"

namespace bitlm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;
using ::testing::UnorderedElementsAre;

class ServerNextWordsTest : public ServerFixture {
 protected:
  // The whole distribution after `context`.
  v1::NextWordsResponse All(const std::string& context) {
    v1::NextWordsRequest request;
    request.set_context(context);
    request.set_top_k(50);
    request.set_allow_unknown(true);
    return Next(request).second;
  }
  static v1::NextWordsRequest Candidates(const std::string& context,
                                         const std::vector<std::string>& candidates) {
    v1::NextWordsRequest request;
    request.set_context(context);
    for (const std::string& candidate : candidates) request.add_candidates(candidate);
    return request;
  }
  static std::vector<std::string> Words(const v1::NextWordsResponse& response) {
    std::vector<std::string> words;
    for (const v1::NextWord& word : response.words()) words.push_back(word.word());
    return words;
  }
  // The words of `all` that are among `words`, in its order.
  static std::vector<std::string> Among(const v1::NextWordsResponse& all,
                                        const std::vector<std::string>& words) {
    std::vector<std::string> among = Words(all);
    std::erase_if(among, [&](const std::string& word) {
      return std::find(words.begin(), words.end(), word) == words.end();
    });
    return among;
  }
  void ExpectInvalid(const v1::NextWordsRequest& request, const std::string& message) {
    const auto [status, response] = Next(request);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_THAT(status.error_message(), StartsWith(message));
    EXPECT_THAT(status.error_details(), HasSubstr("google.rpc.BadRequest"));
  }
};

TEST_F(ServerNextWordsTest, WordsEqualTheEngine) {
  StartServer();
  v1::NextWordsRequest request;
  request.set_context("w1 zebra");
  request.set_top_k(7);
  request.set_allow_unknown(true);
  request.set_allow_end_of_sentence(false);
  const auto [status, response] = Next(request);
  ASSERT_TRUE(status.ok()) << status.error_message();
  const auto context = Tokenize(model_->model(), "w1 zebra");
  const NextWordItem item = {
      .context = &*context,
      .options = {.top_k = 7, .allow_unknown = true, .allow_end_of_sentence = false}};
  const auto expected = NextWords(*model_, {&item, 1}, nullptr, nullptr)[0];
  ASSERT_EQ(response.words_size(), 7);
  for (int i = 0; i < 7; ++i) {
    EXPECT_EQ(response.words(i).id(), expected[static_cast<size_t>(i)].token);
    EXPECT_EQ(response.words(i).logprob(), expected[static_cast<size_t>(i)].logprob);
    EXPECT_NE(response.words(i).word(), "</s>");
  }
  EXPECT_EQ(response.context_word_count(), 2);
  EXPECT_EQ(response.context_oov_count(), 1);
}

TEST_F(ServerNextWordsTest, DefaultsToTenAndChecksTopK) {
  config_.limits.max_top_k = 20;
  StartServer();
  v1::NextWordsRequest request;
  EXPECT_EQ(Next(request).second.words_size(), 10);
  for (const int bad : {-1, 21, INT32_MAX}) {
    request.set_top_k(bad);
    const auto [status, response] = Next(request);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_THAT(status.error_message(), HasSubstr("top_k"));
  }
}

TEST_F(ServerNextWordsTest, TopKIsAtMostTheWordsThatMayBeAnswered) {
  StartServer();  // V = 50, <unk> not allowed.
  v1::NextWordsRequest request;
  request.set_top_k(50);
  EXPECT_EQ(Next(request).first.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  request.set_top_k(49);
  const auto [status, response] = Next(request);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.words_size(), 49);
  request.set_top_k(50);
  request.set_allow_unknown(true);
  const auto [all_status, all] = Next(request);
  ASSERT_TRUE(all_status.ok());
  double sum = 0;
  for (const v1::NextWord& word : all.words()) sum += std::exp(word.logprob());
  EXPECT_NEAR(sum, 1, 1e-5);
}

TEST_F(ServerNextWordsTest, CandidatesAreRankedInTheFullDistribution) {
  StartServer();
  const std::vector<std::string> candidates = {"w40", " w3\n", "w11", "w3", "</s>"};
  const auto [status, response] = Next(Candidates("w1 w2", candidates));
  ASSERT_TRUE(status.ok()) << status.error_message();
  const v1::NextWordsResponse all = All("w1 w2");
  EXPECT_EQ(Words(response), Among(all, {"w40", "w3", "w11", "</s>"}));  // Once each.
  EXPECT_EQ(response.candidate_oov_count(), 0);
  for (const v1::NextWord& word : response.words()) {
    const auto same = std::find_if(all.words().begin(), all.words().end(),
                                   [&](const auto& other) { return other.id() == word.id(); });
    EXPECT_EQ(word.logprob(), same->logprob());
    EXPECT_FALSE(word.oov());
    EXPECT_THAT(candidates[static_cast<size_t>(word.candidate_index())], HasSubstr(word.word()));
    EXPECT_NE(word.candidate_index(), 3);  // The first of those that are w3.
  }
}

TEST_F(ServerNextWordsTest, TopKOfCandidates) {
  config_.limits.max_top_k = 12;
  StartServer();
  std::vector<std::string> candidates;
  for (int i = 0; i < 12; ++i) candidates.push_back("w" + std::to_string(i));
  v1::NextWordsRequest request = Candidates("", candidates);
  const std::vector<std::string> ranked = Words(Next(request).second);
  EXPECT_EQ(ranked.size(), 12u);  // All of them, beyond ten.
  request.set_top_k(3);
  EXPECT_THAT(Words(Next(request).second), ElementsAre(ranked[0], ranked[1], ranked[2]));
  request.set_top_k(13);
  ExpectInvalid(request, "top_k: 13, must be from 0 to 12");
  request = Candidates("", {"w4", "w5"});
  request.set_top_k(12);
  EXPECT_EQ(Next(request).second.words_size(), 2);
  candidates.push_back("w3");
  ExpectInvalid(Candidates("", candidates), "candidates: 13 words, more than max_top_k (12)");
}

TEST_F(ServerNextWordsTest, CandidatesOutOfVocabularyAreTheUnknownWord) {
  StartServer();
  v1::NextWordsRequest request = Candidates("w9", {"zebra", "w3", "<unk>", "yak", "zebra"});
  auto [status, response] = Next(request);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_THAT(Words(response), ElementsAre("w3"));
  EXPECT_EQ(response.candidate_oov_count(), 3);

  request.set_allow_unknown(true);
  response = Next(request).second;
  EXPECT_THAT(Words(response), UnorderedElementsAre("w3", "zebra", "<unk>", "yak"));
  const v1::NextWordsResponse all = All("w9");
  std::vector<std::string> unknown;
  for (const v1::NextWord& word : response.words()) {
    if (word.word() == "w3") continue;
    unknown.push_back(word.word());
    EXPECT_TRUE(word.oov());
    EXPECT_EQ(word.id(), model_->vocabulary().unknown_id());
    for (const v1::NextWord& other : all.words()) {
      if (other.id() == word.id()) {
        EXPECT_EQ(word.logprob(), other.logprob());
      }
    }
  }
  EXPECT_THAT(unknown, ElementsAre("zebra", "<unk>", "yak"));
  request.set_top_k(2);
  EXPECT_EQ(Next(request).second.words_size(), 2);
}

TEST_F(ServerNextWordsTest, NoAnswerableCandidateGivesNoWords) {
  StartServer();
  v1::NextWordsRequest request = Candidates("w9 w1", {"zebra", "</s>"});
  request.set_allow_end_of_sentence(false);
  const auto [status, response] = Next(request);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_THAT(Words(response), IsEmpty());
  EXPECT_EQ(response.context_word_count(), 2);
  EXPECT_EQ(response.candidate_oov_count(), 1);
}

TEST_F(ServerNextWordsTest, ACandidateIsOneWord) {
  StartServer();
  ExpectInvalid(Candidates("", {"w1", " "}), "candidates[1]: no word");
  ExpectInvalid(Candidates("", {"w1 w2"}), "candidates[0]: more than one word");
  ExpectInvalid(Candidates("", {"<s>"}), "candidates[0]: ");
  ExpectInvalid(Candidates("", {"w1", "w2", std::string("w\0", 2)}),
                "candidates[2]: NUL at byte 1");
  ExpectAlive();
}

TEST_F(ServerNextWordsTest, CandidatesTakeRoomInTheQueue) {
  config_.max_queue_tokens = 100;
  config_.limits.max_words_per_sentence = 50;
  StartServer();
  v1::NextWordsRequest request = Candidates("w1", {std::string(16 * 97, 'x')});
  request.set_allow_unknown(true);  // Otherwise there is nothing to compute.
  EXPECT_TRUE(Next(request).first.ok());
  request.set_candidates(0, std::string(16 * 98, 'x'));
  const auto [status, response] = Next(request);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("101 tokens"));
}

TEST_F(ServerNextWordsTest, APrefixIsCompleted) {
  StartServer();
  v1::NextWordsRequest request;
  request.set_context("w1 w2");
  request.set_prefix("w4");  // Of w0 to w47.
  request.set_allow_unknown(true);
  auto [status, response] = Next(request);
  ASSERT_TRUE(status.ok()) << status.error_message();
  const v1::NextWordsResponse all = All("w1 w2");
  const std::vector<std::string> expected =
      Among(all, {"w4", "w40", "w41", "w42", "w43", "w44", "w45", "w46", "w47"});
  EXPECT_EQ(Words(response), expected);
  for (const v1::NextWord& word : response.words()) {
    for (const v1::NextWord& other : all.words()) {
      if (other.id() == word.id()) {
        EXPECT_EQ(word.logprob(), other.logprob());
      }
    }
  }
  request.set_top_k(2);
  EXPECT_THAT(Words(Next(request).second), ElementsAre(expected[0], expected[1]));
  request.set_top_k(1000);
  EXPECT_EQ(Words(Next(request).second), expected);
  request.set_prefix("w48");
  std::tie(status, response) = Next(request);
  EXPECT_TRUE(status.ok());
  EXPECT_THAT(Words(response), IsEmpty());
}

TEST_F(ServerNextWordsTest, SpecialWordsAreNoCompletions) {
  StartServer();
  v1::NextWordsRequest request;
  request.set_allow_unknown(true);
  request.set_top_k(50);
  request.set_prefix("<");
  EXPECT_THAT(Words(Next(request).second), IsEmpty());
  request.set_prefix("");  // Set, though empty: words only.
  EXPECT_EQ(Next(request).second.words_size(), 48);
  request.clear_prefix();
  EXPECT_EQ(Next(request).second.words_size(), 50);
}

TEST_F(ServerNextWordsTest, APrefixIsTheBeginningOfOneWordAndExcludesCandidates) {
  StartServer();
  v1::NextWordsRequest request;
  request.set_prefix("w1 ");
  ExpectInvalid(request, "prefix: more than the beginning of one word");
  request.set_prefix(std::string("w\0", 2));
  ExpectInvalid(request, "prefix: NUL at byte 1");
  request = Candidates("", {"w1"});
  request.set_prefix("w");
  ExpectInvalid(request, "prefix: excludes candidates");
  request.set_prefix(std::string(100000, 'w'));
  request.clear_candidates();
  EXPECT_THAT(Words(Next(request).second), IsEmpty());
}

TEST_F(ServerNextWordsTest, SelfNormalizedModelsGiveTheSameWordsByTheirLogits) {
  ModelConfig config = TinyConfig("bllm", 50, 24, 20);
  config.self_normalized = true;
  auto model = MakeCpuLanguageModel(std::make_shared<const Model>(RandomModel(config, 3)));
  ASSERT_THAT(model, IsOk());
  StartServer({{"logits", 1, *model, absl::Milliseconds(1)}});
  std::vector<v1::NextWordsRequest> requests = {Candidates("w3 w1", {"w1", "w5", "w30"}), {}, {}};
  requests[1].set_prefix("w1");
  for (v1::NextWordsRequest& request : requests) {
    request.set_model("logits");
    const v1::NextWordsResponse normalized = Next(request).second;
    request.set_self_normalized(true);
    const auto [status, response] = Next(request);
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_GE(response.words_size(), 3);
    EXPECT_EQ(Words(response), Words(normalized));
    // The difference is log Z.
    const float log_z = response.words(0).logprob() - normalized.words(0).logprob();
    EXPECT_GT(std::abs(log_z), 1.0f);
    EXPECT_NEAR(response.words(2).logprob() - normalized.words(2).logprob(), log_z, 1e-5f);
  }
}

}  // namespace
}  // namespace bitlm
