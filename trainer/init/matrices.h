// Matrices of trained models as plain float values, and their products.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine/base/thread_pool.h"
#include "engine/model/model.h"

namespace bitlm::trainer {

using Values = std::vector<float>;  // Row-major.

// The matrix `matrix` of `model`, float or binary with scales `scale` (one, or by rows, of each
// plane), as its effective values [rows, columns].
Values EffectiveMatrix(const Model& model, const std::string& matrix, const std::string& scale,
                       size_t columns);
Values VectorOf(const Model& model, const std::string& name);

Values Transposed(std::span<const float> values, size_t columns);

double MeanMagnitude(std::span<const float> values);

// a b^T of a [., n] and b [., n].
Values TimesTransposed(std::span<const float> a, std::span<const float> b, size_t n,
                       ThreadPool* pool);

Tensor CopyOf(const Tensor& tensor);
Tensor FloatTensor(std::span<const float> values, std::vector<int64_t> shape);

// The same function with an output table of its own, from a model with a float table that is tied.
Model Untied(const Model& model);

// The same function of float matrices in place of binary ones with a scale by row or table, and of
// however many planes. A tied table whose two scales differ is followed by a scaled projection, or
// untied.
Model FloatModel(const Model& model);

}  // namespace bitlm::trainer
