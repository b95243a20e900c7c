#include "trainer/tensor/one_dnn.h"

#include <omp.h>
#include <oneapi/dnnl/dnnl.h>
#include <oneapi/dnnl/dnnl_debug.h>

#include <cstdio>
#include <cstdlib>

namespace bitlm::trainer {

void UseOneOpenMpThread() {
  [[maybe_unused]] thread_local const bool set = (omp_set_num_threads(1), true);
}

void FailProduct(const char* message) {
  std::fprintf(stderr, "bitlm-train: a product failed in oneDNN: %s\n", message);
  std::abort();
}

void Sgemm(const SgemmArguments& arguments, const float* a, int64_t a_stride, const float* b,
           int64_t b_stride, float* c, int64_t c_stride) {
  UseOneOpenMpThread();
  const dnnl_status_t status = dnnl_sgemm(arguments.transpose_a, arguments.transpose_b, arguments.m,
                                          arguments.n, arguments.k, arguments.factor, a, a_stride,
                                          b, b_stride, arguments.keep, c, c_stride);
  if (status != dnnl_success) FailProduct(dnnl_status2str(status));
}

}  // namespace bitlm::trainer
