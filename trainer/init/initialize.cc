#include "trainer/init/initialize.h"

#include <algorithm>
#include <cmath>

#include "trainer/tensor/random.h"

namespace bitlm::trainer {

void InitializeAtRandom(const InitialValues& values, uint64_t seed, Network<FastBackend>* network) {
  const double deviation = std::sqrt(1.0 / network->config().hidden_size);
  uint64_t index = 0;
  for (Parameter<float>* p : network->Parameters()) {
    const uint64_t key = Combine(seed, 1000 + index++);
    const bool vector = p->rows == 1;
    for (size_t i = 0; i < p->value.size(); ++i) {
      if (vector) {
        p->value[i] = 0;
      } else if (p->binary() || p->fitted() || values.uniform == 0) {
        const auto value = static_cast<float>(deviation * GaussianAt(key, i));
        p->value[i] = p->binary() ? std::clamp(value, -p->alpha, p->alpha) : value;
      } else {
        p->value[i] = static_cast<float>(values.uniform * (2 * UniformAt(key, i) - 1));
      }
    }
  }
  const auto h = static_cast<size_t>(network->config().hidden_size);
  for (auto& layer : network->lstm()) {  // Gates i f g o.
    std::fill_n(layer->bias().value.data() + h, h, static_cast<float>(values.forget_bias));
    if (LstmNorm<float>* norm = layer->norm()) {
      for (Parameter<float>* gain : {&norm->gain_x(), &norm->gain_h()}) {
        std::fill(gain->value.begin(), gain->value.end(), static_cast<float>(values.gain));
      }
      std::fill(norm->gain_c().value.begin(), norm->gain_c().value.end(), 1.0f);
    }
  }
  if (auto* gamma = network->embedding().gamma(); gamma != nullptr) {
    gamma->value[0] = static_cast<float>(values.gamma_input);
  }
  const auto set_gamma = [](LinearLayer<FastBackend>* layer, double gamma) {
    if (layer == nullptr) return;
    if (layer->has_gamma()) {
      std::fill(layer->gamma().value.begin(), layer->gamma().value.end(),
                static_cast<float>(gamma));
    } else {
      for (float& w : layer->weight().parameter.value) w *= static_cast<float>(std::exp(gamma));
    }
  };
  set_gamma(network->input_projection(), values.gamma_input);
  set_gamma(network->output_projection(), values.gamma_output);
}

}  // namespace bitlm::trainer
