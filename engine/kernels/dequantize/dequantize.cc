#include "engine/kernels/dequantize/dequantize.h"

#include "engine/base/cpu_features.h"

namespace bitlm {

namespace portable {
DequantizeFn Dequantize;
}
#if defined(__x86_64__)
namespace avx512 {
DequantizeFn Dequantize;
}
namespace avx2 {
DequantizeFn Dequantize;
}
#elif defined(__aarch64__)
namespace neon {
DequantizeFn Dequantize;
}
#endif

namespace {
constexpr Variant<DequantizeFn> kVariants[] = {
#if defined(__x86_64__)
    {"avx512", cpu::kAvx512, &avx512::Dequantize},
    {"avx2", cpu::kAvx2Fma, &avx2::Dequantize},
#elif defined(__aarch64__)
    {"neon", cpu::kNeon, &neon::Dequantize},
#endif
    {"portable", cpu::kNone, &portable::Dequantize},
};
}  // namespace

std::span<const Variant<DequantizeFn>> DequantizeVariants() { return kVariants; }

}  // namespace bitlm
