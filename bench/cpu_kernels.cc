// The kernels that this CPU would use, against oneDNN and the CPU's own limits: rows 1 to 5, 12,
// 14 to 17, 23 and 24 of `scripts/bench cpu`. One thread. Prints one JSON object a row.
//
//   build/release/bin/bitlm-bench-cpu --rows 1,2

#include <CLI/CLI.hpp>
#include <cstdio>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "bench/interleave.h"
#include "bench/onednn_peer.h"
#include "bench/openblas_peer.h"
#include "bench/peaks.h"
#include "engine/base/aligned_buffer.h"
#include "engine/base/cpu_features.h"
#include "engine/kernels/pack/pack.h"
#include "engine/kernels/panel.h"
#include "engine/nn/kernel_set.h"
#include "engine/nn/language_model.h"
#include "tests/support/random_model.h"

namespace bitlm::bench {
namespace {

using Side = std::function<void()>;

template <typename T>
std::shared_ptr<AlignedBuffer<T>> Random(size_t size) {
  auto buffer = std::make_shared<AlignedBuffer<T>>(size);
  std::mt19937_64 random(size);
  for (T& x : buffer->span()) {
    if constexpr (std::is_floating_point_v<T>) {
      x = static_cast<T>(static_cast<int>(random() % 2001) - 1000) / 1000;
    } else {
      x = static_cast<T>(random());
    }
  }
  return buffer;
}

// out [m, n] = signs of a [m, k] times signs [n, k], the signs of `a` taken on the way.
Side XnorProduct(const KernelSet& kernels, size_t m, size_t k, size_t n) {
  const auto packed = Random<uint8_t>(n * CeilDiv(k, 8));
  const auto panels = std::make_shared<AlignedBuffer<uint64_t>>(SignPanelWords(n, k));
  PackSignPanels(packed->data(), n, k, panels->data());
  const auto a = Random<float>(m * k);
  const size_t words = CeilDiv(k, kWordColumns);
  const auto bits = std::make_shared<AlignedBuffer<uint64_t>>(m * words);
  const size_t stride = RoundUp(n, kPanelRows);
  const auto sums = std::make_shared<AlignedBuffer<int32_t>>(m * stride);
  return [=] {
    std::vector<const float*> rows;
    for (size_t b = 0; b < m; ++b) rows.push_back(a->data() + b * k);
    kernels.sign_bits(
        {.rows = rows.data(), .batch = m, .columns = k, .bits = bits->data(), .stride = words});
    kernels.xnor_gemm({.panels = panels->data(),
                       .row_panels = stride / kPanelRows,
                       .columns = k,
                       .x = bits->data(),
                       .x_stride = words,
                       .batch = m,
                       .sums = sums->data(),
                       .sums_stride = stride});
  };
}

// sums [m, n] = int8 a [m, k] times signs [n, k].
Side BinaryProduct(const KernelSet& kernels, size_t m, size_t k, size_t n) {
  const auto packed = Random<uint8_t>(n * CeilDiv(k, 8));
  const auto panels = std::make_shared<AlignedBuffer<uint64_t>>(BinaryPanelWords(n, k));
  PackBinaryPanels(packed->data(), n, k, panels->data());
  const auto q = Random<int8_t>(m * RoundUp(k, 64));
  const auto totals = std::make_shared<AlignedBuffer<int32_t>>(m);
  const size_t stride = RoundUp(n, kPanelRows);
  const auto sums = std::make_shared<AlignedBuffer<int32_t>>(m * stride);
  return [=] {
    kernels.binary_gemm({.panels = panels->data(),
                         .row_panels = stride / kPanelRows,
                         .groups = CeilDiv(k, kGroupColumns),
                         .q = q->data(),
                         .q_stride = RoundUp(k, 64),
                         .planes = 1,
                         .totals = totals->data(),
                         .batch = m,
                         .sums = sums->data(),
                         .sums_stride = stride});
  };
}

Side FloatProduct(const KernelSet& kernels, size_t m, size_t k, size_t n) {
  const auto values = Random<float>(n * k);
  const auto panels = std::make_shared<AlignedBuffer<float>>(FloatPanelValues(n, k));
  PackFloatPanels(values->data(), n, k, panels->data());
  const auto x = Random<float>(m * k);
  const size_t stride = RoundUp(n, kPanelRows);
  const auto out = std::make_shared<AlignedBuffer<float>>(m * stride);
  return [=] {
    kernels.float_gemm({.panels = panels->data(),
                        .row_panels = stride / kPanelRows,
                        .columns = k,
                        .x = x->data(),
                        .x_stride = k,
                        .batch = m,
                        .out = out->data(),
                        .out_stride = stride});
  };
}

// The output softmax of a binary table [n, k] with one target a row.
Side OutputSoftmax(size_t m, size_t k, size_t n) {
  const auto model = *MakeCpuLanguageModel(std::make_shared<const Model>(RandomModel(
      TinyConfig("bllm-no-io", static_cast<int>(n), static_cast<int>(k), static_cast<int>(k)), 1)));
  const auto states = Random<float>(m * model->state_size());
  const auto logprobs = std::make_shared<AlignedBuffer<float>>(m);
  const auto targets = std::make_shared<std::vector<TokenId>>();
  for (size_t b = 0; b < m; ++b) targets->push_back(static_cast<TokenId>(b * 101 % n));
  return [=] {
    std::vector<OutputRow> rows(m);
    for (size_t b = 0; b < m; ++b) {
      rows[b].state = states->data() + b * model->state_size();
      rows[b].targets = {targets->data() + b, 1};
      rows[b].logprobs = logprobs->data() + b;
    }
    model->Output(rows, nullptr);
  };
}

struct Row {
  int number;
  std::string what;
  Side ours, peer;
  // value = factor * (time of the peer / ours), or with `inverse` (ours / the peer's).
  double factor = 1;
  bool inverse = false;
  std::string unit = "ratio";
  std::optional<double> target;
};

// Work of a call over time, as a fraction of the peak's.
Row FractionOf(const Peak& peak, int number, std::string what, Side ours, double work,
               std::optional<double> target) {
  return {.number = number,
          .what = what + ", fraction of this machine's " + peak.name + " peak",
          .ours = std::move(ours),
          .peer = peak.run,
          .factor = peak.run ? work / peak.work : 0,
          .unit = "fraction",
          .target = target};
}

std::vector<Row> Rows(const KernelSet& kernels) {
  std::vector<Row> rows;
  rows.push_back({.number = 1,
                  .what = "XNOR product, 4096x4096 by 4096x4096, times as fast as oneDNN fp32",
                  .ours = XnorProduct(kernels, 4096, 4096, 4096),
                  .peer = OneDnnProduct("f32", 4096, 4096, 4096),
                  .target = 12});
  rows.push_back({.number = 2,
                  .what = "XNOR product, 10x300 by 300x4500, times as fast as oneDNN fp32",
                  .ours = XnorProduct(kernels, 10, 300, 4500),
                  .peer = OneDnnProduct("f32", 10, 300, 4500),
                  .target = 6});
  constexpr double kOutputWork = 64.0 * 512 * 10000;
  rows.push_back(FractionOf(AmxInt8Peak(), 3, "1 bit x int8, M=64 K=512 N=10,000",
                            BinaryProduct(kernels, 64, 512, 10000), kOutputWork, 0.50));
  rows.push_back({.number = 4,
                  .what = "output softmax over 1 bit x int8, M=64 K=512 N=10,000, over the "
                          "product's time alone",
                  .ours = OutputSoftmax(64, 512, 10000),
                  .peer = BinaryProduct(kernels, 64, 512, 10000),
                  .inverse = true,
                  .target = 1.25});
  rows.push_back({.number = 5,
                  .what = "1 bit x int8, M=1 K=512 N=10,000, times as fast as oneDNN int8",
                  .ours = BinaryProduct(kernels, 1, 512, 10000),
                  .peer = OneDnnProduct("s8", 1, 512, 10000),
                  .target = 6});
  rows.push_back(FractionOf(FmaPeak(), 12, "float32, M=64 K=1000 N=2000, k ascending",
                            FloatProduct(kernels, 64, 1000, 2000), 64.0 * 1000 * 2000, 0.75));
  rows.push_back(FractionOf(VnniPeak(), 14, "1 bit x int8, M=64 K=512 N=10,000",
                            BinaryProduct(kernels, 64, 512, 10000), kOutputWork, {}));
  rows.push_back({.number = 15,
                  .what = "1 bit x int8, M=64 K=512 N=10,000, times as fast as oneDNN int8",
                  .ours = BinaryProduct(kernels, 64, 512, 10000),
                  .peer = OneDnnProduct("s8", 64, 512, 10000),
                  .target = {}});
  rows.push_back({.number = 16,
                  .what = "1 bit x int8, M=64 K=512 N=10,000, times as fast as oneDNN bf16",
                  .ours = BinaryProduct(kernels, 64, 512, 10000),
                  .peer = OneDnnProduct("bf16", 64, 512, 10000),
                  .target = {}});
  rows.push_back(FractionOf(PopcountPeak(), 17, "XNOR product, 4096x4096 by 4096x4096",
                            XnorProduct(kernels, 4096, 4096, 4096), 4096.0 * 4096 * 4096, {}));
  rows.push_back({.number = 23,
                  .what = "XNOR product, 4096x4096 by 4096x4096, times as fast as OpenBLAS sgemm",
                  .ours = XnorProduct(kernels, 4096, 4096, 4096),
                  .peer = OpenBlasProduct(4096, 4096, 4096),
                  .target = {}});
  rows.push_back({.number = 24,
                  .what = "float32, M=64 K=1000 N=2000, k ascending, times as fast as OpenBLAS "
                          "sgemm",
                  .ours = FloatProduct(kernels, 64, 1000, 2000),
                  .peer = OpenBlasProduct(64, 1000, 2000),
                  .target = {}});
  return rows;
}

void Measure(const Row& row, int rounds, double min_seconds, const std::string& kernels) {
  if (!row.peer) {
    std::fprintf(stderr, "cpu: no row %d: this CPU, or this oneDNN, has nothing to compare with\n",
                 row.number);
    return;
  }
  const auto seconds = Interleave({row.ours, row.peer}, rounds, min_seconds);
  const double ratio = row.inverse ? MedianRatio(seconds[0], seconds[1])
                                   : row.factor * MedianRatio(seconds[1], seconds[0]);
  nlohmann::json json{
      {"id", absl::StrFormat("cpu.%d", row.number)},
      {"what", absl::StrFormat("%s; %s, %.4g ms (peer %.4g ms)", row.what, kernels,
                               1e3 * Median(seconds[0]), 1e3 * Median(seconds[1]))},
      {"value", std::stod(absl::StrFormat("%.3g", ratio))},
      {"unit", row.unit},
      {"peer", 1},
      {"target", nullptr},
      {"command", absl::StrFormat("build/release/bin/bitlm-bench-cpu --rows %d", row.number)}};
  if (row.target) json["target"] = *row.target;
  std::printf("%s\n", json.dump().c_str());
  std::fflush(stdout);
}

// Microseconds of 1 bit x int8, K=512 N=10,000, by batch size, for each variant that runs here:
// what a choice between them by batch size goes by.
void PrintSweep(KernelSet kernels, int rounds, double min_seconds) {
  std::vector<std::string> names;
  std::vector<BinaryGemmFn*> runs;
  for (const Variant<BinaryGemmFn>& variant : BinaryGemmVariants()) {
    if ((variant.features & ~cpu::Usable()) != 0) continue;
    names.emplace_back(variant.name);
    runs.push_back(variant.run);
  }
  for (const size_t batch : {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 16, 24, 32, 48, 64}) {
    std::vector<Side> sides;
    for (BinaryGemmFn* run : runs) {
      kernels.binary_gemm = run;
      sides.push_back(BinaryProduct(kernels, batch, 512, 10000));
    }
    const auto seconds = Interleave(sides, rounds, min_seconds);
    nlohmann::json json{{"batch", batch}};
    for (size_t i = 0; i < names.size(); ++i) json[names[i]] = 1e6 * Median(seconds[i]);
    std::printf("%s\n", json.dump().c_str());
    std::fflush(stdout);
  }
}

void PrintPeaks() {
  nlohmann::json json = nlohmann::json::object();
  for (const Peak& peak : {FmaPeak(), VnniPeak(), AmxInt8Peak()}) {
    if (peak.run) json[peak.name] = peak.work / Median(Interleave({peak.run}, 3, 0.05)[0]);
  }
  std::printf("%s\n", json.dump().c_str());
}

}  // namespace
}  // namespace bitlm::bench

int main(int argc, char** argv) {
  CLI::App app("Kernels against their peers and this machine's limits, on one thread");
  std::vector<int> numbers;
  int rounds = 7;
  double min_seconds = 0.1;
  app.add_option("--rows", numbers, "Rows of the table; 0, the default, is all")->delimiter(',');
  bool peaks = false;
  app.add_flag("--peaks", peaks, "Only this machine's peaks, multiply-adds a second");
  bool sweep = false;
  app.add_flag("--sweep", sweep, "Only the variants of 1 bit x int8, microseconds by batch size");
  app.add_option("--rounds", rounds, "Turns of both sides")->capture_default_str();
  app.add_option("--min-seconds", min_seconds, "Of a turn")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  if (peaks) {
    bitlm::bench::PrintPeaks();
    return 0;
  }
  if (sweep) {
    bitlm::bench::PrintSweep(bitlm::SelectKernels(bitlm::cpu::Usable()), rounds, min_seconds);
    return 0;
  }
  const auto kernels = bitlm::SelectKernels(bitlm::cpu::Usable());
  const std::set<int> wanted(numbers.begin(), numbers.end());
  for (const auto& row : bitlm::bench::Rows(kernels)) {
    if (wanted.empty() || wanted.count(0) > 0 || wanted.count(row.number) > 0) {
      bitlm::bench::Measure(row, rounds, min_seconds, kernels.name);
    }
  }
  return 0;
}
