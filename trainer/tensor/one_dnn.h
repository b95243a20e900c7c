// What all products by oneDNN share.
#pragma once

#include <cstdint>

namespace bitlm::trainer {

// One OpenMP thread for the calling thread's products: the trainer splits the work itself, which is
// faster than oneDNN's own split at these sizes.
void UseOneOpenMpThread();

// Ends the process: oneDNN lacks the memory or the kernel, or was asked for what is no product.
[[noreturn]] void FailProduct(const char* message);

// C = factor * op(A) op(B) + keep * C, row-major, C [m, n], op(A) [m, k], op(B) [k, n]; op is the
// transposition where it is 'T', nothing where it is 'N'.
struct SgemmArguments {
  char transpose_a = 'N', transpose_b = 'N';
  int64_t m = 0, n = 0, k = 0;
  float factor = 1, keep = 0;
};

// dnnl_sgemm on the calling thread, with the strides of rows in memory.
void Sgemm(const SgemmArguments& arguments, const float* a, int64_t a_stride, const float* b,
           int64_t b_stride, float* c, int64_t c_stride);

}  // namespace bitlm::trainer
