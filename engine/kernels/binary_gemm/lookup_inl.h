// Products by table look-up, for CPUs that shuffle bytes (pshufb, tbl) but do not multiply them
// fast (T-MAC, Wei et al. 2024, arXiv:2407.00088, describes the idea for CPUs). For the four
// activations of a group there are 16 sums that a row's four bits can select: a table of 16 int16,
// kept as 16 low and 16 high bytes. A panel's word holds the 16 rows' indices, so two look-ups are
// 64 multiply-adds.
#pragma once

#include BITLM_LANES

#include "engine/kernels/binary_gemm/binary_gemm.h"
#include "engine/kernels/panel.h"

namespace bitlm::BITLM_ISA {

// Groups that one step handles: one for each 16 bytes of a register.
constexpr size_t kStepGroups = sizeof(Bytes) / 16;
// Bytes of a step's tables for one batch row: the low bytes, then the high ones.
constexpr size_t kStepBytes = 2 * sizeof(Bytes);
// Groups whose tables are held at once. A sum of 64 steps fits its int16, and 4 rows of tables fit
// the first-level cache.
constexpr size_t kBlockGroups = kStepGroups * 64 < 128 ? kStepGroups * 64 : 128;
constexpr size_t kBlockSteps = kBlockGroups / kStepGroups;
constexpr int kTableRows = 4;

// What a block does to a row's sums: the first of a plane starts or shifts them, the last of the
// last plane finishes them.
struct BlockRole {
  bool starts = false;  // Sums are written, not read.
  bool shifts = false;  // Sums of the plane before count 128 times.
  bool ends = false;    // 2 * sum - total.
};

// For each column: which byte of its unit's four (negative: none) becomes the high half of which of
// eight shorts, the rest 0. Short n is the sum that the bits of n select.
alignas(16) constexpr int8_t kSelections[kGroupColumns][16] = {
    {-128, -128, -128, 0, -128, -128, -128, 0, -128, -128, -128, 0, -128, -128, -128, 0},
    {-128, -128, -128, -128, -128, 1, -128, 1, -128, -128, -128, -128, -128, 1, -128, 1},
    {-128, -128, -128, -128, -128, -128, -128, -128, -128, 2, -128, 2, -128, 2, -128, 2},
    {-128, 3, -128, 3, -128, 3, -128, 3, -128, 3, -128, 3, -128, 3, -128, 3}};

// Writes the tables of `groups` groups of activations; those that fill up the last step are 0.
BITLM_INLINE void BuildTables(const int8_t* q, size_t groups, uint8_t* tables) {
  const Bytes unit = UnitNumbers();
  const Bytes offset = AddBytes(AddBytes(unit, unit), AddBytes(unit, unit));
  Bytes pick[kGroupColumns];
  for (size_t c = 0; c < kGroupColumns; ++c) {
    pick[c] = AddBytes(Broadcast16(kSelections[c]), offset);
  }
  for (size_t g = 0; g < groups; g += kStepGroups) {
    int8_t four[16] = {};
    if (g + kStepGroups <= groups) {
      __builtin_memcpy(four, q + g * kGroupColumns, kStepGroups * kGroupColumns);
    } else {
      __builtin_memcpy(four, q + g * kGroupColumns, (groups - g) * kGroupColumns);
    }
    const Bytes all = Broadcast16(four);
    Bytes sums[kGroupColumns];
    for (size_t c = 0; c < kGroupColumns; ++c) sums[c] = SignedHighBytes(LookUp(all, pick[c]));
    const Bytes first = AddShorts(AddShorts(sums[0], sums[1]), sums[2]);
    const Bytes second = AddShorts(first, sums[3]);
    StoreBytes(tables, PackUnsigned(ClearHighBytes(first), ClearHighBytes(second)));
    StoreBytes(tables + sizeof(Bytes), PackSigned(SignedHighBytes(first), SignedHighBytes(second)));
    tables += kStepBytes;
  }
}

// Adds `groups` groups: kPanels panels from `words` on, kRows batch rows.
template <int kPanels, int kRows>
BITLM_INLINE void LookUpBlock(const uint64_t* words, size_t panel_words, size_t groups,
                              const uint8_t* tables, const BlockRole& role, const int32_t* totals,
                              int32_t* sums, size_t sums_stride) {
  // Low bytes are added as pairs, and the odd one of each pair again for itself; high bytes, from
  // -2 to 1, as bytes.
  Bytes pairs[kPanels][kRows], odd[kPanels][kRows], high[kPanels][kRows];
  for (int p = 0; p < kPanels; ++p) {
    for (int n = 0; n < kRows; ++n) pairs[p][n] = odd[p][n] = high[p][n] = ZeroBytes();
  }
  const auto step = [&](size_t g, const Bytes(&index)[kPanels]) {
    const uint8_t* table = tables + g / kStepGroups * kStepBytes;
    for (int n = 0; n < kRows; ++n) {
      const Bytes low_table = LoadBytes(table);
      const Bytes high_table = LoadBytes(table + sizeof(Bytes));
      for (int p = 0; p < kPanels; ++p) {
        const Bytes low = LookUp(low_table, index[p]);
        pairs[p][n] = AddShorts(pairs[p][n], low);
        odd[p][n] = AddShorts(odd[p][n], HighBytes(low));
        high[p][n] = AddBytes(high[p][n], LookUp(high_table, index[p]));
      }
      table += kBlockSteps * kStepBytes;
    }
  };
  size_t g = 0;
  Bytes index[kPanels];
  for (; g + kStepGroups <= groups; g += kStepGroups) {
    for (int p = 0; p < kPanels; ++p) {
      index[p] = Nibbles(words + static_cast<size_t>(p) * panel_words + g, kStepGroups);
    }
    step(g, index);
  }
  if (g < groups) {
    for (int p = 0; p < kPanels; ++p) {
      index[p] = Nibbles(words + static_cast<size_t>(p) * panel_words + g, groups - g);
    }
    step(g, index);
  }
  for (int n = 0; n < kRows; ++n) {
    for (int p = 0; p < kPanels; ++p) {
      const Bytes even =
          AddShorts(SubShorts(pairs[p][n], LowToHighBytes(odd[p][n])), LowToHighBytes(high[p][n]));
      const Bytes uneven = AddShorts(odd[p][n], ClearLowBytes(high[p][n]));
      int32_t* to =
          sums + static_cast<size_t>(n) * sums_stride + static_cast<size_t>(p) * kPanelRows;
      I32 sum = SumOfShorts(even, uneven);
      if (!role.starts) {
        const I32 before = LoadInt(to);
        sum = Add(sum, role.shifts ? ShiftLeft<7>(before) : before);
      }
      if (role.ends) sum = Sub(Add(sum, sum), SetInt(totals[n]));
      StoreInt(to, sum);
    }
  }
}

// All panels of kRows batch rows.
template <int kPanels, int kRows>
static __attribute__((noinline)) void LookUpRows(const BinaryGemmArgs& args, size_t b) {
  alignas(64) uint8_t tables[kRows * kBlockSteps * kStepBytes];
  const auto planes = static_cast<size_t>(args.planes);
  int32_t* sums = args.sums + b * args.sums_stride;
  const int32_t* totals = args.totals + b;
  for (size_t plane = 0; plane < planes; ++plane) {
    // A matrix without columns still has its sums written.
    for (size_t begin = 0; begin == 0 || begin < args.groups; begin += kBlockGroups) {
      const size_t rest = args.groups - begin;
      const size_t groups = rest < kBlockGroups ? rest : kBlockGroups;
      for (size_t n = 0; n < kRows; ++n) {
        const int8_t* q = args.q + ((b + n) * planes + plane) * args.q_stride;
        BuildTables(q + begin * kGroupColumns, groups, tables + n * kBlockSteps * kStepBytes);
      }
      const BlockRole role{.starts = plane == 0 && begin == 0,
                           .shifts = plane > 0 && begin == 0,
                           .ends = plane + 1 == planes && begin + kBlockGroups >= args.groups};
      const uint64_t* words = args.panels + begin;
      size_t panel = 0;
      for (; panel + kPanels <= args.row_panels; panel += kPanels) {
        LookUpBlock<kPanels, kRows>(words + panel * args.groups, args.groups, groups, tables, role,
                                    totals, sums + panel * kPanelRows, args.sums_stride);
      }
      for (; panel < args.row_panels; ++panel) {
        LookUpBlock<1, kRows>(words + panel * args.groups, args.groups, groups, tables, role,
                              totals, sums + panel * kPanelRows, args.sums_stride);
      }
    }
  }
}

void BinaryGemm(const BinaryGemmArgs& args) {
  constexpr int kScale = kVectors >= 32 ? 2 : 1;  // Twice the registers, twice the panels.
  size_t b = 0;
  for (; b + 4 <= args.batch; b += 4) LookUpRows<kScale, 4>(args, b);
  for (; b + 2 <= args.batch; b += 2) LookUpRows<2 * kScale, 2>(args, b);
  for (; b < args.batch; ++b) LookUpRows<4 * kScale, 1>(args, b);
}

}  // namespace bitlm::BITLM_ISA
