// LanguageModel: the one device interface. A network step, not an operator: implementations fuse
// inside it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/base/thread_pool.h"
#include "engine/model/model.h"

namespace bitlm {

// A word and its log-probability (nats).
struct TokenScore {
  TokenId token = 0;
  float logprob = 0;
  bool operator==(const TokenScore&) const = default;
};

// What is wanted of one row of the output softmax.
struct OutputRow {
  const float* state = nullptr;      // [state_size], the state after the prefix.
  std::span<const TokenId> targets;  // Any number, any order, repeats allowed.
  float* logprobs = nullptr;  // [targets.size()], nats; out. May be null when targets is empty.
  int32_t* ranks =
      nullptr;    // [targets.size()] or null; out: 1 = the most probable word; ties rank by id.
  int top_k = 0;  // Number of most probable words wanted, at most V, or the number of `among`.
  TokenScore* top = nullptr;  // [top_k]; out, most probable first, ties by lower id.
  // The words that `top` is chosen from, ascending, without repeats. Empty: all.
  std::span<const TokenId> among;
  // Whether log-probabilities are the logits as they stand, without log Z: those of a model that
  // was trained to have log Z near 0 (ModelConfig::self_normalized). Then targets without ranks,
  // and top words among given ones, cost these words and not a pass over the vocabulary. Of any
  // model the difference to a log-probability is the row's log Z.
  bool self_normalized = false;
};

// A loaded network that computes states and output distributions. Immutable and thread-safe; all
// methods may run concurrently.
//
// Every result is a pure function of the model and of the row's own inputs: not of the other rows
// of the batch, of the number of threads, or of the instruction set (docs/numerics.md). The
// reference implementation is the exception that proves it: double precision, and only close.
class LanguageModel {
 public:
  LanguageModel();
  virtual ~LanguageModel() = default;
  LanguageModel(const LanguageModel&) = delete;
  LanguageModel& operator=(const LanguageModel&) = delete;

  // A number that no other object of this process has.
  uint64_t id() const { return id_; }

  // Config, metadata, vocabulary and golden sentences. Its tensors may be gone: an implementation
  // keeps the weights in its own layout, once.
  virtual const Model& model() const = 0;
  // Floats of one state: layers * (h [H], c [H]).
  virtual size_t state_size() const = 0;
  // "cpu:avx512_vnni", "reference": for logs and metrics.
  virtual std::string description() const = 0;
  // Bytes of weights resident in memory, all representations together.
  virtual uint64_t weight_bytes() const = 0;

  // Advances B states by one token each. `states[b]` points to state_size() floats or is null for
  // the zero state of a sentence's start; `next[b]` receives the new state and may equal states[b],
  // but not another row's. Tokens are in [0, V). `pool` may be null: then the caller's thread does
  // the work.
  virtual void Advance(std::span<const TokenId> tokens, std::span<const float* const> states,
                       std::span<float* const> next, ThreadPool* pool) const = 0;

  // Computes log-probabilities, ranks and most probable words of the next word after each row's
  // state: one pass over the vocabulary for all that a row asks for.
  virtual void Output(std::span<const OutputRow> rows, ThreadPool* pool) const = 0;

  const ModelConfig& config() const { return model().config; }
  const Vocabulary& vocabulary() const { return model().vocabulary; }

 private:
  const uint64_t id_;
};

// The implementation for this machine's CPU, fastest usable kernels. It holds its own copy of the
// weights and lets `model` go, so a caller that keeps no reference keeps no second copy. Errors:
// FAILED_PRECONDITION when the config is not servable; DATA_LOSS when a weight is not finite.
absl::StatusOr<std::shared_ptr<const LanguageModel>> MakeCpuLanguageModel(
    std::shared_ptr<const Model> model);

// The same with a given set of CPU features (cpu::Feature bits), for tests and benchmarks; they
// must be part of cpu::Usable().
absl::StatusOr<std::shared_ptr<const LanguageModel>> MakeCpuLanguageModel(
    std::shared_ptr<const Model> model, uint32_t cpu_features);

// Double precision, plain loops: the specification of the network, not of the rounding. For tests
// and evaluation.
absl::StatusOr<std::shared_ptr<const LanguageModel>> MakeReferenceLanguageModel(
    std::shared_ptr<const Model> model);

}  // namespace bitlm
