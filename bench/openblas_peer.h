// Float products by OpenBLAS, where it is installed (`scripts/install-dependencies --peers`).
#pragma once

#include <cstdint>
#include <functional>

namespace bitlm::bench {

// c [m, n] = a [m, k] * b [k, n] by cblas_sgemm, row-major, random values, one thread, the kernels
// that OpenBLAS picks for this CPU unless OPENBLAS_CORETYPE says otherwise. Empty where there is no
// OpenBLAS.
std::function<void()> OpenBlasProduct(int64_t m, int64_t k, int64_t n);

}  // namespace bitlm::bench
