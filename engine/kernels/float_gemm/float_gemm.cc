#include "engine/kernels/float_gemm/float_gemm.h"

#include "engine/base/cpu_features.h"

namespace bitlm {

namespace portable {
FloatGemmFn FloatGemm;
}
#if defined(__x86_64__)
namespace avx512 {
FloatGemmFn FloatGemm;
}
namespace avx2 {
FloatGemmFn FloatGemm;
}
#elif defined(__aarch64__)
namespace neon {
FloatGemmFn FloatGemm;
}
#endif

namespace {
constexpr Variant<FloatGemmFn> kVariants[] = {
#if defined(__x86_64__)
    {"avx512", cpu::kAvx512, &avx512::FloatGemm},
    {"avx2", cpu::kAvx2Fma, &avx2::FloatGemm},
#elif defined(__aarch64__)
    {"neon", cpu::kNeon, &neon::FloatGemm},
#endif
    {"portable", cpu::kNone, &portable::FloatGemm},
};
}  // namespace

std::span<const Variant<FloatGemmFn>> FloatGemmVariants() { return kVariants; }

}  // namespace bitlm
