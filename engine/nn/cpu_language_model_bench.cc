// Speed of the CPU model: steps and softmax rows a second, by preset, batch size and threads.
//
//   build/release/bin/engine_nn_bench --benchmark_filter='bllm/.*/64/1'
#include <benchmark/benchmark.h>

#include <memory>
#include <string>
#include <vector>

#include "engine/nn/language_model.h"
#include "tests/support/random_model.h"

namespace bitlm {
namespace {

std::shared_ptr<const LanguageModel> BenchModel(const std::string& preset) {
  return *MakeCpuLanguageModel(
      std::make_shared<const Model>(RandomModel(TinyConfig(preset, 10000, 500, 500), 1)));
}

struct Rows {
  Rows(const LanguageModel& model, size_t batch)
      : states(batch * model.state_size()), tokens(batch), targets(batch), logprobs(batch) {
    for (size_t b = 0; b < batch; ++b) {
      tokens[b] = static_cast<TokenId>(b * 37 % 10000);
      targets[b] = static_cast<TokenId>(b * 101 % 10000);
      from.push_back(&states[b * model.state_size()]);
      to.push_back(&states[b * model.state_size()]);
      OutputRow& row = rows.emplace_back();
      row.state = from[b];
      row.targets = {&targets[b], 1};
      row.logprobs = &logprobs[b];
    }
  }
  std::vector<float> states;
  std::vector<TokenId> tokens;
  std::vector<TokenId> targets;
  std::vector<float> logprobs;
  std::vector<const float*> from;
  std::vector<float*> to;
  std::vector<OutputRow> rows;
};

void Advance(benchmark::State& state, const std::string& preset) {
  const auto model = BenchModel(preset);
  Rows rows(*model, static_cast<size_t>(state.range(0)));
  ThreadPool pool(static_cast<int>(state.range(1)));
  for (auto _ : state) model->Advance(rows.tokens, rows.from, rows.to, &pool);
  state.SetItemsProcessed(state.iterations() * state.range(0));
  state.SetLabel(model->description());
}

void Output(benchmark::State& state, const std::string& preset) {
  const auto model = BenchModel(preset);
  Rows rows(*model, static_cast<size_t>(state.range(0)));
  ThreadPool pool(static_cast<int>(state.range(1)));
  model->Advance(rows.tokens, rows.from, rows.to, &pool);
  for (auto _ : state) model->Output(rows.rows, &pool);
  state.SetItemsProcessed(state.iterations() * state.range(0));
  state.SetLabel(model->description());
}

void Register() {
  for (const char* preset : {"lstm", "belm", "bllm"}) {
    for (const auto& [name, run] : {std::pair("advance", &Advance), std::pair("output", &Output)}) {
      benchmark::RegisterBenchmark((std::string(preset) + "/" + name).c_str(), run,
                                   std::string(preset))
          ->ArgsProduct({{1, 8, 64, 512}, {1, 2}})
          ->UseRealTime()
          ->Unit(benchmark::kMicrosecond);
    }
  }
}

}  // namespace
}  // namespace bitlm

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  bitlm::Register();
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
