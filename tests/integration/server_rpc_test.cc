// Every RPC of the server, in-process.
#include <cmath>
#include <cstdint>

#include "engine/scoring/sentence_scorer.h"
#include "tests/integration/server_fixture.h"

namespace bitlm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class ServerRpcTest : public ServerFixture {
 protected:
  SentenceScore Expected(const std::string& text, const ScoreOptions& options) const {
    const auto sentence = Tokenize(model_->model(), text);
    EXPECT_THAT(sentence, IsOk());
    const ScoreItem item = {.sentence = &*sentence, .options = options};
    return SentenceScorer(model_).Score({&item, 1}, nullptr)[0];
  }
};

TEST_F(ServerRpcTest, ScoresEqualTheEngineBitForBit) {
  StartServer();
  const std::vector<std::string> sentences = TinySentences(50, 1);
  const auto [status, response] = Score(Sentences(sentences));
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.model(), "tiny");
  EXPECT_EQ(response.model_version(), 2);
  ASSERT_EQ(response.scores_size(), 50);
  for (int i = 0; i < 50; ++i) {
    const SentenceScore expected = Expected(sentences[static_cast<size_t>(i)], {});
    EXPECT_EQ(response.scores(i).logprob(), expected.logprob);
    EXPECT_EQ(response.scores(i).oov_logprob(), expected.oov_logprob);
    EXPECT_EQ(response.scores(i).oov_count(), expected.oov_count);
    EXPECT_EQ(response.scores(i).token_count(), response.scores(i).word_count() + 1);
    EXPECT_EQ(response.scores(i).words_size(), 0);
  }
}

TEST_F(ServerRpcTest, ScoresCarryTheirWords) {
  StartServer();
  v1::ScoreSentencesRequest request = Sentences({"w3 zebra", ""});
  request.mutable_options()->set_include_words(true);
  const auto [status, response] = Score(request);
  ASSERT_TRUE(status.ok()) << status.error_message();
  const v1::SentenceScore& score = response.scores(0);
  EXPECT_EQ(score.word_count(), 2);
  EXPECT_EQ(score.oov_count(), 1);
  ASSERT_EQ(score.words_size(), 3);
  EXPECT_EQ(score.words(0).word(), "w3");
  EXPECT_EQ(score.words(0).id(), model_->vocabulary().Find("w3"));
  EXPECT_FALSE(score.words(0).oov());
  EXPECT_EQ(score.words(1).word(), "zebra");
  EXPECT_EQ(score.words(1).id(), model_->vocabulary().unknown_id());
  EXPECT_TRUE(score.words(1).oov());
  EXPECT_EQ(score.words(2).word(), "</s>");
  double sum = 0;
  for (const v1::WordScore& word : score.words()) {
    sum += static_cast<double>(word.logprob());
    EXPECT_GE(word.rank(), 1);
    EXPECT_LE(word.rank(), 50);
  }
  EXPECT_EQ(sum, score.logprob());
  EXPECT_EQ(score.oov_logprob(), static_cast<double>(score.words(1).logprob()));
  ASSERT_EQ(response.scores(1).words_size(), 1);
  EXPECT_EQ(response.scores(1).words(0).word(), "</s>");
}

TEST_F(ServerRpcTest, BoundariesAndOovPoliciesAreOptions) {
  StartServer();
  v1::ScoreSentencesRequest request = Sentences({"w3 zebra w4", ""});
  v1::ScoreOptions* options = request.mutable_options();
  options->set_include_words(true);
  options->set_begin_of_sentence(false);
  options->set_end_of_sentence(false);
  options->set_oov_policy(v1::OOV_POLICY_FIXED);
  options->set_oov_logprob(-12.5);
  const auto [status, response] = Score(request);
  ASSERT_TRUE(status.ok()) << status.error_message();
  const v1::SentenceScore& score = response.scores(0);
  EXPECT_EQ(score.word_count(), 3);
  EXPECT_EQ(score.token_count(), 2);
  ASSERT_EQ(score.words_size(), 2);
  EXPECT_EQ(score.words(0).word(), "zebra");
  EXPECT_EQ(score.words(0).logprob(), -12.5f);
  EXPECT_EQ(score.words(1).word(), "w4");
  EXPECT_EQ(score.oov_logprob(), -12.5);
  EXPECT_EQ(response.scores(1).token_count(), 0);  // Nothing to score.
  EXPECT_EQ(response.scores(1).logprob(), 0);

  options->set_oov_policy(v1::OOV_POLICY_OFFSET);
  const auto [offset_status, offset] = Score(request);
  options->clear_oov_policy();
  options->clear_oov_logprob();
  const auto [plain_status, plain] = Score(request);
  ASSERT_TRUE(offset_status.ok() && plain_status.ok());
  EXPECT_FLOAT_EQ(offset.scores(0).words(0).logprob(), plain.scores(0).words(0).logprob() - 12.5f);
}

TEST_F(ServerRpcTest, SelfNormalizedModelsGiveTheirLogits) {
  ModelConfig config = TinyConfig("bllm", 50, 24, 20);
  config.self_normalized = true;
  auto model = MakeCpuLanguageModel(std::make_shared<const Model>(RandomModel(config, 3)));
  ASSERT_THAT(model, IsOk());
  StartServer({{"logits", 1, *model, absl::Milliseconds(1)}});
  v1::ScoreSentencesRequest request = Sentences(TinySentences(20, 1));
  request.set_model("logits");
  request.mutable_options()->set_self_normalized(true);
  request.mutable_options()->set_include_words(true);
  const auto [status, response] = Score(request);
  ASSERT_TRUE(status.ok()) << status.error_message();
  for (int i = 0; i < request.sentences_size(); ++i) {
    const auto sentence = Tokenize((*model)->model(), request.sentences(i));
    const ScoreItem item = {.sentence = &*sentence, .options = {.self_normalized = true}};
    const SentenceScore expected = SentenceScorer(*model).Score({&item, 1}, nullptr)[0];
    EXPECT_EQ(response.scores(i).logprob(), expected.logprob);
    for (const v1::WordScore& word : response.scores(i).words()) {
      EXPECT_EQ(word.rank(), 0);  // Not computed.
    }
  }
  request.mutable_options()->set_self_normalized(false);
  const auto [plain_status, plain] = Score(request);
  EXPECT_NE(plain.scores(0).logprob(), response.scores(0).logprob());
  EXPECT_GT(plain.scores(0).words(0).rank(), 0);
}

TEST_F(ServerRpcTest, OtherModelsRefuseSelfNormalizedScores) {
  StartServer();
  v1::ScoreSentencesRequest score = Sentences({"w1"});
  score.mutable_options()->set_self_normalized(true);
  const grpc::Status score_status = Score(score).first;
  EXPECT_EQ(score_status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(score_status.error_message(), StartsWith("options.self_normalized: "));
  EXPECT_THAT(score_status.error_details(), HasSubstr("google.rpc.BadRequest"));
  v1::NextWordsRequest next;
  next.set_self_normalized(true);
  const grpc::Status next_status = Next(next).first;
  EXPECT_EQ(next_status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(next_status.error_message(), StartsWith("self_normalized: "));
}

TEST_F(ServerRpcTest, NoSentencesNoScores) {
  StartServer();
  const auto [status, response] = Score(v1::ScoreSentencesRequest());
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(response.scores_size(), 0);
  EXPECT_EQ(response.model(), "tiny");
}

TEST_F(ServerRpcTest, ModelsAreFoundByNameAndVersion) {
  StartServer({{"tiny", 1, MakeModel(1), absl::Milliseconds(1)}});
  v1::ScoreSentencesRequest request = Sentences({"w1 w2"});
  request.set_model("tiny");
  EXPECT_EQ(Score(request).second.model_version(), 2);  // The highest.
  request.set_model_version(1);
  const auto [status, response] = Score(request);
  EXPECT_EQ(response.model_version(), 1);
  EXPECT_NE(response.scores(0).logprob(), Expected("w1 w2", {}).logprob);
  request.set_model_version(9);
  EXPECT_EQ(Score(request).first.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(Score(request).first.error_message(), HasSubstr("it has 1, 2"));
  request.set_model_version(-1);
  EXPECT_EQ(Score(request).first.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  request.set_model("other");
  request.set_model_version(0);
  EXPECT_EQ(Score(request).first.error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(ServerRpcTest, ANameIsNeededWhenThereAreSeveralModels) {
  StartServer({{"other", 1, MakeModel(1), absl::Milliseconds(1)}});
  const auto [status, response] = Score(Sentences({"w1"}));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("other, tiny"));
}

TEST_F(ServerRpcTest, ModelServiceListsAndDescribes) {
  config_.limits.max_top_k = 123;
  StartServer({{"tiny", 1, MakeModel(1), absl::Milliseconds(1)}});
  const auto models = client_->ListModels();
  ASSERT_THAT(models, IsOk());
  ASSERT_EQ(models->size(), 2u);
  EXPECT_EQ((*models)[0].version, 1);
  EXPECT_FALSE((*models)[0].latest);
  EXPECT_EQ((*models)[1].version, 2);
  EXPECT_TRUE((*models)[1].latest);
  EXPECT_EQ((*models)[1].vocabulary_size, 50);
  EXPECT_EQ((*models)[1].weight_bytes, model_->weight_bytes());

  grpc::ClientContext context;
  v1::DescribeModelRequest request;
  v1::DescribeModelResponse response;
  ASSERT_TRUE(models_->DescribeModel(&context, request, &response).ok());
  EXPECT_EQ(response.summary().preset(), "bllm");
  EXPECT_EQ(response.config().recurrent(), "binary");
  EXPECT_EQ(response.config().hidden_size(), 20);
  EXPECT_FALSE(response.config().self_normalized());
  EXPECT_EQ(response.limits().max_top_k(), 123);
  EXPECT_EQ(response.metadata().numerics_version(), kNumericsVersion);
  EXPECT_THAT(response.device(), HasSubstr("cpu"));

  grpc::ClientContext missing_context;
  request.set_model("missing");
  EXPECT_EQ(models_->DescribeModel(&missing_context, request, &response).error_code(),
            grpc::StatusCode::NOT_FOUND);
}

TEST_F(ServerRpcTest, TheClientLibraryGivesTheSame) {
  StartServer();
  const auto result = client_->Score({"w1 zebra"}, {.words = true});
  ASSERT_THAT(result, IsOk());
  const SentenceScore expected = Expected("w1 zebra", {.want_ranks = true});
  EXPECT_EQ(result->scores[0].logprob, expected.logprob);
  ASSERT_EQ(result->scores[0].words.size(), 3u);
  EXPECT_EQ(result->scores[0].words[1].rank, expected.token_ranks[1]);
  const auto next = client_->NextWords("w1", {.top_k = 3});
  ASSERT_THAT(next, IsOk());
  EXPECT_EQ(next->words.size(), 3u);
  const auto chosen = client_->NextWords("w1", {.top_k = 0, .candidates = {"w8", "w9"}});
  ASSERT_THAT(chosen, IsOk());
  ASSERT_EQ(chosen->words.size(), 2u);
  EXPECT_EQ(chosen->words[0].word, chosen->words[0].candidate_index == 0 ? "w8" : "w9");
  EXPECT_THAT(client_->Score({"w1"}, {.model = "missing"}),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("tiny")));
}

}  // namespace
}  // namespace bitlm
