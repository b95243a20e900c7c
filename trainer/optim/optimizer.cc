#include "trainer/optim/optimizer.h"

#include <algorithm>
#include <cmath>

#include "trainer/tensor/elementwise.h"
#include "trainer/tensor/math.h"

namespace bitlm::trainer {
namespace {

constexpr int64_t kPiece = 1 << 16;  // Values that one task updates.

struct SgdArgs {
  float rate, gradient_factor, decay, limit;
};

BITLM_CLONES void SgdUpdate(const SgdArgs& a, const float* gradient, float* value, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    float w = value[i] * a.decay - a.rate * (gradient[i] * a.gradient_factor);
    w = w > a.limit ? a.limit : w;
    w = w < -a.limit ? -a.limit : w;
    value[i] = w;
  }
}

struct AdamArgs {
  float rate, gradient_factor, decay, limit, beta1, beta2, epsilon, second_correction;
};

BITLM_CLONES void AdamUpdate(const AdamArgs& a, const float* __restrict gradient,
                             float* __restrict first, float* __restrict second,
                             float* __restrict value, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const float g = gradient[i] * a.gradient_factor;
    const float m = a.beta1 * first[i] + (1.0f - a.beta1) * g;
    const float v = a.beta2 * second[i] + (1.0f - a.beta2) * g * g;
    first[i] = m;
    second[i] = v;
    float w = value[i] * a.decay - a.rate * m / (std::sqrt(v * a.second_correction) + a.epsilon);
    w = w > a.limit ? a.limit : w;
    w = w < -a.limit ? -a.limit : w;
    value[i] = w;
  }
}

struct NovogradArgs {
  float rate, gradient_factor, decay, limit, beta1;
};

BITLM_CLONES void NovogradUpdate(const NovogradArgs& a, const float* __restrict gradient,
                                 float* __restrict first, float* __restrict value, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const float m = a.beta1 * first[i] + (1.0f - a.beta1) * (gradient[i] * a.gradient_factor);
    first[i] = m;
    float w = value[i] * a.decay - a.rate * m;
    w = w > a.limit ? a.limit : w;
    w = w < -a.limit ? -a.limit : w;
    value[i] = w;
  }
}

}  // namespace

Optimizer::Optimizer(const OptimizerOptions& options, std::vector<Parameter<float>*> parameters,
                     ThreadPool* pool)
    : options_(options), parameters_(std::move(parameters)), pool_(pool) {
  if (options_.kind == OptimizerKind::kSgd) return;
  for (const Parameter<float>* parameter : parameters_) {
    const auto size = static_cast<size_t>(parameter->size());
    first_.emplace_back(size);
    second_.emplace_back(options_.kind == OptimizerKind::kAdam ? size : 1);
  }
}

double Optimizer::GradientNorm(std::vector<double>* mean_squares) const {
  double total = 0;
  mean_squares->clear();
  for (const Parameter<float>* parameter : parameters_) {
    // All the same they must be finite.
    const double weight = Clipped(*parameter) ? 1 : 0;
    const float* gradient = parameter->gradient.data();
    double squares = 0;
    if (parameter->sparse) {
      for (const int32_t row : parameter->touched_rows) {
        squares += SumOfSquares(gradient + row * parameter->cols, parameter->cols);
      }
      total += weight * squares;
      const auto touched = static_cast<double>(parameter->touched_rows.size());
      mean_squares->push_back(squares /
                              std::max(1.0, touched * static_cast<double>(parameter->cols)));
      continue;
    }
    const int64_t pieces = (parameter->size() + kPiece - 1) / kPiece;
    std::vector<double> sums(static_cast<size_t>(pieces));
    pool_->ParallelFor(sums.size(), [&](size_t piece) {
      const int64_t first = static_cast<int64_t>(piece) * kPiece;
      sums[piece] = SumOfSquares(gradient + first, std::min(kPiece, parameter->size() - first));
    });
    for (const double sum : sums) squares += sum;
    total += weight * squares;
    mean_squares->push_back(squares / static_cast<double>(parameter->size()));
  }
  return std::sqrt(total);
}

void Optimizer::Update(size_t index, int64_t first, int64_t count, float rate,
                       float gradient_factor) {
  Parameter<float>& p = *parameters_[index];
  if (p.binary()) rate *= static_cast<float>(options_.latent_lr_scale);
  if (!Clipped(p)) gradient_factor = 1;
  const float limit = p.binary() ? p.alpha : INFINITY;
  const float decay =
      p.binary() || p.rows == 1 ? 1.0f : 1.0f - rate * static_cast<float>(options_.weight_decay);
  float* value = p.value.data() + first;
  const float* gradient = p.gradient.data() + first;
  if (options_.kind == OptimizerKind::kSgd) {
    SgdUpdate({rate, gradient_factor, decay, limit}, gradient, value, count);
    return;
  }
  if (options_.kind == OptimizerKind::kNovograd) {
    const double corrected = 1.0 - std::pow(options_.beta1, static_cast<double>(steps_));
    NovogradUpdate({.rate = rate / static_cast<float>(corrected),
                    .gradient_factor = gradient_factor * inverse_rms_[index],
                    .decay = decay,
                    .limit = limit,
                    .beta1 = static_cast<float>(options_.beta1)},
                   gradient, first_[index].data() + first, value, count);
    return;
  }
  const double corrected1 = 1.0 - std::pow(options_.beta1, static_cast<double>(steps_));
  const double corrected2 = 1.0 - std::pow(options_.beta2, static_cast<double>(steps_));
  AdamUpdate({.rate = rate / static_cast<float>(corrected1),
              .gradient_factor = gradient_factor,
              .decay = decay,
              .limit = limit,
              .beta1 = static_cast<float>(options_.beta1),
              .beta2 = static_cast<float>(options_.beta2),
              .epsilon = static_cast<float>(options_.epsilon),
              .second_correction = static_cast<float>(1.0 / corrected2)},
             gradient, first_[index].data() + first, second_[index].data() + first, value, count);
}

void Optimizer::UpdateMeanSquares(const std::vector<double>& mean_squares, double gradient_factor) {
  const double corrected = 1.0 - std::pow(options_.beta2, static_cast<double>(steps_));
  inverse_rms_.clear();
  for (size_t i = 0; i < mean_squares.size(); ++i) {
    const double factor = Clipped(*parameters_[i]) ? gradient_factor : 1.0;
    float& moment = second_[i][0];
    moment = static_cast<float>(options_.beta2 * moment +
                                (1.0 - options_.beta2) * mean_squares[i] * factor * factor);
    const double rms = std::sqrt(moment / corrected);
    inverse_rms_.push_back(static_cast<float>(1.0 / (rms + options_.epsilon)));
  }
}

absl::Status Optimizer::Step(double learning_rate) {
  std::vector<double> mean_squares;
  const double norm = GradientNorm(&mean_squares);
  if (!std::isfinite(norm)) {
    return absl::InternalError("the gradients are not finite; lower learning_rate or clip_norm");
  }
  ++steps_;
  float factor = 1;
  if (options_.clip_norm > 0 && norm > options_.clip_norm) {
    factor = static_cast<float>(options_.clip_norm / norm);
  }
  if (options_.kind == OptimizerKind::kNovograd) UpdateMeanSquares(mean_squares, factor);
  const auto rate = static_cast<float>(learning_rate);
  for (size_t index = 0; index < parameters_.size(); ++index) {
    const Parameter<float>& parameter = *parameters_[index];
    if (parameter.sparse) {
      pool_->ParallelFor(parameter.touched_rows.size(), [&](size_t i) {
        Update(index, parameter.touched_rows[i] * parameter.cols, parameter.cols, rate, factor);
      });
      continue;
    }
    pool_->ParallelFor(
        static_cast<size_t>((parameter.size() + kPiece - 1) / kPiece), [&](size_t piece) {
          const int64_t first = static_cast<int64_t>(piece) * kPiece;
          Update(index, first, std::min(kPiece, parameter.size() - first), rate, factor);
        });
  }
  return absl::OkStatus();
}

}  // namespace bitlm::trainer
