#include <bit>
#include <cmath>
#include <cstring>

#include "engine/kernels/quantize/quantize.h"

namespace bitlm::portable {
namespace {

// Round to nearest, ties to even, for |t| < 2^22: the sum's low bits hold the integer.
int32_t Round(float t) { return std::bit_cast<int32_t>(t + 0x1.8p+23f) - 0x4B400000; }

}  // namespace

void Quantize(const QuantizeArgs& args) {
  const float limit = QuantizationLimit(args.planes);
  for (size_t b = 0; b < args.batch; ++b) {
    const float* x = args.rows[b];
    int8_t* q = args.q + b * static_cast<size_t>(args.planes) * args.q_stride;
    std::memset(q, 0, static_cast<size_t>(args.planes) * args.q_stride);
    float inverse = limit;
    float scale = 1.0f / limit;
    if (x != nullptr && args.scale == QuantizationScale::kRowMaximum) {
      float max = 0.0f;
      for (size_t k = 0; k < args.columns; ++k) {
        const float magnitude = std::fabs(x[k]);
        max = magnitude > max ? magnitude : max;
      }
      inverse = limit / max;
      scale = max / limit;
      if (max < kSmallestMagnitude) x = nullptr;
    }
    args.totals[b] = 0;
    args.scales[b] = scale;
    if (x == nullptr) {
      if (args.scale == QuantizationScale::kRowMaximum) args.scales[b] = 0.0f;
      continue;
    }
    int32_t total = 0;
    for (size_t k = 0; k < args.columns; ++k) {
      float t = x[k] * inverse;
      t = t < limit ? t : limit;
      t = t > -limit ? t : -limit;
      const int32_t value = Round(t);
      total += value;
      if (args.planes == 1) {
        q[k] = static_cast<int8_t>(value);
      } else {
        const int32_t high = (value + 64) >> 7;
        q[k] = static_cast<int8_t>(high);
        q[args.q_stride + k] = static_cast<int8_t>(value - high * 128);
      }
    }
    args.totals[b] = total;
  }
}

}  // namespace bitlm::portable
