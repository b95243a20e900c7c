// Server: owns every part of bitlm-server, starts them in order and stops them in reverse.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/base/thread_pool.h"
#include "engine/scoring/state_cache.h"
#include "grpcpp/server.h"
#include "server/batching/batch_scheduler.h"
#include "server/config/server_config.h"
#include "server/health.h"
#include "server/metrics/http_server.h"
#include "server/metrics/server_metrics.h"
#include "server/registry/model_loader.h"
#include "server/registry/model_manager.h"
#include "server/registry/model_registry.h"
#include "server/service/admin_service.h"
#include "server/service/grpc_listener.h"
#include "server/service/language_model_service.h"
#include "server/service/model_service.h"
#include "server/service/pending_answers.h"
#include "server/service/request_log.h"
#include "server/service/security_files.h"

namespace bitlm {

// Life: Start (HTTP answers from its beginning, /readyz with 503), serving, Stop. The methods are
// called from one thread.
class Server {
 public:
  // Loads the repository's models and serves them. Errors: NOT_FOUND without a model, what loading
  // gave when a model fails and the config does not allow it, UNAVAILABLE when an address cannot be
  // bound.
  static absl::StatusOr<std::unique_ptr<Server>> Start(const ServerConfig& config);
  // Serves the given models instead of the repository's.
  static absl::StatusOr<std::unique_ptr<Server>> Start(const ServerConfig& config,
                                                       std::vector<LoadedModel> models);
  // Stops at once if Stop has not been called.
  ~Server();

  // The ports in use; admin_port 0: there is no admin service.
  int grpc_port() const { return grpc_port_; }
  int admin_port() const { return admin_port_; }
  int http_port() const { return http_->port(); }

  // Reads again what can change on disk: tokens, and the models unless the control mode is none.
  // Certificates are read at their own interval. Does not wait.
  void Reload();

  // Stop but for the end: connections stay open, for what runs out with the process. To a client
  // whose call comes too late a connection that breaks is UNAVAILABLE, which it retries; gRPC's own
  // shutdown answers CANCELLED.
  bool Drain();
  // Turns clients away, then ends what they have begun: health NOT_SERVING and /readyz 503; after
  // the drain delay new requests get UNAVAILABLE; when those in flight have ended, or the exit
  // timeout is over, everything is closed; streams (Health.Watch, reflection) do not delay it.
  // Returns whether every request that was taken was computed and its answer sent.
  bool Stop();

 private:
  explicit Server(const ServerConfig& config);
  absl::Status StartHttp();
  absl::Status LoadModels();
  absl::Status StartGrpc();
  GrpcListenerOptions ListenerOptions() const;
  absl::Status StartAdmin();
  // The server's hand for the model manager: counts a loaded model and makes it answer.
  std::shared_ptr<const ServedModel> Serve(LoadedModel loaded);
  // One answer of every model by the way that requests take. INTERNAL when the engine does not give
  // it.
  absl::Status ProveEngine();
  // Turns requests away or takes them again, for the admin service. Gives the queued tokens.
  int64_t SetDraining(bool draining);
  HttpResponse StatusPage() const;

  const ServerConfig config_;
  const int threads_;
  ServerMetrics metrics_;
  ThreadPool pool_;
  StateCache state_cache_;
  ModelRegistry registry_;
  PendingAnswers pending_;
  std::atomic<int64_t> in_flight_ = 0;
  std::unique_ptr<BatchScheduler> scheduler_;
  std::unique_ptr<Health> health_;
  std::unique_ptr<ModelManager> models_;
  std::unique_ptr<SecurityFiles> security_;
  RequestLog request_log_;
  std::unique_ptr<LanguageModelService> language_model_service_;
  std::unique_ptr<ModelService> model_service_;
  std::unique_ptr<grpc::Server> grpc_;
  int grpc_port_ = 0;
  std::unique_ptr<AdminService> admin_service_;
  std::unique_ptr<grpc::Server> admin_;
  int admin_port_ = 0;
  std::atomic<bool> closing_ = false;
  std::unique_ptr<HttpServer> http_;  // Last: its handlers read the others.
};

}  // namespace bitlm
