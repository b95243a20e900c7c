#include "engine/kernels/layer_norm/layer_norm.h"

#include "engine/base/cpu_features.h"

namespace bitlm {

namespace portable {
LayerNormFn LayerNorm;
}
#if defined(__x86_64__)
namespace avx512 {
LayerNormFn LayerNorm;
}
namespace avx2 {
LayerNormFn LayerNorm;
}
#elif defined(__aarch64__)
namespace neon {
LayerNormFn LayerNorm;
}
#endif

namespace {
constexpr Variant<LayerNormFn> kVariants[] = {
#if defined(__x86_64__)
    {"avx512", cpu::kAvx512, &avx512::LayerNorm},
    {"avx2", cpu::kAvx2Fma, &avx2::LayerNorm},
#elif defined(__aarch64__)
    {"neon", cpu::kNeon, &neon::LayerNorm},
#endif
    {"portable", cpu::kNone, &portable::LayerNorm},
};
}  // namespace

std::span<const Variant<LayerNormFn>> LayerNormVariants() { return kVariants; }

}  // namespace bitlm
