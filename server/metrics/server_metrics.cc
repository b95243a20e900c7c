#include "server/metrics/server_metrics.h"

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

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

class PrometheusModelMetrics : public ModelMetrics {
 public:
  PrometheusModelMetrics(Counter& sentences, Counter& tokens, Counter& oov_tokens, Counter& steps,
                         Counter& contexts)
      : sentences_(sentences),
        tokens_(tokens),
        oov_tokens_(oov_tokens),
        steps_(steps),
        contexts_(contexts) {}

  void OnScored(int64_t sentences, int64_t tokens, int64_t oov_tokens, int64_t steps) override {
    sentences_.Increment(static_cast<double>(sentences));
    tokens_.Increment(static_cast<double>(tokens));
    oov_tokens_.Increment(static_cast<double>(oov_tokens));
    steps_.Increment(static_cast<double>(steps));
  }
  void OnNextWords(int64_t contexts) override {
    contexts_.Increment(static_cast<double>(contexts));
  }

 private:
  Counter& sentences_;
  Counter& tokens_;
  Counter& oov_tokens_;
  Counter& steps_;
  Counter& contexts_;
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
  Counter& model_load_failures =
      Counters(registry, "bitlm_model_load_failures_total", "Models that could not be loaded")
          .Add({});
  Family<Gauge>& model_memory =
      Gauges(registry, "bitlm_model_memory_bytes",
             "Resident bytes of a model: its weights, its vocabulary strings and index");

  Family<Counter>& calls_started =
      Counters(registry, "grpc_server_started_total", "RPCs begun");
  Family<Counter>& calls_handled =
      Counters(registry, "grpc_server_handled_total", "RPCs ended, by status code");
  Family<Histogram>& call_seconds =
      Histograms(registry, "grpc_server_handling_seconds",
                 "Time from an RPC's arrival to its end, its wait included");
  Family<Counter>& rejected = Counters(registry, "bitlm_requests_rejected_total",
                                       "Requests that the server refused or gave up, by reason");
  Gauge& in_flight =
      Gauges(registry, "bitlm_requests_in_flight", "RPCs begun and not ended").Add({});

  Gauge& queue_tokens =
      Gauges(registry, "bitlm_queue_tokens", "Tokens of requests that wait or are computed")
          .Add({});
  Histogram& queue_wait =
      Histograms(registry, "bitlm_queue_wait_seconds", "Wait of a request for its first batch")
          .Add({}, kLatencyBuckets);
  Counter& batches = Counters(registry, "bitlm_batches_total", "Batches executed").Add({});
  Histogram& batch_rows =
      Histograms(registry, "bitlm_batch_rows", "LSTM steps of a batch").Add({}, kRowBuckets);
  Histogram& compute_seconds =
      Histograms(registry, "bitlm_compute_duration_seconds", "Time to compute a batch")
          .Add({}, kLatencyBuckets);
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

  std::vector<std::unique_ptr<ModelMetrics>> models;
};

ServerMetrics::ServerMetrics(std::string_view version, std::string_view cpu)
    : impl_(std::make_unique<Impl>()) {
  impl_->build_info.Add({{"version", std::string(version)}, {"cpu", std::string(cpu)}}).Set(1);
  for (RejectReason reason :
       {RejectReason::kInvalid, RejectReason::kNotFound, RejectReason::kQueueFull,
        RejectReason::kDeadline, RejectReason::kDraining}) {
    impl_->rejected.Add({{"reason", ToLabel(reason)}});  // Present at 0, so that rates work.
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

ModelMetrics* ServerMetrics::AddModel(const ModelFacts& facts) {
  const Labels labels = ModelLabels(facts.name, facts.version);
  Labels info = labels;
  info["preset"] = facts.preset;
  info["device"] = facts.device;
  impl_->model_info.Add(info).Set(1);
  impl_->model_ready.Add(labels).Set(0);
  impl_->model_load_seconds.Add(labels).Set(absl::ToDoubleSeconds(facts.load_time));
  Labels weights = labels;
  weights["kind"] = "weights";
  impl_->model_memory.Add(weights).Set(static_cast<double>(facts.weight_bytes));
  Labels vocabulary = labels;
  vocabulary["kind"] = "vocabulary";
  impl_->model_memory.Add(vocabulary).Set(static_cast<double>(facts.vocabulary_bytes));
  impl_->models.push_back(std::make_unique<PrometheusModelMetrics>(
      impl_->sentences.Add(labels), impl_->tokens.Add(labels), impl_->oov_tokens.Add(labels),
      impl_->steps.Add(labels), impl_->contexts.Add(labels)));
  return impl_->models.back().get();
}

void ServerMetrics::SetModelReady(const std::string& name, int64_t version, bool ready) {
  impl_->model_ready.Add(ModelLabels(name, version)).Set(ready ? 1 : 0);
}

void ServerMetrics::OnModelLoadFailed() { impl_->model_load_failures.Increment(); }

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

void ServerMetrics::OnExecuted(absl::Duration compute_time) {
  impl_->compute_seconds.Observe(absl::ToDoubleSeconds(compute_time));
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
