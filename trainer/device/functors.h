// The pointwise parts of a training step as functors over an element's index, for the CPU compiler
// and the CUDA compiler. Rows of activations are t * B + b as in lstm.h; Half is what a device's
// products take.
#pragma once

#include <cmath>
#include <cstdint>

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

BITLM_ANYWHERE inline float DeviceSigmoid(float x) { return 1.0f / (1.0f + std::exp(-x)); }

// A matrix for products, with DropConnect.
template <typename Half>
struct CastMatrix {
  const float* from;
  Half* to;
  int64_t cols;
  DeviceMask mask;

  BITLM_ANYWHERE void operator()(int64_t i) const {
    const float w = from[i];
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

// Over [rows, E]: the first layer's input.
template <typename Half>
struct EmbedWords {
  const float* table;
  TableAt at;
  const int32_t* words;
  DeviceMask word_mask, input_mask;
  Half* x;

  BITLM_ANYWHERE void operator()(int64_t i) const {
    const int64_t r = i / at.size, c = i % at.size;
    const int32_t word = words[r];
    x[i] = static_cast<Half>(table[at(word, c)] * word_mask.OfWord(word) * input_mask.At(r, c));
  }
};

// Over [distinct words, E]: adds up what the word's places have, in their order.
struct EmbeddingGradient {
  const float* x_gradient;  // [rows, E]
  TableAt at;
  const int32_t* distinct;  // [U]
  const int32_t* first;     // [U + 1] into places
  const int32_t* places;    // [rows] rows by word
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
    gradient[at(word, c)] += sum;
    if (touched != nullptr && c == 0) touched[word] = 1;
  }
};

// Over [B, H]: the h that a segment's first step multiplies.
template <typename Half>
struct BeginSegment {
  const float* h;  // Of before the segment.
  const int32_t* resets;
  DeviceMask state_mask;
  int64_t hidden;
  Half* h_in;

  BITLM_ANYWHERE void operator()(int64_t i) const {
    const int64_t b = i / hidden;
    h_in[i] = static_cast<Half>(resets[b] != 0 ? 0.0f : h[i] * state_mask.At(b, i % hidden));
  }
};

// Over [B, H] of a step: LstmCellForward. Blocks t of c and h are what step t finds, t + 1 what it
// leaves.
template <typename Half>
struct CellForward {
  int64_t streams, hidden, row;  // The step's first row.
  const int32_t* resets;
  const float* bias;
  DeviceMask state_mask;
  float* gates;
  const float* c_before;
  float* c;
  float* h;
  Half* h_in_next;  // Null after the last step.

  BITLM_ANYWHERE void operator()(int64_t i) const {
    const int64_t b = i / hidden, j = i % hidden;
    float* g4 = gates + (row + b) * 4 * hidden + j;
    const float in = DeviceSigmoid(g4[0] + bias[j]);
    const float forget = DeviceSigmoid(g4[hidden] + bias[hidden + j]);
    const float candidate = std::tanh(g4[2 * hidden] + bias[2 * hidden + j]);
    const float out = DeviceSigmoid(g4[3 * hidden] + bias[3 * hidden + j]);
    const float before = resets[row + b] != 0 ? 0.0f : c_before[i];
    const float cell = forget * before + in * candidate;
    const float h_new = out * std::tanh(cell);
    g4[0] = in;
    g4[hidden] = forget;
    g4[2 * hidden] = candidate;
    g4[3 * hidden] = out;
    c[i] = cell;
    h[i] = h_new;
    if (h_in_next == nullptr) return;
    const bool reset = resets[row + streams + b] != 0;
    h_in_next[i] = static_cast<Half>(reset ? 0.0f : h_new * state_mask.At(b, j));
  }
};

// Over [B, H] of a step, from the last to the first: LstmCellBackward.
template <typename Half>
struct CellBackward {
  int64_t streams, hidden, row;
  bool last;
  const int32_t* resets;
  DeviceMask state_mask;
  const float* gates;  // Activations.
  const float* c_before;
  const float* c;
  const float* h_gradient;  // [rows, H]
  const float* carried_h;   // [B, H] W_h times the later step's gradient.
  float* carried_c;
  Half* gate_gradient;  // [rows, 4H]

  BITLM_ANYWHERE void operator()(int64_t i) const {
    const int64_t b = i / hidden, j = i % hidden, r = row + b;
    const bool cut = last || resets[r + streams] != 0;
    const float dh =
        h_gradient[row * hidden + i] + (cut ? 0.0f : carried_h[i] * state_mask.At(b, j));
    const float* g4 = gates + r * 4 * hidden + j;
    const float in = g4[0], forget = g4[hidden], candidate = g4[2 * hidden], out = g4[3 * hidden];
    const float squashed = std::tanh(c[i]);
    const float dc = (cut ? 0.0f : carried_c[i]) + dh * out * (1 - squashed * squashed);
    const float before = resets[r] != 0 ? 0.0f : c_before[i];
    Half* d4 = gate_gradient + r * 4 * hidden + j;
    d4[0] = static_cast<Half>(dc * candidate * in * (1 - in));
    d4[hidden] = static_cast<Half>(dc * before * forget * (1 - forget));
    d4[2 * hidden] = static_cast<Half>(dc * in * (1 - candidate * candidate));
    d4[3 * hidden] = static_cast<Half>(dh * squashed * out * (1 - out));
    carried_c[i] = dc * forget;
  }
};

// Over [rows, cols]: to = (from + bias) * mask.
template <typename Half>
struct CastActivations {
  const float* from;
  const float* bias;  // [cols] or null
  int64_t cols;
  DeviceMask mask;
  Half* to;

  BITLM_ANYWHERE void operator()(int64_t i) const {
    const int64_t r = i / cols, c = i % cols;
    to[i] = static_cast<Half>((from[i] + (bias != nullptr ? bias[c] : 0.0f)) * mask.At(r, c));
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

// By rows: the loss of a row of logits and the gradient of the logits (null = none). Logits are
// clamped as OutputLayer's are.
template <typename Half>
struct SoftmaxRow {
  const float* logits;  // [rows, V] without the bias
  const float* bias;    // [V] or null
  const int32_t* targets;
  int64_t vocabulary;
  float gradient_scale;
  Half* gradient;
  double* losses;

  BITLM_ANYWHERE float Logit(int64_t row, int64_t c) const {
    const float x = logits[row * vocabulary + c] + (bias != nullptr ? bias[c] : 0.0f);
    return x < -80.0f ? -80.0f : x > 80.0f ? 80.0f : x;
  }

  template <typename Lane>
  BITLM_ANYWHERE void operator()(int64_t row, const Lane& lane) const {
    const int32_t target = targets[row];
    if (target < 0) {
      if (lane.index == 0) losses[row] = 0;
      if (gradient == nullptr) return;
      for (int64_t c = lane.index; c < vocabulary; c += lane.width)
        gradient[row * vocabulary + c] = static_cast<Half>(0.0f);
      return;
    }
    double part = 0;
    for (int64_t c = lane.index; c < vocabulary; c += lane.width)
      part += static_cast<double>(std::exp(Logit(row, c)));
    const double sum = lane.Sum(part);
    if (lane.index == 0) losses[row] = std::log(sum) - static_cast<double>(Logit(row, target));
    if (gradient == nullptr) return;
    const float factor = gradient_scale / static_cast<float>(sum);
    for (int64_t c = lane.index; c < vocabulary; c += lane.width) {
      float g = factor * std::exp(Logit(row, c));
      if (c == target) g -= gradient_scale;
      gradient[row * vocabulary + c] = static_cast<Half>(g);
    }
  }
};

// By rows of `size` values: sums[row] = their sum, or that of their squares.
template <typename Value, bool kSquares>
struct SumPiece {
  const Value* values;
  int64_t count, size;
  double* sums;

  template <typename Lane>
  BITLM_ANYWHERE void operator()(int64_t row, const Lane& lane) const {
    const int64_t end = (row + 1) * size < count ? (row + 1) * size : count;
    double part = 0;
    for (int64_t i = row * size + lane.index; i < end; i += lane.width) {
      const auto x = static_cast<double>(values[i]);
      part += kSquares ? x * x : x;
    }
    const double sum = lane.Sum(part);
    if (lane.index == 0) sums[row] = sum;
  }
};

// Over a parameter: Optimizer::Step and WeightAverage::Update.
struct UpdateParameter {
  bool adam;
  float rate;  // Of Adam divided by its first correction.
  float decay, l2;
  float beta1, beta2, epsilon, second_correction;
  double clip_norm;  // 0 = not
  const double* squared_norm;
  int64_t cols;
  const uint8_t* touched;  // Rows of a sparse parameter, or null.
  float average_share;     // 0 = not
  const float* gradient;
  float* value;
  float* first;
  float* second;
  float* average;

  BITLM_ANYWHERE void operator()(int64_t i) const {
    const double squares = *squared_norm;
    if (!(squares < 1e300)) return;  // Not finite: nothing changes.
    float w = value[i];
    if (touched == nullptr || touched[i / cols] != 0) {
      const double norm = std::sqrt(squares);
      const float clip =
          clip_norm > 0 && norm > clip_norm ? static_cast<float>(clip_norm / norm) : 1.0f;
      const float g = gradient[i] * clip + l2 * w;
      if (adam) {
        const float m = beta1 * first[i] + (1.0f - beta1) * g;
        const float v = beta2 * second[i] + (1.0f - beta2) * g * g;
        first[i] = m;
        second[i] = v;
        w = w * decay - rate * m / (std::sqrt(v * second_correction) + epsilon);
      } else {
        w = w * decay - rate * g;
      }
      value[i] = w;
    }
    if (average_share > 0) average[i] += average_share * (w - average[i]);
  }
};

}  // namespace bitlm::trainer
