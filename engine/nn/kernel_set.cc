#include "engine/nn/kernel_set.h"

#include <string_view>

#include "engine/base/cpu_features.h"

namespace bitlm {

KernelSet SelectKernels(uint32_t features) {
  const auto& binary_gemm = Select(BinaryGemmVariants(), features);
  const auto& xnor_gemm = Select(XnorGemmVariants(), features);
  const auto& float_gemm = Select(FloatGemmVariants(), features);
  KernelSet kernels;
  kernels.binary_gemm = binary_gemm.run;
  kernels.binary_tables = BinaryTablesOf(binary_gemm.run);
  kernels.int8_gemm = Select(Int8GemmVariants(), features).run;
  kernels.xnor_gemm = xnor_gemm.run;
  kernels.sign_bits = Select(SignBitsVariants(), features).run;
  kernels.float_gemm = float_gemm.run;
  kernels.quantize = Select(QuantizeVariants(), features).run;
  kernels.dequantize = Select(DequantizeVariants(), features).run;
  kernels.layer_norm = Select(LayerNormVariants(), features).run;
  kernels.lstm_cell = Select(LstmCellVariants(), features).run;
  kernels.softmax_tile = Select(SoftmaxTileVariants(), features).run;
  kernels.softmax_sums = Select(SoftmaxSumsVariants(), features).run;
  kernels.count_before = Select(CountBeforeVariants(), features).run;
  if (binary_gemm.features & cpu::kAmxInt8) kernels.block_rows = 64;  // Four tiles.
  // A variant is understood where another one is named after it: "avx512_vnni" has "avx512" in it.
  for (const std::string_view name : {binary_gemm.name, xnor_gemm.name, float_gemm.name}) {
    if (kernels.name.find(name) != std::string::npos) continue;
    kernels.name.append(kernels.name.empty() ? "" : "+").append(name);
  }
  return kernels;
}

}  // namespace bitlm
