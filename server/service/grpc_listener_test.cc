#include "server/service/grpc_listener.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

#include "absl/strings/str_cat.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/ext/proto_server_reflection_plugin.h"
#include "grpcpp/generic/generic_stub.h"
#include "tests/support/status_matchers.h"

namespace bitlm {
namespace {

using ::testing::HasSubstr;

GrpcListenerOptions Loopback() {
  GrpcListenerOptions options;
  options.address = "127.0.0.1";
  options.flags = "--grpc-port";
  return options;
}

// Whether a stream of reflection gives an answer.
bool Reflects(int port) {
  grpc::GenericStub stub(
      grpc::CreateChannel(absl::StrCat("127.0.0.1:", port), grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
  grpc::CompletionQueue queue;
  const auto wait = [&queue] {
    void* tag = nullptr;
    bool ok = false;
    return queue.Next(&tag, &ok) && ok;
  };
  const auto call = stub.PrepareCall(
      &context, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", &queue);
  call->StartCall(nullptr);
  wait();
  const grpc::Slice request(std::string("\x3a\x01*"));  // list_services: "*"
  call->Write(grpc::ByteBuffer(&request, 1), nullptr);
  if (!wait()) return false;
  grpc::ByteBuffer response;
  call->Read(&response, nullptr);
  const bool answered = wait();
  context.TryCancel();
  return answered;
}

TEST(GrpcListenerTest, WithTokensWhatNoTableNamesIsCutOff) {
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  GrpcListenerOptions options = Loopback();
  const absl::StatusOr<GrpcListener> open = Listen(options, {});
  ASSERT_THAT(open, IsOk());
  EXPECT_TRUE(Reflects(open->port));
  options.tokens = true;
  const absl::StatusOr<GrpcListener> guarded = Listen(options, {});
  ASSERT_THAT(guarded, IsOk());
  EXPECT_FALSE(Reflects(guarded->port));
}

TEST(GrpcListenerTest, ATakenPortIsAnError) {
  GrpcListenerOptions options = Loopback();
  const absl::StatusOr<GrpcListener> first = Listen(options, {});
  ASSERT_THAT(first, IsOk());
  options.port = first->port;
  EXPECT_THAT(Listen(options, {}), StatusIs(absl::StatusCode::kUnavailable,
                                            HasSubstr(absl::StrCat("127.0.0.1:", first->port))));
}

TEST(GrpcListenerTest, WritesAddressesOfBothKinds) {
  EXPECT_EQ(HostPort("127.0.0.1", 1), "127.0.0.1:1");
  EXPECT_EQ(HostPort("::1", 1), "[::1]:1");
}

}  // namespace
}  // namespace bitlm
