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

// Empty sentences that are left out before one gives up, to a token that is wanted.
constexpr int64_t kMostLeftOut = 10;

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

// Sentences side by side, one a stream, and the network that draws their words.
class Writer {
 public:
  Writer(const Model& model, const GeneratorOptions& options, const FastBackend& backend,
         Network<FastBackend>& network, ThreadPool* pool)
      : vocabulary_(model.vocabulary),
        end_(model.vocabulary.end_of_sentence_id()),
        carried_(model.config.context == ContextKind::kDocument),
        options_(options),
        backend_(backend),
        network_(network),
        pool_(pool),
        output_(backend, options.streams, network.output().weights().table->rows,
                network.output().weights().table->cols),
        logits_(static_cast<size_t>(options.streams * network.output().weights().table->cols)),
        streams_(static_cast<size_t>(options.streams)),
        drawn_(streams_.size()),
        batch_{.streams = options.streams,
               .steps = 1,
               .inputs = std::vector<int32_t>(streams_.size(), end_),
               .targets = std::vector<int32_t>(streams_.size(), -1),
               .resets = std::vector<uint8_t>(streams_.size(), 1)},
        state_(network.ZeroState()) {
    output_.Pack(network.output().weights(), static_cast<float>(options.temperature));
    for (Stream& stream : streams_) FollowNext(&stream);
  }

  // Whether there was enough to write.
  bool WriteAll(const std::function<void(std::string_view)>& write) {
    for (uint64_t step = 0; !AllFinished(); ++step) {
      DrawWords(step);
      for (size_t b = 0; b < streams_.size(); ++b) {
        if (Follows()) FollowWord(step, b);
        TakeWord(b, write);
      }
    }
    for (const Stream& stream : streams_) {
      for (const std::string& line : stream.document) write(line);
    }
    return written_ >= options_.tokens;
  }

 private:
  struct Stream {
    std::vector<TokenId> sentence;
    std::vector<std::string> document;  // Lines, where the state is carried over.
    size_t followed = 0;                // Where in the text to follow its next word is.
    bool finished = false;
  };

  bool Follows() const { return options_.text.sentences() > 0; }

  bool AllFinished() const {
    return std::all_of(streams_.begin(), streams_.end(),
                       [](const Stream& stream) { return stream.finished; });
  }

  void FollowNext(Stream* stream) {
    if (!Follows()) return;
    const auto sentence = static_cast<size_t>(begun_++ % options_.text.sentences());
    stream->followed = static_cast<size_t>(options_.text.starts[sentence]);
  }

  // The next word of each stream, by the network.
  void DrawWords(uint64_t step) {
    const int64_t words = network_.output().weights().table->cols;
    output_.SetRows(network_.Teach(batch_, &state_).z, 0, options_.streams);
    backend_.MultiplyAll(output_.z_left(), output_.forward(), logits_.data(), words, false);
    pool_->ParallelFor(streams_.size(), [&](size_t b) {
      float* row = logits_.data() + static_cast<int64_t>(b) * words;
      for (int64_t w = 0; output_.bias() != nullptr && w < words; ++w) row[w] += output_.bias()[w];
      drawn_[b] = Draw(row, words, UniformAt(Combine(options_.seed, step), b));
    });
  }

  // The text's word in place of the drawn one, but for those to be drawn anew.
  void FollowWord(uint64_t step, size_t b) {
    const TokenId word = options_.text.tokens[streams_[b].followed++];
    const bool redrawn =
        UniformAt(Combine(~options_.seed, step), b) < options_.redraw && drawn_[b] != end_;
    if (word == end_ || !redrawn) drawn_[b] = word;
  }

  // Puts the word into the stream's sentence, which is written where it ends.
  void TakeWord(size_t b, const std::function<void(std::string_view)>& write) {
    Stream& stream = streams_[b];
    std::vector<TokenId>& sentence = stream.sentence;
    const bool ends =
        drawn_[b] == end_ || static_cast<int64_t>(sentence.size()) >= options_.longest;
    batch_.inputs[b] = ends ? end_ : drawn_[b];
    batch_.resets[b] = ends && !carried_;
    if (!ends) {
      sentence.push_back(drawn_[b]);
      return;
    }
    if (!stream.finished) {
      std::string line = Line(vocabulary_, sentence);
      if (carried_) {
        stream.document.push_back(std::move(line));
      } else if (!line.empty()) {
        write(line);
      }
      // What is left out does not count, but it has to end.
      const bool written = carried_ || !sentence.empty();
      (written ? written_ : left_out_) += static_cast<int64_t>(sentence.size()) + 1;
    }
    sentence.clear();
    FollowNext(&stream);
    stream.finished = written_ >= options_.tokens || left_out_ > kMostLeftOut * options_.tokens;
  }

  const Vocabulary& vocabulary_;
  const TokenId end_;
  const bool carried_;  // The state, from sentence to sentence.
  const GeneratorOptions& options_;
  const FastBackend& backend_;
  Network<FastBackend>& network_;
  ThreadPool* pool_;
  SoftTargets<FastBackend> output_;
  AlignedBuffer<float> logits_;  // [streams, vocabulary].
  std::vector<Stream> streams_;
  std::vector<TokenId> drawn_;  // The next word of each stream.
  Batch batch_;
  Network<FastBackend>::State state_;
  int64_t begun_ = 0;     // Sentences of the text to follow.
  int64_t written_ = 0;   // Words and </s>.
  int64_t left_out_ = 0;  // Empty sentences.
};

}  // namespace

absl::Status GenerateText(const Model& model, const GeneratorOptions& options, ThreadPool* pool,
                          const std::function<void(std::string_view)>& write) {
  BITLM_RETURN_IF_ERROR(CheckTrainable(model.config));
  if (model.config.head != HeadKind::kLanguageModel) {
    return absl::FailedPreconditionError("head: \"classifier\", expected \"language_model\"");
  }
  if (model.config.context == ContextKind::kDocument && options.text.sentences() > 0) {
    return absl::FailedPreconditionError(
        "context: \"document\", but only a model of single sentences follows a text");
  }
  const FastBackend backend(options.precision, pool);
  BITLM_ASSIGN_OR_RETURN(
      const auto network,
      NetworkFromModel(model, {.streams = options.streams, .steps = 1}, backend));
  if (Writer(model, options, backend, *network, pool).WriteAll(write)) return absl::OkStatus();
  return absl::FailedPreconditionError(
      "the model ends almost every sentence before its first word");
}

}  // namespace bitlm::trainer
