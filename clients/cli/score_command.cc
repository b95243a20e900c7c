#include "clients/cli/score_command.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <deque>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "clients/cli/line_reader.h"
#include "clients/cli/output.h"
#include "clients/cli/score_format.h"
#include "clients/cpp/totals.h"

namespace bitlm::cli {
namespace {

constexpr size_t kRequestsInFlight = 4;
// Of one request, unless a single sentence is longer.
constexpr size_t kMaxRequestBytes = 1 << 16;

// Sentences of one request.
struct Chunk {
  std::vector<std::string> sentences;
  int64_t first = 0;  // Number of the first one, from 1.
};

// Sentences from arguments or lines.
class Source {
 public:
  virtual ~Source() = default;
  virtual absl::StatusOr<std::optional<std::string>> Next() = 0;
  virtual bool Ready() = 0;
  // Where sentence `number` is, for errors.
  virtual std::string Place(int64_t number) const = 0;
};

class ArgumentSource : public Source {
 public:
  explicit ArgumentSource(const std::vector<std::string>& sentences) : sentences_(sentences) {}
  absl::StatusOr<std::optional<std::string>> Next() override {
    if (next_ == sentences_.size()) return std::nullopt;
    return std::optional<std::string>(sentences_[next_++]);
  }
  bool Ready() override { return true; }
  std::string Place(int64_t number) const override { return absl::StrCat("sentence ", number); }

 private:
  const std::vector<std::string>& sentences_;
  size_t next_ = 0;
};

class LineSource : public Source {
 public:
  LineSource(int fd, std::string name) : fd_(fd), reader_(fd, std::move(name)) {}
  ~LineSource() override {
    if (fd_ != STDIN_FILENO) close(fd_);
  }
  absl::StatusOr<std::optional<std::string>> Next() override { return reader_.Next(); }
  bool Ready() override { return reader_.Ready(); }
  std::string Place(int64_t number) const override {
    return absl::StrCat(reader_.name(), ":", number);
  }

 private:
  int fd_;
  LineReader reader_;
};

absl::StatusOr<std::unique_ptr<Source>> OpenSource(const ScoreArguments& arguments) {
  if (!arguments.sentences.empty()) return std::make_unique<ArgumentSource>(arguments.sentences);
  if (arguments.file == "-") {
    return std::make_unique<LineSource>(STDIN_FILENO, "standard input");
  }
  const int fd = open(arguments.file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    return absl::NotFoundError(absl::StrCat(arguments.file, ": ", std::strerror(errno)));
  }
  return std::make_unique<LineSource>(fd, arguments.file);
}

// Cuts a source into chunks: a sentence that would make a request too large begins the next, so
// that a sentence which no server takes fails alone.
class ChunkReader {
 public:
  ChunkReader(Source& source, size_t max_sentences)
      : source_(source), max_sentences_(max_sentences) {}

  // Waits for one sentence, then takes those that are there already. Empty at the end of the input.
  Chunk Read() {
    Chunk chunk = {.sentences = {}, .first = next_number_};
    size_t bytes = 0;
    do {
      if (!held_.has_value()) Fetch();
      if (!held_.has_value()) break;
      bytes += held_->size();
      if (!chunk.sentences.empty() && bytes > kMaxRequestBytes) break;
      chunk.sentences.push_back(*std::exchange(held_, std::nullopt));
    } while (chunk.sentences.size() < max_sentences_ && source_.Ready());
    next_number_ += static_cast<int64_t>(chunk.sentences.size());
    return chunk;
  }
  // Whether Read would not wait.
  bool Ready() { return held_.has_value() || source_.Ready(); }
  // Whether nothing is left to read: the input has ended, or `error` ended it.
  bool end() const { return end_; }
  const absl::Status& error() const { return error_; }

 private:
  void Fetch() {
    auto sentence = source_.Next();
    if (!sentence.ok()) {
      error_ = sentence.status();
    } else {
      held_ = *std::move(sentence);
    }
    end_ = !held_.has_value();
  }

  Source& source_;
  const size_t max_sentences_;
  int64_t next_number_ = 1;
  std::optional<std::string> held_;  // Read, and in no chunk yet.
  bool end_ = false;
  absl::Status error_;
};

struct Request {
  Chunk chunk;
  std::future<absl::StatusOr<client::ScoreResult>> result;
};

// The error of a request, with the place of the sentence that it is about, or of the first one.
absl::Status Locate(const absl::Status& status, const Source& source, const Chunk& chunk) {
  const std::optional<size_t> index = client::SentenceOfError(status);
  if (!index.has_value() || *index >= chunk.sentences.size()) {
    const absl::Status explained = Explain(status);
    return absl::Status(explained.code(),
                        absl::StrCat(source.Place(chunk.first), ": ", explained.message()));
  }
  const std::string message(status.message());
  return absl::InvalidArgumentError(
      absl::StrCat(source.Place(chunk.first + static_cast<int64_t>(*index)),
                   message.substr(message.find("]: ") + 1)));
}

}  // namespace

absl::Status RunScore(const Connection& connection, const ScoreArguments& arguments) {
  absl::StatusOr<std::unique_ptr<Source>> source = OpenSource(arguments);
  if (!source.ok()) return source.status();
  const client::Client client(connection.options);
  const ScoreFormatter formatter(arguments);
  client::Totals totals;
  std::deque<Request> requests;
  // The reader's error is told after the answers to what came before it.
  ChunkReader reader(**source, static_cast<size_t>(arguments.batch_size));
  if (absl::Status status = WriteOut(formatter.Header()); !status.ok()) return status;

  while (true) {
    while (!reader.end() && requests.size() < kRequestsInFlight &&
           (requests.empty() || reader.Ready())) {
      Chunk chunk = reader.Read();
      if (chunk.sentences.empty()) break;
      requests.push_back({std::move(chunk), {}});
      // The chunk does not move while the call reads it: a deque keeps its elements in place.
      requests.back().result = std::async(
          std::launch::async, [&client, &arguments, &sentences = requests.back().chunk.sentences] {
            return client.Score(sentences, arguments.options);
          });
    }
    if (requests.empty()) break;
    Request& request = requests.front();
    absl::StatusOr<client::ScoreResult> result = request.result.get();
    absl::Status error;
    if (!result.ok()) {
      error = Locate(result.status(), **source, request.chunk);
      // A wrong sentence fails its request: those before it are asked for again, without it.
      const size_t wrong = client::SentenceOfError(result.status()).value_or(0);
      request.chunk.sentences.resize(std::min(wrong, request.chunk.sentences.size()));
      if (request.chunk.sentences.empty()) return error;
      result = client.Score(request.chunk.sentences, arguments.options);
      if (!result.ok()) return error;
    }
    std::string text;
    for (size_t i = 0; i < result->scores.size(); ++i) {
      totals.Add(result->scores[i]);
      text += formatter.Sentence(request.chunk.first + static_cast<int64_t>(i),
                                 request.chunk.sentences[i], *result, result->scores[i]);
    }
    if (absl::Status status = WriteOut(text); !status.ok()) return status;
    if (!error.ok()) return error;
    requests.pop_front();
  }
  if (!reader.error().ok()) return reader.error();
  const std::string text = formatter.Totals(totals);
  if (formatter.TotalsOnStdout()) return WriteOut(text);
  std::fputs(text.c_str(), stderr);
  return absl::OkStatus();
}

}  // namespace bitlm::cli
