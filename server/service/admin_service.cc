#include "server/service/admin_service.h"

#include <spdlog/spdlog.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "server/logging.h"
#include "server/service/errors.h"

namespace bitlm {
namespace {

// Checks the model that a request names. Names are those that a repository can have, so that none
// leads out of it.
template <typename Request>
absl::Status CheckModel(const Request& request) {
  if (!IsModelName(request.model())) {
    return InvalidField("model", "not a name of a model");
  }
  if (request.model_version() < 0) {
    return InvalidField("model_version",
                        absl::StrCat(request.model_version(), ", must be at least 0"));
  }
  return absl::OkStatus();
}

// Operators' calls are few: each is in the log.
grpc::Status Answer(const char* method, const std::string& what, const absl::Status& status) {
  if (status.ok()) {
    spdlog::info("admin: {} {}", method, what);
  } else {
    spdlog::warn("admin: {} {}: {}", method, what, std::string(status.message()));
  }
  return ToGrpcStatus(status);
}

template <typename Request>
std::string Named(const Request& request) {
  return absl::StrCat(request.model(), " version ", request.model_version());
}

}  // namespace

absl::Status AdminService::CheckAccess(const grpc::ServerContext& context) const {
  return tokens_ == nullptr ? absl::OkStatus() : tokens_->Check(context.client_metadata());
}

grpc::Status AdminService::LoadModel(grpc::ServerContext* context,
                                     const v1::LoadModelRequest* request, v1::LoadModelResponse*) {
  absl::Status status = CheckAccess(*context);
  if (status.ok()) status = CheckModel(*request);
  if (!status.ok()) return ToGrpcStatus(status);
  status = manager_->Load(request->model(), request->model_version());
  return Answer("LoadModel", Named(*request), status);
}

grpc::Status AdminService::UnloadModel(grpc::ServerContext* context,
                                       const v1::UnloadModelRequest* request,
                                       v1::UnloadModelResponse*) {
  absl::Status status = CheckAccess(*context);
  if (status.ok()) status = CheckModel(*request);
  if (!status.ok()) return ToGrpcStatus(status);
  status = manager_->Unload(request->model(), request->model_version());
  return Answer("UnloadModel", Named(*request), status);
}

grpc::Status AdminService::ReloadModels(grpc::ServerContext* context,
                                        const v1::ReloadModelsRequest*,
                                        v1::ReloadModelsResponse* response) {
  if (absl::Status status = CheckAccess(*context); !status.ok()) return ToGrpcStatus(status);
  const absl::Status status = manager_->Reload();
  for (const ModelFailure& failure : registry_->Failures()) {
    response->add_failures(
        absl::StrCat(failure.name, " version ", failure.version, ": ", failure.reason.message()));
  }
  return Answer("ReloadModels", "", status);
}

grpc::Status AdminService::SetDraining(grpc::ServerContext* context,
                                       const v1::SetDrainingRequest* request,
                                       v1::SetDrainingResponse* response) {
  if (absl::Status status = CheckAccess(*context); !status.ok()) return ToGrpcStatus(status);
  response->set_queued_tokens(set_draining_(request->draining()));
  return Answer("SetDraining", request->draining() ? "on" : "off", absl::OkStatus());
}

grpc::Status AdminService::SetLogLevel(grpc::ServerContext* context,
                                       const v1::SetLogLevelRequest* request,
                                       v1::SetLogLevelResponse* response) {
  if (absl::Status status = CheckAccess(*context); !status.ok()) return ToGrpcStatus(status);
  response->set_previous_level(LogLevel());
  if (!bitlm::SetLogLevel(request->level())) {
    return ToGrpcStatus(InvalidField("level", "must be debug, info, warning or error"));
  }
  return Answer("SetLogLevel", request->level(), absl::OkStatus());
}

}  // namespace bitlm
