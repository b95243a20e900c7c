// The pointwise parts of a training step as functors over an element's index, for the CPU compiler
// and the CUDA compiler. Rows of activations are t * B + b as in lstm.h; Half is what a device's
// products take.
#pragma once

#include <cmath>
#include <cstdint>

#include "trainer/layers/plane_levels.h"
#include "trainer/tensor/random.h"

#ifdef __CUDACC__
#define BITLM_ANYWHERE __host__ __device__
#else
#define BITLM_ANYWHERE
#endif

namespace bitlm::trainer {

// ApplyDropout of dropout.h, value by value.
struct DeviceMask {
  uint32_t key = 0;
  uint32_t threshold = 0;  // 0 = everything is kept.
  float factor = 1;
  int64_t period = 0;

  BITLM_ANYWHERE bool on() const { return threshold != 0; }
  BITLM_ANYWHERE float At(int64_t row, int64_t col) const {
    if (!on()) return 1;
    const int64_t id = period > 0 ? row % period : row;
    const uint32_t row_key = Hash32(key, static_cast<uint32_t>(id));
    return Hash32(row_key, static_cast<uint32_t>(col)) >= threshold ? factor : 0.0f;
  }
  // ApplyWordDropout's.
  BITLM_ANYWHERE float OfWord(int32_t word) const {
    if (!on()) return 1;
    return Hash32(key, static_cast<uint32_t>(word)) >= threshold ? factor : 0.0f;
  }
};

// What a product with a binary matrix's signs is multiplied with, by columns: alpha * exp(gamma).
// Its exp(gamma) is on the way of the gradient to the product; of a float matrix both are 1.
struct ColumnScale {
  float alpha = 1;
  const float* gamma = nullptr;  // [cols] or null

  BITLM_ANYWHERE float OfGradient(int64_t c) const {
    return gamma != nullptr ? std::exp(gamma[c]) : 1.0f;
  }
  BITLM_ANYWHERE float At(int64_t c) const { return alpha * OfGradient(c); }
};

BITLM_ANYWHERE inline float SignOf(float w) { return w > 0 ? 1.0f : -1.0f; }

BITLM_ANYWHERE inline float DeviceSigmoid(float x) { return 1.0f / (1.0f + std::exp(-x)); }

// A matrix or its signs for products, with DropConnect.
template <typename Half>
struct CastMatrix {
  const float* from;
  Half* to;
  int64_t cols;
  bool signs;
  DeviceMask mask;

  BITLM_ANYWHERE void operator()(int64_t i) const {
    const float w = signs ? SignOf(from[i]) : from[i];
    to[i] = static_cast<Half>(mask.on() ? w * mask.At(i / cols, i % cols) : w);
  }
};

// A word's vector in a table [E, V] (tied) or [V, E].
struct TableAt {
  bool tied;
  int64_t vocabulary, size;

  BITLM_ANYWHERE int64_t operator()(int32_t word, int64_t c) const {
    return tied ? c * vocabulary + word : word * size + c;
  }
};

// Over [rows, E]: words' vectors, of a binary table the signs times scale.At(0), or by its levels.
template <typename Half>
struct EmbedWords {
  const float* table;
  TableAt at;
  bool signs;
  ColumnScale scale;
  const PlaneLevels<float>* levels;  // [1] or null
  const int32_t* words;
  DeviceMask word_mask, input_mask;
  Half* x;

  BITLM_ANYWHERE void operator()(int64_t i) const {
    const int64_t r = i / at.size, c = i % at.size;
    const int32_t word = words[r];
    const float w = table[at(word, c)];
    const float value = levels != nullptr ? levels->Value(w) : signs ? SignOf(w) * scale.At(0) : w;
    x[i] = static_cast<Half>(value * word_mask.OfWord(word) * input_mask.At(r, c));
  }
};

// Over [distinct words, E]: adds up what the word's places have, in their order.
struct EmbeddingGradient {
  const float* x_gradient;  // [rows, E]
  TableAt at;
  const int32_t* distinct;  // [U]
  const int32_t* first;     // [U + 1] into places
  const int32_t* places;    // [rows] rows by word
  ColumnScale scale;
  DeviceMask word_mask, input_mask;
  float* gradient;   // Of the table.
  uint8_t* touched;  // [V] or null

  BITLM_ANYWHERE void operator()(int64_t i) const {
    const int64_t u = i / at.size, c = i % at.size;
    const int32_t word = distinct[u];
    const float of_word = word_mask.OfWord(word);
    float sum = 0;
    for (int32_t k = first[u]; k < first[u + 1]; ++k) {
      const int64_t r = places[k];
      sum += x_gradient[r * at.size + c] * input_mask.At(r, c) * of_word;
    }
    gradient[at(word, c)] += sum * scale.OfGradient(0);
    if (touched != nullptr && c == 0) touched[word] = 1;
  }
};

// By rows: dC/dgamma of a binary embedding with one gamma, a row's part of dC/de * e.
struct EmbeddingGammaRow {
  const float* x_gradient;  // [rows, E]
  const float* table;
  TableAt at;
  ColumnScale scale;
  const int32_t* words;
  DeviceMask word_mask, input_mask;
  double* sums;

  template <typename Lane>
  BITLM_ANYWHERE void operator()(int64_t r, const Lane& lane) const {
    const int32_t word = words[r];
    double part = 0;
    for (int64_t c = lane.index; c < at.size; c += lane.width) {
      part += static_cast<double>(x_gradient[r * at.size + c] * input_mask.At(r, c) *
                                  SignOf(table[at(word, c)]));
    }
    const double sum = lane.Sum(part);
    if (lane.index == 0) sums[r] = sum * static_cast<double>(scale.At(0) * word_mask.OfWord(word));
  }
};

// Over [cols]: dC/dgamma from dC/dW^b of up to two matrices with the same scales
// (AddGammaGradient).
struct GammaGradient {
  const float* value[2];  // Latent, [rows, cols]; null = none.
  const float* gradient[2];
  int64_t rows[2];
  int64_t cols;
  float alpha;
  float* gamma_gradient;

  BITLM_ANYWHERE void operator()(int64_t c) const {
    float sum = 0;
    for (int m = 0; m < 2; ++m) {
      if (value[m] == nullptr) continue;
      for (int64_t i = c; i < rows[m] * cols; i += cols)
        sum += SignOf(value[m][i]) * gradient[m][i];
    }
    gamma_gradient[c] = sum * alpha;
  }
};

// Over [cols]: takes the scale out of a bias's gradient that was summed behind it.
struct UnscaleBias {
  ColumnScale scale;
  float* gradient;

  BITLM_ANYWHERE void operator()(int64_t c) const { gradient[c] /= scale.OfGradient(c); }
};

// Over [rows, cols]: to = (from * scale + bias) * mask.
template <typename Half>
struct CastActivations {
  const float* from;
  ColumnScale scale;
  const float* bias;  // [cols] or null
  int64_t cols;
  DeviceMask mask;
  Half* to;

  BITLM_ANYWHERE void operator()(int64_t i) const {
    const int64_t r = i / cols, c = i % cols;
    const float y = from[i] * scale.At(c) + (bias != nullptr ? bias[c] : 0.0f);
    to[i] = static_cast<Half>(y * mask.At(r, c));
  }
};

// Over [rows, cols]: the way back through the mask and the scale, to the product.
template <typename Half>
struct CastGradient {
  const float* from;
  ColumnScale scale;
  int64_t cols;
  DeviceMask mask;
  Half* to;

  BITLM_ANYWHERE void operator()(int64_t i) const {
    const int64_t r = i / cols, c = i % cols;
    to[i] = static_cast<Half>(from[i] * mask.At(r, c) * scale.OfGradient(c));
  }
};

// Over [rows, cols]: x *= mask.
struct DropActivations {
  int64_t cols;
  DeviceMask mask;
  float* x;

  BITLM_ANYWHERE void operator()(int64_t i) const { x[i] *= mask.At(i / cols, i % cols); }
};

// Over [rows, H]: the gradient of the last layer's output, from that of what dropout left of it;
// with activation_regularization.h's.
struct HiddenGradient {
  int64_t rows, streams, hidden;
  const float* h;
  const int32_t* targets;
  const int32_t* resets;
  DeviceMask mask;
  float activation, temporal;  // 2 * weight / H * gradient_scale
  float* gradient;

  BITLM_ANYWHERE void operator()(int64_t i) const {
    const int64_t r = i / hidden, j = i % hidden;
    const float kept = mask.At(r, j);
    float g = gradient[i];
    if (targets[r] >= 0) g += activation * h[i] * kept;
    g *= kept;
    const int64_t step = streams * hidden;
    if (r >= streams && targets[r] >= 0 && resets[r] == 0) g += temporal * (h[i] - h[i - step]);
    const int64_t next = r + streams;
    if (next < rows && targets[next] >= 0 && resets[next] == 0)
      g -= temporal * (h[i + step] - h[i]);
    gradient[i] = g;
  }
};

// By rows of `size` values: sums[row] = their sum, or that of their squares.
template <typename Value, bool kSquares, typename Sum = double>
struct SumPiece {
  const Value* values;
  int64_t count, size;
  Sum* sums;

  template <typename Lane>
  BITLM_ANYWHERE void operator()(int64_t row, const Lane& lane) const {
    const int64_t end = (row + 1) * size < count ? (row + 1) * size : count;
    double part = 0;
    for (int64_t i = row * size + lane.index; i < end; i += lane.width) {
      const auto x = static_cast<double>(values[i]);
      part += kSquares ? x * x : x;
    }
    const double sum = lane.Sum(part);
    if (lane.index == 0) sums[row] = static_cast<Sum>(sum);
  }
};

}  // namespace bitlm::trainer
