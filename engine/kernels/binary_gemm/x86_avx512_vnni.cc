// A panel's word is the mask of a register that holds 1 where the weight is +1: 16 rows x 4
// columns. vpdpbusd multiplies it with four activations of one batch row, broadcast, and adds the
// four products to each row's lane. Each expanded mask serves every batch row of a block.
#include <immintrin.h>

#include "engine/kernels/binary_gemm/binary_gemm.h"
#include "engine/kernels/panel.h"

namespace bitlm::avx512 {
BinaryGemmFn BinaryGemm;  // By look-ups; it needs less of the CPU.
}

namespace bitlm::avx512_vnni {
namespace {

// Sixteen int32 sums. Not __m512i: g++ 12 keeps an array of those in memory, because the intrinsics
// view its elements as another type.
using Sums = int32_t __attribute__((vector_size(64)));

inline __attribute__((always_inline)) __m512i Broadcast4(const int8_t* q) {
  int32_t four;
  __builtin_memcpy(&four, q, sizeof four);
  return _mm512_set1_epi32(four);
}

// Adds the products of one plane: kPanels panels from `panel` on, kRows batch rows from `q` on.
template <int kPanels, int kRows>
inline __attribute__((always_inline)) void AddPlane(const BinaryGemmArgs& args, size_t panel,
                                                    const int8_t* q, size_t row_bytes,
                                                    Sums (&acc)[kPanels][kRows]) {
  const __m512i ones = _mm512_set1_epi8(1);
  const size_t groups = args.groups;
  const uint64_t* words = args.panels + panel * groups;
  // One pointer for three rows: base, base + stride and base + 2 * stride are addressing modes, so
  // that twelve rows need only four registers.
  constexpr int kPointers = (kRows + 2) / 3;
  const int8_t* rows[kPointers];
  for (int i = 0; i < kPointers; ++i) rows[i] = q + 3 * static_cast<size_t>(i) * row_bytes;
  for (size_t g = 0; g < groups; ++g) {
    __m512i weights[kPanels];
    for (int p = 0; p < kPanels; ++p) {
      weights[p] =
          _mm512_maskz_mov_epi8(_cvtu64_mask64(words[static_cast<size_t>(p) * groups + g]), ones);
    }
    for (int n = 0; n < kRows; ++n) {
      const __m512i four = Broadcast4(rows[n / 3] + static_cast<size_t>(n % 3) * row_bytes);
      for (int p = 0; p < kPanels; ++p) {
        acc[p][n] = (Sums)_mm512_dpbusd_epi32((__m512i)acc[p][n], weights[p], four);
      }
    }
    for (int i = 0; i < kPointers; ++i) rows[i] += kGroupColumns;
  }
}

template <int kPanels, int kRows, int kPlanes>
inline __attribute__((always_inline)) void Block(const BinaryGemmArgs& args, size_t panel,
                                                 size_t b) {
  Sums acc[kPanels][kRows];
  for (int p = 0; p < kPanels; ++p) {
    for (int n = 0; n < kRows; ++n) acc[p][n] = Sums{};
  }
  const size_t row_bytes = kPlanes * args.q_stride;
  const int8_t* q = args.q + b * row_bytes;
  AddPlane<kPanels, kRows>(args, panel, q, row_bytes, acc);
  if constexpr (kPlanes == 2) {
    for (int p = 0; p < kPanels; ++p) {
      for (int n = 0; n < kRows; ++n) acc[p][n] <<= 7;
    }
    AddPlane<kPanels, kRows>(args, panel, q + args.q_stride, row_bytes, acc);
  }
  for (int n = 0; n < kRows; ++n) {
    const size_t row = b + static_cast<size_t>(n);
    const int32_t total = args.totals[row];
    int32_t* sums = args.sums + row * args.sums_stride + panel * kPanelRows;
    for (int p = 0; p < kPanels; ++p) {
      _mm512_storeu_si512(sums + static_cast<size_t>(p) * kPanelRows,
                          (__m512i)(2 * acc[p][n] - total));
    }
  }
}

// All panels of kRows batch rows; kPanels at once, to keep enough independent sums in flight.
template <int kPanels, int kRows, int kPlanes>
__attribute__((noinline)) void Rows(const BinaryGemmArgs& args, size_t b) {
  size_t panel = 0;
  for (; panel + kPanels <= args.row_panels; panel += kPanels) {
    Block<kPanels, kRows, kPlanes>(args, panel, b);
  }
  for (; panel < args.row_panels; ++panel) Block<1, kRows, kPlanes>(args, panel, b);
}

// Blocks of as equal a size as can be, the largest of kMaxRows: a few rows left over would cost as
// much as many. Sums and weights of a block fit the 32 registers.
constexpr size_t kMaxRows = 12;

template <int kPlanes>
void AllRows(const BinaryGemmArgs& args) {
  using RowsFn = void(const BinaryGemmArgs&, size_t);
  constexpr RowsFn* kRows[kMaxRows + 1] = {
      nullptr,
      &Rows<8, 1, kPlanes>,
      &Rows<8, 2, kPlanes>,
      &Rows<4, 3, kPlanes>,
      &Rows<4, 4, kPlanes>,
      &Rows<4, 5, kPlanes>,
      &Rows<4, 6, kPlanes>,
      &Rows<2, 7, kPlanes>,
      &Rows<2, 8, kPlanes>,
      &Rows<2, 9, kPlanes>,
      &Rows<2, 10, kPlanes>,
      &Rows<2, 11, kPlanes>,
      &Rows<2, 12, kPlanes>,
  };
  size_t blocks = CeilDiv(args.batch, kMaxRows);
  for (size_t b = 0; b < args.batch; --blocks) {
    const size_t rows = CeilDiv(args.batch - b, blocks);
    kRows[rows](args, b);
    b += rows;
  }
}

}  // namespace

void BinaryGemm(const BinaryGemmArgs& args) {
  // Few rows cannot keep the multipliers busy; looking products up is faster
  // (`bitlm-bench-cpu --sweep`).
  if (args.batch <= 2) {
    avx512::BinaryGemm(args);
  } else if (args.planes == 1) {
    AllRows<1>(args);
  } else {
    AllRows<2>(args);
  }
}

}  // namespace bitlm::avx512_vnni
