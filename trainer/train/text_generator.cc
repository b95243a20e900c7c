#include "trainer/train/text_generator.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/status.h"
#include "trainer/init/from_model.h"
#include "trainer/layers/network.h"
#include "trainer/tensor/math.h"
#include "trainer/tensor/random.h"
#include "trainer/train/recipe.h"

namespace bitlm::trainer {
namespace {

// logits -> exp(logits), and their sums by blocks of 64.
BITLM_CLONES void Exponentials(float* logits, int64_t count, float* block_sums) {
  for (int64_t first = 0; first < count; first += 64) {
    const int64_t last = std::min(count, first + 64);
    float sum = 0;
    for (int64_t i = first; i < last; ++i) {
      logits[i] = Exp(logits[i]);
      sum += logits[i];
    }
    block_sums[first / 64] = sum;
  }
}

// The word at `uniform` in (0, 1) of the cumulative distribution.
int32_t Draw(float* logits, int64_t count, double uniform) {
  std::vector<float> sums(static_cast<size_t>((count + 63) / 64));
  Exponentials(logits, count, sums.data());
  double total = 0;
  for (const float sum : sums) total += sum;
  double left = uniform * total;
  size_t block = 0;
  while (block + 1 < sums.size() && left >= sums[block]) left -= sums[block++];
  const int64_t last = std::min(count, static_cast<int64_t>(block + 1) * 64);
  int64_t word = static_cast<int64_t>(block) * 64;
  while (word + 1 < last && left >= logits[word]) left -= logits[word++];
  return static_cast<int32_t>(word);
}

std::string Line(const Vocabulary& vocabulary, const std::vector<TokenId>& sentence) {
  std::string line;
  for (const TokenId word : sentence) {
    if (!line.empty()) line.push_back(' ');
    line += vocabulary.Word(word);
  }
  return line;
}

}  // namespace

absl::Status GenerateText(const Model& model, const GeneratorOptions& options, ThreadPool* pool,
                          const std::function<void(std::string_view)>& write) {
  BITLM_RETURN_IF_ERROR(CheckTrainable(model.config));
  if (model.config.head != HeadKind::kLanguageModel) {
    return absl::FailedPreconditionError("head: \"classifier\", expected \"language_model\"");
  }
  const bool carried = model.config.context == ContextKind::kDocument;
  const bool follows = options.text.sentences() > 0;
  if (carried && follows) {
    return absl::FailedPreconditionError(
        "context: \"document\", but only a model of single sentences follows a text");
  }
  const FastBackend backend(options.precision, pool);
  const int64_t streams = options.streams;
  BITLM_ASSIGN_OR_RETURN(const auto made,
                         NetworkFromModel(model, {.streams = streams, .steps = 1}, backend));
  Network<FastBackend>& network = *made;
  const OutputWeights<float> weights = network.output().weights();
  const int64_t vocabulary = weights.table->cols;
  SoftTargets<FastBackend> output(backend, streams, weights.table->rows, vocabulary);
  output.Pack(weights, static_cast<float>(options.temperature));
  AlignedBuffer<float> logits(static_cast<size_t>(streams * vocabulary));

  const TokenId end = model.vocabulary.end_of_sentence_id();
  const auto count = static_cast<size_t>(streams);
  Batch batch{.streams = streams,
              .steps = 1,
              .inputs = std::vector<int32_t>(count, end),
              .targets = std::vector<int32_t>(count, -1),
              .resets = std::vector<uint8_t>(count, 1)};
  auto state = network.ZeroState();
  std::vector<std::vector<TokenId>> sentences(count);
  std::vector<bool> finished(count);
  std::vector<TokenId> drawn(count);
  std::vector<std::vector<std::string>> documents(count);
  std::vector<size_t> followed(count);  // Where in the text the next word of each stream is.
  int64_t begun = 0;
  const auto follow_next = [&](size_t b) {
    if (!follows) return;
    followed[b] = static_cast<size_t>(
        options.text.starts[static_cast<size_t>(begun++ % options.text.sentences())]);
  };
  for (size_t b = 0; b < count; ++b) follow_next(b);
  int64_t written = 0;
  for (uint64_t step = 0; std::find(finished.begin(), finished.end(), false) != finished.end();
       ++step) {
    output.SetRows(network.Teach(batch, &state).z, 0, streams);
    backend.MultiplyAll(output.z_left(), output.forward(), logits.data(), vocabulary, false);
    pool->ParallelFor(count, [&](size_t b) {
      float* row = logits.data() + static_cast<int64_t>(b) * vocabulary;
      for (int64_t w = 0; output.bias() != nullptr && w < vocabulary; ++w)
        row[w] += output.bias()[w];
      drawn[b] = Draw(row, vocabulary, UniformAt(Combine(options.seed, step), b));
    });
    for (size_t b = 0; b < count; ++b) {
      std::vector<TokenId>& sentence = sentences[b];
      if (follows) {
        const TokenId word = options.text.tokens[followed[b]++];
        const bool redrawn =
            UniformAt(Combine(~options.seed, step), b) < options.redraw && drawn[b] != end;
        if (word == end || !redrawn) drawn[b] = word;
      }
      const bool ends = drawn[b] == end || static_cast<int64_t>(sentence.size()) >= options.longest;
      batch.inputs[b] = ends ? end : drawn[b];
      batch.resets[b] = ends && !carried;
      if (!ends) {
        sentence.push_back(drawn[b]);
        continue;
      }
      if (!finished[b] && !sentence.empty()) {
        std::string line = Line(model.vocabulary, sentence);
        if (carried) {
          documents[b].push_back(std::move(line));
        } else {
          write(line);
        }
        written += static_cast<int64_t>(sentence.size()) + 1;
      }
      sentence.clear();
      follow_next(b);
      finished[b] = written >= options.tokens;
    }
  }
  for (const auto& document : documents) {
    for (const std::string& line : document) write(line);
  }
  return absl::OkStatus();
}

}  // namespace bitlm::trainer
