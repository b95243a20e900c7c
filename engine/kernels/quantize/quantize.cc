#include "engine/kernels/quantize/quantize.h"

#include "engine/base/cpu_features.h"

namespace bitlm {

namespace portable {
QuantizeFn Quantize;
}
#if defined(__x86_64__)
namespace avx512 {
QuantizeFn Quantize;
}
namespace avx2 {
QuantizeFn Quantize;
}
#elif defined(__aarch64__)
namespace neon {
QuantizeFn Quantize;
}
#endif

namespace {
constexpr Variant<QuantizeFn> kVariants[] = {
#if defined(__x86_64__)
    {"avx512", cpu::kAvx512, &avx512::Quantize},
    {"avx2", cpu::kAvx2Fma, &avx2::Quantize},
#elif defined(__aarch64__)
    {"neon", cpu::kNeon, &neon::Quantize},
#endif
    {"portable", cpu::kNone, &portable::Quantize},
};
}  // namespace

std::span<const Variant<QuantizeFn>> QuantizeVariants() { return kVariants; }

}  // namespace bitlm
