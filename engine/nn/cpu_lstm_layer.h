// CpuLstmLayer: one LSTM layer on the CPU.
#pragma once

#include <cstddef>
#include <span>

#include "engine/base/thread_pool.h"
#include "engine/nn/cpu_products.h"
#include "engine/nn/cpu_weights.h"
#include "engine/nn/kernel_set.h"
#include "engine/nn/scratch.h"

namespace bitlm {

// Advances rows of one layer by one token. Holds references only; thread-safe.
class CpuLstmLayer {
 public:
  // `planes`: of quantized inputs.
  CpuLstmLayer(const LstmWeights& weights, const KernelSet& kernels, size_t hidden, int planes)
      : weights_(weights), kernels_(kernels), hidden_(hidden), planes_(planes) {}

  // The layer's inputs, [batch][I], and what they are.
  struct Input {
    FloatRows rows;
    QuantizationScale scale = QuantizationScale::kRowMaximum;
  };

  // [LCY18] equation 3. A row's state is (h [H], c [H]) at `offset` of states[b], which may be null
  // for zeros, and of next[b]. `pool` may be null.
  void Advance(const Input& x, size_t offset, std::span<const float* const> states,
               std::span<float* const> next, ThreadPool* pool) const;

 private:
  // Rows as the kind of the matrices wants them: floats, quantized, or signs ([ZT] section 3.1).
  struct Operand {
    FloatRows floats;
    QuantizedRows integers;
  };
  // `rows` may hold null for zeros.
  Operand MakeOperand(Scratch& scratch, const float* const* rows, size_t batch, size_t columns,
                      QuantizationScale scale) const;
  // gates = W_x x + W_h h + b.
  void AddedGates(const Operand& x, const Operand& h, size_t batch, FloatRows gates,
                  ThreadPool* pool) const;
  // gates = LN(W_x x; gain_x) + LN(W_h h; gain_h) + b (Ba et al. 2016, arXiv:1607.06450, equation
  // 20).
  void NormalizedGates(const Operand& x, const Operand& h, size_t batch, FloatRows gates,
                       ThreadPool* pool) const;

  const LstmWeights& weights_;
  const KernelSet& kernels_;
  const size_t hidden_;
  const int planes_;
};

}  // namespace bitlm
