// A channel to a server, with its credentials.
#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "clients/cpp/client.h"
#include "grpcpp/channel.h"
#include "grpcpp/client_context.h"
#include "grpcpp/support/channel_arguments.h"

namespace bitlm::client {

// What calls go over.
struct Connection {
  std::shared_ptr<grpc::Channel> channel;
  // Of credentials that cannot be used; calls are to give it instead of calling.
  absl::Status status;
};

Connection Connect(const std::string& target, const Credentials& credentials,
                   const grpc::ChannelArguments& arguments);

// Adds the token to a call.
void Authorize(const Credentials& credentials, grpc::ClientContext* context);

}  // namespace bitlm::client
