#include "trainer/optim/optimizer.h"

#include <algorithm>
#include <cmath>

#include "trainer/tensor/elementwise.h"
#include "trainer/tensor/math.h"
#include "trainer/tensor/ordered_sum.h"

namespace bitlm::trainer {
namespace {

constexpr int64_t kPiece = 1 << 16;  // Values that one task updates.

struct SgdArgs {
  float rate, gradient_factor, decay, limit, l2;
};

BITLM_CLONES void SgdUpdate(const SgdArgs& a, const float* gradient, float* value, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    float w = value[i] * a.decay - a.rate * (gradient[i] * a.gradient_factor + a.l2 * value[i]);
    w = w > a.limit ? a.limit : w;
    w = w < -a.limit ? -a.limit : w;
    value[i] = w;
  }
}

struct AdamArgs {
  float rate, gradient_factor, decay, limit, l2, beta1, beta2, epsilon, second_correction;
};

BITLM_CLONES void AdamUpdate(const AdamArgs& a, const float* __restrict gradient,
                             float* __restrict first, float* __restrict second,
                             float* __restrict value, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const float g = gradient[i] * a.gradient_factor + a.l2 * value[i];
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

BITLM_CLONES void ClampEach(const float* limits, int64_t n, float* value) {
  for (int64_t i = 0; i < n; ++i) {
    float w = value[i];
    w = w > limits[i] ? limits[i] : w;
    value[i] = w < -limits[i] ? -limits[i] : w;
  }
}

}  // namespace

Optimizer::Optimizer(const OptimizerOptions& options, std::vector<Parameter<float>*> parameters,
                     ThreadPool* pool)
    : options_(options), parameters_(std::move(parameters)), pool_(pool) {
  if (options_.kind != OptimizerKind::kAdam) return;
  for (const Parameter<float>* parameter : parameters_) {
    first_.emplace_back(static_cast<size_t>(parameter->size()));
    second_.emplace_back(static_cast<size_t>(parameter->size()));
  }
}

double Optimizer::SquaresOfGradient(const Parameter<float>& parameter) const {
  const float* gradient = parameter.gradient.data();
  if (parameter.sparse) {
    double total = 0;
    for (const int32_t row : parameter.touched_rows)
      total += SumOfSquares(gradient + row * parameter.cols, parameter.cols);
    return total;
  }
  const auto pieces = static_cast<size_t>((parameter.size() + kPiece - 1) / kPiece);
  return OrderedSum(pieces, pool_, [&](size_t piece) {
    const int64_t first = static_cast<int64_t>(piece) * kPiece;
    return SumOfSquares(gradient + first, std::min(kPiece, parameter.size() - first));
  });
}

void Optimizer::Update(size_t index, int64_t first, int64_t count, float rate,
                       float gradient_factor) {
  Parameter<float>& p = *parameters_[index];
  const bool latent = p.binarized();
  if (latent) rate *= static_cast<float>(options_.latent_lr_scale);
  const float limit = p.binary() ? p.alpha : p.levels.size() == 1 ? p.levels[0].limit : INFINITY;
  const bool decays = !latent && p.rows > 1;
  const float decay = decays ? 1.0f - rate * static_cast<float>(options_.weight_decay) : 1.0f;
  const float l2 = decays ? static_cast<float>(options_.l2) : 0.0f;
  float* value = p.value.data() + first;
  const float* gradient = p.gradient.data() + first;
  if (options_.kind == OptimizerKind::kSgd) {
    SgdUpdate({rate, gradient_factor, decay, limit, l2}, gradient, value, count);
    return;
  }
  const double corrected1 = 1.0 - std::pow(options_.beta1, static_cast<double>(steps_));
  const double corrected2 = 1.0 - std::pow(options_.beta2, static_cast<double>(steps_));
  AdamUpdate({.rate = rate / static_cast<float>(corrected1),
              .gradient_factor = gradient_factor,
              .decay = decay,
              .limit = limit,
              .l2 = l2,
              .beta1 = static_cast<float>(options_.beta1),
              .beta2 = static_cast<float>(options_.beta2),
              .epsilon = static_cast<float>(options_.epsilon),
              .second_correction = static_cast<float>(1.0 / corrected2)},
             gradient, first_[index].data() + first, second_[index].data() + first, value, count);
}

absl::Status Optimizer::Step(double learning_rate) {
  double all = 0, clipped = 0;
  for (const Parameter<float>* parameter : parameters_) {
    const double squares = SquaresOfGradient(*parameter);
    all += squares;
    if (Clips(*parameter)) clipped += squares;
  }
  if (!std::isfinite(all)) {
    return absl::InternalError("the gradients are not finite; lower learning_rate or clip_norm");
  }
  ++steps_;
  const double norm = std::sqrt(clipped);
  float clip = 1;
  if (options_.clip_norm > 0 && norm > options_.clip_norm) {
    clip = static_cast<float>(options_.clip_norm / norm);
  }
  const auto rate = static_cast<float>(learning_rate);
  for (size_t index = 0; index < parameters_.size(); ++index) {
    const Parameter<float>& parameter = *parameters_[index];
    const float factor = Clips(parameter) ? clip : 1.0f;
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
  for (Parameter<float>* parameter : parameters_) LimitColumns(parameter);
  return absl::OkStatus();
}

// Latent values of matrices whose columns have limits.
void Optimizer::LimitColumns(Parameter<float>* parameter) {
  if (!parameter->fitted() || parameter->levels.size() == 1) return;
  limits_.clear();
  for (const auto& levels : parameter->levels) limits_.push_back(levels.limit);
  pool_->ParallelFor(static_cast<size_t>(parameter->rows), [&](size_t row) {
    float* value = parameter->value.data() + static_cast<int64_t>(row) * parameter->cols;
    ClampEach(limits_.data(), parameter->cols, value);
  });
}

}  // namespace bitlm::trainer
