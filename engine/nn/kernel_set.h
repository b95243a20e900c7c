// KernelSet: the kernels that one loaded model runs, chosen once from the CPU's features.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "engine/kernels/binary_gemm/binary_gemm.h"
#include "engine/kernels/dequantize/dequantize.h"
#include "engine/kernels/float_gemm/float_gemm.h"
#include "engine/kernels/int8_gemm/int8_gemm.h"
#include "engine/kernels/layer_norm/layer_norm.h"
#include "engine/kernels/lstm_cell/lstm_cell.h"
#include "engine/kernels/output_softmax/output_softmax.h"
#include "engine/kernels/quantize/quantize.h"
#include "engine/kernels/xnor_gemm/xnor_gemm.h"

namespace bitlm {

struct KernelSet {
  BinaryGemmFn* binary_gemm = nullptr;
  BinaryTablesFn* binary_tables = nullptr;  // Of binary_gemm; null: it has none.
  Int8GemmFn* int8_gemm = nullptr;
  XnorGemmFn* xnor_gemm = nullptr;
  SignBitsFn* sign_bits = nullptr;
  FloatGemmFn* float_gemm = nullptr;
  QuantizeFn* quantize = nullptr;
  DequantizeFn* dequantize = nullptr;
  LayerNormFn* layer_norm = nullptr;
  LstmCellFn* lstm_cell = nullptr;
  SoftmaxTileFn* softmax_tile = nullptr;
  SoftmaxSumsFn* softmax_sums = nullptr;
  CountBeforeFn* count_before = nullptr;
  // Rows that a thread computes at once: some times as many as use a weight while it is in a
  // register, few enough for their inputs and sums to stay in cache.
  size_t block_rows = 48;
  std::string name;  // Of the products: "avx2", or "avx512_vnni+avx512_vpopcntdq".
};

// The fastest variant of every kernel that `features` (cpu::Feature bits) can run.
KernelSet SelectKernels(uint32_t features);

}  // namespace bitlm
