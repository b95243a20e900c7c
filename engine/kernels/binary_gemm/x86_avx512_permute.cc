// Products by look-ups of four columns at a time, exact in int16. A batch row's four activations
// have sixteen sums of subsets; two groups' sums are the 32 words of one register, and vpermw looks
// up in it those of 32 weight rows: 128 multiply-adds in two instructions (the other adds the
// words), where vpdpbusd does 64 in one. AMD's Zen 5 begins two vpermw a cycle beside its adds, as
// many as vpdpbusd, and so has twice as many multiply-adds this way; Intel's cores have one unit
// for shuffles, and AMX.
#include <immintrin.h>

#include <cstdint>

#include "engine/kernels/binary_gemm/binary_gemm.h"
#include "engine/kernels/panel.h"

namespace bitlm::avx512_vnni {
BinaryGemmFn BinaryGemm;  // For few rows, which do not pay for the indexes.
}

namespace bitlm::avx512_permute {
namespace {

// Words that are added up. Not __m512i: see x86_avx512_vnni.cc.
using Words = int16_t __attribute__((vector_size(64)));

// Groups whose int16 sums never overflow, 64 * 4 * 127 = 32512; and those of a range where the
// activations are small enough, as most are.
constexpr size_t kSafeGroups = 64;
constexpr size_t kRangeGroups = 128;
constexpr size_t kTables = kRangeGroups / 2;
// Batch rows that share tables and indexes, and pairs of panels whose indexes are made at once: 256
// and 32 KiB of the stack, for the caches of second and first level.
constexpr size_t kChunkRows = 64;
constexpr size_t kChunkPairs = 4;
// Batch rows and pairs of panels whose sums are in registers.
constexpr size_t kBlockRows = 5;
constexpr size_t kBlockPairs = 4;

// What becomes of the sums of a range of columns.
struct Range {
  size_t first = 0, groups = 0;
  size_t offset = 0;     // Of its activations in a row's q.
  bool begins = false;   // There are no sums yet.
  bool shifted = false;  // Those that there are count 128 times: of the plane before.
  bool ends = false;
};

// The sums of all subsets of a row's activations, two groups a table.
void MakeTables(const int8_t* q, size_t groups, __m512i* tables) {
  // Of table entry n, bytes: bits 0 and 1 of n; bits 2 and 3.
  const __m512i low_bits = _mm512_set1_epi64(0x0101010000010000);
  const __m512i high_bits =
      _mm512_set4_epi64(0x0101010101010101, 0x0100010001000100, 0x0001000100010001, 0);
  // Activations 0 and 1 of the first group in each word of the lower half, of the second in the
  // upper; 2 and 3 likewise.
  const __m512i low_pairs = _mm512_set_epi64(
      0x0504050405040504, 0x0504050405040504, 0x0504050405040504, 0x0504050405040504,
      0x0100010001000100, 0x0100010001000100, 0x0100010001000100, 0x0100010001000100);
  const __m512i high_pairs = _mm512_add_epi8(low_pairs, _mm512_set1_epi8(2));
  for (size_t i = 0; 2 * i < groups; ++i) {
    int64_t eight = 0;
    if (2 * i + 1 < groups) {
      __builtin_memcpy(&eight, q + 8 * i, 8);
    } else {
      __builtin_memcpy(&eight, q + 8 * i, 4);
    }
    const __m512i all = _mm512_set1_epi64(eight);
    tables[i] =
        _mm512_add_epi16(_mm512_maddubs_epi16(low_bits, _mm512_shuffle_epi8(all, low_pairs)),
                         _mm512_maddubs_epi16(high_bits, _mm512_shuffle_epi8(all, high_pairs)));
  }
}

// The indexes of a pair of panels: a word for each of 32 rows, of which vpermw reads five bits: the
// row's four weights, and which of a table's two groups it is. Every `stride`th of `indexes`.
// `second` null: there is no second panel.
void MakeIndexes(const uint64_t* first, const uint64_t* second, size_t groups, size_t stride,
                 __m512i* indexes) {
  const __m512i low_nibbles = _mm512_set1_epi16(0x000f);
  const __m512i odd = _mm512_set1_epi16(0x0010);
  // To the lower byte of each word its row's nibble and the next one; a panel's word is in four
  // lanes of 64 bits, of four rows each.
  const __m512i shifts = _mm512_set_epi64(
      0x003c003800340030, 0x002c002800240020, 0x001c001800140010, 0x000c000800040000,
      0x003c003800340030, 0x002c002800240020, 0x001c001800140010, 0x000c000800040000);
  const auto index = [&](size_t g, __m512i group) {
    __m512i words = _mm512_set1_epi64(static_cast<int64_t>(first[g]));
    if (second != nullptr)
      words = _mm512_mask_set1_epi64(words, 0xf0, static_cast<int64_t>(second[g]));
    // (rows & low_nibbles) | group.
    return _mm512_ternarylogic_epi64(_mm512_multishift_epi64_epi8(shifts, words), low_nibbles,
                                     group, 0xea);
  };
  size_t g = 0;
  for (; g + 2 <= groups; g += 2) {
    indexes[g * stride] = index(g, _mm512_setzero_si512());
    indexes[(g + 1) * stride] = index(g + 1, odd);
  }
  if (g < groups) indexes[g * stride] = index(g, _mm512_setzero_si512());
}

// One range of kPairs pairs of panels from `panel` on and kRows batch rows from `row` on, whose
// tables are `stride` apart.
template <size_t kPairs, size_t kRows>
void Block(const BinaryGemmArgs& args, const Range& range, size_t panel, size_t row,
           const __m512i* tables, size_t stride, const __m512i* indexes) {
  Words acc[kPairs][kRows];
  for (size_t p = 0; p < kPairs; ++p) {
    for (size_t n = 0; n < kRows; ++n) acc[p][n] = Words{};
  }
  for (size_t i = 0; 2 * i < range.groups; ++i) {
    __m512i table[kRows];
    for (size_t n = 0; n < kRows; ++n) table[n] = tables[n * stride + i];
    const size_t end = 2 * i + 1 < range.groups ? 2 : 1;
    for (size_t half = 0; half < end; ++half) {
      for (size_t p = 0; p < kPairs; ++p) {
        const __m512i index = indexes[(2 * i + half) * kPairs + p];
        for (size_t n = 0; n < kRows; ++n)
          acc[p][n] += (Words)_mm512_permutexvar_epi16(index, table[n]);
      }
    }
  }
  for (size_t n = 0; n < kRows; ++n) {
    const __m512i total = _mm512_set1_epi32(args.totals[row + n]);
    int32_t* sums = args.sums + (row + n) * args.sums_stride + panel * kPanelRows;
    const auto add = [&](__m256i words, int32_t* to) {
      __m512i sum = _mm512_cvtepi16_epi32(words);
      if (!range.begins) {
        const __m512i before = _mm512_loadu_si512(to);
        sum = _mm512_add_epi32(sum, range.shifted ? _mm512_slli_epi32(before, 7) : before);
      }
      if (range.ends) sum = _mm512_sub_epi32(_mm512_add_epi32(sum, sum), total);
      _mm512_storeu_si512(to, sum);
    };
    for (size_t p = 0; p < kPairs; ++p) {
      const __m512i words = (__m512i)acc[p][n];
      add(_mm512_castsi512_si256(words), sums + 2 * p * kPanelRows);
      if (panel + 2 * p + 1 < args.row_panels)
        add(_mm512_extracti64x4_epi64(words, 1), sums + (2 * p + 1) * kPanelRows);
    }
  }
}

using BlockFn = void(const BinaryGemmArgs&, const Range&, size_t, size_t, const __m512i*, size_t,
                     const __m512i*);

template <size_t kPairs>
BlockFn* BlockOf(size_t rows) {
  constexpr BlockFn* kBlocks[kBlockRows] = {&Block<kPairs, 1>, &Block<kPairs, 2>, &Block<kPairs, 3>,
                                            &Block<kPairs, 4>, &Block<kPairs, 5>};
  return kBlocks[rows - 1];
}

BlockFn* BlockOf(size_t pairs, size_t rows) {
  switch (pairs) {
    case 1:
      return BlockOf<1>(rows);
    case 2:
      return BlockOf<2>(rows);
    case 3:
      return BlockOf<3>(rows);
    default:
      return BlockOf<4>(rows);
  }
}

// Whether no subset of the activations of any of these rows leaves int16.
bool SmallActivations(const BinaryGemmArgs& args, size_t first, size_t count) {
  const size_t planes = static_cast<size_t>(args.planes);
  const size_t columns = args.groups * kGroupColumns;
  for (size_t row = first * planes; row < (first + count) * planes; ++row) {
    const int8_t* q = args.q + row * args.q_stride;
    __m512i sums = _mm512_setzero_si512();
    for (size_t k = 0; k < columns; k += 64) {
      const size_t left = columns - k;
      const __mmask64 mask = left >= 64 ? ~__mmask64{0} : (__mmask64{1} << left) - 1;
      const __m512i magnitudes = _mm512_abs_epi8(_mm512_maskz_loadu_epi8(mask, q + k));
      sums = _mm512_add_epi64(sums, _mm512_sad_epu8(magnitudes, _mm512_setzero_si512()));
    }
    if (_mm512_reduce_add_epi64(sums) > INT16_MAX) return false;
  }
  return true;
}

// All panels of a range and of `count` batch rows, whose tables are `stride` apart.
void Rows(const BinaryGemmArgs& args, const Range& range, size_t first, size_t count,
          const __m512i* tables, size_t stride) {
  __m512i indexes[kChunkPairs * kRangeGroups];
  const size_t blocks = CeilDiv(count, kBlockRows);
  for (size_t chunk = 0; chunk < args.row_panels; chunk += 2 * kChunkPairs) {
    const size_t end =
        chunk + 2 * kChunkPairs < args.row_panels ? chunk + 2 * kChunkPairs : args.row_panels;
    for (size_t panel = chunk; panel < end; panel += 2 * kBlockPairs) {
      const size_t left = CeilDiv(end - panel, 2);
      const size_t pairs = left < kBlockPairs ? left : kBlockPairs;
      __m512i* const of_block = indexes + (panel - chunk) / 2 * kRangeGroups;
      for (size_t p = 0; p < pairs; ++p) {
        const uint64_t* words = args.panels + (panel + 2 * p) * args.groups + range.first;
        MakeIndexes(words, panel + 2 * p + 1 < end ? words + args.groups : nullptr, range.groups,
                    pairs, of_block + p);
      }
      // Blocks of as equal a size as can be.
      for (size_t block = 0, row = 0; block < blocks; ++block) {
        const size_t rows = CeilDiv(count - row, blocks - block);
        BlockOf(pairs, rows)(args, range, panel, first + row, tables + row * stride, stride,
                             of_block);
        row += rows;
      }
    }
  }
}

// The same, with tables that are made now.
__attribute__((noinline)) void RowsAndTables(const BinaryGemmArgs& args, const Range& range,
                                             size_t first, size_t count) {
  __m512i tables[kChunkRows * kTables];
  const size_t row_bytes = static_cast<size_t>(args.planes) * args.q_stride;
  for (size_t n = 0; n < count; ++n) {
    MakeTables(args.q + (first + n) * row_bytes + range.offset, range.groups, tables + n * kTables);
  }
  Rows(args, range, first, count, tables, kTables);
}

}  // namespace

void BinaryGemm(const BinaryGemmArgs& args) {
  // Fewer rows are too few for the indexes (`bitlm-bench-cpu --sweep`).
  constexpr size_t kLeastRows = 6;
  if (args.batch < kLeastRows || args.groups == 0) {
    avx512_vnni::BinaryGemm(args);
    return;
  }
  const size_t chunks = CeilDiv(args.batch, kChunkRows);
  for (size_t chunk = 0, row = 0; chunk < chunks; ++chunk) {
    const size_t count = CeilDiv(args.batch - row, chunks - chunk);
    const size_t most = args.groups > kSafeGroups && SmallActivations(args, row, count)
                            ? kRangeGroups
                            : kSafeGroups;
    const size_t ranges = CeilDiv(args.groups, most);
    for (size_t plane = 0; plane < static_cast<size_t>(args.planes); ++plane) {
      for (size_t i = 0; i < ranges; ++i) {
        Range range{.first = i * most};
        range.groups = args.groups - range.first < most ? args.groups - range.first : most;
        range.offset = plane * args.q_stride + range.first * kGroupColumns;
        range.begins = plane == 0 && i == 0;
        range.shifted = plane > 0 && i == 0;
        range.ends = plane + 1 == static_cast<size_t>(args.planes) && i + 1 == ranges;
        if (args.tables == nullptr) {
          RowsAndTables(args, range, row, count);
          continue;
        }
        const auto* tables = reinterpret_cast<const __m512i*>(args.tables);
        const size_t of_plane = CeilDiv(args.groups, 2);
        const size_t stride = static_cast<size_t>(args.planes) * of_plane;
        Rows(args, range, row, count, tables + row * stride + plane * of_plane + range.first / 2,
             stride);
      }
    }
    row += count;
  }
}

void BinaryTables(const BinaryTablesArgs& args) {
  auto* tables = reinterpret_cast<__m512i*>(args.tables);
  const size_t rows = args.batch * static_cast<size_t>(args.planes);
  for (size_t row = 0; row < rows; ++row)
    MakeTables(args.q + row * args.q_stride, args.groups, tables + row * CeilDiv(args.groups, 2));
}

}  // namespace bitlm::avx512_permute
