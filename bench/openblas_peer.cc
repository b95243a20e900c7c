#include "bench/openblas_peer.h"

#include <dlfcn.h>

#include <memory>
#include <random>
#include <vector>

namespace bitlm::bench {
namespace {

// Of cblas.h, with 32-bit sizes as Debian builds it.
constexpr int kRowMajor = 101;
constexpr int kNoTranspose = 111;
using SgemmFn = void(int order, int transpose_a, int transpose_b, int m, int n, int k, float alpha,
                     const float* a, int lda, const float* b, int ldb, float beta, float* c,
                     int ldc);
using SetThreadsFn = void(int threads);

struct Library {
  SgemmFn* sgemm = nullptr;
  SetThreadsFn* set_threads = nullptr;
};

Library Load() {
  void* handle = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);  // Stays for good.
  if (handle == nullptr) return {};
  return {
      .sgemm = reinterpret_cast<SgemmFn*>(dlsym(handle, "cblas_sgemm")),
      .set_threads = reinterpret_cast<SetThreadsFn*>(dlsym(handle, "openblas_set_num_threads"))};
}

std::shared_ptr<std::vector<float>> Random(int64_t size) {
  std::minstd_rand random(1);
  auto values = std::make_shared<std::vector<float>>(static_cast<size_t>(size));
  for (float& value : *values) value = static_cast<float>(static_cast<int>(random() % 255) - 127);
  return values;
}

}  // namespace

std::function<void()> OpenBlasProduct(int64_t m, int64_t k, int64_t n) {
  static const Library library = Load();
  if (library.sgemm == nullptr || library.set_threads == nullptr) return {};
  library.set_threads(1);
  const auto a = Random(m * k), b = Random(k * n), c = Random(m * n);
  const auto rows = static_cast<int>(m), inner = static_cast<int>(k), columns = static_cast<int>(n);
  return [=] {
    library.sgemm(kRowMajor, kNoTranspose, kNoTranspose, rows, columns, inner, 1.0f, a->data(),
                  inner, b->data(), columns, 0.0f, c->data(), columns);
  };
}

}  // namespace bitlm::bench
