#include "engine/kernels/xnor_gemm/xnor_gemm.h"

#include "engine/base/cpu_features.h"

namespace bitlm {

namespace portable {
XnorGemmFn XnorGemm;
SignBitsFn SignBits;
}  // namespace portable
#if defined(__x86_64__)
namespace avx512_vpopcntdq {
XnorGemmFn XnorGemm;
}
namespace avx512 {
XnorGemmFn XnorGemm;
SignBitsFn SignBits;
}  // namespace avx512
namespace avx2 {
XnorGemmFn XnorGemm;
SignBitsFn SignBits;
}  // namespace avx2
#elif defined(__aarch64__)
namespace neon {
XnorGemmFn XnorGemm;
SignBitsFn SignBits;
}  // namespace neon
#endif

namespace {

constexpr Variant<XnorGemmFn> kGemmVariants[] = {
#if defined(__x86_64__)
    {"avx512_vpopcntdq", cpu::kAvx512 | cpu::kAvx512Vpopcntdq, &avx512_vpopcntdq::XnorGemm},
    {"avx512", cpu::kAvx512, &avx512::XnorGemm},
    {"avx2", cpu::kAvx2Fma, &avx2::XnorGemm},
#elif defined(__aarch64__)
    {"neon", cpu::kNeon, &neon::XnorGemm},
#endif
    {"portable", cpu::kNone, &portable::XnorGemm},
};

constexpr Variant<SignBitsFn> kSignVariants[] = {
#if defined(__x86_64__)
    {"avx512", cpu::kAvx512, &avx512::SignBits},
    {"avx2", cpu::kAvx2Fma, &avx2::SignBits},
#elif defined(__aarch64__)
    {"neon", cpu::kNeon, &neon::SignBits},
#endif
    {"portable", cpu::kNone, &portable::SignBits},
};

}  // namespace

std::span<const Variant<XnorGemmFn>> XnorGemmVariants() { return kGemmVariants; }
std::span<const Variant<SignBitsFn>> SignBitsVariants() { return kSignVariants; }

}  // namespace bitlm
