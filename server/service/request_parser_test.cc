#include "server/service/request_parser.h"

#include <gtest/gtest.h>

#include "bitlm/v1/language_model_service.pb.h"
#include "grpcpp/support/slice.h"

namespace bitlm {
namespace {

// The wire format of field 3, `sentences`, from any bytes.
std::string Sentence(const std::string& text) {
  return std::string("\x1a") + static_cast<char>(text.size()) + text;
}

absl::Status Parse(const std::string& bytes, v1::ScoreSentencesRequest* request) {
  const grpc::Slice slice(bytes);
  return ParseRequest(grpc::ByteBuffer(&slice, 1), request);
}

TEST(RequestParserTest, ParsesAValidRequestInSeveralSlices) {
  const grpc::Slice slices[] = {grpc::Slice("\x1a\x03"
                                            "ab"),
                                grpc::Slice("c\x1a\x01"
                                            "d")};
  v1::ScoreSentencesRequest request;
  ASSERT_TRUE(ParseRequest(grpc::ByteBuffer(slices, 2), &request).ok());
  ASSERT_EQ(request.sentences_size(), 2);
  EXPECT_EQ(request.sentences(0), "abc");
  EXPECT_EQ(request.sentences(1), "d");
}

TEST(RequestParserTest, NamesTheFieldThatIsNotUtf8) {
  v1::ScoreSentencesRequest request;
  const absl::Status status =
      Parse(Sentence("fine") + Sentence("ab\xffz") + Sentence("\xff"), &request);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(std::string(status.message()), "sentences[1]: invalid UTF-8 at byte 2");
}

TEST(RequestParserTest, NamesASingularField) {
  v1::ScoreSentencesRequest request;
  const absl::Status status = Parse("\n\x02\xc3\x28", &request);  // Field 1, `model`.
  EXPECT_EQ(std::string(status.message()), "model: invalid UTF-8 at byte 0");
}

TEST(RequestParserTest, RefusesWhatIsNoMessage) {
  v1::ScoreSentencesRequest request;
  for (const std::string& bytes : {std::string("\x1a\x7f"
                                               "abc"),
                                   std::string("\xff\xff\xff"), std::string("\x07")}) {
    const absl::Status status = Parse(bytes, &request);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(std::string(status.message()),
              "the request is not a valid bitlm.v1.ScoreSentencesRequest");
  }
}

TEST(RequestParserTest, CountsAFieldWithoutParsing) {
  const auto count = [](const std::string& bytes) {
    const grpc::Slice slices[] = {grpc::Slice(bytes.substr(0, bytes.size() / 2)),
                                  grpc::Slice(bytes.substr(bytes.size() / 2))};
    return CountFields(grpc::ByteBuffer(slices, 2),
                       v1::ScoreSentencesRequest::kSentencesFieldNumber);
  };
  EXPECT_EQ(count(""), 0);
  v1::ScoreSentencesRequest request;
  request.set_model("\x1a");  // The bytes of a tag count only as one.
  request.set_model_version(3);
  request.mutable_options()->set_oov_logprob(-1);
  EXPECT_EQ(count(request.SerializeAsString()), 0);
  for (int i = 0; i < 1000; ++i) request.add_sentences(i % 2 == 0 ? "" : "a b");
  EXPECT_EQ(count(request.SerializeAsString()), 1000);
  EXPECT_EQ(count(request.SerializeAsString() + "\x07" + Sentence("a")), 1000);
}

TEST(RequestParserTest, FindsStringsInNestedMessages) {
  // A response stands for any message with nesting: scores[1].words[0].word.
  v1::ScoreSentencesResponse message;
  message.add_scores()->add_words()->set_word("good");
  message.add_scores()->add_words()->set_word("good");
  std::string bytes = message.SerializeAsString();
  bytes[bytes.rfind('g') + 1] = '\x80';
  const auto found = FindInvalidString(*message.GetDescriptor(), bytes);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->field, "scores[1].words[0].word");
  EXPECT_EQ(found->position, 1u);
}

}  // namespace
}  // namespace bitlm
