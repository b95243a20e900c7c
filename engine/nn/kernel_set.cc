#include "engine/nn/kernel_set.h"

#include <string_view>

#include "engine/base/cpu_features.h"

namespace bitlm {

KernelSet SelectKernels(uint32_t features) {
  const auto& binary_gemm = Select(BinaryGemmVariants(), features);
  const auto& float_gemm = Select(FloatGemmVariants(), features);
  KernelSet kernels;
  kernels.binary_gemm = binary_gemm.run;
  kernels.int8_gemm = Select(Int8GemmVariants(), features).run;
  kernels.xnor_gemm = Select(XnorGemmVariants(), features).run;
  kernels.sign_bits = Select(SignBitsVariants(), features).run;
  kernels.float_gemm = float_gemm.run;
  kernels.quantize = Select(QuantizeVariants(), features).run;
  kernels.dequantize = Select(DequantizeVariants(), features).run;
  kernels.lstm_cell = Select(LstmCellVariants(), features).run;
  kernels.softmax_tile = Select(SoftmaxTileVariants(), features).run;
  kernels.count_before = Select(CountBeforeVariants(), features).run;
  kernels.name = binary_gemm.name;
  if (binary_gemm.features & cpu::kAmxInt8) kernels.block_rows = 64;  // Four tiles.
  // "avx512_vnni" has "avx512" in it: its float products are understood.
  if (std::string_view(binary_gemm.name).find(float_gemm.name) == std::string_view::npos) {
    kernels.name += std::string("+") + float_gemm.name;
  }
  return kernels;
}

}  // namespace bitlm
