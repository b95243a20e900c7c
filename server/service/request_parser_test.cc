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
    EXPECT_EQ(std::string(status.message()), "request: not a valid bitlm.v1.ScoreSentencesRequest");
  }
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
