#include "clients/cpp/admin_client.h"

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "bitlm/v1/admin_service.grpc.pb.h"
#include "clients/cpp/connection.h"
#include "grpcpp/client_context.h"

namespace bitlm::client {

struct AdminClient::Impl {
  Impl(const std::string& server, const std::string& token, absl::Duration call_timeout)
      : target(server),
        timeout(call_timeout),
        stub(v1::AdminService::NewStub(Connect(server, {}, {}).channel)) {
    credentials.token = token;
  }

  template <typename Request, typename Response>
  absl::Status Call(grpc::Status (v1::AdminService::Stub::*method)(grpc::ClientContext*,
                                                                   const Request&, Response*),
                    const Request& request, Response* response) const {
    grpc::ClientContext context;
    Authorize(credentials, &context);
    context.set_deadline(std::chrono::system_clock::now() + absl::ToChronoMicroseconds(timeout));
    const grpc::Status status = (stub.get()->*method)(&context, request, response);
    if (status.ok()) return absl::OkStatus();
    std::string message = status.error_message();
    if (status.error_code() == grpc::StatusCode::UNAVAILABLE) {
      message = absl::StrCat("no admin service answers at ", target, " (", message, ")");
    }
    return absl::Status(static_cast<absl::StatusCode>(status.error_code()), message);
  }

  const std::string target;
  const absl::Duration timeout;
  Credentials credentials;
  const std::unique_ptr<v1::AdminService::Stub> stub;
};

AdminClient::AdminClient(const std::string& target, const std::string& token,
                         absl::Duration timeout)
    : impl_(std::make_unique<Impl>(target, token, timeout)) {}
AdminClient::~AdminClient() = default;

absl::Status AdminClient::Load(const std::string& model, int64_t version) const {
  v1::LoadModelRequest request;
  request.set_model(model);
  request.set_model_version(version);
  v1::LoadModelResponse response;
  return impl_->Call(&v1::AdminService::Stub::LoadModel, request, &response);
}

absl::Status AdminClient::Unload(const std::string& model, int64_t version) const {
  v1::UnloadModelRequest request;
  request.set_model(model);
  request.set_model_version(version);
  v1::UnloadModelResponse response;
  return impl_->Call(&v1::AdminService::Stub::UnloadModel, request, &response);
}

absl::StatusOr<std::vector<std::string>> AdminClient::Reload() const {
  v1::ReloadModelsResponse response;
  const absl::Status status =
      impl_->Call(&v1::AdminService::Stub::ReloadModels, v1::ReloadModelsRequest(), &response);
  if (!status.ok()) return status;
  return std::vector<std::string>(response.failures().begin(), response.failures().end());
}

absl::StatusOr<int64_t> AdminClient::SetDraining(bool draining) const {
  v1::SetDrainingRequest request;
  request.set_draining(draining);
  v1::SetDrainingResponse response;
  const absl::Status status = impl_->Call(&v1::AdminService::Stub::SetDraining, request, &response);
  if (!status.ok()) return status;
  return response.queued_tokens();
}

absl::StatusOr<std::string> AdminClient::SetLogLevel(const std::string& level) const {
  v1::SetLogLevelRequest request;
  request.set_level(level);
  v1::SetLogLevelResponse response;
  const absl::Status status = impl_->Call(&v1::AdminService::Stub::SetLogLevel, request, &response);
  if (!status.ok()) return status;
  return response.previous_level();
}

}  // namespace bitlm::client
