#include "clients/cpp/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bitlm::client {
namespace {

using ::testing::HasSubstr;

TEST(ClientTest, NamesTheTargetWhenNoServerAnswers) {
  const Client client({.target = "127.0.0.1:1", .timeout = absl::Seconds(10)});
  const absl::Status status = client.Score({"a"}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr("no server answers at 127.0.0.1:1"));
}

TEST(ClientTest, RefusesInvalidUtf8BeforeItIsSent) {
  const Client client({.target = "127.0.0.1:1"});
  const absl::Status score = client.Score({"fine", "a\xff"}).status();
  EXPECT_EQ(score.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(std::string(score.message()), "sentences[1]: invalid UTF-8 at byte 1");
  EXPECT_EQ(std::string(client.NextWords("\x80").status().message()),
            "context: invalid UTF-8 at byte 0");
  EXPECT_EQ(std::string(client.NextWords("", {.candidates = {"a", "bc\xff"}}).status().message()),
            "candidates[1]: invalid UTF-8 at byte 2");
  EXPECT_EQ(std::string(client.NextWords("", {.prefix = "\xc3"}).status().message()),
            "prefix: invalid UTF-8 at byte 0");
}

TEST(ClientTest, RefusesATokenThatNoHeaderHolds) {
  ClientOptions options{.target = "127.0.0.1:1"};
  options.credentials.token = "0123456789abcdef\n";
  const Client client(options);
  const absl::Status status = client.Score({"a"}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("the token has characters"));
}

TEST(SentenceOfErrorTest, ReadsTheIndexOfAFieldPath) {
  EXPECT_EQ(SentenceOfError(absl::InvalidArgumentError("sentences[37]: too long")), 37u);
  EXPECT_EQ(SentenceOfError(absl::InvalidArgumentError("sentences: too many")), std::nullopt);
  EXPECT_EQ(SentenceOfError(absl::InvalidArgumentError("sentences[]: x")), std::nullopt);
  EXPECT_EQ(SentenceOfError(absl::InvalidArgumentError("sentences[3x")), std::nullopt);
  EXPECT_EQ(SentenceOfError(absl::NotFoundError("sentences[3]: x")), std::nullopt);
  EXPECT_EQ(SentenceOfError(absl::OkStatus()), std::nullopt);
}

}  // namespace
}  // namespace bitlm::client
