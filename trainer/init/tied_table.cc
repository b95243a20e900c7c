#include "trainer/init/tied_table.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <utility>

#include "absl/strings/str_format.h"
#include "trainer/init/matrices.h"
#include "trainer/init/sign_factors.h"
#include "trainer/tensor/random.h"

namespace bitlm::trainer {
namespace {

// Adds `moments` to `metric` in the unit of what the rows of `table` have by them.
void AddRelative(const Values& table, const Values& weights, const Values& moments, size_t e,
                 double share, ThreadPool* pool, Values* metric) {
  const Values products = TimesTransposed(table, moments, e, pool);
  double all = 0;
  for (size_t v = 0; v < weights.size(); ++v) {
    double square = 0;
    for (size_t i = v * e; i < (v + 1) * e; ++i) square += table[i] * products[i];
    all += weights[v] * square;
  }
  if (!(all > 0)) return;
  for (size_t i = 0; i < moments.size(); ++i) {
    (*metric)[i] += static_cast<float>(share / all) * moments[i];
  }
}

Tensor PackedTensor(const Values& values, int64_t rows, int64_t columns) {
  const int64_t bytes = (columns + 7) / 8;
  Tensor tensor = MakeTensor(DType::kU8, {rows, bytes});
  for (int64_t i = 0; i < rows * columns; ++i) {
    if (!(values[static_cast<size_t>(i)] > 0)) continue;
    const int64_t c = i % columns;
    tensor.mutable_u8()[static_cast<size_t>(i / columns * bytes + c / 8)] |=
        static_cast<uint8_t>(1u << (c % 8));
  }
  return tensor;
}

// Orthonormal rows: Gram and Schmidt's of random ones.
Values Rotation(size_t n, uint64_t seed) {
  Values rows(n * n);
  for (size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<float>(GaussianAt(seed, i));
  const auto dot = [&](size_t a, size_t b) {
    double sum = 0;
    for (size_t k = 0; k < n; ++k) sum += rows[a * n + k] * rows[b * n + k];
    return sum;
  };
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j < i; ++j) {
      const auto part = static_cast<float>(dot(i, j));
      for (size_t k = 0; k < n; ++k) rows[i * n + k] -= part * rows[j * n + k];
    }
    const auto length = static_cast<float>(std::sqrt(dot(i, i)));
    for (size_t k = 0; k < n; ++k) rows[i * n + k] /= length;
  }
  return rows;
}

}  // namespace

bool NeedsTiedTable(const ModelConfig& from, const ModelConfig& to) {
  return from.output_embedding == MatrixKind::kTied && to.output_embedding == MatrixKind::kTied &&
         from.embedding == MatrixKind::kFloat && to.embedding == MatrixKind::kBinary &&
         to.output_projection != MatrixKind::kNone && from.hidden_size == to.hidden_size &&
         from.vocabulary_size == to.vocabulary_size;
}

absl::StatusOr<TiedTable> FactorTiedTable(const Model& model, const FitOptions& options,
                                          const TiedTableOptions& tied, ThreadPool* pool) {
  const ModelConfig& config = model.config;
  const auto v = static_cast<size_t>(config.vocabulary_size);
  const auto e = static_cast<size_t>(config.embedding_size);
  const auto h = static_cast<size_t>(config.hidden_size);
  if (options.counts.size() != v) {
    return absl::InvalidArgumentError("counts: expected one for each word");
  }
  const auto size = tied.size > 0 ? static_cast<size_t>(tied.size) : e;  // K
  if (tied.exact && size != e) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "embedding_size: %d, expected %d: a table that is not fitted keeps it", size, e));
  }
  const Values weights = WordWeights(options);
  const Values table = EffectiveMatrix(model, "embedding.weight", "embedding.scale", e);
  const bool layer = config.input_projection != MatrixKind::kNone;
  const std::string input = layer ? "input_projection" : "lstm.0";
  const std::string input_weight = input + (layer ? ".weight" : ".weight_x");
  const Values in = EffectiveMatrix(model, input_weight, input + ".scale", e);  // [., E]

  Values m, codes, latent;  // T ~ codes m.
  double error = 0;
  if (tied.exact) {
    m = Rotation(e, options.seed);
    codes = TimesTransposed(table, m, e, pool);
    latent = codes;
  } else {
    Values metric(e * e);
    const Values by_columns = Transposed(in, e);
    AddRelative(table, weights, TimesTransposed(by_columns, by_columns, in.size() / e, pool), e, 1,
                pool, &metric);
    if (options.moments != nullptr)
      AddRelative(table, weights, options.moments->z, e, 1, pool, &metric);
    SignFactors factors = FactorIntoSigns(
        table, weights, static_cast<int64_t>(size),
        {.planes = std::max(1, tied.planes), .metric = metric, .seed = options.seed}, pool);
    m = std::move(factors.m);
    latent = std::move(factors.margins);
    codes = latent;
    for (float& x : codes) x = factors.levels.Value(x);
    error = factors.error;
  }
  // What is before the LSTM of a table without a scale of its own has to be of the size of h: one
  // scale serves a row of W_x and W_h.
  float unit = std::sqrt(1.0f / static_cast<float>(h));
  if (tied.planes > 0 && !layer) {
    const Values w_h = EffectiveMatrix(model, "lstm.0.weight_h", "lstm.0.scale", h);
    const double ratio = MeanMagnitude(TimesTransposed(in, m, e, pool)) / MeanMagnitude(w_h);
    if (ratio > 0) unit = static_cast<float>(ratio);
  }
  for (float& x : m) x /= unit;
  for (float& x : codes) x *= unit;
  if (tied.planes > 0) {
    for (float& x : latent) x *= unit;
  }

  TiedTable result{.model = {.config = config,
                             .metadata = model.metadata,
                             .vocabulary = model.vocabulary,
                             .tensors = {},
                             .golden = {}},
                   .latent = std::move(latent),
                   .error = error};
  result.model.config.output_projection = MatrixKind::kFloat;
  result.model.config.embedding_size = static_cast<int>(size);
  const auto columns = static_cast<int64_t>(size);
  TensorMap& tensors = result.model.tensors;
  for (const auto& [name, tensor] : model.tensors) tensors.emplace(name, CopyOf(tensor));
  if (tied.planes == 0) {
    result.model.config.embedding = MatrixKind::kBinary;
    tensors["embedding.weight"] = PackedTensor(codes, config.vocabulary_size, columns);
    tensors["embedding.scale"] = FloatTensor(Values{unit}, {1});
    tensors["output_embedding.scale"] = FloatTensor(Values{unit}, {1});
  } else {
    tensors["embedding.weight"] = FloatTensor(codes, {config.vocabulary_size, columns});
  }
  tensors.erase(input + ".scale");
  tensors[input_weight] =
      FloatTensor(TimesTransposed(in, m, e, pool), {static_cast<int64_t>(in.size() / e), columns});
  Values projection = m, projection_bias(size);
  if (config.output_projection != MatrixKind::kNone) {
    const Values p =
        EffectiveMatrix(model, "output_projection.weight", "output_projection.scale", h);
    projection = TimesTransposed(m, Transposed(p, h), e, pool);
    projection_bias = TimesTransposed(m, VectorOf(model, "output_projection.bias"), e, pool);
  }
  tensors.erase("output_projection.scale");
  tensors["output_projection.weight"] = FloatTensor(projection, {columns, config.hidden_size});
  tensors["output_projection.bias"] = FloatTensor(projection_bias, {columns});
  if (config.output_bias && options.moments != nullptr) {
    const Values& mean = options.moments->z_mean;
    const Values was = TimesTransposed(table, mean, e, pool);
    const Values through = TimesTransposed(m, mean, e, pool);
    auto bias = tensors.at("output_bias").mutable_f32();
    for (size_t word = 0; word < v; ++word) {
      double is = 0;
      for (size_t k = 0; k < size; ++k) is += codes[word * size + k] * through[k];
      bias[word] += was[word] - static_cast<float>(is);
    }
  }
  return result;
}

}  // namespace bitlm::trainer
