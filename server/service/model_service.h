// bitlm.v1.ModelService: what is loaded, and the limits in force.
#pragma once

#include <string_view>

#include "bitlm/v1/model_service.grpc.pb.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/server_callback.h"
#include "server/config/server_config.h"
#include "server/registry/model_registry.h"
#include "server/service/unary_call.h"

namespace bitlm {

using RawModelService = v1::ModelService::WithRawCallbackMethod_ListModels<
    v1::ModelService::WithRawCallbackMethod_DescribeModel<
        v1::ModelService::WithRawCallbackMethod_GetServerInfo<v1::ModelService::Service>>>;

class ModelService final : public RawModelService {
 public:
  // `registry` and what `environment` names outlive the service.
  ModelService(const ModelRegistry* registry, const ServerConfig& config,
               const CallEnvironment& environment);

  grpc::ServerUnaryReactor* ListModels(grpc::CallbackServerContext* context,
                                       const grpc::ByteBuffer* request,
                                       grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* DescribeModel(grpc::CallbackServerContext* context,
                                          const grpc::ByteBuffer* request,
                                          grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* GetServerInfo(grpc::CallbackServerContext* context,
                                          const grpc::ByteBuffer* request,
                                          grpc::ByteBuffer* response) override;

 private:
  template <typename Request, typename Answer>
  grpc::ServerUnaryReactor* Reply(grpc::CallbackServerContext* context,
                                  const grpc::ByteBuffer& bytes, grpc::ByteBuffer* response,
                                  std::string_view method, const Answer& answer) const;
  v1::ModelSummary Summarize(const ServedModel& model) const;

  const ModelRegistry* registry_;
  v1::GetServerInfoResponse info_;
  CallEnvironment environment_;
};

}  // namespace bitlm
