#include "trainer/init/from_model.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "absl/strings/str_format.h"
#include "engine/base/status.h"
#include "trainer/init/sign_factors.h"

namespace bitlm::trainer {
namespace {

using Values = std::vector<float>;

// A matrix or vector of `model` as its effective values, row-major [rows, columns].
Values Effective(const Model& model, const std::string& matrix, const std::string& scale,
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

Values Vector(const Model& model, const std::string& name) {
  const auto values = model.tensors.at(name).f32();
  return {values.begin(), values.end()};
}

Values Transposed(const Values& values, size_t columns) {
  const size_t rows = values.size() / columns;
  Values out(values.size());
  for (size_t r = 0; r < rows; ++r) {
    for (size_t c = 0; c < columns; ++c) out[c * rows + r] = values[r * columns + c];
  }
  return out;
}

// X X^T of X [rows, .].
Values TimesTransposed(const Values& x, size_t rows, ThreadPool* pool) {
  const size_t columns = x.size() / rows;
  Values out(rows * rows);
  pool->ParallelFor(rows, [&](size_t i) {
    for (size_t j = 0; j < rows; ++j) {
      double sum = 0;
      for (size_t c = 0; c < columns; ++c) sum += x[i * columns + c] * x[j * columns + c];
      out[i * rows + j] = static_cast<float>(sum);
    }
  });
  return out;
}

double MeanMagnitude(const Values& values) {
  double sum = 0;
  for (const float x : values) sum += std::fabs(x);
  return values.empty() ? 0 : sum / static_cast<double>(values.size());
}

// Binary ones keep their signs.
void SetValues(const Values& values, Parameter<float>* parameter) {
  for (size_t i = 0; i < values.size(); ++i) {
    const float x = values[i];
    parameter->value[i] = !parameter->binary() ? x
                          : x > 0              ? parameter->alpha / 2
                                               : -parameter->alpha / 2;
  }
}

// Latent values whose mean magnitude is alpha / 2, from values of mean magnitude 1.
void SetLatent(const Values& values, Parameter<float>* parameter) {
  const float alpha = parameter->alpha;
  for (size_t i = 0; i < values.size(); ++i) {
    parameter->value[i] = std::clamp(values[i] * alpha / 2, -alpha, alpha);
  }
}

// The identity, or `moments`.
Values MomentsOr(const Values* moments, size_t n) {
  if (moments != nullptr) return *moments;
  Values identity(n * n);
  for (size_t i = 0; i < n; ++i) identity[i * n + i] = 1;
  return identity;
}

// Matrices over each other, `matrices` each [inputs, outputs] as trained, with one scale by
// outputs: fitted by columns to their products with inputs of these `moments`.
void SetBinary(const std::vector<std::pair<const Values*, Parameter<float>*>>& matrices,
               const Values& moments, ThreadPool* pool, Parameter<float>* gamma) {
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

// The layer and binary table in place of a float one, [V, H]. Returns a line for people. `metric`
// is for a binary layer; with a float one, tables that are close by every direction alike gave the
// better models (docs/training.md).
std::string SetFactors(const Values& table_values, const std::vector<int64_t>& counts,
                       const Values& metric, bool after_lstm, uint64_t seed, ThreadPool* pool,
                       Parameter<float>* table, LinearLayer<FastBackend>* layer) {
  Values weights(counts.size());
  for (size_t v = 0; v < counts.size(); ++v) {
    weights[v] = 1.0f + static_cast<float>(counts[v]);
  }
  const int64_t size = after_lstm ? table->rows : table->cols;
  Parameter<float>& weight = layer->weight().parameter;
  FactorOptions options{.binary = layer->binary(), .scale_rows = after_lstm, .seed = seed};
  if (layer->binary()) options.metric = metric;
  const SignFactors factors = FactorIntoSigns(table_values, weights, size, options, pool);
  // Of the output side the table is [E, V] and the layer [H, E].
  const auto columns = static_cast<size_t>(layer->weight().parameter.size() / size);
  SetLatent(after_lstm ? Transposed(factors.margins, static_cast<size_t>(size)) : factors.margins,
            table);
  const Values m = after_lstm ? Transposed(factors.m, columns) : factors.m;
  if (!layer->binary()) {
    for (size_t i = 0; i < m.size(); ++i) weight.value[i] = m[i] / table->alpha;
  } else {
    SetLatent(m, &weight);
    for (size_t j = 0; j < factors.scale.size(); ++j) {
      layer->gamma().value[j] = std::log(factors.scale[j] / (table->alpha * weight.alpha));
    }
  }
  std::fill(layer->bias().value.begin(), layer->bias().value.end(), 0.0f);
  return absl::StrFormat("%s: fitted by signs, but for %.1f %%\n", table->name,
                         100 * factors.error);
}

void SetLayer(const Values& values, const Values& bias, ThreadPool* pool,
              LinearLayer<FastBackend>* layer) {
  Parameter<float>& weight = layer->weight().parameter;
  SetValues(bias, &layer->bias());
  if (layer->binary()) {
    const Values moments = MomentsOr(nullptr, static_cast<size_t>(weight.rows));
    SetBinary({{&values, &weight}}, moments, pool, &layer->gamma());
  } else {
    SetValues(values, &weight);
  }
}

// Multiplies a layer's outputs.
void ScaleOutputs(float factor, LinearLayer<FastBackend>* layer) {
  for (float& x : layer->bias().value) x *= factor;
  if (layer->binary()) {
    for (float& x : layer->gamma().value) x += std::log(factor);
  } else {
    for (float& x : layer->weight().parameter.value) x *= factor;
  }
}

absl::Status CheckMatches(const ModelConfig& from, const ModelConfig& to) {
  const auto wrong = [](const char* option) {
    return absl::FailedPreconditionError(
        absl::StrFormat("init.model: its %s does not fit the recipe's", option));
  };
  if (from.vocabulary_size != to.vocabulary_size) return wrong("vocabulary_size");
  if (from.hidden_size != to.hidden_size) return wrong("hidden_size");
  if (from.embedding_size != to.embedding_size) return wrong("embedding_size");
  if (from.layers != to.layers) return wrong("layers");
  if (from.bit_planes != 1) return wrong("bit_planes");
  if (from.norm != to.norm) return wrong("norm");
  if (from.activation != to.activation) return wrong("activation");
  if (from.recurrent == MatrixKind::kInt8) return wrong("recurrent");
  const auto fits = [](MatrixKind table, MatrixKind layer, MatrixKind to_table,
                       MatrixKind to_layer) {
    if (layer == MatrixKind::kNone && to_layer != MatrixKind::kNone) {
      return table == MatrixKind::kFloat && to_table == MatrixKind::kBinary;
    }
    return (layer == MatrixKind::kNone) == (to_layer == MatrixKind::kNone) && table == to_table;
  };
  if (!fits(from.embedding, from.input_projection, to.embedding, to.input_projection)) {
    return wrong("embedding");
  }
  if (!fits(from.output_embedding, from.output_projection, to.output_embedding,
            to.output_projection)) {
    return wrong("output_embedding");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> InitializeFromModel(const Model& model, const FitOptions& options,
                                                ThreadPool* pool, Network<FastBackend>* network) {
  std::string report;
  const ModelConfig& config = network->config();
  BITLM_RETURN_IF_ERROR(CheckMatches(model.config, config));
  const auto h = static_cast<size_t>(config.hidden_size);
  const auto e = static_cast<size_t>(config.embedding_size);

  Parameter<float>& input = network->embedding().table();
  const Values input_values = Effective(model, "embedding.weight", "embedding.scale", e);
  LinearLayer<FastBackend>* layer = network->input_projection();
  const bool had_input = model.config.input_projection != MatrixKind::kNone;
  if (layer != nullptr && !had_input) {
    // d W_x W_x^T d^T: how far a difference moves the gates.
    const Values x = Transposed(Effective(model, "lstm.0.weight_x", "lstm.0.scale", h), h);
    report += SetFactors(input_values, options.counts, TimesTransposed(x, h, pool), false,
                         options.seed, pool, &input, layer);
  } else {
    SetValues(input_values, &input);
  }
  if (layer != nullptr && had_input) {
    SetLayer(
        Transposed(Effective(model, "input_projection.weight", "input_projection.scale", e), e),
        Vector(model, "input_projection.bias"), pool, layer);
  }

  for (size_t l = 0; l < network->lstm().size(); ++l) {
    LstmLayer<FastBackend>& lstm = *network->lstm()[l];
    const std::string name = "lstm." + std::to_string(l);
    const auto inputs = static_cast<size_t>(lstm.inputs());
    Values x = Transposed(Effective(model, name + ".weight_x", name + ".scale", inputs), inputs);
    const Values y = Transposed(Effective(model, name + ".weight_h", name + ".scale", h), h);
    SetValues(Vector(model, name + ".bias"), &lstm.bias());
    if (!lstm.binary()) {
      SetValues(x, &lstm.weight_x().parameter);
      SetValues(y, &lstm.weight_h().parameter);
      continue;
    }
    // One scale serves a row of both matrices: a linear layer before them can take the difference.
    Values moments =
        MomentsOr(options.moments != nullptr ? &options.moments->lstm[l] : nullptr, inputs + h);
    if (l == 0 && layer != nullptr) {
      const auto ratio = static_cast<float>(MeanMagnitude(x) / MeanMagnitude(y));
      for (float& value : x) value /= ratio;
      ScaleOutputs(ratio, layer);
      for (size_t i = 0; options.moments != nullptr && i < moments.size(); ++i) {
        if (i / (inputs + h) < inputs) moments[i] *= ratio;
        if (i % (inputs + h) < inputs) moments[i] *= ratio;
      }
    }
    SetBinary({{&x, &lstm.weight_x().parameter}, {&y, &lstm.weight_h().parameter}}, moments, pool,
              &lstm.gamma());
  }

  Parameter<float>& output = network->output().table();
  const Values output_values =
      Effective(model, "output_embedding.weight", "output_embedding.scale", e);
  layer = network->output_projection();
  const bool had_output = model.config.output_projection != MatrixKind::kNone;
  if (layer != nullptr && !had_output) {
    const Values metric =
        MomentsOr(options.moments != nullptr ? &options.moments->output : nullptr, h);
    report += SetFactors(output_values, options.counts, metric, true, options.seed + 1, pool,
                         &output, layer);
  } else {
    SetValues(Transposed(output_values, e), &output);
  }
  if (layer != nullptr && had_output) {
    SetLayer(
        Transposed(Effective(model, "output_projection.weight", "output_projection.scale", h), h),
        Vector(model, "output_projection.bias"), pool, layer);
  }
  // A tuned temperature is in the table's scale, which training keeps at alpha.
  if (output.binary() && model.config.output_embedding == MatrixKind::kBinary) {
    const float ratio = model.tensors.at("output_embedding.scale").f32()[0] / output.alpha;
    if (layer != nullptr) {
      ScaleOutputs(ratio, layer);
    } else if (std::fabs(ratio - 1) > 1e-6f) {
      return absl::FailedPreconditionError(
          "init.model: without output_projection its temperature has to be 1");
    }
  }
  return report;
}

}  // namespace bitlm::trainer
