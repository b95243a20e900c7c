#include "clients/cpp/connection.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"

namespace bitlm::client {
namespace {

absl::Status Read(const std::string& path, std::string* text) {
  if (path.empty()) return absl::OkStatus();
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) {  // Reading one would throw.
    return absl::InvalidArgumentError(absl::StrCat(path, ": is a directory"));
  }
  std::ifstream file(path, std::ios::binary);
  text->assign(std::istreambuf_iterator<char>(file), {});
  if (!file) return absl::NotFoundError(absl::StrCat(path, ": cannot be read"));
  return absl::OkStatus();
}

absl::Status ReadTls(const Credentials& credentials, grpc::SslCredentialsOptions* options) {
  if (credentials.certificate_file.empty() != credentials.key_file.empty()) {
    return absl::InvalidArgumentError("a client's certificate and its key want one another");
  }
  absl::Status status = Read(credentials.ca_file, &options->pem_root_certs);
  status.Update(Read(credentials.certificate_file, &options->pem_cert_chain));
  status.Update(Read(credentials.key_file, &options->pem_private_key));
  return status;
}

// What a header may hold; gRPC ends a call with anything else as an internal error.
bool IsToken(const std::string& token) {
  return std::all_of(token.begin(), token.end(), [](char c) { return c > ' ' && c <= '~'; });
}

}  // namespace

Connection Connect(const std::string& target, const Credentials& credentials,
                   const grpc::ChannelArguments& arguments) {
  Connection connection;
  std::shared_ptr<grpc::ChannelCredentials> channel_credentials =
      grpc::InsecureChannelCredentials();
  if (credentials.tls) {
    grpc::SslCredentialsOptions options;
    connection.status = ReadTls(credentials, &options);
    channel_credentials = grpc::SslCredentials(options);
  }
  if (!IsToken(credentials.token)) {
    connection.status.Update(absl::InvalidArgumentError(
        "the token has characters that no token has, such as the end of a line"));
  }
  connection.channel = grpc::CreateCustomChannel(target, channel_credentials, arguments);
  return connection;
}

void Authorize(const Credentials& credentials, grpc::ClientContext* context) {
  if (credentials.token.empty()) return;
  context->AddMetadata("authorization", absl::StrCat("Bearer ", credentials.token));
}

}  // namespace bitlm::client
