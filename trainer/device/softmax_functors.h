// The softmax, its loss and its gradient by rows of logits, as functors.h has others.
#pragma once

#include <cmath>
#include <cstdint>

#include "trainer/device/functors.h"

namespace bitlm::trainer {

// [rows, V] logits, clamped as OutputLayer's are.
struct DeviceLogits {
  const float* products;  // Without the bias.
  const float* bias;      // [V] or null
  int64_t vocabulary;

  BITLM_ANYWHERE float At(int64_t row, int64_t c, float temperature) const {
    const float x =
        (products[row * vocabulary + c] + (bias != nullptr ? bias[c] : 0.0f)) / temperature;
    return x < -80.0f ? -80.0f : x > 80.0f ? 80.0f : x;
  }
  template <typename Lane>
  BITLM_ANYWHERE double SumOfExp(int64_t row, float temperature, const Lane& lane) const {
    double part = 0;
    for (int64_t c = lane.index; c < vocabulary; c += lane.width)
      part += static_cast<double>(std::exp(At(row, c, temperature)));
    return lane.Sum(part);
  }
};

// By rows: adds share * softmax(logits / temperature) to a row of soft targets, or begins it.
struct AddSoftTargets {
  DeviceLogits logits;
  float temperature, share;
  bool first;
  float* soft;  // [rows, V]

  template <typename Lane>
  BITLM_ANYWHERE void operator()(int64_t row, const Lane& lane) const {
    const auto factor = static_cast<float>(share / logits.SumOfExp(row, temperature, lane));
    for (int64_t c = lane.index; c < logits.vocabulary; c += lane.width) {
      const float p = factor * std::exp(logits.At(row, c, temperature));
      float& to = soft[row * logits.vocabulary + c];
      to = first ? p : to + p;
    }
  }
};

// By rows: the loss of a row of logits and the gradient of the logits (null = none); with soft
// targets p of weight w that of soft_targets.h: (1 - w) (q - target) + w T (q_T - p).
template <typename Half>
struct SoftmaxRow {
  DeviceLogits logits;
  const int32_t* targets;
  const float* soft;  // [rows, V] or null
  float soft_weight, temperature;
  float gradient_scale;
  Half* gradient;
  double* losses;

  template <typename Lane>
  BITLM_ANYWHERE void operator()(int64_t row, const Lane& lane) const {
    const int32_t target = targets[row];
    const int64_t vocabulary = logits.vocabulary;
    if (target < 0) {
      if (lane.index == 0) losses[row] = 0;
      if (gradient == nullptr) return;
      for (int64_t c = lane.index; c < vocabulary; c += lane.width)
        gradient[row * vocabulary + c] = static_cast<Half>(0.0f);
      return;
    }
    const double sum = logits.SumOfExp(row, 1.0f, lane);
    if (lane.index == 0)
      losses[row] = std::log(sum) - static_cast<double>(logits.At(row, target, 1.0f));
    if (gradient == nullptr) return;
    const bool learns = soft != nullptr;
    const bool tempered = learns && temperature != 1.0f;
    const double tempered_sum = tempered ? logits.SumOfExp(row, temperature, lane) : sum;
    const float hard = learns ? 1.0f - soft_weight : 1.0f;
    const float pull = learns ? soft_weight * temperature : 0.0f;
    for (int64_t c = lane.index; c < vocabulary; c += lane.width) {
      const float q = std::exp(logits.At(row, c, 1.0f)) / static_cast<float>(sum);
      float g = hard * q;
      if (learns) {
        const float tempered_q =
            tempered ? std::exp(logits.At(row, c, temperature)) / static_cast<float>(tempered_sum)
                     : q;
        g += pull * (tempered_q - soft[row * vocabulary + c]);
      }
      if (c == target) g -= hard;
      gradient[row * vocabulary + c] = static_cast<Half>(gradient_scale * g);
    }
  }
};

}  // namespace bitlm::trainer
