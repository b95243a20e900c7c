#include "bench/onednn_peer.h"

#include <omp.h>

#include <cstring>
#include <memory>
#include <oneapi/dnnl/dnnl.hpp>
#include <random>
#include <vector>

namespace bitlm::bench {
namespace {

using dnnl::memory;
using Type = memory::data_type;

struct Product {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  memory a, b, c;
  dnnl::matmul primitive;

  void Run() {
    primitive.execute(stream, {{DNNL_ARG_SRC, a}, {DNNL_ARG_WEIGHTS, b}, {DNNL_ARG_DST, c}});
    stream.wait();
  }
};

// A plain float matrix of random values, converted to `type` in the layout `description`.
memory Filled(Product& product, int64_t rows, int64_t cols, const memory::desc& description) {
  const memory plain({{rows, cols}, Type::f32, memory::format_tag::ab}, product.engine);
  auto* values = static_cast<float*>(plain.get_data_handle());
  std::minstd_rand random(1);
  for (int64_t i = 0; i < rows * cols; ++i) {
    values[i] = static_cast<float>(static_cast<int>(random() % 255) - 127);
  }
  memory filled(description, product.engine);
  memory from = plain;
  dnnl::reorder(from, filled).execute(product.stream, from, filled);
  product.stream.wait();
  return filled;
}

}  // namespace

std::function<void()> OneDnnProduct(const std::string& type, int64_t m, int64_t k, int64_t n) {
  omp_set_num_threads(1);
  const Type input = type == "f32" ? Type::f32 : type == "bf16" ? Type::bf16 : Type::s8;
  const Type output = type == "s8" ? Type::s32 : Type::f32;
  auto product = std::make_shared<Product>();
  try {
    const memory::desc a({m, k}, input, memory::format_tag::ab);
    const memory::desc b({k, n}, input, memory::format_tag::any);
    const memory::desc c({m, n}, output, memory::format_tag::ab);
    const dnnl::matmul::primitive_desc description(dnnl::matmul::desc(a, b, c), product->engine);
    product->primitive = dnnl::matmul(description);
    product->a = Filled(*product, m, k, description.src_desc());
    product->b = Filled(*product, k, n, description.weights_desc());
    product->c = memory(description.dst_desc(), product->engine);
  } catch (const dnnl::error&) {
    return {};
  }
  return [product] { product->Run(); };
}

}  // namespace bitlm::bench
