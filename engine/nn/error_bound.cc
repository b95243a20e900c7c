#include "engine/nn/error_bound.h"

#include <algorithm>
#include <cmath>

namespace bitlm {
namespace {

// Half a unit in the last place of 1: the relative error of one rounding.
constexpr double kRounding = 0x1p-24;
// Relative errors of our Exp, Sigmoid and Tanh (elementary_test holds them to this).
constexpr double kElementary = 8 * kRounding;

}  // namespace

double ErrorBound::Largest(const std::string& name) const {
  double largest = 0;
  for (const float value : model_.tensors.at(name).f32()) {
    largest = std::max(largest, std::fabs(static_cast<double>(value)));
  }
  return largest;
}

double ErrorBound::RowNorm(const std::string& name, const std::string& scale,
                           size_t columns) const {
  const Tensor& tensor = model_.tensors.at(name);
  // Every weight of a binary row has the magnitude of its scale, in each plane.
  if (tensor.dtype == DType::kU8) {
    return PlanesOf(tensor) * Largest(scale) * static_cast<double>(columns);
  }
  if (tensor.dtype == DType::kI8) return Largest(scale) * 128 * static_cast<double>(columns);
  double largest = 0;
  const std::span<const float> values = tensor.f32();
  for (size_t first = 0; first < values.size(); first += columns) {
    double norm = 0;
    for (size_t k = 0; k < columns; ++k) norm += std::fabs(static_cast<double>(values[first + k]));
    largest = std::max(largest, norm);
  }
  return largest;
}

double ErrorBound::InputError(const std::string& name, const Bounded& x, bool hidden) const {
  if (model_.tensors.at(name).dtype == DType::kF32) return x.error;
  // Half a step of max|x| / L (or 1 / L), where the row's computed maximum is in error as well;
  // x * inverse, inverse and scale each rounded once, on values up to the maximum.
  const double limit = model_.config.activation_planes == 1 ? 127 : 16256;
  const double maximum = hidden ? 1 : x.size + x.error;
  return x.error + maximum * (0.5 / limit + 4 * kRounding);
}

ErrorBound::Bounded ErrorBound::Linear(const std::string& layer, const Bounded& x,
                                       bool hidden) const {
  const std::string name = layer + ".weight";
  const Tensor& tensor = model_.tensors.at(name);
  const bool packed = tensor.dtype == DType::kU8;
  const bool output = layer == "output_embedding";
  const size_t columns = static_cast<size_t>(
      layer == "output_projection" ? model_.config.hidden_size : model_.config.embedding_size);
  const std::string bias = output ? "output_bias" : layer + ".bias";
  const double norm = RowNorm(name, layer + ".scale", columns);
  const double shift = model_.tensors.contains(bias) ? Largest(bias) : 0;
  const double error = InputError(name, x, hidden);
  // A float row adds columns + 1 terms with one rounding each; a binary row has an exact sum and
  // then at most six roundings, in each plane.
  const double roundings = packed ? 6 * PlanesOf(tensor) : static_cast<double>(columns) + 1;
  const double size = norm * x.size + shift;
  return {.size = size,
          .error = norm * error + roundings * kRounding * 1.01 * (norm * (x.size + error) + shift)};
}

double ErrorBound::State(double c_size) const {
  const ModelConfig& config = model_.config;
  Bounded x;
  const bool binary_embedding = config.embedding == MatrixKind::kBinary;
  x.size = Largest(binary_embedding ? "embedding.scale" : "embedding.weight");
  if (binary_embedding && config.bit_planes > 1) {
    x.size *= config.bit_planes;
    x.error = config.bit_planes * kRounding * x.size;  // Planes are added up.
  }
  if (config.input_projection != MatrixKind::kNone) x = Linear("input_projection", x, false);
  bool x_hidden = false;
  const Bounded h{.size = 1, .error = 0};  // The state that both were given.
  double largest = 0;
  for (int layer = 0; layer < config.layers; ++layer) {
    const std::string prefix = "lstm." + std::to_string(layer);
    const size_t input = static_cast<size_t>(config.LstmInputSize(layer));
    const size_t hidden = static_cast<size_t>(config.hidden_size);
    const bool shared = config.SharesGateScales();
    const double norm_x =
        RowNorm(prefix + ".weight_x", prefix + (shared ? ".scale" : ".scale_x"), input);
    const double norm_h =
        RowNorm(prefix + ".weight_h", prefix + (shared ? ".scale" : ".scale_h"), hidden);
    const double error_x = InputError(prefix + ".weight_x", x, x_hidden);
    const double error_h = InputError(prefix + ".weight_h", h, true);
    const bool packed = model_.tensors.at(prefix + ".weight_x").dtype != DType::kF32;
    const double roundings =
        packed ? 8 * config.RecurrentPlanes() : static_cast<double>(input + hidden) + 1;
    const double gate =
        norm_x * error_x + norm_h * error_h +
        roundings * kRounding * 1.01 *
            (norm_x * (x.size + error_x) + norm_h * (1 + error_h) + Largest(prefix + ".bias"));
    // Equation 3. Sigmoid's slope is at most 1/4, tanh's 1; both are at most 1 in size.
    const double sigmoid = gate / 4 + kElementary;
    const double tanh = gate + kElementary;
    const double c_error = c_size * sigmoid                   // f c
                           + sigmoid + tanh + sigmoid * tanh  // i g
                           + 3 * kRounding * (c_size + 1);
    const double h_error = sigmoid + (c_error + kElementary) * (1 + sigmoid) + 2 * kRounding;
    largest = std::max({largest, c_error, h_error});
    x = {.size = 1, .error = h_error};
    x_hidden = true;
  }
  return largest + kRounding * (c_size + 1);  // The reference rounds its states to float as well.
}

double ErrorBound::Logprob() const {
  Bounded z{.size = 1, .error = 0};
  const bool projected = model_.config.output_projection != MatrixKind::kNone;
  if (projected) z = Linear("output_projection", z, true);
  const Bounded logit = Linear("output_embedding", z, !projected);
  // log p = (logit - max) - log(sum): the logit and the log of the sum are each off by at most the
  // logits' error. The sum adds positive terms, each through at most 32 + 4 + tiles additions, two
  // Exp of rounded arguments of at most 2 * size.
  const double tiles = static_cast<double>(model_.config.vocabulary_size) / 512 + 1;
  const double sum = (40 + tiles) * kRounding + 2 * kElementary + 4 * logit.size * kRounding;
  return 2 * logit.error + sum + 8 * kRounding * (2 * logit.size + 20);
}

}  // namespace bitlm
