// OrderedSum: a sum whose terms threads compute, the same whatever their number.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "engine/base/thread_pool.h"

namespace bitlm::trainer {

// Room for `count` terms, the calling thread's until its next call, by OrderedSum too: a step of
// training allocates nothing.
inline std::span<double> SumTerms(size_t count) {
  thread_local std::vector<double> terms;
  terms.resize(count);
  return terms;
}

// The sum of term(i) for i in [0, count), in this order. Terms are computed over the pool, and use
// neither SumTerms nor OrderedSum.
template <typename Term>
double OrderedSum(size_t count, ThreadPool* pool, const Term& term) {
  const std::span<double> terms = SumTerms(count);
  pool->ParallelFor(count, [&](size_t i) { terms[i] = term(i); });
  double sum = 0;
  for (const double of_term : terms) sum += of_term;
  return sum;
}

}  // namespace bitlm::trainer
