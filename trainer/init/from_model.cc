#include "trainer/init/from_model.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "engine/base/status.h"
#include "trainer/init/from_model_check.h"
#include "trainer/init/matrices.h"
#include "trainer/init/norm_from_model.h"
#include "trainer/init/sign_factors.h"
#include "trainer/init/sign_rows.h"

namespace bitlm::trainer {
namespace {

// Matrices over each other, each [inputs, outputs] as trained, with one scale by outputs.
using Stacked = std::vector<std::pair<const Values*, Parameter<float>*>>;

// Binary ones keep their signs.
void SetValues(const Values& values, Parameter<float>* parameter) {
  for (size_t i = 0; i < values.size(); ++i) {
    const float x = values[i];
    parameter->value[i] = !parameter->binary() ? x
                          : x > 0              ? parameter->alpha / 2
                                               : -parameter->alpha / 2;
  }
}

// The values themselves, of a binary matrix with a scale per matrix, too, whose mean magnitude is
// its scale.
void CopyValues(const Values& values, Parameter<float>* parameter) {
  std::copy(values.begin(), values.end(), parameter->value.begin());
}

// Latent values whose mean magnitude is alpha / 2, from values of mean magnitude 1; those with
// fitted scales as they are, times `unit`.
void SetLatent(const Values& values, float unit, Parameter<float>* parameter) {
  const float alpha = parameter->alpha;
  for (size_t i = 0; i < values.size(); ++i) {
    parameter->value[i] =
        parameter->fitted() ? values[i] * unit : std::clamp(values[i] * alpha / 2, -alpha, alpha);
  }
}

// The identity, or `moments`.
Values MomentsOr(const Values* moments, size_t n) {
  if (moments != nullptr) return *moments;
  Values identity(n * n);
  for (size_t i = 0; i < n; ++i) identity[i * n + i] = 1;
  return identity;
}

// From matrices that have one magnitude by outputs already: their signs and scales.
void CopyBinary(const Stacked& matrices, Parameter<float>* gamma) {
  for (const auto& [values, parameter] : matrices) SetValues(*values, parameter);
  for (size_t j = 0; j < gamma->value.size(); ++j) {
    gamma->value[j] = std::log(std::fabs((*matrices[0].first)[j]) / matrices[0].second->alpha);
  }
}

// Fitted by columns to their products with inputs of these `moments`.
void FitBinary(const Stacked& matrices, const Values& moments, ThreadPool* pool,
               Parameter<float>* gamma) {
  const float alpha = matrices[0].second->alpha;
  const size_t outputs = gamma->value.size();
  pool->ParallelFor(outputs, [&](size_t j) {
    Values column;
    for (const auto& [values, parameter] : matrices) {
      for (size_t i = j; i < values->size(); i += outputs) column.push_back((*values)[i]);
    }
    const SignRow fit = FitSignRow(column, moments);
    gamma->value[j] = std::log(fit.scale / alpha);
    size_t at = 0;
    for (const auto& [values, parameter] : matrices) {
      for (size_t i = j; i < values->size(); i += outputs) {
        parameter->value[i] = std::clamp(fit.margins[at++] * alpha / 2, -alpha, alpha);
      }
    }
  });
}

// The same with fitted scales: latent values.
void FitPlanes(const Stacked& matrices, const Values& moments, ThreadPool* pool) {
  const auto outputs = static_cast<size_t>(matrices[0].second->cols);
  pool->ParallelFor(outputs, [&](size_t j) {
    Values column;
    for (const auto& [values, parameter] : matrices) {
      for (size_t i = j; i < values->size(); i += outputs) column.push_back((*values)[i]);
    }
    const Values latent = FitPlanesRow(column, moments, matrices[0].second->planes);
    size_t at = 0;
    for (const auto& [values, parameter] : matrices) {
      for (size_t i = j; i < values->size(); i += outputs) parameter->value[i] = latent[at++];
    }
  });
}

// Multiplies what a layer adds to its bias.
void ScaleWeights(float factor, LinearLayer<FastBackend>* layer) {
  if (layer->has_gamma()) {
    for (float& x : layer->gamma().value) x += std::log(factor);
  } else {
    for (float& x : layer->weight().parameter.value) x *= factor;
  }
}

void ScaleOutputs(float factor, LinearLayer<FastBackend>* layer) {
  for (float& x : layer->bias().value) x *= factor;
  ScaleWeights(factor, layer);
}

class Importer {
 public:
  Importer(const Model& model, const FitOptions& options, ThreadPool* pool,
           Network<FastBackend>* network)
      : model_(model),
        options_(options),
        pool_(pool),
        network_(*network),
        h_(static_cast<size_t>(network->config().hidden_size)),
        e_(static_cast<size_t>(network->config().embedding_size)) {}

  absl::StatusOr<std::string> Run() {
    BITLM_RETURN_IF_ERROR(
        CheckMatches(model_.config, network_.config(), network_.table_planes() > 0));
    for (const auto& [name, tensor] : model_.tensors) {
      if (!absl::StrContains(name, ".weight") || tensor.dtype != DType::kF32) continue;
      const auto values = tensor.f32();
      if (std::all_of(values.begin(), values.end(), [](float x) { return x == 0; })) {
        return absl::FailedPreconditionError(absl::StrFormat("%s: every value is 0", name));
      }
    }
    BITLM_RETURN_IF_ERROR(SetInput());
    for (size_t l = 0; l < network_.lstm().size(); ++l) SetLstm(l);
    BITLM_RETURN_IF_ERROR(SetOutput());
    return report_;
  }

 private:
  Values Matrix(const std::string& weight, const std::string& scale, size_t columns) const {
    return EffectiveMatrix(model_, weight, scale, columns);
  }
  bool Binary(const std::string& matrix) const {
    return model_.tensors.at(matrix).dtype == DType::kU8;
  }
  const Values* OutputMoments() const {
    return options_.moments != nullptr ? &options_.moments->output : nullptr;
  }

  absl::Status SetInput() {
    Parameter<float>& table = network_.embedding().table();
    LinearLayer<FastBackend>* layer = network_.input_projection();
    Values values = Matrix("embedding.weight", "embedding.scale", e_);
    if (layer != nullptr && model_.config.input_projection == MatrixKind::kNone) {
      Values metric;
      if (layer->binary()) {
        // d W_x W_x^T d^T: how far a difference moves the gates.
        const Values x = Transposed(Matrix("lstm.0.weight_x", "lstm.0.scale", e_), e_);
        metric = TimesTransposed(x, x, x.size() / e_, pool_);
      }
      return SetFactors(values, metric, /*after_lstm=*/false, &table, layer);
    }
    if (network_.embedding().tied()) values = Transposed(values, e_);
    SetValues(values, &table);
    if (layer != nullptr) SetLayer("input_projection", e_, nullptr, layer);
    if (!table.binary()) return absl::OkStatus();
    BITLM_ASSIGN_OR_RETURN(const float ratio, ScaleOverAlpha("embedding.scale", table));
    if (layer != nullptr) {
      ScaleWeights(ratio, layer);
    } else {
      network_.embedding().gamma()->value[0] = std::log(ratio);
    }
    return absl::OkStatus();
  }

  void SetLstm(size_t l) {
    LstmLayer<FastBackend>& lstm = *network_.lstm()[l];
    const std::string name = "lstm." + std::to_string(l);
    const auto inputs = static_cast<size_t>(lstm.inputs());
    const std::string scale = name + ".scale";
    const bool shared = model_.config.SharesGateScales();
    Values x =
        Transposed(Matrix(name + ".weight_x", shared ? scale : scale + "_x", inputs), inputs);
    Values h = Transposed(Matrix(name + ".weight_h", shared ? scale : scale + "_h", h_), h_);
    SetValues(VectorOf(model_, name + ".bias"), &lstm.bias());
    SetMatrices(l, x, h);
    if (lstm.norm() == nullptr) return;
    LstmSource source{.x = &x, .h = &h};
    if (options_.moments != nullptr) {
      source.moments = &options_.moments->lstm[l];
      source.means = &options_.moments->lstm_mean[l];
    }
    SetNormFromModel(model_, name, source, pool_, &lstm);
  }

  // W_x and W_h of a layer, from their effective values.
  void SetMatrices(size_t l, Values x, Values h) {
    LstmLayer<FastBackend>& lstm = *network_.lstm()[l];
    const auto inputs = static_cast<size_t>(lstm.inputs());
    if (options_.moments != nullptr && lstm.h_sign() != nullptr &&
        model_.config.activation == ActivationKind::kReal) {
      // Inputs become +1 and -1: the matrices take their magnitudes (XNOR-Net's beta).
      const float of_x = InputMagnitude(l, 0, inputs), of_h = InputMagnitude(l, inputs, h_);
      for (float& w : x) w *= of_x;
      for (float& w : h) w *= of_h;
    }
    const Stacked matrices{{&x, &lstm.weight_x().parameter}, {&h, &lstm.weight_h().parameter}};
    const bool binary = Binary("lstm." + std::to_string(l) + ".weight_x");
    if (lstm.weight_x().parameter.fitted() && !binary && options_.moments != nullptr) {
      Values moments = options_.moments->lstm[l];
      if (l == 0 && network_.embedding().gamma() != nullptr) ShareScales(h, &x, &moments);
      FitPlanes(matrices, moments, pool_);
      return;
    }
    if (!lstm.has_gamma()) {
      const auto limit = static_cast<float>(kLatentLimit);
      for (Values* values : {&x, &h}) {
        if (!lstm.binary() || binary) continue;
        for (float& w : *values) w = std::clamp(w, -limit, limit);
      }
      for (const auto& [values, parameter] : matrices) CopyValues(*values, parameter);
      return;
    }
    if (binary) {
      CopyBinary(matrices, &lstm.gamma());
      return;
    }
    Values moments =
        MomentsOr(options_.moments != nullptr ? &options_.moments->lstm[l] : nullptr, inputs + h_);
    if (l == 0 &&
        (network_.input_projection() != nullptr || network_.embedding().gamma() != nullptr)) {
      ShareScales(h, &x, &moments);
    }
    FitBinary(matrices, moments, pool_, &lstm.gamma());
  }

  // One scale serves a row of W_x and W_h of the first layer: W_x becomes as large as W_h, and what
  // is before it takes the difference, which the moments of its inputs then show.
  void ShareScales(const Values& h, Values* x, Values* moments) {
    const auto ratio = static_cast<float>(MeanMagnitude(*x) / MeanMagnitude(h));
    for (float& value : *x) value /= ratio;
    LinearLayer<FastBackend>* layer = network_.input_projection();
    if (layer != nullptr) {
      ScaleOutputs(ratio, layer);
    } else {
      network_.embedding().gamma()->value[0] += std::log(ratio);
    }
    const size_t inputs = x->size() / (4 * h_), all = inputs + h_;
    for (size_t i = 0; i < moments->size(); ++i) {
      if (i / all < inputs) (*moments)[i] *= ratio;
      if (i % all < inputs) (*moments)[i] *= ratio;
    }
  }

  // The mean magnitude of inputs [first, first + n) of a layer of the model, as if they were
  // normal.
  float InputMagnitude(size_t l, size_t first, size_t n) const {
    const Values& moments = options_.moments->lstm[l];
    const size_t all = options_.moments->lstm_mean[l].size();
    float squares = 0;
    for (size_t i = first; i < first + n; ++i) squares += moments[i * all + i];
    return std::sqrt(squares / static_cast<float>(n)) * 0.79788456f;  // sqrt(2 / pi)
  }

  absl::Status SetOutput() {
    Parameter<float>& table = network_.output().table();
    LinearLayer<FastBackend>* layer = network_.output_projection();
    if (model_.config.output_bias)
      SetValues(VectorOf(model_, "output_bias"), network_.output().bias());
    if (!network_.embedding().tied()) {
      const Values values = Matrix("output_embedding.weight", "output_embedding.scale", e_);
      if (layer != nullptr && model_.config.output_projection == MatrixKind::kNone) {
        return SetFactors(values, MomentsOr(OutputMoments(), h_), /*after_lstm=*/true, &table,
                          layer);
      }
      SetValues(Transposed(values, e_), &table);
    }
    if (layer != nullptr) SetLayer("output_projection", h_, OutputMoments(), layer);
    if (!table.binary()) return network_.embedding().tied() ? SetTiedRatio() : absl::OkStatus();
    // A tuned temperature is in the table's scale, which training keeps at alpha.
    BITLM_ASSIGN_OR_RETURN(const float ratio, ScaleOverAlpha("output_embedding.scale", table));
    if (layer != nullptr) {
      ScaleOutputs(ratio, layer);
    } else if (options_.untrained) {
      network_.output().ScaleTable(ratio);
    } else if (std::fabs(ratio - 1) > 1e-5f) {
      return absl::FailedPreconditionError(
          "output_embedding.scale: without output_projection the temperature has to be 1");
    }
    return absl::OkStatus();
  }

  // What the logits' scale of a tied binary table differs by from the input's goes into the layer.
  absl::Status SetTiedRatio() {
    if (model_.config.embedding != MatrixKind::kBinary) return absl::OkStatus();
    const float ratio = model_.tensors.at("output_embedding.scale").f32()[0] /
                        model_.tensors.at("embedding.scale").f32()[0];
    if (network_.output_projection() != nullptr) {
      ScaleOutputs(ratio, network_.output_projection());
    } else if (std::fabs(ratio - 1) > 1e-5f) {
      return absl::FailedPreconditionError(
          "output_embedding.scale: without output_projection it has to be embedding.scale");
    }
    return absl::OkStatus();
  }

  absl::StatusOr<float> ScaleOverAlpha(const char* name, const Parameter<float>& table) const {
    const float ratio = model_.tensors.at(name).f32()[0] / table.alpha;
    if (ratio > 0) return ratio;
    return absl::FailedPreconditionError(absl::StrFormat("%s: has to be above 0", name));
  }

  // The layer and binary table in place of a float one, [V, E = H]. `metric` is for a binary layer;
  // with a float one, fitting every direction alike has given better starts.
  absl::Status SetFactors(const Values& values, const Values& metric, bool after_lstm,
                          Parameter<float>* table, LinearLayer<FastBackend>* layer) {
    if (options_.counts.size() != static_cast<size_t>(network_.config().vocabulary_size)) {
      return absl::InvalidArgumentError("counts: expected one for each word");
    }
    const Values weights = WordWeights(options_);
    FactorOptions options{.planes = std::max(1, table->planes),
                          .binary = layer->binary(),
                          .scale_rows = after_lstm,
                          .seed = options_.seed + (after_lstm ? 1 : 0)};
    if (layer->binary()) options.metric = metric;
    const SignFactors factors =
        FactorIntoSigns(values, weights, static_cast<int64_t>(e_), options, pool_);
    // Of the output side the table is [E, V] and the layer [H, E].
    const float unit = std::sqrt(1.0f / static_cast<float>(h_));
    SetLatent(after_lstm ? Transposed(factors.margins, e_) : factors.margins, unit, table);
    Parameter<float>& weight = layer->weight().parameter;
    const Values m = after_lstm ? Transposed(factors.m, h_) : factors.m;
    if (!layer->binary()) {
      for (size_t i = 0; i < m.size(); ++i) weight.value[i] = m[i] / unit;
    } else {
      SetLatent(m, unit, &weight);
      for (size_t j = 0; j < factors.scale.size(); ++j) {
        layer->gamma().value[j] = std::log(factors.scale[j] / (table->alpha * weight.alpha));
      }
    }
    std::fill(layer->bias().value.begin(), layer->bias().value.end(), 0.0f);
    report_ +=
        absl::StrFormat("%s: fitted by signs, but for %.1f %%\n", table->name, 100 * factors.error);
    return absl::OkStatus();
  }

  void SetLayer(const std::string& name, size_t inputs, const Values* moments,
                LinearLayer<FastBackend>* layer) {
    const Values values = Transposed(Matrix(name + ".weight", name + ".scale", inputs), inputs);
    Parameter<float>& weight = layer->weight().parameter;
    SetValues(VectorOf(model_, name + ".bias"), &layer->bias());
    if (weight.fitted() && !Binary(name + ".weight") && moments != nullptr) {
      FitPlanes({{&values, &weight}}, *moments, pool_);
    } else if (!layer->has_gamma()) {
      CopyValues(values, &weight);
    } else if (Binary(name + ".weight")) {
      CopyBinary({{&values, &weight}}, &layer->gamma());
    } else {
      FitBinary({{&values, &weight}}, MomentsOr(moments, inputs), pool_, &layer->gamma());
    }
  }

  const Model& model_;
  const FitOptions& options_;
  ThreadPool* pool_;
  Network<FastBackend>& network_;
  size_t h_, e_;
  std::string report_;
};

}  // namespace

std::vector<float> WordWeights(const FitOptions& options) {
  std::vector<float> weights;
  for (const int64_t count : options.counts) {
    weights.push_back(
        static_cast<float>(std::pow(1.0 + static_cast<double>(count), options.count_power)));
  }
  return weights;
}

void SetLatentTable(std::span<const float> latent, Network<FastBackend>* network) {
  Parameter<float>& table = network->embedding().table();
  Values values(latent.begin(), latent.end());
  if (network->embedding().tied()) values = Transposed(values, static_cast<size_t>(table.rows));
  SetLatent(values, 1, &table);
}

absl::StatusOr<std::string> InitializeFromModel(const Model& model, const FitOptions& options,
                                                ThreadPool* pool, Network<FastBackend>* network) {
  const bool untie = model.config.output_embedding == MatrixKind::kTied &&
                     model.config.embedding == MatrixKind::kFloat && !network->embedding().tied();
  if (!untie) return Importer(model, options, pool, network).Run();
  const Model untied = Untied(model);
  return Importer(untied, options, pool, network).Run();
}

absl::StatusOr<std::unique_ptr<Network<FastBackend>>> NetworkFromModel(const Model& model,
                                                                       NetworkShape shape,
                                                                       const FastBackend& backend) {
  // Planes have no unique scales: the values that they make are kept instead.
  std::optional<Model> plain;
  if (model.config.MostPlanes() > 1) plain = FloatModel(model);
  const Model& used = plain ? *plain : model;
  shape.softmax_samples = 0;
  shape.fitted_scales = false;
  auto network = std::make_unique<Network<FastBackend>>(backend, used.config, shape);
  BITLM_RETURN_IF_ERROR(
      InitializeFromModel(used, {.untrained = true}, backend.pool(), network.get()).status());
  network->Pack();
  return network;
}

}  // namespace bitlm::trainer
