#include "engine/kernels/binary_gemm/binary_gemm.h"

#include "engine/base/cpu_features.h"

namespace bitlm {

namespace portable {
BinaryGemmFn BinaryGemm;
}
#if defined(__x86_64__)
namespace amx {
BinaryGemmFn BinaryGemm;
}
namespace avx512_permute {
BinaryGemmFn BinaryGemm;
BinaryTablesFn BinaryTables;
}  // namespace avx512_permute
namespace avx512_vnni {
BinaryGemmFn BinaryGemm;
}
namespace avx512 {
BinaryGemmFn BinaryGemm;
}
namespace avx2 {
BinaryGemmFn BinaryGemm;
}
#elif defined(__aarch64__)
namespace neon {
BinaryGemmFn BinaryGemm;
}
#endif

namespace {
constexpr Variant<BinaryGemmFn> kVariants[] = {
#if defined(__x86_64__)
    {"amx", cpu::kAvx512 | cpu::kAvx512Vnni | cpu::kAmxInt8, &amx::BinaryGemm},
    {"avx512_permute", cpu::kAvx512 | cpu::kAvx512Vnni | cpu::kAvx512Permute,
     &avx512_permute::BinaryGemm},
    {"avx512_vnni", cpu::kAvx512 | cpu::kAvx512Vnni, &avx512_vnni::BinaryGemm},
    {"avx512", cpu::kAvx512, &avx512::BinaryGemm},
    {"avx2", cpu::kAvx2Fma, &avx2::BinaryGemm},
#elif defined(__aarch64__)
    {"neon", cpu::kNeon, &neon::BinaryGemm},
#endif
    {"portable", cpu::kNone, &portable::BinaryGemm},
};
}  // namespace

std::span<const Variant<BinaryGemmFn>> BinaryGemmVariants() { return kVariants; }

BinaryTablesFn* BinaryTablesOf([[maybe_unused]] BinaryGemmFn* variant) {
#if defined(__x86_64__)
  if (variant == &avx512_permute::BinaryGemm) return &avx512_permute::BinaryTables;
#endif
  return nullptr;
}

}  // namespace bitlm
