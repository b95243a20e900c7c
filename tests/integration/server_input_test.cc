// Odd input: the defined answer, or INVALID_ARGUMENT naming the field; the server lives on.
#include <limits>

#include "grpcpp/generic/generic_stub.h"
#include "tests/integration/server_fixture.h"

namespace bitlm {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class ServerInputTest : public ServerFixture {
 protected:
  void ExpectInvalid(const v1::ScoreSentencesRequest& request, const std::string& message) {
    const auto [status, response] = Score(request);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_THAT(status.error_message(), StartsWith(message));
    EXPECT_THAT(status.error_details(), HasSubstr("google.rpc.BadRequest"));
    ExpectAlive();
  }
  // Sends bytes as a ScoreSentencesRequest, as a client in any language could.
  grpc::Status SendBytes(const std::string& bytes) {
    grpc::TemplatedGenericStub<grpc::ByteBuffer, grpc::ByteBuffer> stub(channel_);
    grpc::CompletionQueue queue;
    grpc::ClientContext context;
    const grpc::Slice slice(bytes);
    auto call = stub.PrepareUnaryCall(&context, "/bitlm.v1.LanguageModelService/ScoreSentences",
                                      grpc::ByteBuffer(&slice, 1), &queue);
    call->StartCall();
    grpc::ByteBuffer response;
    grpc::Status status;
    call->Finish(&response, &status, nullptr);
    void* tag = nullptr;
    bool ok = false;
    queue.Next(&tag, &ok);
    return status;
  }
};

TEST_F(ServerInputTest, EmptyAndWhiteSpaceScoreTheEnd) {
  StartServer();
  const auto [status, response] = Score(Sentences({"", " \t\n ", "\r"}));
  ASSERT_TRUE(status.ok()) << status.error_message();
  for (const v1::SentenceScore& score : response.scores()) {
    EXPECT_EQ(score.word_count(), 0);
    EXPECT_EQ(score.token_count(), 1);
    EXPECT_EQ(score.logprob(), response.scores(0).logprob());
  }
}

TEST_F(ServerInputTest, NulIsRefused) {
  StartServer();
  ExpectInvalid(Sentences({"fine", std::string("a\0b", 3)}), "sentences[1]: ");
}

TEST_F(ServerInputTest, SentenceMarksAreNotWords) {
  StartServer();
  ExpectInvalid(Sentences({"w1 </s> w2"}), "sentences[0]: ");
  ExpectInvalid(Sentences({"w1", "w2", "<s> w1"}), "sentences[2]: ");
}

TEST_F(ServerInputTest, InvalidUtf8IsRefusedByField) {
  StartServer();
  // Field 3 twice: "ok", then bytes that are not UTF-8.
  const std::string sentences(
      "\x1a\x02ok\x1a\x05"
      "ab\xc3(z",
      11);
  grpc::Status status = SendBytes(sentences);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(status.error_message(), "sentences[1]: invalid UTF-8 at byte 2");
  status = SendBytes("\n\x01\xff");
  EXPECT_EQ(status.error_message(), "model: invalid UTF-8 at byte 0");
  status = SendBytes("\x1a\x7fnot that long");
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), StartsWith("the request is not a valid "));
  ExpectAlive();
}

TEST_F(ServerInputTest, AWordOfAMegabyteIsOutOfVocabulary) {
  StartServer();
  const auto [status, response] = Score(Sentences({"w1 " + std::string(1 << 20, 'x') + " w2"}));
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.scores(0).word_count(), 3);
  EXPECT_EQ(response.scores(0).oov_count(), 1);
  ExpectAlive();
}

TEST_F(ServerInputTest, AHundredThousandWordsAreOverTheDefaultLimit) {
  StartServer();
  std::string sentence;
  for (int i = 0; i < 100000; ++i) sentence += "w1 ";
  ExpectInvalid(Sentences({"w1", sentence}),
                "sentences[1]: more words than max_words_per_sentence (4096)");
  v1::NextWordsRequest next;
  next.set_context(sentence);
  EXPECT_THAT(Next(next).first.error_message(),
              StartsWith("context: more words than max_words_per_sentence (4096)"));
}

TEST_F(ServerInputTest, AHundredThousandWordsAreScoredWhenTheLimitAllows) {
  config_.limits.max_words_per_sentence = 100000;
  config_.max_queue_tokens = 200000;
  StartServer();
  std::string sentence;
  for (int i = 0; i < 100000; ++i) sentence += "w1 ";
  const auto [status, response] = Score(Sentences({sentence}));
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.scores(0).token_count(), 100001);  // Nothing is truncated.
  ExpectAlive();
}

TEST_F(ServerInputTest, TooManySentencesNameTheLimit) {
  config_.limits.max_sentences_per_request = 3;
  StartServer();
  EXPECT_TRUE(Score(Sentences({"a", "b", "c"})).first.ok());
  ExpectInvalid(Sentences({"a", "b", "c", "d"}),
                "sentences: 4 sentences, more than max_sentences_per_request (3)");
}

TEST_F(ServerInputTest, ARequestThatNoQueueCanHoldNamesTheLimit) {
  config_.max_queue_tokens = 10;
  config_.limits.max_words_per_sentence = 5;
  StartServer();
  const auto [status, response] = Score(Sentences({"w1 w1 w1 w1 w1", "w1 w1 w1 w1 w1"}));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("12 tokens"));
  EXPECT_THAT(status.error_message(), HasSubstr("max_queue_tokens (10)"));
  EXPECT_EQ(status.error_details(), "");  // No field is wrong by itself.
  ExpectAlive();
}

TEST_F(ServerInputTest, WordsThatAreWantedBackTakeRoomByTheirBytes) {
  config_.max_queue_tokens = 100;
  config_.limits.max_words_per_sentence = 50;
  StartServer();
  auto request = Sentences({std::string(1601, 'x')});
  EXPECT_TRUE(Score(request).first.ok());
  request.mutable_options()->set_include_words(true);
  EXPECT_TRUE(Score(request).first.ok());
  request.set_sentences(0, std::string(1616, 'x'));
  const auto [status, response] = Score(request);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("101 tokens"));
  ExpectAlive();
}

TEST_F(ServerInputTest, MillionsOfWordsOrSentencesAreRefusedEarly) {
  StartServer();
  std::string words;
  for (int i = 0; i < 2000000; ++i) words += "a ";
  ExpectInvalid(Sentences({words}), "sentences[0]: more words than ");
  std::string bytes;
  for (int i = 0; i < 2000000; ++i) bytes.append("\x1a\0", 2);  // Empty sentences.
  EXPECT_THAT(SendBytes(bytes).error_message(),
              StartsWith("sentences: 2000000 sentences, more than "));
  // What is wrong beyond the first pieces of a long sentence is told with its place.
  words = std::string(200000, 'a') + " b";
  words[200001] = '\0';
  ExpectInvalid(Sentences({words + std::string(200000, 'a')}), "sentences[0]: NUL at byte 200001");
}

TEST_F(ServerInputTest, AMessageOverTheLimitIsRefusedByGrpc) {
  config_.limits.max_message_bytes = 2000;
  StartServer();
  EXPECT_TRUE(Score(Sentences({std::string(1900, 'x')})).first.ok());
  const auto [status, response] = Score(Sentences({std::string(2001, 'x')}));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(status.error_message(), HasSubstr("2000"));
  ExpectAlive();
}

TEST_F(ServerInputTest, OptionsAreChecked) {
  StartServer();
  v1::ScoreSentencesRequest request = Sentences({"w1"});
  v1::ScoreOptions* options = request.mutable_options();
  options->set_oov_policy(static_cast<v1::OovPolicy>(77));
  ExpectInvalid(request, "options.oov_policy: ");
  options->set_oov_policy(v1::OOV_POLICY_FIXED);
  for (const double bad : {std::numeric_limits<double>::quiet_NaN(),
                           -std::numeric_limits<double>::infinity(), 1e7, 0.5}) {
    options->set_oov_logprob(bad);
    ExpectInvalid(request, "options.oov_logprob: ");
  }
  options->clear_oov_policy();
  options->set_oov_logprob(-1);
  ExpectInvalid(request, "options.oov_logprob: ");
}

}  // namespace
}  // namespace bitlm
