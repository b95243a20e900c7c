// Layer norm of one row (Ba, Kiros, Hinton 2016, arXiv:1607.06450, equation 3), without gain and
// shift; the serving engine's epsilon.
#pragma once

#include <cstdint>

namespace bitlm::trainer {

// x [n] becomes (x - mean) * inverse; returns inverse = 1 / sqrt(variance + epsilon).
float NormalizeRow(float* x, int64_t n);
double NormalizeRow(double* x, int64_t n);

// From dC/d(normalized) to dC/dx, in place: inverse * (g - mean(g) - normalized * mean(g *
// normalized)). All [n].
void NormalizeRowBackward(const float* normalized, float inverse, int64_t n, float* gradient);
void NormalizeRowBackward(const double* normalized, double inverse, int64_t n, double* gradient);

}  // namespace bitlm::trainer
