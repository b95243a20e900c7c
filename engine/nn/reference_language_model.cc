// The reference: the equations in double precision and plain loops, inputs not quantized. It
// specifies the network and bounds the error of the others; only its states are floats, because
// the interface's are.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_format.h"
#include "engine/base/status.h"
#include "engine/kernels/layer_norm/layer_norm.h"
#include "engine/nn/language_model.h"

namespace bitlm {
namespace {

using Vector = std::vector<double>;

// A matrix with its scales multiplied in. Transposed, so that the loop over rows is the inner one.
struct Matrix {
  size_t rows = 0;
  size_t columns = 0;
  std::vector<double> values;  // [columns][rows].

  bool empty() const { return values.empty(); }
  // y += W x.
  void AddProduct(const Vector& x, Vector* y) const {
    for (size_t k = 0; k < columns; ++k) {
      const double* column = values.data() + k * rows;
      for (size_t r = 0; r < rows; ++r) (*y)[r] += column[r] * x[k];
    }
  }
};

struct Linear {
  Matrix weight;
  Vector bias;
  Vector Apply(const Vector& x) const {
    Vector y = bias;
    weight.AddProduct(x, &y);
    return y;
  }
};

struct Lstm {
  Matrix x;  // With its scales and gains.
  Matrix h;
  Vector bias;
  Vector x_gain, h_gain, c_gain, c_shift;  // Layer norm, else empty.
};

// x with its mean taken off and divided by its standard deviation (Ba et al. 2016,
// arXiv:1607.06450, equation 3).
Vector Normalized(const Vector& x) {
  const double n = static_cast<double>(x.size());
  const double mean = std::accumulate(x.begin(), x.end(), 0.0) / n;
  double variance = 0;
  for (const double value : x) variance += (value - mean) * (value - mean) / n;
  Vector y;
  for (const double value : x) {
    y.push_back((value - mean) / std::sqrt(variance + double{kLayerNormEpsilon}));
  }
  return y;
}

// y += gain * Normalized(x), value by value.
void AddNormalized(const Vector& gain, const Vector& x, Vector* y) {
  const Vector normal = Normalized(x);
  for (size_t r = 0; r < x.size(); ++r) (*y)[r] += gain[r] * normal[r];
}

// Element (row, column) of a float, int8 or packed binary tensor with `rows` x `columns` values,
// without scale; of a bit plane.
double Element(const Tensor& tensor, size_t rows, size_t columns, size_t plane, size_t row,
               size_t column) {
  if (tensor.dtype == DType::kF32) return tensor.f32()[row * columns + column];
  if (tensor.dtype == DType::kI8) return tensor.i8()[row * columns + column];
  const size_t row_bytes = (columns + 7) / 8;
  const uint8_t byte = tensor.u8()[(plane * rows + row) * row_bytes + column / 8];
  return ((byte >> (column % 8)) & 1) != 0 ? 1.0 : -1.0;
}

double Sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }

class ReferenceLanguageModel final : public LanguageModel {
 public:
  explicit ReferenceLanguageModel(std::shared_ptr<const Model> model) : model_(std::move(model)) {
    const ModelConfig& c = config();
    hidden_ = static_cast<size_t>(c.hidden_size);
    embedding_ = static_cast<size_t>(c.embedding_size);
    vocabulary_ = static_cast<size_t>(c.vocabulary_size);
    outputs_ = static_cast<size_t>(c.OutputSize());
    if (c.input_projection != MatrixKind::kNone) {
      input_projection_ = LoadLinear("input_projection", hidden_, embedding_);
    }
    for (int layer = 0; layer < c.layers; ++layer) {
      const std::string prefix = absl::StrFormat("lstm.%d.", layer);
      Lstm lstm{.x = LoadGates(prefix, "x", static_cast<size_t>(c.LstmInputSize(layer))),
                .h = LoadGates(prefix, "h", hidden_),
                .bias = LoadVector(prefix + "bias"),
                .x_gain = {},
                .h_gain = {},
                .c_gain = {},
                .c_shift = {}};
      if (c.norm == NormKind::kLayer) {
        lstm.x_gain = LoadVector(prefix + "gain_x");
        lstm.h_gain = LoadVector(prefix + "gain_h");
        lstm.c_gain = LoadVector(prefix + "gain_c");
        lstm.c_shift = LoadVector(prefix + "shift_c");
      }
      lstm_.push_back(std::move(lstm));
    }
    if (c.output_projection != MatrixKind::kNone) {
      output_projection_ = LoadLinear("output_projection", embedding_, hidden_);
    }
    const bool tied = c.output_embedding == MatrixKind::kTied;
    output_.weight = Load(tied ? "embedding.weight" : "output_embedding.weight",
                          "output_embedding.scale", outputs_, embedding_);
    output_.bias = c.output_bias ? LoadVector("output_bias") : Vector(outputs_, 0.0);
  }

  const Model& model() const override { return *model_; }
  size_t state_size() const override { return lstm_.size() * 2 * hidden_; }
  std::string description() const override { return "reference"; }
  uint64_t weight_bytes() const override {
    uint64_t values = Values(input_projection_) + Values(output_projection_) + Values(output_);
    for (const Lstm& lstm : lstm_) {
      values += lstm.x.values.size() + lstm.h.values.size() + lstm.bias.size();
    }
    return values * sizeof(double) + WeightBytes(config());
  }

  void Advance(std::span<const TokenId> tokens, std::span<const float* const> states,
               std::span<float* const> next, ThreadPool* pool) const override {
    ForRows(tokens.size(), pool, [&](size_t b) { Step(tokens[b], states[b], next[b]); });
  }

  void Output(std::span<const OutputRow> rows, ThreadPool* pool) const override {
    ForRows(rows.size(), pool, [&](size_t b) { Row(rows[b]); });
  }

 private:
  static uint64_t Values(const Linear& linear) {
    return linear.weight.values.size() + linear.bias.size();
  }

  static void ForRows(size_t count, ThreadPool* pool, absl::FunctionRef<void(size_t)> body) {
    if (pool != nullptr) return pool->ParallelFor(count, body);
    for (size_t b = 0; b < count; ++b) body(b);
  }

  Vector LoadVector(const std::string& name) const {
    const std::span<const float> values = model_->tensors.at(name).f32();
    return Vector(values.begin(), values.end());
  }

  // Packed and int8 matrices have a scale for each row or one for all, packed ones for each plane;
  // planes are added up.
  Matrix Load(const std::string& name, const std::string& scale_name, size_t rows,
              size_t columns) const {
    const Tensor& tensor = model_->tensors.at(name);
    const auto planes = static_cast<size_t>(PlanesOf(tensor));
    Vector scale(1, 1.0);
    if (tensor.dtype != DType::kF32) scale = LoadVector(scale_name);
    Matrix matrix{.rows = rows, .columns = columns, .values = Vector(rows * columns)};
    for (size_t plane = 0; plane < planes; ++plane) {
      for (size_t r = 0; r < rows; ++r) {
        const double row_scale = scale[scale.size() == planes ? plane : plane * rows + r];
        for (size_t k = 0; k < columns; ++k) {
          matrix.values[k * rows + r] += row_scale * Element(tensor, rows, columns, plane, r, k);
        }
      }
    }
    return matrix;
  }

  // W_x or W_h, by "x" or "h", with what a batch norm multiplies its product with.
  Matrix LoadGates(const std::string& prefix, const std::string& input, size_t columns) const {
    const bool shared = config().SharesGateScales();
    Matrix matrix = Load(prefix + "weight_" + input, prefix + (shared ? "scale" : "scale_" + input),
                         4 * hidden_, columns);
    if (config().norm == NormKind::kBatch) {
      const Vector gain = LoadVector(prefix + "gain_" + input);
      for (size_t i = 0; i < matrix.values.size(); ++i) matrix.values[i] *= gain[i % matrix.rows];
    }
    return matrix;
  }

  // The input of a product: itself, or its sign ([ZT] section 3.1).
  Vector Activation(Vector x) const {
    if (config().activation == ActivationKind::kSign) {
      for (double& value : x) value = value > 0 ? 1.0 : -1.0;
    }
    return x;
  }

  Linear LoadLinear(const std::string& name, size_t rows, size_t columns) const {
    return {.weight = Load(name + ".weight", name + ".scale", rows, columns),
            .bias = LoadVector(name + ".bias")};
  }

  void Step(TokenId token, const float* state, float* next) const {
    // [LCY18] equation 2: the embedding is a look-up.
    const Tensor& table = model_->tensors.at("embedding.weight");
    Vector x(embedding_);
    for (size_t plane = 0; plane < static_cast<size_t>(PlanesOf(table)); ++plane) {
      const double scale =
          table.dtype == DType::kU8 ? model_->tensors.at("embedding.scale").f32()[plane] : 1.0;
      for (size_t k = 0; k < embedding_; ++k) {
        x[k] +=
            scale * Element(table, vocabulary_, embedding_, plane, static_cast<size_t>(token), k);
      }
    }
    if (!input_projection_.weight.empty()) x = input_projection_.Apply(x);  // Equation 9.
    // Equation 3, gates in the order i f g o.
    for (size_t layer = 0; layer < lstm_.size(); ++layer) {
      const size_t offset = layer * 2 * hidden_;
      const Lstm& lstm = lstm_[layer];
      Vector previous_h(hidden_), c(hidden_);
      if (state != nullptr) {
        previous_h.assign(state + offset, state + offset + hidden_);
        c.assign(state + offset + hidden_, state + offset + 2 * hidden_);
      }
      const Vector gates = Gates(lstm, Activation(std::move(x)), Activation(std::move(previous_h)));
      for (size_t j = 0; j < hidden_; ++j) {
        c[j] = Sigmoid(gates[hidden_ + j]) * c[j] +
               Sigmoid(gates[j]) * std::tanh(gates[2 * hidden_ + j]);
        next[offset + hidden_ + j] = static_cast<float>(c[j]);
      }
      if (!lstm.c_gain.empty()) {
        Vector normal = lstm.c_shift;
        AddNormalized(lstm.c_gain, c, &normal);
        c = std::move(normal);
      }
      Vector h(hidden_);
      for (size_t j = 0; j < hidden_; ++j) {
        h[j] = Sigmoid(gates[3 * hidden_ + j]) * std::tanh(c[j]);
        next[offset + j] = static_cast<float>(h[j]);
      }
      x = std::move(h);
    }
  }

  // W_x x + W_h h + b, or their layer norms' sum.
  Vector Gates(const Lstm& lstm, const Vector& x, const Vector& h) const {
    Vector gates = lstm.bias;
    if (lstm.x_gain.empty()) {
      lstm.x.AddProduct(x, &gates);
      lstm.h.AddProduct(h, &gates);
      return gates;
    }
    Vector x_product(4 * hidden_), h_product(4 * hidden_);
    lstm.x.AddProduct(x, &x_product);
    lstm.h.AddProduct(h, &h_product);
    AddNormalized(lstm.x_gain, x_product, &gates);
    AddNormalized(lstm.h_gain, h_product, &gates);
    return gates;
  }

  void Row(const OutputRow& row) const {
    const float* h = row.state + (lstm_.size() - 1) * 2 * hidden_;
    Vector z(h, h + hidden_);
    if (!output_projection_.weight.empty()) z = output_projection_.Apply(z);  // Equation 9.
    const Vector logits = output_.Apply(z);
    const double max = *std::max_element(logits.begin(), logits.end());
    double sum = 0;
    for (const double logit : logits) sum += std::exp(logit - max);
    const double log_sum = row.self_normalized ? 0 : max + std::log(sum);
    const auto before = [&](size_t a, size_t b) {
      return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
    };
    for (size_t i = 0; i < row.targets.size(); ++i) {
      const size_t target = static_cast<size_t>(row.targets[i]);
      row.logprobs[i] = static_cast<float>(logits[target] - log_sum);
      if (row.ranks == nullptr) continue;
      row.ranks[i] = 1;
      for (size_t v = 0; v < outputs_; ++v) row.ranks[i] += before(v, target) ? 1 : 0;
    }
    if (row.top_k <= 0) return;
    std::vector<size_t> order(row.among.begin(), row.among.end());
    if (order.empty()) {
      order.resize(outputs_);
      std::iota(order.begin(), order.end(), size_t{0});
    }
    const size_t k = std::min(static_cast<size_t>(row.top_k), order.size());
    std::partial_sort(order.begin(), order.begin() + static_cast<ptrdiff_t>(k), order.end(),
                      before);
    for (size_t i = 0; i < k; ++i) {
      row.top[i] = {.token = static_cast<TokenId>(order[i]),
                    .logprob = static_cast<float>(logits[order[i]] - log_sum)};
    }
  }

  const std::shared_ptr<const Model> model_;
  size_t hidden_ = 0;
  size_t embedding_ = 0;
  size_t vocabulary_ = 0;
  size_t outputs_ = 0;
  Linear input_projection_;
  std::vector<Lstm> lstm_;
  Linear output_projection_;
  Linear output_;
};

}  // namespace

absl::StatusOr<std::shared_ptr<const LanguageModel>> MakeReferenceLanguageModel(
    std::shared_ptr<const Model> model) {
  BITLM_RETURN_IF_ERROR(CheckServable(model->config));
  return std::make_shared<const ReferenceLanguageModel>(std::move(model));
}

}  // namespace bitlm
