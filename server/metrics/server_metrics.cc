#include "server/metrics/server_metrics.h"

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <map>
#include <utility>

#include "engine/base/mutex.h"
#include "server/metrics/process_metrics.h"

namespace bitlm {
namespace {

using prometheus::BuildCounter;
using prometheus::BuildGauge;
using prometheus::BuildHistogram;
using prometheus::Counter;
using prometheus::Family;
using prometheus::Gauge;
using prometheus::Histogram;
using prometheus::Labels;
using prometheus::Registry;

// Seconds: the bounds of gRPC's own latency metrics (proposal A66) from 50 microseconds to 10
// seconds.
const Histogram::BucketBoundaries kLatencyBuckets = {
    0.00005, 0.0001, 0.0003, 0.0006, 0.0008, 0.001, 0.002, 0.003, 0.004, 0.005, 0.006, 0.008,
    0.01,    0.013,  0.016,  0.02,   0.025,  0.03,  0.04,  0.05,  0.065, 0.08,  0.1,   0.13,
    0.16,    0.2,    0.25,   0.3,    0.4,    0.5,   0.65,  0.8,   1,     2,     5,     10};
const Histogram::BucketBoundaries kRowBuckets = {1,   2,   4,   8,    16,   32,  64,
                                                 128, 256, 512, 1024, 2048, 4096};

Family<Counter>& Counters(Registry& registry, const char* name, const char* help) {
  return BuildCounter().Name(name).Help(help).Register(registry);
}
Family<Gauge>& Gauges(Registry& registry, const char* name, const char* help) {
  return BuildGauge().Name(name).Help(help).Register(registry);
}
Family<Histogram>& Histograms(Registry& registry, const char* name, const char* help) {
  return BuildHistogram().Name(name).Help(help).Register(registry);
}

const char* ToLabel(RejectReason reason) {
  switch (reason) {
    case RejectReason::kInvalid:
      return "invalid";
    case RejectReason::kNotFound:
      return "not_found";
    case RejectReason::kQueueFull:
      return "queue_full";
    case RejectReason::kDeadline:
      return "deadline";
    case RejectReason::kDraining:
      return "draining";
    case RejectReason::kUnauthenticated:
      return "unauthenticated";
  }
  return "invalid";
}

Labels ModelLabels(const std::string& name, int64_t version) {
  return {{"model", name}, {"version", std::to_string(version)}};
}

Labels CallLabels(std::string_view service, std::string_view method) {
  return {{"grpc_service", std::string(service)},
          {"grpc_method", std::string(method)},
          {"grpc_type", "unary"}};
}

const char* ToLabel(ModelSwap swap) {
  switch (swap) {
    case ModelSwap::kLoaded:
      return "loaded";
    case ModelSwap::kReplaced:
      return "replaced";
    case ModelSwap::kFailed:
      return "failed";
    case ModelSwap::kUnloaded:
      return "unloaded";
  }
  return "failed";
}

// The metrics of one name and version.
struct ModelSeries {
  int users = 0;
  Gauge* info = nullptr;
  Gauge* ready = nullptr;
  Gauge* load_seconds = nullptr;
  Gauge* weights = nullptr;
  Gauge* vocabulary = nullptr;
  Histogram* compute_seconds = nullptr;  // Shared by all models of one kernel.
  Counter* sentences = nullptr;
  Counter* tokens = nullptr;
  Counter* oov_tokens = nullptr;
  Counter* steps = nullptr;
  Counter* saved_steps = nullptr;
  Counter* contexts = nullptr;
};

class PrometheusModelMetrics : public ModelMetrics {
 public:
  explicit PrometheusModelMetrics(const ModelSeries& series) : series_(series) {}

  void OnComputed(absl::Duration time) override {
    series_.compute_seconds->Observe(absl::ToDoubleSeconds(time));
  }
  void OnScored(int64_t sentences, int64_t tokens, int64_t oov_tokens, int64_t steps) override {
    series_.sentences->Increment(static_cast<double>(sentences));
    series_.tokens->Increment(static_cast<double>(tokens));
    series_.oov_tokens->Increment(static_cast<double>(oov_tokens));
    series_.steps->Increment(static_cast<double>(steps));
    series_.saved_steps->Increment(static_cast<double>(std::max<int64_t>(0, tokens - steps)));
  }
  void OnNextWords(int64_t contexts) override {
    series_.contexts->Increment(static_cast<double>(contexts));
  }

 private:
  const ModelSeries series_;
};

}  // namespace

struct ServerMetrics::Impl {
  Registry registry;

  Family<Gauge>& build_info =
      Gauges(registry, "bitlm_build_info", "Always 1; version of the server, instruction sets");
  Family<Gauge>& model_info =
      Gauges(registry, "bitlm_model_info", "Always 1; preset and device of a loaded model");
  Family<Gauge>& model_ready =
      Gauges(registry, "bitlm_model_ready", "1 while the model takes requests, else 0");
  Family<Gauge>& model_load_seconds =
      Gauges(registry, "bitlm_model_load_duration_seconds", "Time that loading the model took");
  Family<Gauge>& model_failed =
      Gauges(registry, "bitlm_model_failed",
             "1 while the repository has a version that could not be loaded; the log says why");
  Family<Counter>& model_swaps =
      Counters(registry, "bitlm_model_swaps_total",
               "Versions loaded, replaced by their new files, failed to load, unloaded");
  Family<Gauge>& model_memory =
      Gauges(registry, "bitlm_model_memory_bytes",
             "Resident bytes of a model: its weights, its vocabulary strings and index");

  Family<Gauge>& certificate_expiry =
      Gauges(registry, "bitlm_tls_certificate_expiry_timestamp_seconds",
             "When the certificate of gRPC ends, seconds since 1970");

  Family<Counter>& calls_started = Counters(registry, "grpc_server_started_total", "RPCs begun");
  Family<Counter>& calls_handled =
      Counters(registry, "grpc_server_handled_total", "RPCs ended, by status code");
  Family<Histogram>& call_seconds =
      Histograms(registry, "grpc_server_handling_seconds",
                 "Time from an RPC's arrival to its end, its wait included");
  Family<Counter>& rejected = Counters(registry, "bitlm_requests_rejected_total",
                                       "Requests that the server refused or gave up, by reason");
  Gauge& in_flight =
      Gauges(registry, "bitlm_requests_in_flight", "RPCs begun and not ended").Add({});

  Gauge& engine_stalled = Gauges(registry, "bitlm_engine_stalled",
                                 "1 while the engine has work and makes no progress, else 0")
                              .Add({});
  // This release computes on CPUs only.
  Gauge& gpu_memory =
      Gauges(registry, "bitlm_gpu_memory_bytes", "Memory that models take on GPUs; 0 without one")
          .Add({});
  Gauge& queue_tokens =
      Gauges(registry, "bitlm_queue_tokens", "Tokens of requests that wait or are computed")
          .Add({});
  Histogram& queue_wait =
      Histograms(registry, "bitlm_queue_wait_seconds", "Wait of a request for its first batch")
          .Add({}, kLatencyBuckets);
  Counter& batches = Counters(registry, "bitlm_batches_total", "Batches executed").Add({});
  Histogram& batch_rows =
      Histograms(registry, "bitlm_batch_rows", "LSTM steps of a batch").Add({}, kRowBuckets);
  Family<Histogram>& compute_seconds = Histograms(registry, "bitlm_compute_duration_seconds",
                                                  "Time to compute a batch, by kernel variant");
  Family<Counter>& cancelled =
      Counters(registry, "bitlm_requests_cancelled_total",
               "Requests that ended before they were computed, by what had been done: cancelled by "
               "the client, late, or stopped with the server");
  Counter& cancelled_queued = cancelled.Add({{"stage", "queued"}});
  Counter& cancelled_running = cancelled.Add({{"stage", "running"}});
  Counter& wasted_steps =
      Counters(registry, "bitlm_wasted_steps_total", "LSTM steps of such requests").Add({});

  Family<Counter>& sentences =
      Counters(registry, "bitlm_sentences_scored_total", "Sentences scored");
  Family<Counter>& tokens =
      Counters(registry, "bitlm_tokens_scored_total", "Tokens scored, </s> included");
  Family<Counter>& oov_tokens =
      Counters(registry, "bitlm_oov_tokens_total", "Scored tokens out of vocabulary");
  Family<Counter>& steps = Counters(registry, "bitlm_scoring_steps_total",
                                    "LSTM steps of scoring; shared prefixes cost one");
  Family<Counter>& saved_steps =
      Counters(registry, "bitlm_prefix_tree_saved_steps_total",
               "LSTM steps that sentences of a request spared one another by common prefixes");
  Family<Counter>& contexts =
      Counters(registry, "bitlm_next_word_contexts_total", "Contexts answered with next words");

  Mutex cache_mutex;
  Gauge& cache_bytes =
      Gauges(registry, "bitlm_state_cache_bytes", "Bytes of the states that are kept").Add({});
  Gauge& cache_entries =
      Gauges(registry, "bitlm_state_cache_entries", "States that are kept").Add({});
  Family<Counter>& cache_lookups =
      Counters(registry, "bitlm_state_cache_lookups_total",
               "Contexts looked up in the state cache; a hit found at least its beginning");
  Counter& cache_hits = cache_lookups.Add({{"result", "hit"}});
  Counter& cache_misses = cache_lookups.Add({{"result", "miss"}});
  Counter& cache_reused_tokens = Counters(registry, "bitlm_state_cache_reused_tokens_total",
                                          "Tokens of contexts that the state cache spared reading")
                                     .Add({});
  Counter& cache_evictions =
      Counters(registry, "bitlm_state_cache_evictions_total", "States that made room for others")
          .Add({});

  Mutex models_mutex;
  std::map<std::pair<std::string, int64_t>, ModelSeries> models ABSL_GUARDED_BY(models_mutex);

  void RemoveUser(const std::pair<std::string, int64_t>& key, Gauge* info) {
    MutexLock lock(models_mutex);
    ModelSeries& series = models.at(key);
    if (info != series.info) model_info.Remove(info);  // The same version with another preset.
    if (--series.users > 0) return;
    model_info.Remove(series.info);
    model_ready.Remove(series.ready);
    model_load_seconds.Remove(series.load_seconds);
    model_memory.Remove(series.weights);
    model_memory.Remove(series.vocabulary);
    sentences.Remove(series.sentences);
    tokens.Remove(series.tokens);
    oov_tokens.Remove(series.oov_tokens);
    steps.Remove(series.steps);
    saved_steps.Remove(series.saved_steps);
    contexts.Remove(series.contexts);
    models.erase(key);
  }
};

ServerMetrics::ServerMetrics(std::string_view version, std::string_view cpu)
    : impl_(std::make_unique<Impl>()) {
  impl_->build_info.Add({{"version", std::string(version)}, {"cpu", std::string(cpu)}}).Set(1);
  for (RejectReason reason :
       {RejectReason::kInvalid, RejectReason::kNotFound, RejectReason::kQueueFull,
        RejectReason::kDeadline, RejectReason::kDraining, RejectReason::kUnauthenticated}) {
    impl_->rejected.Add({{"reason", ToLabel(reason)}});  // Present at 0, so that rates work.
  }
  for (ModelSwap swap :
       {ModelSwap::kLoaded, ModelSwap::kReplaced, ModelSwap::kFailed, ModelSwap::kUnloaded}) {
    impl_->model_swaps.Add({{"result", ToLabel(swap)}});
  }
}

ServerMetrics::~ServerMetrics() = default;

void ServerMetrics::OnCallStarted(std::string_view service, std::string_view method) {
  impl_->calls_started.Add(CallLabels(service, method)).Increment();
  impl_->in_flight.Increment();
}

void ServerMetrics::OnCallHandled(std::string_view service, std::string_view method,
                                  std::string_view code, absl::Duration duration) {
  Labels labels = CallLabels(service, method);
  impl_->call_seconds.Add(labels, kLatencyBuckets).Observe(absl::ToDoubleSeconds(duration));
  labels["grpc_code"] = std::string(code);
  impl_->calls_handled.Add(labels).Increment();
  impl_->in_flight.Decrement();
}

void ServerMetrics::OnRejected(RejectReason reason) {
  impl_->rejected.Add({{"reason", ToLabel(reason)}}).Increment();
}

std::shared_ptr<ModelMetrics> ServerMetrics::AddModel(const ModelFacts& facts) {
  const Labels labels = ModelLabels(facts.name, facts.version);
  Labels info = labels;
  info["preset"] = facts.preset;
  info["device"] = facts.device;
  const auto with_kind = [&labels](const char* kind) {
    Labels with = labels;
    with["kind"] = kind;
    return with;
  };
  const std::pair<std::string, int64_t> key = {facts.name, facts.version};
  MutexLock lock(impl_->models_mutex);
  ModelSeries& series = impl_->models[key];
  ++series.users;
  series.info = &impl_->model_info.Add(info);
  series.info->Set(1);
  series.ready = &impl_->model_ready.Add(labels);
  series.load_seconds = &impl_->model_load_seconds.Add(labels);
  series.load_seconds->Set(absl::ToDoubleSeconds(facts.load_time));
  series.weights = &impl_->model_memory.Add(with_kind("weights"));
  series.weights->Set(static_cast<double>(facts.weight_bytes));
  series.vocabulary = &impl_->model_memory.Add(with_kind("vocabulary"));
  series.vocabulary->Set(static_cast<double>(facts.vocabulary_bytes));
  series.compute_seconds = &impl_->compute_seconds.Add({{"kernel", facts.device}}, kLatencyBuckets);
  series.sentences = &impl_->sentences.Add(labels);
  series.tokens = &impl_->tokens.Add(labels);
  series.oov_tokens = &impl_->oov_tokens.Add(labels);
  series.steps = &impl_->steps.Add(labels);
  series.saved_steps = &impl_->saved_steps.Add(labels);
  series.contexts = &impl_->contexts.Add(labels);
  return {new PrometheusModelMetrics(series),
          [impl = impl_.get(), key, own_info = series.info](PrometheusModelMetrics* metrics) {
            delete metrics;
            impl->RemoveUser(key, own_info);
          }};
}

void ServerMetrics::SetModelReady(const std::string& name, int64_t version, bool ready) {
  MutexLock lock(impl_->models_mutex);
  const auto series = impl_->models.find({name, version});
  if (series != impl_->models.end()) series->second.ready->Set(ready ? 1 : 0);
}

void ServerMetrics::SetModelFailed(const std::string& name, int64_t version, bool failed) {
  Gauge& gauge = impl_->model_failed.Add(ModelLabels(name, version));
  gauge.Set(failed ? 1 : 0);
  if (!failed) impl_->model_failed.Remove(&gauge);
}

void ServerMetrics::OnModelSwap(ModelSwap swap) {
  impl_->model_swaps.Add({{"result", ToLabel(swap)}}).Increment();
}

void ServerMetrics::SetEngineStalled(bool stalled) { impl_->engine_stalled.Set(stalled ? 1 : 0); }

void ServerMetrics::SetCertificateExpiry(absl::Time expiry) {
  impl_->certificate_expiry.Add({}).Set(static_cast<double>(absl::ToUnixSeconds(expiry)));
}

void ServerMetrics::OnQueueTokens(int64_t tokens) {
  impl_->queue_tokens.Set(static_cast<double>(tokens));
}

void ServerMetrics::OnBatch(int64_t rows, const std::vector<absl::Duration>& first_waits) {
  impl_->batches.Increment();
  impl_->batch_rows.Observe(static_cast<double>(rows));
  for (absl::Duration wait : first_waits) {
    impl_->queue_wait.Observe(absl::ToDoubleSeconds(wait));
  }
}

void ServerMetrics::OnGivenUp(int64_t steps) {
  (steps == 0 ? impl_->cancelled_queued : impl_->cancelled_running).Increment();
  impl_->wasted_steps.Increment(static_cast<double>(steps));
}

void ServerMetrics::OnStateCache(const StateCacheStatistics& statistics) {
  MutexLock lock(impl_->cache_mutex);  // A counter is read, then advanced.
  const auto advance = [](Counter& counter, uint64_t total) {
    counter.Increment(static_cast<double>(total) - counter.Value());
  };
  impl_->cache_bytes.Set(static_cast<double>(statistics.bytes));
  impl_->cache_entries.Set(static_cast<double>(statistics.entries));
  advance(impl_->cache_hits, statistics.hits);
  advance(impl_->cache_misses, statistics.misses);
  advance(impl_->cache_reused_tokens, statistics.reused_tokens);
  advance(impl_->cache_evictions, statistics.evictions);
}

std::string ServerMetrics::Expose() const {
  std::string text = prometheus::TextSerializer().Serialize(impl_->registry.Collect());
  return text + ProcessMetrics();
}

}  // namespace bitlm
