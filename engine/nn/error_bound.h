// Bounds on how far one step of the CPU model may be from the exact network, derived from the
// weights. For tests.
#pragma once

#include <cstddef>
#include <string>

#include "engine/model/model.h"

namespace bitlm {

// Follows the largest error of any value through one step, by norms alone: no run of the model
// enters. (Over many steps norms bound nothing, as a recurrence may multiply them each time; so
// tests give both models the same states.)
class ErrorBound {
 public:
  explicit ErrorBound(const Model& model) : model_(model) {}

  // Of any value of the next h and c, for any token, from a state whose c are at most `c_size`.
  double State(double c_size) const;
  // Of any word's log-probability after a given state.
  double Logprob() const;

 private:
  // A vector: no value larger than `size`, none further than `error` from the exact one.
  struct Bounded {
    double size = 0;
    double error = 0;
  };

  // The error of one input of a product with tensor `name`: its own and, for a binary matrix, that
  // of its quantization.
  double InputError(const std::string& name, const Bounded& x, bool hidden) const;
  // matrix * x + bias, both of any kind.
  Bounded Linear(const std::string& layer, const Bounded& x, bool hidden) const;
  // The largest sum of magnitudes of a row of tensor `name` times its scale.
  double RowNorm(const std::string& name, const std::string& scale, size_t columns) const;
  double Largest(const std::string& name) const;

  const Model& model_;
};

}  // namespace bitlm
