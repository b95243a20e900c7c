#include "server/service/model_service.h"

#include <string>

#include "engine/base/cpu_features.h"
#include "engine/base/status.h"
#include "server/service/model_selector.h"
#include "server/service/request_parser.h"

namespace bitlm {
namespace {

v1::Limits MakeLimits(const ServerConfig& config) {
  v1::Limits limits;
  limits.set_max_sentences_per_request(config.limits.max_sentences_per_request);
  limits.set_max_words_per_sentence(config.limits.max_words_per_sentence);
  limits.set_max_top_k(config.limits.max_top_k);
  limits.set_max_message_bytes(config.limits.max_message_bytes);
  limits.set_max_queue_tokens(config.max_queue_tokens);
  limits.set_max_batch_rows(config.max_batch_rows);
  limits.set_max_requests_in_flight(config.max_requests_in_flight);
  limits.set_max_queue_delay_ms(config.max_queue_delay_ms);
  const ConnectionLimits& connections = config.connections;
  limits.set_max_concurrent_streams(connections.max_concurrent_streams);
  limits.set_max_metadata_bytes(connections.max_metadata_bytes);
  limits.set_handshake_timeout_ms(connections.handshake_timeout_ms);
  limits.set_max_connection_age_s(connections.max_connection_age_s);
  limits.set_max_connection_idle_s(connections.max_connection_idle_s);
  limits.set_keepalive_time_s(connections.keepalive_time_s);
  limits.set_keepalive_timeout_s(connections.keepalive_timeout_s);
  limits.set_min_ping_interval_s(connections.min_ping_interval_s);
  limits.set_max_grpc_memory_mib(connections.max_grpc_memory_mib);
  return limits;
}

v1::ModelConfig MakeConfig(const ModelConfig& config) {
  v1::ModelConfig out;
  out.set_preset(config.preset);
  out.set_embedding(std::string(ToString(config.embedding)));
  out.set_output_embedding(std::string(ToString(config.output_embedding)));
  out.set_input_projection(std::string(ToString(config.input_projection)));
  out.set_output_projection(std::string(ToString(config.output_projection)));
  out.set_recurrent(std::string(ToString(config.recurrent)));
  out.set_scale(std::string(ToString(config.scale)));
  out.set_activation(std::string(ToString(config.activation)));
  out.set_norm(std::string(ToString(config.norm)));
  out.set_bit_planes(config.bit_planes);
  out.set_recurrent_planes(config.RecurrentPlanes());
  out.set_projection_planes(config.ProjectionPlanes());
  out.set_activation_planes(config.activation_planes);
  out.set_output_bias(config.output_bias);
  out.set_layers(config.layers);
  out.set_hidden_size(config.hidden_size);
  out.set_embedding_size(config.embedding_size);
  out.set_vocabulary_size(config.vocabulary_size);
  out.set_context(std::string(ToString(config.context)));
  out.set_normalization(std::string(ToString(config.normalization)));
  out.set_self_normalized(config.self_normalized);
  return out;
}

v1::ModelMetadata MakeMetadata(const ModelMetadata& metadata) {
  v1::ModelMetadata out;
  out.set_corpus(metadata.corpus);
  out.set_license(metadata.license);
  out.set_recipe(metadata.recipe);
  out.set_protocol(metadata.protocol);
  out.set_valid_perplexity(metadata.valid_perplexity);
  out.set_training_tokens(metadata.training_tokens);
  out.set_numerics_version(metadata.numerics_version);
  return out;
}

}  // namespace

ModelService::ModelService(const ModelRegistry* registry, const ServerConfig& config,
                           const CallEnvironment& environment)
    : registry_(registry), environment_(environment) {
  info_.set_version(BITLM_VERSION);
  info_.set_cpu(cpu::Describe(cpu::Usable()));
  info_.set_default_model(config.default_model);
  info_.set_model_control_mode(config.model_control_mode);
  *info_.mutable_limits() = MakeLimits(config);
}

v1::ModelSummary ModelService::Summarize(const ServedModel& model) const {
  v1::ModelSummary summary;
  summary.set_name(model.name);
  summary.set_version(model.version);
  summary.set_latest(registry_->IsLatest(model));
  summary.set_preset(model.model->config().preset);
  summary.set_vocabulary_size(model.model->config().vocabulary_size);
  summary.set_weight_bytes(model.model->weight_bytes());
  summary.set_vocabulary_bytes(model.vocabulary_bytes());
  for (const std::string& label : registry_->Labels(model)) summary.add_labels(label);
  return summary;
}

// Ends a call that needs no computing: parses its request, and answers what `answer` makes of it.
template <typename Request, typename Answer>
grpc::ServerUnaryReactor* ModelService::Reply(grpc::CallbackServerContext* context,
                                              const grpc::ByteBuffer& bytes,
                                              grpc::ByteBuffer* response, std::string_view method,
                                              const Answer& answer) const {
  auto* call =
      new UnaryCall(environment_, context, response, v1::ModelService::service_full_name(), method);
  const auto reply = [&]() -> decltype(answer(Request())) {
    BITLM_RETURN_IF_ERROR(call->Admit());
    Request request;
    BITLM_RETURN_IF_ERROR(ParseRequest(bytes, &request));
    return answer(request);
  };
  if (const auto result = reply(); result.ok()) {
    call->Succeed(*result);
  } else {
    call->Fail(result.status());
  }
  return call;
}

grpc::ServerUnaryReactor* ModelService::ListModels(grpc::CallbackServerContext* context,
                                                   const grpc::ByteBuffer* request,
                                                   grpc::ByteBuffer* response) {
  return Reply<v1::ListModelsRequest>(
      context, *request, response, "ListModels",
      [this](const v1::ListModelsRequest&) -> absl::StatusOr<v1::ListModelsResponse> {
        v1::ListModelsResponse answer;
        for (const auto& model : registry_->List()) *answer.add_models() = Summarize(*model);
        for (const ModelFailure& failure : registry_->Failures()) {
          v1::ModelFailure* out = answer.add_failures();
          out->set_name(failure.name);
          out->set_version(failure.version);
          out->set_reason(std::string(failure.reason.message()));
        }
        return answer;
      });
}

grpc::ServerUnaryReactor* ModelService::DescribeModel(grpc::CallbackServerContext* context,
                                                      const grpc::ByteBuffer* request,
                                                      grpc::ByteBuffer* response) {
  return Reply<v1::DescribeModelRequest>(
      context, *request, response, "DescribeModel",
      [this](const v1::DescribeModelRequest& message) -> absl::StatusOr<v1::DescribeModelResponse> {
        BITLM_ASSIGN_OR_RETURN(std::shared_ptr<const ServedModel> model,
                               registry_->Find(Selector(message)));
        v1::DescribeModelResponse answer;
        *answer.mutable_summary() = Summarize(*model);
        *answer.mutable_config() = MakeConfig(model->model->config());
        *answer.mutable_metadata() = MakeMetadata(model->model->model().metadata);
        answer.set_device(model->model->description());
        *answer.mutable_limits() = info_.limits();
        return answer;
      });
}

grpc::ServerUnaryReactor* ModelService::GetServerInfo(grpc::CallbackServerContext* context,
                                                      const grpc::ByteBuffer* request,
                                                      grpc::ByteBuffer* response) {
  return Reply<v1::GetServerInfoRequest>(
      context, *request, response, "GetServerInfo",
      [this](const v1::GetServerInfoRequest&) -> absl::StatusOr<v1::GetServerInfoResponse> {
        return info_;
      });
}

}  // namespace bitlm
