#include "server/service/model_service.h"

#include <string>

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
    : registry_(registry), limits_(MakeLimits(config)), environment_(environment) {}

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

grpc::ServerUnaryReactor* ModelService::ListModels(grpc::CallbackServerContext* context,
                                                   const grpc::ByteBuffer* request,
                                                   grpc::ByteBuffer* response) {
  auto* call = new UnaryCall(environment_, context, response, v1::ModelService::service_full_name(),
                             "ListModels");
  v1::ListModelsRequest message;
  if (absl::Status status = ParseRequest(*request, &message); !status.ok()) {
    call->Fail(status);
    return call;
  }
  v1::ListModelsResponse answer;
  for (const auto& model : registry_->List()) *answer.add_models() = Summarize(*model);
  for (const ModelFailure& failure : registry_->Failures()) {
    v1::ModelFailure* out = answer.add_failures();
    out->set_name(failure.name);
    out->set_version(failure.version);
    out->set_reason(std::string(failure.reason.message()));
  }
  call->Succeed(answer);
  return call;
}

grpc::ServerUnaryReactor* ModelService::DescribeModel(grpc::CallbackServerContext* context,
                                                      const grpc::ByteBuffer* request,
                                                      grpc::ByteBuffer* response) {
  auto* call = new UnaryCall(environment_, context, response, v1::ModelService::service_full_name(),
                             "DescribeModel");
  const auto describe = [&]() -> absl::StatusOr<v1::DescribeModelResponse> {
    v1::DescribeModelRequest message;
    BITLM_RETURN_IF_ERROR(ParseRequest(*request, &message));
    BITLM_ASSIGN_OR_RETURN(std::shared_ptr<const ServedModel> model,
                           registry_->Find(Selector(message)));
    v1::DescribeModelResponse answer;
    *answer.mutable_summary() = Summarize(*model);
    *answer.mutable_config() = MakeConfig(model->model->config());
    *answer.mutable_metadata() = MakeMetadata(model->model->model().metadata);
    answer.set_device(model->model->description());
    *answer.mutable_limits() = limits_;
    return answer;
  };
  const absl::StatusOr<v1::DescribeModelResponse> answer = describe();
  if (answer.ok()) {
    call->Succeed(*answer);
  } else {
    call->Fail(answer.status());
  }
  return call;
}

}  // namespace bitlm
