// bitlm.v1.AdminService: loads and unloads models, drains, sets the log level.
#pragma once

#include <cstdint>
#include <functional>

#include "bitlm/v1/admin_service.grpc.pb.h"
#include "grpcpp/server_context.h"
#include "server/registry/model_manager.h"
#include "server/registry/model_registry.h"
#include "server/service/access.h"

namespace bitlm {

// Blocking calls: they take as long as loading takes, and operators make few. Thread-safe.
class AdminService final : public v1::AdminService::Service {
 public:
  // Turns requests away (true) or takes them again; gives the tokens that are queued.
  using SetDrainingFunction = std::function<int64_t(bool draining)>;

  // `manager`, `registry` and `tokens` (null: callers need none) outlive the service.
  AdminService(ModelManager* manager, const ModelRegistry* registry, const Tokens* tokens,
               SetDrainingFunction set_draining)
      : manager_(manager),
        registry_(registry),
        tokens_(tokens),
        set_draining_(std::move(set_draining)) {}

  grpc::Status LoadModel(grpc::ServerContext* context, const v1::LoadModelRequest* request,
                         v1::LoadModelResponse* response) override;
  grpc::Status UnloadModel(grpc::ServerContext* context, const v1::UnloadModelRequest* request,
                           v1::UnloadModelResponse* response) override;
  grpc::Status ReloadModels(grpc::ServerContext* context, const v1::ReloadModelsRequest* request,
                            v1::ReloadModelsResponse* response) override;
  grpc::Status SetDraining(grpc::ServerContext* context, const v1::SetDrainingRequest* request,
                           v1::SetDrainingResponse* response) override;
  grpc::Status SetLogLevel(grpc::ServerContext* context, const v1::SetLogLevelRequest* request,
                           v1::SetLogLevelResponse* response) override;

 private:
  // Errors: UNAUTHENTICATED.
  absl::Status CheckAccess(const grpc::ServerContext& context) const;

  ModelManager* const manager_;
  const ModelRegistry* const registry_;
  const Tokens* const tokens_;
  const SetDrainingFunction set_draining_;
};

}  // namespace bitlm
