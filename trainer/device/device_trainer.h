// DeviceTrainer: the training step of a network, whole, on a device that has its own memory.
//
// Network and Optimizer are the specification: a device's step has the gradients, up to the
// rounding of its products, and the updates of theirs, with the same dropout masks. The device
// keeps the parameters, so that nothing but the words goes there and nothing but the loss comes
// back in a step. No header below brings Abseil to the CUDA compiler.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "trainer/layers/batch.h"
#include "trainer/layers/network_options.h"
#include "trainer/optim/optimizer_options.h"

namespace bitlm::trainer {

// What a matrix of a network is: float, or binary: signs with learned scales ([LCY18] Algorithms 1
// and 2), or planes whose scales are fitted (planes.h).
enum class DeviceMatrix { kNone, kFloat, kBinary };

// A network without norms: embedding (tied to the output table or not) -> [input projection] ->
// LSTM layers -> [output projection] -> softmax over all words.
struct DeviceModel {
  int64_t vocabulary = 0, embedding = 0, hidden = 0;
  int layers = 1;
  bool tied = false;
  DeviceMatrix embedding_table = DeviceMatrix::kFloat;  // Of a tied network the output's.
  DeviceMatrix input_projection = DeviceMatrix::kNone;
  DeviceMatrix recurrent = DeviceMatrix::kFloat;
  DeviceMatrix output_projection = DeviceMatrix::kNone;
  DeviceMatrix output_table = DeviceMatrix::kFloat;
  bool output_bias = false;
  // Planes with fitted scales of the binary ones; 0 = scales are learned.
  int table_planes = 0, recurrent_planes = 0, projection_planes = 0;
  float alpha = 0;                 // Of all binary matrices with learned scales.
  int64_t streams = 0, steps = 0;  // B and T of every batch.
};

struct DeviceOptions {
  DropoutRates dropout;
  ActivationRegularization regularization;
  OptimizerOptions optimizer;
  double distillation_weight = 0, distillation_temperature = 1;  // soft_targets.h
  bool averages = false;                                         // Keeps averages of the weights.
  bool bfloat16 = true;  // Operands of products; float32 otherwise.
};

// Arrays that a device has of every parameter.
enum class DeviceArray { kValue, kGradient, kFirstMoment, kSecondMoment, kAverage };

struct DeviceStep {
  const Batch* batch = nullptr;
  uint64_t dropout_key = 0;
  float gradient_scale = 1;
  float learning_rate = 0;
  int64_t number = 1;       // Of the update, from 1, for Adam's corrections.
  float average_share = 0;  // average += share * (value - average); 0 = not.
};

struct DeviceLoss {
  double loss = 0;          // Sum of -log p over the scored targets, nats.
  double squared_norm = 0;  // Of all gradients. Where it is not finite nothing was updated.
};

// Parameters are numbered in the order of Network::Parameters. Not thread-safe. After any error,
// which error() tells, results mean nothing.
class DeviceTrainer {
 public:
  virtual ~DeviceTrainer() = default;

  virtual size_t parameters() const = 0;
  virtual int64_t size(size_t parameter) const = 0;  // rows * cols
  virtual void Set(DeviceArray array, size_t parameter, std::span<const float> values) = 0;
  virtual void Get(DeviceArray array, size_t parameter, std::span<float> values) = 0;
  // What the output table's products are multiplied with, OutputWeights::factor; alpha or 1 at
  // first.
  virtual void SetOutputFactor(float factor) = 0;
  // h and c of a layer, [B, H] each, that the next Step begins with.
  virtual void SetState(int layer, std::span<const float> h, std::span<const float> c) = 0;
  virtual void GetState(int layer, std::span<float> h, std::span<float> c) = 0;

  // Another network for the same batches, whose next words this one learns with the options' weight
  // and temperature. What it needs are values and a state: set them before the first Step. It lives
  // as long as this.
  virtual DeviceTrainer* AddTeacher(const DeviceModel& model) = 0;

  // Forward, backward, clipping, update.
  virtual DeviceLoss Step(const DeviceStep& step) = 0;

  // Sum of -log p over the scored targets of a batch of another text, by the weights or their
  // averages; its state is carried from batch to batch, from zero since StartEvaluation.
  virtual void StartEvaluation(bool averages) = 0;
  virtual double Loss(const Batch& batch) = 0;

  virtual std::string error() const = 0;  // Empty = none.
};

// On the first CUDA device. Null, and `error` says why, when the build has no CUDA, or the machine
// no such device, or not enough memory.
std::unique_ptr<DeviceTrainer> MakeCudaTrainer(const DeviceModel& model,
                                               const DeviceOptions& options, std::string* error);

}  // namespace bitlm::trainer
