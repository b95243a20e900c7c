#include "trainer/init/matrices.h"

#include <algorithm>

namespace bitlm::trainer {

Values EffectiveMatrix(const Model& model, const std::string& matrix, const std::string& scale,
                       size_t columns) {
  const Tensor& tensor = model.tensors.at(matrix);
  if (tensor.dtype == DType::kF32) return {tensor.f32().begin(), tensor.f32().end()};
  const auto bits = tensor.u8();
  const auto scales = model.tensors.at(scale).f32();
  const size_t bytes = (columns + 7) / 8;
  const size_t rows = bits.size() / bytes;
  Values values(rows * columns);
  for (size_t r = 0; r < rows; ++r) {
    const float magnitude = scales[scales.size() == 1 ? 0 : r];
    for (size_t c = 0; c < columns; ++c) {
      const bool plus = (bits[r * bytes + c / 8] >> (c % 8) & 1) != 0;
      values[r * columns + c] = plus ? magnitude : -magnitude;
    }
  }
  return values;
}

Values VectorOf(const Model& model, const std::string& name) {
  const auto values = model.tensors.at(name).f32();
  return {values.begin(), values.end()};
}

Values Transposed(std::span<const float> values, size_t columns) {
  const size_t rows = values.size() / columns;
  Values out(values.size());
  for (size_t r = 0; r < rows; ++r) {
    for (size_t c = 0; c < columns; ++c) out[c * rows + r] = values[r * columns + c];
  }
  return out;
}

Values TimesTransposed(std::span<const float> a, std::span<const float> b, size_t n,
                       ThreadPool* pool) {
  const size_t rows = a.size() / n, columns = b.size() / n;
  // b by columns, so that the inner loop has no reduction.
  const Values by_column = Transposed(b, n);
  Values out(rows * columns);
  pool->ParallelFor(rows, [&](size_t i) {
    float* to = out.data() + i * columns;
    for (size_t k = 0; k < n; ++k) {
      const float factor = a[i * n + k];
      const float* from = by_column.data() + k * columns;
      for (size_t j = 0; j < columns; ++j) to[j] += factor * from[j];
    }
  });
  return out;
}

Tensor CopyOf(const Tensor& tensor) {
  Tensor copy = MakeTensor(tensor.dtype, tensor.shape);
  std::copy(tensor.bytes.begin(), tensor.bytes.end(), copy.bytes.begin());
  return copy;
}

}  // namespace bitlm::trainer
