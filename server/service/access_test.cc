#include "server/service/access.h"

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include <fstream>

#include "bitlm/v1/admin_service.pb.h"
#include "bitlm/v1/language_model_service.pb.h"
#include "bitlm/v1/model_service.pb.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temporary_directory.h"

namespace bitlm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(AccessTest, EveryMethodOfOursWantsAToken) {
  int methods = 0;
  for (const google::protobuf::FileDescriptor* file :
       {v1::LoadModelRequest::descriptor()->file(), v1::ScoreSentencesRequest::descriptor()->file(),
        v1::ListModelsRequest::descriptor()->file()}) {
    for (int s = 0; s < file->service_count(); ++s) {
      for (int m = 0; m < file->service(s)->method_count(); ++m) {
        const std::string name =
            "/" + file->service(s)->full_name() + "/" + file->service(s)->method(m)->name();
        EXPECT_EQ(AccessOf(name), Access::kToken) << name;
        ++methods;
      }
    }
  }
  EXPECT_EQ(methods, 10);
}

TEST(AccessTest, ProbesAreOpenAndTheRestIsDenied) {
  EXPECT_EQ(AccessOf("/grpc.health.v1.Health/Check"), Access::kOpen);
  EXPECT_EQ(AccessOf("/grpc.health.v1.Health/Watch"), Access::kOpen);
  for (const char* method :
       {"", "/", "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        "/grpc.channelz.v1.Channelz/GetServers", "/bitlm.v1.ModelService/",
        "/bitlm.v1.ModelService", "/bitlm.v1.ModelService/ListModels/",
        "/bitlm.v1.modelservice/ListModels", "bitlm.v1.ModelService/ListModels",
        "//bitlm.v1.ModelService/ListModels"}) {
    EXPECT_EQ(AccessOf(method), Access::kDenied) << method;
  }
}

TEST(AccessTest, ReadsATokenALine) {
  EXPECT_THAT(*ParseTokens("# for the front end\n 0123456789abcdef \r\n\nfedcba9876543210=="),
              ElementsAre("0123456789abcdef", "fedcba9876543210=="));
  EXPECT_THAT(ParseTokens("0123456789abcdef\nshort\n"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("line 2")));
  const auto two_words = ParseTokens("name 0123456789abcdef");
  EXPECT_THAT(two_words, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("line 1")));
  EXPECT_THAT(std::string(two_words.status().message()), Not(HasSubstr("abcdef")));
  EXPECT_THAT(ParseTokens("# none\n"), StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST(AccessTest, ChecksTheAuthorization) {
  TemporaryDirectory directory;
  const std::string path = directory.Path("tokens");
  std::ofstream(path) << "0123456789abcdef\n";
  const std::unique_ptr<Tokens> tokens = *Tokens::Read(path);
  const auto check = [&](std::vector<std::string> values) {
    Metadata metadata;
    for (const std::string& value : values) metadata.emplace("authorization", value);
    return tokens->Check(metadata);
  };
  EXPECT_THAT(check({"Bearer 0123456789abcdef"}), IsOk());
  EXPECT_THAT(check({"bearer 0123456789abcdef"}), IsOk());  // RFC 7235: schemes ignore case.
  for (const std::vector<std::string>& values : std::vector<std::vector<std::string>>{
           {},
           {""},
           {"Bearer"},
           {"Bearer "},
           {"Bearer 0123456789abcde"},
           {"Bearer 0123456789abcdef "},
           {"Basic 0123456789abcdef"},
           {"0123456789abcdef"},
           {"Bearer 0123456789abcdef", "Bearer 0123456789abcdef"}}) {
    EXPECT_EQ(check(values).code(), absl::StatusCode::kUnauthenticated);
  }

  std::ofstream(path) << "fedcba9876543210\n";
  EXPECT_THAT(tokens->Reload(), IsOk());
  EXPECT_THAT(check({"Bearer fedcba9876543210"}), IsOk());
  EXPECT_FALSE(check({"Bearer 0123456789abcdef"}).ok());
  std::ofstream(path) << "";  // An accident opens and closes nothing.
  EXPECT_FALSE(tokens->Reload().ok());
  EXPECT_THAT(check({"Bearer fedcba9876543210"}), IsOk());
}

}  // namespace
}  // namespace bitlm
