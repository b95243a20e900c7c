#include "engine/kernels/output_softmax/output_softmax.h"

#include "engine/base/cpu_features.h"

namespace bitlm {

namespace portable {
SoftmaxTileFn SoftmaxTile;
SoftmaxSumsFn SoftmaxSums;
CountBeforeFn CountBefore;
}  // namespace portable
#if defined(__x86_64__)
namespace avx512 {
SoftmaxTileFn SoftmaxTile;
SoftmaxSumsFn SoftmaxSums;
CountBeforeFn CountBefore;
}  // namespace avx512
namespace avx2 {
SoftmaxTileFn SoftmaxTile;
SoftmaxSumsFn SoftmaxSums;
CountBeforeFn CountBefore;
}  // namespace avx2
#elif defined(__aarch64__)
namespace neon {
SoftmaxTileFn SoftmaxTile;
SoftmaxSumsFn SoftmaxSums;
CountBeforeFn CountBefore;
}  // namespace neon
#endif

namespace {
constexpr Variant<SoftmaxTileFn> kSoftmaxTileVariants[] = {
#if defined(__x86_64__)
    {"avx512", cpu::kAvx512, &avx512::SoftmaxTile},
    {"avx2", cpu::kAvx2Fma, &avx2::SoftmaxTile},
#elif defined(__aarch64__)
    {"neon", cpu::kNeon, &neon::SoftmaxTile},
#endif
    {"portable", cpu::kNone, &portable::SoftmaxTile},
};
constexpr Variant<SoftmaxSumsFn> kSoftmaxSumsVariants[] = {
#if defined(__x86_64__)
    {"avx512", cpu::kAvx512, &avx512::SoftmaxSums},
    {"avx2", cpu::kAvx2Fma, &avx2::SoftmaxSums},
#elif defined(__aarch64__)
    {"neon", cpu::kNeon, &neon::SoftmaxSums},
#endif
    {"portable", cpu::kNone, &portable::SoftmaxSums},
};
constexpr Variant<CountBeforeFn> kCountBeforeVariants[] = {
#if defined(__x86_64__)
    {"avx512", cpu::kAvx512, &avx512::CountBefore},
    {"avx2", cpu::kAvx2Fma, &avx2::CountBefore},
#elif defined(__aarch64__)
    {"neon", cpu::kNeon, &neon::CountBefore},
#endif
    {"portable", cpu::kNone, &portable::CountBefore},
};
}  // namespace

std::span<const Variant<SoftmaxTileFn>> SoftmaxTileVariants() { return kSoftmaxTileVariants; }
std::span<const Variant<SoftmaxSumsFn>> SoftmaxSumsVariants() { return kSoftmaxSumsVariants; }
std::span<const Variant<CountBeforeFn>> CountBeforeVariants() { return kCountBeforeVariants; }

}  // namespace bitlm
