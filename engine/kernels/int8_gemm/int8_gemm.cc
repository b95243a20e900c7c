#include "engine/kernels/int8_gemm/int8_gemm.h"

#include "engine/base/cpu_features.h"

namespace bitlm {

namespace portable {
Int8GemmFn Int8Gemm;
}
#if defined(__x86_64__)
namespace amx {
Int8GemmFn Int8Gemm;
}
namespace avx512_vnni {
Int8GemmFn Int8Gemm;
}
namespace avx512 {
Int8GemmFn Int8Gemm;
}
namespace avx2 {
Int8GemmFn Int8Gemm;
}
#elif defined(__aarch64__)
namespace neon_dotprod {
Int8GemmFn Int8Gemm;
}
namespace neon {
Int8GemmFn Int8Gemm;
}
#endif

namespace {
constexpr Variant<Int8GemmFn> kVariants[] = {
#if defined(__x86_64__)
    {"amx", cpu::kAvx512 | cpu::kAvx512Vnni | cpu::kAmxInt8, &amx::Int8Gemm},
    {"avx512_vnni", cpu::kAvx512 | cpu::kAvx512Vnni, &avx512_vnni::Int8Gemm},
    {"avx512", cpu::kAvx512, &avx512::Int8Gemm},
    {"avx2", cpu::kAvx2Fma, &avx2::Int8Gemm},
#elif defined(__aarch64__)
    {"neon_dotprod", cpu::kNeon | cpu::kNeonDotprod, &neon_dotprod::Int8Gemm},
    {"neon", cpu::kNeon, &neon::Int8Gemm},
#endif
    {"portable", cpu::kNone, &portable::Int8Gemm},
};
}  // namespace

std::span<const Variant<Int8GemmFn>> Int8GemmVariants() { return kVariants; }

}  // namespace bitlm
