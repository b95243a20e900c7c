#include "trainer/init/moments.h"

#include <algorithm>
#include <cstddef>

namespace bitlm::trainer {
namespace {

// Sums u^T u and u of rows of a fixed number of columns.
class MomentSum {
 public:
  MomentSum(const FastBackend& backend, int64_t rows, int64_t columns)
      : backend_(backend),
        rows_(rows),
        columns_(columns),
        transposed_(backend.MakeLeft(columns, rows)),
        plain_(backend.MakeRight(rows, columns)),
        sum_(static_cast<size_t>(columns * columns)),
        total_(static_cast<size_t>(columns)) {}

  void Add(const float* rows) {
    backend_.SetLeftTransposed(rows, rows_, columns_, &transposed_);
    backend_.SetRight(rows, columns_, Encode::kValue, nullptr, &plain_);
    backend_.MultiplyAll(transposed_, plain_, sum_.data(), columns_, true);
    AddColumnSums(rows, rows_, columns_, total_.data(), backend_.pool());
    count_ += rows_;
  }

  std::vector<float> Mean() const { return Divided(sum_); }
  std::vector<float> MeanRow() const { return Divided(total_); }
  // Of the differences from the mean row.
  std::vector<float> Covariance() const {
    std::vector<float> covariance = Mean();
    const std::vector<float> mean = MeanRow();
    for (size_t i = 0; i < mean.size(); ++i) {
      for (size_t j = 0; j < mean.size(); ++j) covariance[i * mean.size() + j] -= mean[i] * mean[j];
    }
    return covariance;
  }

 private:
  std::vector<float> Divided(std::vector<float> sum) const {
    for (float& x : sum) x /= static_cast<float>(std::max<int64_t>(1, count_));
    return sum;
  }

  const FastBackend& backend_;
  int64_t rows_, columns_, count_ = 0;
  FastBackend::Left transposed_;
  FastBackend::Right plain_;
  std::vector<float> sum_, total_;
};

}  // namespace

InputMoments MeasureMoments(Batcher& batcher, int64_t segments, ThreadPool* pool,
                            Network<FastBackend>* network) {
  const FastBackend backend(Precision::kFloat32, pool);
  const int64_t rows = network->shape().streams * network->shape().steps;
  const int64_t h = network->config().hidden_size;
  std::vector<MomentSum> lstm;
  for (auto& layer : network->lstm()) lstm.emplace_back(backend, rows, layer->inputs() + h);
  MomentSum output(backend, rows, h);
  MomentSum logits(backend, rows, network->config().embedding_size);
  auto state = network->ZeroState();
  Batch batch;
  std::vector<float> both;
  for (int64_t i = 0; i < std::min(segments, batcher.segments()); ++i) {
    batcher.Fill(i, &batch);
    logits.Add(network->Teach(batch, &state).z);
    output.Add(network->hidden());
    for (size_t l = 0; l < lstm.size(); ++l) {
      const int64_t inputs = network->lstm()[l]->inputs();
      both.resize(static_cast<size_t>(rows * (inputs + h)));
      for (int64_t r = 0; r < rows; ++r) {
        float* to = both.data() + r * (inputs + h);
        std::copy_n(network->lstm_input(l) + r * inputs, inputs, to);
        std::copy_n(network->lstm()[l]->h_before() + r * h, h, to + inputs);
      }
      lstm[l].Add(both.data());
    }
  }
  InputMoments moments;
  for (const MomentSum& sum : lstm) {
    moments.lstm.push_back(sum.Mean());
    moments.lstm_mean.push_back(sum.MeanRow());
  }
  moments.output = output.Mean();
  moments.z_mean = logits.MeanRow();
  moments.z = logits.Covariance();
  return moments;
}

}  // namespace bitlm::trainer
