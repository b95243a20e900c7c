#include "server/server.h"

#include <sched.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <future>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "engine/base/cpu_features.h"
#include "engine/base/status.h"
#include "grpcpp/ext/proto_server_reflection_plugin.h"
#include "grpcpp/health_check_service_interface.h"

namespace bitlm {
namespace {

// How long Stop waits for what is neither queued nor computed: streams, calls that were refused.
constexpr absl::Duration kCloseTimeout = absl::Seconds(1);

int Threads(int setting) {
  if (setting > 0) return setting;
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof(allowed), &allowed) == 0) return CPU_COUNT(&allowed);
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

ModelManagerOptions ModelOptions(const ServerConfig& config) {
  const auto mode = config.model_control_mode == "poll"       ? ModelControlMode::kPoll
                    : config.model_control_mode == "explicit" ? ModelControlMode::kExplicit
                                                              : ModelControlMode::kNone;
  return {.repository = config.model_repository,
          .control_mode = mode,
          .poll_interval = absl::Milliseconds(config.model_poll_interval_ms),
          .latest_versions = config.latest_versions,
          .names = absl::StrSplit(config.load_models, ',', absl::SkipEmpty())};
}

}  // namespace

Server::Server(const ServerConfig& config)
    : config_(config),
      threads_(Threads(config.threads)),
      metrics_(BITLM_VERSION, cpu::Describe(cpu::Usable())),
      pool_(threads_),
      state_cache_(static_cast<size_t>(config.state_cache_mib) << 20),
      request_log_(config.log_requests) {
  const BatchQueueOptions options = {
      .max_queue_tokens = config.max_queue_tokens,
      .max_batch_rows = config.max_batch_rows,
      .max_queue_delay = absl::Milliseconds(config.max_queue_delay_ms)};
  scheduler_ = std::make_unique<BatchScheduler>(options, &metrics_);
  registry_.SetDefault(config.default_model);
  health_ = std::make_unique<Health>(
      &registry_, &metrics_, [this] { return scheduler_->StalledFor(); },
      absl::Milliseconds(config.stall_timeout_ms));
  models_ = std::make_unique<ModelManager>(
      ModelOptions(config), &registry_, &metrics_,
      [this](LoadedModel loaded) { return Serve(std::move(loaded)); },
      [this](const std::string& name) { health_->OnModelChanged(name); });
}

Server::~Server() {
  http_.reset();
  // Streams end at once; a load that an admin call waits for ends first.
  if (admin_ != nullptr) admin_->Shutdown(std::chrono::system_clock::now());
  models_.reset();
  if (grpc_ != nullptr) {
    health_->Attach(nullptr, {});
    scheduler_->Stop();  // Ends every call that has a task, so that Shutdown returns.
    grpc_->Shutdown(std::chrono::system_clock::now());
    grpc_->Wait();
  }
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
  for (LoadedModel& model : models) {
    const std::string name = model.name;
    server->registry_.Add(server->Serve(std::move(model)));
    server->health_->OnModelChanged(name);
  }
  BITLM_RETURN_IF_ERROR(server->StartGrpc());
  return server;
}

absl::Status Server::StartHttp() {
  BITLM_ASSIGN_OR_RETURN(
      http_, HttpServer::Start(
                 config_.http_address, config_.http_port,
                 {{"/", [this] { return StatusPage(); }},
                  {"/healthz",
                   [this] {
                     return health_->alive()
                                ? HttpResponse{200, "text/plain", "ok\n"}
                                : HttpResponse{503, "text/plain", "the engine hangs\n"};
                   }},
                  {"/readyz",
                   [this] {
                     return health_->ready() ? HttpResponse{200, "text/plain", "ready\n"}
                                             : HttpResponse{503, "text/plain", "not ready\n"};
                   }},
                  {"/metrics", [this] {
                     metrics_.OnStateCache(state_cache_.statistics());
                     return HttpResponse{200, "text/plain; version=0.0.4; charset=utf-8",
                                         metrics_.Expose()};
                   }}}));
  return absl::OkStatus();
}

absl::Status Server::LoadModels() {
  BITLM_RETURN_IF_ERROR(models_->LoadInitial(config_.allow_failed_models));
  const bool none_yet = config_.model_control_mode == "explicit";
  if (!config_.default_model.empty() && !none_yet && !registry_.Serves(config_.default_model)) {
    return absl::NotFoundError(
        absl::StrCat("--default-model: ", config_.default_model, " is not among the models"));
  }
  return absl::OkStatus();
}

std::shared_ptr<const ServedModel> Server::Serve(LoadedModel loaded) {
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
  return std::make_shared<ServedModel>(std::move(loaded.name), loaded.version,
                                       std::move(loaded.model), std::move(index), &state_cache_,
                                       &pool_, metrics_.AddModel(facts));
}

absl::Status Server::ProveEngine() {
  constexpr absl::Duration kPatience = absl::Seconds(60);
  for (const auto& model : registry_.List()) {
    // Shared with the task, which may outlive this function when the engine hangs.
    const auto done = std::make_shared<std::promise<absl::Status>>();
    NextWordsQuery query;
    query.options.top_k = 1;
    auto task = std::make_shared<NextWordsTask>(
        &model->next_words, model, std::move(query), absl::InfiniteFuture(),
        [done](absl::Status status, NextWordsTask&) { done->set_value(std::move(status)); });
    std::future<absl::Status> result = done->get_future();
    BITLM_RETURN_IF_ERROR(scheduler_->Schedule(std::move(task)));
    if (result.wait_for(absl::ToChronoSeconds(kPatience)) != std::future_status::ready) {
      return absl::InternalError("the engine gives no answer");
    }
    BITLM_RETURN_IF_ERROR(result.get());
  }
  return absl::OkStatus();
}

absl::Status Server::StartGrpc() {
  BITLM_RETURN_IF_ERROR(ProveEngine());
  grpc::EnableDefaultHealthCheckService(true);
  BITLM_ASSIGN_OR_RETURN(
      security_, SecurityFiles::Open(ListenerOptions().tls, config_.auth_token_file,
                                     absl::Seconds(config_.tls_reload_interval_s), &metrics_));
  // Reflection checks no tokens, so it is off where there are some.
  if (security_->tokens() == nullptr) grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  if (!config_.tls_cert_file.empty()) {
    spdlog::info("TLS is on{}", config_.tls_client_ca_file.empty() ? "" : ", for clients too");
  } else if (!IsLoopback(config_.grpc_address)) {
    spdlog::warn("gRPC listens on {} without TLS{}: whoever reaches it can read and call",
                 config_.grpc_address, security_->tokens() == nullptr ? " and without tokens" : "");
  }
  const CallEnvironment environment = {.scheduler = scheduler_.get(),
                                       .metrics = &metrics_,
                                       .pending = &pending_,
                                       .log = &request_log_,
                                       .tokens = security_->tokens(),
                                       .in_flight = &in_flight_,
                                       .max_in_flight = config_.max_requests_in_flight};
  language_model_service_ =
      std::make_unique<LanguageModelService>(&registry_, config_.limits, environment);
  model_service_ = std::make_unique<ModelService>(&registry_, config_, environment);

  BITLM_ASSIGN_OR_RETURN(
      GrpcListener listener,
      Listen(ListenerOptions(), {language_model_service_.get(), model_service_.get()}));
  grpc_ = std::move(listener.server);
  grpc_port_ = listener.port;
  health_->SetOpen(true);
  health_->Attach(
      [service = grpc_->GetHealthCheckService()](const std::string& name, bool serving) {
        service->SetServingStatus(name, serving);
      },
      {v1::LanguageModelService::service_full_name(), v1::ModelService::service_full_name()});
  models_->Start();
  BITLM_RETURN_IF_ERROR(StartAdmin());
  spdlog::info("serving gRPC on {}, HTTP on {}; {} threads, cpu {}",
               HostPort(config_.grpc_address, grpc_port_),
               HostPort(config_.http_address, http_port()), threads_, cpu::Describe(cpu::Usable()));
  return absl::OkStatus();
}

GrpcListenerOptions Server::ListenerOptions() const {
  return {.address = config_.grpc_address,
          .port = config_.grpc_port,
          .flags = "--grpc-address, --grpc-port",
          .tls = {.certificate = config_.tls_cert_file,
                  .key = config_.tls_key_file,
                  .client_ca = config_.tls_client_ca_file},
          .tls_reload_interval = absl::Seconds(config_.tls_reload_interval_s),
          .tokens = !config_.auth_token_file.empty(),
          .connections = config_.connections,
          .max_message_bytes = config_.limits.max_message_bytes};
}

absl::Status Server::StartAdmin() {
  if (config_.admin_address.empty()) return absl::OkStatus();
  admin_service_ =
      std::make_unique<AdminService>(models_.get(), &registry_, security_->tokens(),
                                     [this](bool draining) { return SetDraining(draining); });
  GrpcListenerOptions options = ListenerOptions();
  options.address = config_.admin_address;
  options.port = config_.admin_port;
  options.flags = "--admin-address, --admin-port";
  options.tls = {};  // It does not leave the machine.
  BITLM_ASSIGN_OR_RETURN(GrpcListener listener, Listen(options, {admin_service_.get()}));
  admin_ = std::move(listener.server);
  admin_port_ = listener.port;
  spdlog::info("admin service on {}", HostPort(config_.admin_address, admin_port_));
  return absl::OkStatus();
}

void Server::Reload() {
  security_->ReloadSoon();
  models_->ReloadSoon();
}

int64_t Server::SetDraining(bool draining) {
  if (draining) {
    health_->SetOpen(false);
    scheduler_->Drain();
  } else if (!closing_) {
    scheduler_->Resume();
    health_->SetOpen(true);
  }
  return scheduler_->queued_tokens();
}

bool Server::Drain() {
  closing_ = true;  // The admin service stays, and cannot resume; nobody waits for its calls.
  health_->SetOpen(false);
  std::this_thread::sleep_for(std::chrono::milliseconds(config_.drain_delay_ms));
  const absl::Time deadline = absl::Now() + absl::Milliseconds(config_.exit_timeout_ms);
  scheduler_->Drain();
  const bool all_computed = scheduler_->WaitUntilIdle(deadline - absl::Now());
  scheduler_->Stop();
  // What is left are answers on their way to the clients.
  const bool all_sent = pending_.WaitUntilNone(std::max(deadline, absl::Now() + kCloseTimeout));
  return all_computed && all_sent;
}

bool Server::Stop() {
  const bool finished = Drain();
  health_->Attach(nullptr, {});
  // Not earlier: calls that come after Shutdown end CANCELLED, which clients do not retry; until
  // then they hear UNAVAILABLE.
  grpc_->Shutdown(absl::ToChronoTime(absl::Now() + kCloseTimeout));
  grpc_->Wait();
  grpc_.reset();
  return finished;
}

HttpResponse Server::StatusPage() const {
  std::string page = absl::StrFormat("bitlm-server %s, %s\n", BITLM_VERSION,
                                     health_->ready() ? "ready" : "not ready");
  for (const auto& model : registry_.List()) {
    absl::StrAppend(&page, "model ", model->name, " version ", model->version, ": ",
                    model->model->config().preset, ", ", model->model->weight_bytes(),
                    " weight bytes\n");
  }
  for (const ModelFailure& failure : registry_.Failures()) {
    absl::StrAppend(&page, "model ", failure.name, " version ", failure.version,
                    " could not be loaded: ", failure.reason.message(), "\n");
  }
  absl::StrAppend(&page, "see /metrics, /healthz, /readyz\n");
  return {200, "text/plain; charset=utf-8", page};
}

}  // namespace bitlm
