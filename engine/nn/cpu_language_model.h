// CpuLanguageModel: the network on the CPU, by the reproducible numerics of docs/numerics.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "engine/nn/cpu_products.h"
#include "engine/nn/cpu_weights.h"
#include "engine/nn/kernel_set.h"
#include "engine/nn/language_model.h"

namespace bitlm {

struct CpuModelOptions {
  uint32_t features = 0;  // cpu::Feature bits; part of cpu::Usable().
  // Work below which one thread does it all, in estimated cycles: waking another costs some ten
  // microseconds. Tests set 0. It never changes a result.
  double min_parallel_cycles = 60e3;
};

// MakeCpuLanguageModel with all options.
absl::StatusOr<std::shared_ptr<const LanguageModel>> MakeCpuLanguageModel(
    std::shared_ptr<const Model> model, const CpuModelOptions& options);

class CpuLanguageModel final : public LanguageModel {
 public:
  // `model` without tensors: `weights` replaces them.
  CpuLanguageModel(std::shared_ptr<const Model> model, CpuWeights weights,
                   const CpuModelOptions& options);

  const Model& model() const override { return *model_; }
  size_t state_size() const override { return weights_.lstm.size() * 2 * hidden_; }
  std::string description() const override { return "cpu:" + kernels_.name; }
  uint64_t weight_bytes() const override { return weights_.bytes(); }

  void Advance(std::span<const TokenId> tokens, std::span<const float* const> states,
               std::span<float* const> next, ThreadPool* pool) const override;
  void Output(std::span<const OutputRow> rows, ThreadPool* pool) const override;

 private:
  // `pool` when `cycles` of work on one core are worth waking its threads, else null.
  ThreadPool* PoolFor(double cycles, ThreadPool* pool) const;
  // The rows of one Advance call that one thread, or all together, compute at once.
  void AdvanceRows(std::span<const TokenId> tokens, std::span<const float* const> states,
                   std::span<float* const> next, ThreadPool* pool) const;
  // The input of the first LSTM layer: [LCY18] equation 2, then equation 9's W_Te e + b_Te where
  // there is a projection.
  FloatRows InputRows(Scratch& scratch, std::span<const TokenId> tokens, ThreadPool* pool) const;

  const std::shared_ptr<const Model> model_;
  const CpuWeights weights_;
  const KernelSet kernels_;
  const double min_parallel_cycles_;
  const size_t hidden_;
  const int planes_;  // Of quantized inputs.
};

}  // namespace bitlm
