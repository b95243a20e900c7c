#include "engine/kernels/lstm_cell/lstm_cell.h"

#include "engine/base/cpu_features.h"

namespace bitlm {

namespace portable {
LstmCellFn LstmCell;
}
#if defined(__x86_64__)
namespace avx512 {
LstmCellFn LstmCell;
}
namespace avx2 {
LstmCellFn LstmCell;
}
#elif defined(__aarch64__)
namespace neon {
LstmCellFn LstmCell;
}
#endif

namespace {
constexpr Variant<LstmCellFn> kVariants[] = {
#if defined(__x86_64__)
    {"avx512", cpu::kAvx512, &avx512::LstmCell},
    {"avx2", cpu::kAvx2Fma, &avx2::LstmCell},
#elif defined(__aarch64__)
    {"neon", cpu::kNeon, &neon::LstmCell},
#endif
    {"portable", cpu::kNone, &portable::LstmCell},
};
}  // namespace

std::span<const Variant<LstmCellFn>> LstmCellVariants() { return kVariants; }

}  // namespace bitlm
