// ServerMetrics: the one catalogue of what bitlm-server measures, as docs/operations.md lists it.
//
// Prometheus stays behind this header. Names follow Prometheus' conventions: base units, counters
// end in _total; labels come from configuration and code, never from requests.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "engine/scoring/state_cache.h"
#include "server/batching/batch_scheduler.h"

namespace bitlm {

// Counters of one loaded model. Thread-safe.
class ModelMetrics {
 public:
  virtual ~ModelMetrics() = default;
  // A batch of the model's steps was computed.
  virtual void OnComputed(absl::Duration time) = 0;
  // Sentences were scored: `tokens` log-probabilities of which `oov_tokens` were of words out of
  // vocabulary, from `steps` LSTM steps.
  virtual void OnScored(int64_t sentences, int64_t tokens, int64_t oov_tokens, int64_t steps) = 0;
  // Next words were found for this many contexts.
  virtual void OnNextWords(int64_t contexts) = 0;
};

// What is constant about a loaded model.
struct ModelFacts {
  std::string name;
  int64_t version = 0;
  std::string preset;
  std::string device;  // "cpu:avx512_vnni".
  uint64_t weight_bytes = 0;
  uint64_t vocabulary_bytes = 0;
  absl::Duration load_time;
};

// What became of a version that was to be swapped in or out.
enum class ModelSwap { kLoaded, kReplaced, kFailed, kUnloaded };

// Why a request was refused before it was computed.
enum class RejectReason { kInvalid, kNotFound, kQueueFull, kDeadline, kDraining, kUnauthenticated };

// All metrics of a server. Thread-safe.
class ServerMetrics : public BatchObserver {
 public:
  // `cpu` describes the instruction sets in use, for bitlm_build_info.
  ServerMetrics(std::string_view version, std::string_view cpu);
  ~ServerMetrics() override;

  // An RPC started; ended, with the gRPC name of its code ("OK", "NOT_FOUND"); was refused.
  // `service` is the full name, "bitlm.v1.ModelService".
  void OnCallStarted(std::string_view service, std::string_view method);
  void OnCallHandled(std::string_view service, std::string_view method, std::string_view code,
                     absl::Duration duration);
  void OnRejected(RejectReason reason);

  // Registers a model; its metrics go with the last user of the result. A model may be registered
  // again while another one of its name and version is still in use.
  std::shared_ptr<ModelMetrics> AddModel(const ModelFacts& facts);
  // Whether a model takes requests; of one that is registered.
  void SetModelReady(const std::string& name, int64_t version, bool ready);
  // Whether the repository has a version that could not be loaded.
  void SetModelFailed(const std::string& name, int64_t version, bool failed);
  void OnModelSwap(ModelSwap swap);
  // Whether the engine has work and makes no progress.
  void SetEngineStalled(bool stalled);

  // When the certificate of the listener ends.
  void SetCertificateExpiry(absl::Time expiry);

  void OnQueueTokens(int64_t tokens) override;
  void OnBatch(int64_t rows, const std::vector<absl::Duration>& first_waits) override;
  void OnGivenUp(int64_t steps) override;

  // What the state cache has done so far; for the next Expose.
  void OnStateCache(const StateCacheStatistics& statistics);

  // Everything in the Prometheus text format.
  std::string Expose() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace bitlm
