#include <algorithm>

#include "engine/kernels/binary_gemm/binary_gemm.h"
#include "engine/kernels/panel.h"

namespace bitlm::portable {
namespace {

// Groups whose tables are held at once: 16 KiB, inside the first-level cache.
constexpr size_t kTableGroups = 512;

// table[g][n] = sum of the activations of group g that the bits of n select. Each row of a panel
// then costs one look-up for four columns, and the tables serve every panel.
void BuildTables(const int8_t* q, size_t groups, int16_t (*table)[16]) {
  for (size_t g = 0; g < groups; ++g) {
    table[g][0] = 0;
    for (int bit = 0; bit < 4; ++bit) {
      const int size = 1 << bit;
      for (int n = 0; n < size; ++n) {
        table[g][size + n] = static_cast<int16_t>(table[g][n] + q[g * kGroupColumns + bit]);
      }
    }
  }
}

}  // namespace

void BinaryGemm(const BinaryGemmArgs& args) {
  int16_t table[kTableGroups][16];
  const size_t rows = args.row_panels * kPanelRows;
  for (size_t b = 0; b < args.batch; ++b) {
    int32_t* sums = args.sums + b * args.sums_stride;
    std::fill(sums, sums + rows, 0);
    for (int plane = 0; plane < args.planes; ++plane) {
      const int8_t* q = args.q + (b * static_cast<size_t>(args.planes) + plane) * args.q_stride;
      if (plane > 0) {
        for (size_t r = 0; r < rows; ++r) sums[r] *= 128;
      }
      for (size_t begin = 0; begin < args.groups; begin += kTableGroups) {
        const size_t count = std::min(kTableGroups, args.groups - begin);
        BuildTables(q + begin * kGroupColumns, count, table);
        for (size_t p = 0; p < args.row_panels; ++p) {
          const uint64_t* panel = args.panels + p * args.groups + begin;
          int32_t acc[kPanelRows] = {};
          for (size_t g = 0; g < count; ++g) {
            const uint64_t word = panel[g];
            for (size_t r = 0; r < kPanelRows; ++r) acc[r] += table[g][(word >> (4 * r)) & 15];
          }
          for (size_t r = 0; r < kPanelRows; ++r) sums[p * kPanelRows + r] += acc[r];
        }
      }
    }
    for (size_t r = 0; r < rows; ++r) sums[r] = 2 * sums[r] - args.totals[b];
  }
}

}  // namespace bitlm::portable
