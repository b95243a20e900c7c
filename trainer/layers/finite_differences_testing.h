// Gradients against finite differences, for tests of layers.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <vector>

#include "trainer/layers/network_testing.h"

namespace bitlm::trainer {

// Central differences of fourth order of objective(), which has to leave its gradients in the
// network, for every continuous parameter: of all its values, or of about `most`. The error, h^4
// |f^(5)| / 30 + 1e-15 |f| / h, is below 1e-8 for h = 1e-5. Binary matrices are not differentiable.
// Returns how many gradients are not 0.
inline int ExpectFiniteDifferences(DoubleNetwork& network, const std::function<double()>& objective,
                                   size_t most = 1 << 20, double tolerance = 2e-8) {
  int nonzero = 0;
  for (auto* p : network.Parameters()) {
    if (p->binary() || p->fitted()) continue;
    network.embedding().ClearGradient();
    objective();
    const std::vector<double> gradient(p->gradient.begin(), p->gradient.end());
    const size_t stride = 1 + p->value.size() / most;
    for (size_t i = 0; i < p->value.size(); i += stride) {
      constexpr double kStep = 1e-5;
      const double value = p->value[i];
      const auto at = [&](double steps) {
        p->value[i] = value + steps * kStep;
        return objective();
      };
      const double difference = (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * kStep);
      p->value[i] = value;
      EXPECT_NEAR(gradient[i], difference, tolerance * std::max(1.0, std::fabs(gradient[i])))
          << p->name << "[" << i << "]";
      nonzero += gradient[i] != 0;
    }
  }
  return nonzero;
}

}  // namespace bitlm::trainer
