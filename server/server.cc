#include "server/server.h"

#include <sched.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "engine/base/cpu_features.h"
#include "engine/base/status.h"
#include "grpcpp/ext/proto_server_reflection_plugin.h"
#include "grpcpp/health_check_service_interface.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server_builder.h"

namespace bitlm {
namespace {

// Calls that one connection may have at a time; gRPC's clients keep further ones back.
constexpr int kMaxConcurrentStreams = 1024;
// How long the calls of a connection that is too old may take to end: longer than any that this
// server computes.
constexpr int kConnectionAgeGraceMs = 600000;
// How long Stop waits for what is neither queued nor computed: streams, calls that were refused.
constexpr absl::Duration kCloseTimeout = absl::Seconds(1);

int Threads(int setting) {
  if (setting > 0) return setting;
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof(allowed), &allowed) == 0) return CPU_COUNT(&allowed);
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

std::string HostPort(const std::string& address, int port) {
  const bool ipv6 = address.find(':') != std::string::npos;
  return ipv6 ? absl::StrCat("[", address, "]:", port) : absl::StrCat(address, ":", port);
}

}  // namespace

Server::Server(const ServerConfig& config)
    : config_(config),
      threads_(Threads(config.threads)),
      metrics_(BITLM_VERSION, cpu::Describe(cpu::Usable())),
      pool_(threads_),
      state_cache_(static_cast<size_t>(config.state_cache_mib) << 20) {
  const BatchQueueOptions options = {
      .max_queue_tokens = config.max_queue_tokens,
      .max_batch_rows = config.max_batch_rows,
      .max_queue_delay = absl::Milliseconds(config.max_queue_delay_ms)};
  scheduler_ = std::make_unique<BatchScheduler>(options, &metrics_);
  registry_.SetDefault(config.default_model);
}

Server::~Server() {
  http_.reset();
  if (grpc_ == nullptr) return;
  scheduler_->Stop();  // Ends every call that has a task, so that Shutdown returns.
  grpc_->Shutdown(std::chrono::system_clock::now());
  grpc_->Wait();
}

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const ServerConfig& config) {
  std::unique_ptr<Server> server(new Server(config));
  BITLM_RETURN_IF_ERROR(server->StartHttp());
  BITLM_RETURN_IF_ERROR(server->LoadModels());
  BITLM_RETURN_IF_ERROR(server->StartGrpc());
  return server;
}

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const ServerConfig& config,
                                                      std::vector<LoadedModel> models) {
  std::unique_ptr<Server> server(new Server(config));
  BITLM_RETURN_IF_ERROR(server->StartHttp());
  server->AddModels(std::move(models));
  BITLM_RETURN_IF_ERROR(server->StartGrpc());
  return server;
}

absl::Status Server::StartHttp() {
  BITLM_ASSIGN_OR_RETURN(
      http_, HttpServer::Start(config_.http_address, config_.http_port,
                               {{"/", [this] { return StatusPage(); }},
                                {"/healthz",
                                 [] {
                                   return HttpResponse{200, "text/plain", "ok\n"};
                                 }},
                                {"/readyz",
                                 [this] {
                                   return ready_ ? HttpResponse{200, "text/plain", "ready\n"}
                                                 : HttpResponse{503, "text/plain", "not ready\n"};
                                 }},
                                {"/metrics", [this] {
                                   metrics_.OnStateCache(state_cache_.statistics());
                                   return HttpResponse{200,
                                                       "text/plain; version=0.0.4; charset=utf-8",
                                                       metrics_.Expose()};
                                 }}}));
  return absl::OkStatus();
}

absl::Status Server::LoadModels() {
  BITLM_ASSIGN_OR_RETURN(LoadResult result, LoadRepository(config_.model_repository));
  for (const std::string& directory : result.skipped) {
    spdlog::warn("{}: skipped, it has no config.json", directory);
  }
  for (const auto& [location, status] : result.failed) {
    metrics_.OnModelLoadFailed();
    if (absl::IsFailedPrecondition(status)) {  // Clients hear why, without our paths.
      const absl::string_view in_directory =
          absl::StripPrefix(status.message(), location.directory);
      registry_.AddUnservable(location.name, location.version,
                              absl::StripPrefix(absl::StripPrefix(in_directory, "/"), ": "));
    }
    spdlog::error("model {} version {} cannot be loaded: {}", location.name, location.version,
                  std::string(status.message()));
  }
  if (!result.failed.empty() && (!config_.allow_failed_models || result.loaded.empty())) {
    const auto& [location, status] = result.failed.front();
    return absl::Status(
        status.code(),
        absl::StrCat(status.message(), " (model ", location.name, " version ", location.version,
                     "; --allow-failed-models starts with the models that load)"));
  }
  AddModels(std::move(result.loaded));
  if (!config_.default_model.empty() && !registry_.Find(config_.default_model, 0).ok()) {
    return absl::NotFoundError(
        absl::StrCat("--default-model: ", config_.default_model, " is not among the models"));
  }
  return absl::OkStatus();
}

void Server::AddModels(std::vector<LoadedModel> models) {
  for (LoadedModel& loaded : models) {
    const Vocabulary& vocabulary = loaded.model->vocabulary();
    WordIndex index(vocabulary);
    const ModelFacts facts = {.name = loaded.name,
                              .version = loaded.version,
                              .preset = loaded.model->config().preset,
                              .device = loaded.model->description(),
                              .weight_bytes = loaded.model->weight_bytes(),
                              .vocabulary_bytes = vocabulary.MemoryBytes() + index.MemoryBytes(),
                              .load_time = loaded.load_time};
    spdlog::info("model {} version {}: preset {}, {} words, {} weight bytes, {}, loaded in {} ms",
                 facts.name, facts.version, facts.preset, vocabulary.size(), facts.weight_bytes,
                 facts.device, absl::ToInt64Milliseconds(facts.load_time));
    ModelMetrics* metrics = metrics_.AddModel(facts);
    registry_.Add(std::make_shared<ServedModel>(std::move(loaded.name), loaded.version,
                                                std::move(loaded.model), std::move(index),
                                                &state_cache_, &pool_, metrics));
  }
}

absl::Status Server::StartGrpc() {
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  const CallEnvironment environment = {
      .scheduler = scheduler_.get(), .metrics = &metrics_, .pending = &pending_};
  language_model_service_ =
      std::make_unique<LanguageModelService>(&registry_, config_.limits, environment);
  model_service_ = std::make_unique<ModelService>(&registry_, config_, environment);

  const std::string target = HostPort(config_.grpc_address, config_.grpc_port);
  grpc::ServerBuilder builder;
  builder.AddListeningPort(target, grpc::InsecureServerCredentials(), &grpc_port_);
  // Otherwise a second server on the same port starts, and silently shares it.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxConcurrentStreams);
  if (config_.max_connection_age_s > 0) {
    builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS,
                               static_cast<int>(config_.max_connection_age_s * 1000));
    builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS, kConnectionAgeGraceMs);
  }
  builder.SetMaxReceiveMessageSize(static_cast<int>(config_.limits.max_message_bytes));
  builder.SetMaxSendMessageSize(-1);
  builder.RegisterService(language_model_service_.get());
  builder.RegisterService(model_service_.get());
  grpc_ = builder.BuildAndStart();
  if (grpc_ == nullptr || grpc_port_ == 0) {
    grpc_.reset();
    return absl::UnavailableError(absl::StrFormat(
        "--grpc-address, --grpc-port: cannot listen on %s; is another server running? Port 0 takes "
        "a free one",
        target));
  }
  SetHealth(true);
  spdlog::info("serving gRPC on {}, HTTP on {}; {} threads, cpu {}",
               HostPort(config_.grpc_address, grpc_port_),
               HostPort(config_.http_address, http_port()), threads_, cpu::Describe(cpu::Usable()));
  return absl::OkStatus();
}

void Server::SetHealth(bool serving) {
  ready_ = serving;
  grpc::HealthCheckServiceInterface* health = grpc_->GetHealthCheckService();
  health->SetServingStatus("", serving);
  health->SetServingStatus(v1::LanguageModelService::service_full_name(), serving);
  health->SetServingStatus(v1::ModelService::service_full_name(), serving);
  for (const std::string& name : registry_.Names()) health->SetServingStatus(name, serving);
  for (const auto& model : registry_.List()) {
    metrics_.SetModelReady(model->name, model->version, serving);
  }
}

bool Server::Stop() {
  SetHealth(false);
  std::this_thread::sleep_for(std::chrono::milliseconds(config_.drain_delay_ms));
  const absl::Time deadline = absl::Now() + absl::Milliseconds(config_.exit_timeout_ms);
  scheduler_->Drain();
  const bool all_computed = scheduler_->WaitUntilIdle(deadline - absl::Now());
  scheduler_->Stop();
  // What is left are answers on their way to the clients. Not earlier: calls that come after
  // Shutdown end CANCELLED, which clients do not retry; until then they hear UNAVAILABLE.
  const bool all_sent = pending_.WaitUntilNone(std::max(deadline, absl::Now() + kCloseTimeout));
  grpc_->Shutdown(absl::ToChronoTime(absl::Now() + kCloseTimeout));
  grpc_->Wait();
  grpc_.reset();
  return all_computed && all_sent;
}

HttpResponse Server::StatusPage() const {
  std::string page =
      absl::StrFormat("bitlm-server %s, %s\n", BITLM_VERSION, ready_ ? "ready" : "not ready");
  for (const auto& model : registry_.List()) {
    absl::StrAppend(&page, "model ", model->name, " version ", model->version, ": ",
                    model->model->config().preset, ", ", model->model->weight_bytes(),
                    " weight bytes\n");
  }
  absl::StrAppend(&page, "see /metrics, /healthz, /readyz\n");
  return {200, "text/plain; charset=utf-8", page};
}

}  // namespace bitlm
