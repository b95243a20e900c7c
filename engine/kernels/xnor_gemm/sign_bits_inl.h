// The signs of floats, on the lanes of the file that includes this.
#pragma once

#include "engine/kernels/panel.h"
#include "engine/kernels/xnor_gemm/xnor_gemm.h"

namespace bitlm::BITLM_ISA {

void SignBits(const SignBitsArgs& args) {
  for (size_t b = 0; b < args.batch; ++b) {
    uint64_t* bits = args.bits + b * args.stride;
    __builtin_memset(bits, 0, args.stride * sizeof(uint64_t));
    const float* row = args.rows[b];
    for (size_t k = 0; row != nullptr && k < args.columns; k += kPanelRows) {
      const F32 values = LoadFirst(row + k, args.columns - k);
      bits[k / kWordColumns] |= uint64_t{ToBits(Greater(values, Set(0.0f)))} << (k % kWordColumns);
    }
  }
}

}  // namespace bitlm::BITLM_ISA
