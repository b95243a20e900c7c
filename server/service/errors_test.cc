#include "server/service/errors.h"

#include <gtest/gtest.h>

#include "absl/strings/escaping.h"

namespace bitlm {
namespace {

TEST(ErrorsTest, ToGrpcStatusKeepsCodeAndMessage) {
  const grpc::Status status = ToGrpcStatus(absl::UnavailableError("model: loading"));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(status.error_message(), "model: loading");
  EXPECT_EQ(status.error_details(), "");
  EXPECT_TRUE(ToGrpcStatus(absl::OkStatus()).ok());
}

TEST(ErrorsTest, InvalidFieldCarriesABadRequest) {
  const grpc::Status status = ToGrpcStatus(InvalidField(Element("sentences", 3), "too bad"));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(status.error_message(), "sentences[3]: too bad");
  // The bytes of `protoc --encode=google.rpc.Status` for
  //   code: 3 message: "sentences[3]: too bad" details {
  //     [type.googleapis.com/google.rpc.BadRequest] {
  //       field_violations { field: "sentences[3]" description: "too bad" } } }
  const std::string expected =
      std::string("\x08\x03\x12\x15sentences[3]: too bad\x1a\x46\n\x29") +
      "type.googleapis.com/google.rpc.BadRequest\x12\x19\n\x17\n\x0csentences[3]\x12\x07too bad";
  EXPECT_EQ(absl::CHexEscape(status.error_details()), absl::CHexEscape(expected));
}

TEST(ErrorsTest, AModelThatIsNotThereCarriesABadRequest) {
  for (const absl::Status& error : {absl::NotFoundError("model: no such model"),
                                    absl::FailedPreconditionError("model: cannot be served")}) {
    const grpc::Status status = ToGrpcStatus(error);
    EXPECT_EQ(status.error_code(), static_cast<grpc::StatusCode>(error.code()));
    EXPECT_NE(status.error_details().find("\n\x05model"), std::string::npos);
  }
}

TEST(ErrorsTest, OnlyAFieldPathBecomesABadRequest) {
  EXPECT_EQ(ToGrpcStatus(absl::InvalidArgumentError("the request takes too much")).error_details(),
            "");
  EXPECT_EQ(ToGrpcStatus(absl::InvalidArgumentError("no colon")).error_details(), "");
  EXPECT_NE(ToGrpcStatus(OutOfRange("options.x_y", 3, 0, 2)).error_details(), "");
}

TEST(ErrorsTest, MessagesNameFieldValueAndLimit) {
  EXPECT_EQ(std::string(OverLimit("sentences[0]", "words", 9, "max_words", 8).message()),
            "sentences[0]: 9 words, more than max_words (8)");
  EXPECT_EQ(NotSelfNormalized("self_normalized").code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(
      std::string(NotSelfNormalized("self_normalized").message()),
      "self_normalized: the model was not trained for it, its option self_normalized is false");
  EXPECT_EQ(std::string(OutOfRange("top_k", -1, 0, 5).message()), "top_k: -1, must be from 0 to 5");
}

}  // namespace
}  // namespace bitlm
