#include "trainer/init/norm_from_model.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>

namespace bitlm::trainer {
namespace {

using Values = std::vector<float>;

constexpr int kManyPasses = 1000;  // Statistics that are not to be replaced by the next pass.

void Copy(const Model& model, const std::string& name, Parameter<float>* parameter) {
  const auto values = model.tensors.at(name).f32();
  std::copy(values.begin(), values.end(), parameter->value.begin());
}

// Inputs [first, first + n) of the layer's.
struct InputRange {
  size_t first = 0, n = 0;
};

// Mean and variance of u w for each column w of `values` [n, outputs].
void StatisticsOfProducts(const Values& values, const LstmSource& source, const InputRange& range,
                          ThreadPool* pool, Values* mean, Values* variance) {
  const size_t outputs = mean->size();
  const size_t all = source.means->size();
  pool->ParallelFor(outputs, [&](size_t j) {
    std::vector<double> w(range.n);
    for (size_t a = 0; a < range.n; ++a) w[a] = values[a * outputs + j];
    double first = 0, second = 0;
    for (size_t a = 0; a < range.n; ++a) {
      first += w[a] * (*source.means)[range.first + a];
      const float* row = source.moments->data() + (range.first + a) * all + range.first;
      double sum = 0;
      for (size_t b = 0; b < range.n; ++b) sum += row[b] * w[b];
      second += w[a] * sum;
    }
    (*mean)[j] = static_cast<float>(first);
    (*variance)[j] = static_cast<float>(std::max(0.0, second - first * first));
  });
}

// The mean of u^2, summed over the inputs.
float SquareOfInputs(const LstmSource& source, const InputRange& range) {
  const size_t all = source.means->size();
  float sum = 0;
  for (size_t a = range.first; a < range.first + range.n; ++a)
    sum += (*source.moments)[a * all + a];
  return sum;
}

class BatchNormImporter {
 public:
  BatchNormImporter(const Model& model, const std::string& name, const LstmSource& source,
                    ThreadPool* pool, LstmLayer<FastBackend>* lstm)
      : model_(model), name_(name), source_(source), pool_(pool), lstm_(*lstm) {}

  void Set(const std::string& input, const Values& values, const InputRange& range,
           const Parameter<float>& matrix, Parameter<float>* gain, BatchNorm<float>* statistics) {
    const auto outputs = static_cast<size_t>(gain->cols);
    // The model's product is multiplied with the folded gain, and nothing is taken off.
    const bool normed = model_.config.norm == NormKind::kBatch;
    if (normed) {
      Copy(model_, name_ + ".gain_" + input, gain);
    } else {
      std::fill(gain->value.begin(), gain->value.end(), 1.0f);
    }
    Values mean(outputs), variance(outputs, 1.0f);
    if (source_.moments != nullptr) {
      StatisticsOfProducts(values, source_, range, pool_, &mean, &variance);
    }
    for (size_t j = 0; j < outputs; ++j) {
      lstm_.bias().value[j] += gain->value[j] * mean[j];
      gain->value[j] *= std::sqrt(variance[j] + static_cast<float>(kBatchNormEpsilon));
    }
    const bool same_product = normed || (!matrix.binary() && lstm_.h_sign() == nullptr);
    if (same_product || source_.moments == nullptr) {
      statistics->SetRunning(mean, variance, kManyPasses);
      return;
    }
    // Of products with signs, as if they were independent; until the first pass.
    const float alpha = MeanMagnitude(matrix, pool_);
    const float squares =
        lstm_.h_sign() != nullptr ? static_cast<float>(range.n) : SquareOfInputs(source_, range);
    std::fill(mean.begin(), mean.end(), 0.0f);
    std::fill(variance.begin(), variance.end(), alpha * alpha * squares);
    statistics->SetRunning(mean, variance, 0);
  }

 private:
  const Model& model_;
  const std::string& name_;
  const LstmSource& source_;
  ThreadPool* pool_;
  LstmLayer<FastBackend>& lstm_;
};

}  // namespace

void SetNormFromModel(const Model& model, const std::string& name, const LstmSource& source,
                      ThreadPool* pool, LstmLayer<FastBackend>* lstm) {
  LstmNorm<float>& norm = *lstm->norm();
  if (norm.normalizes_cell()) {
    Copy(model, name + ".gain_x", &norm.gain_x());
    Copy(model, name + ".gain_h", &norm.gain_h());
    Copy(model, name + ".gain_c", &norm.gain_c());
    Copy(model, name + ".shift_c", &norm.shift_c());
    return;
  }
  BatchNormImporter importer(model, name, source, pool, lstm);
  const auto inputs = static_cast<size_t>(lstm->inputs());
  const auto hidden = static_cast<size_t>(lstm->weight_h().parameter.rows);
  importer.Set("x", *source.x, {.first = 0, .n = inputs}, lstm->weight_x().parameter,
               &norm.gain_x(), norm.batch_x());
  importer.Set("h", *source.h, {.first = inputs, .n = hidden}, lstm->weight_h().parameter,
               &norm.gain_h(), norm.batch_h());
}

}  // namespace bitlm::trainer
