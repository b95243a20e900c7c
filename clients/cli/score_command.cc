#include "clients/cli/score_command.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <deque>
#include <future>
#include <memory>
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

// Waits for one sentence, then takes those that are there already.
absl::StatusOr<Chunk> ReadChunk(Source& source, size_t max_sentences, int64_t first) {
  Chunk chunk = {.sentences = {}, .first = first};
  size_t bytes = 0;
  do {
    auto sentence = source.Next();
    if (!sentence.ok()) return sentence.status();
    if (!sentence->has_value()) break;
    bytes += (*sentence)->size();
    chunk.sentences.push_back(**std::move(sentence));
  } while (chunk.sentences.size() < max_sentences && bytes < kMaxRequestBytes && source.Ready());
  return chunk;
}

struct Request {
  Chunk chunk;
  std::future<absl::StatusOr<client::ScoreResult>> result;
};

// The error of a request, with the place of the sentence that it is about.
absl::Status Locate(const absl::Status& status, const Source& source, const Chunk& chunk) {
  const std::optional<size_t> index = client::SentenceOfError(status);
  if (!index.has_value() || *index >= chunk.sentences.size()) return Explain(status);
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
  int64_t next_sentence = 1;
  bool end = false;
  absl::Status input_error;
  if (absl::Status status = WriteOut(formatter.Header()); !status.ok()) return status;

  while (true) {
    while (!end && requests.size() < kRequestsInFlight &&
           (requests.empty() || (*source)->Ready())) {
      auto chunk = ReadChunk(**source, static_cast<size_t>(arguments.batch_size), next_sentence);
      end = !chunk.ok() || chunk->sentences.empty();
      if (!chunk.ok()) input_error = chunk.status();  // After the answers to what came before.
      if (end) break;
      next_sentence += static_cast<int64_t>(chunk->sentences.size());
      requests.push_back({*std::move(chunk), {}});
      // The chunk does not move while the call reads it: a deque keeps its elements in place.
      requests.back().result = std::async(
          std::launch::async, [&client, &arguments, &sentences = requests.back().chunk.sentences] {
            return client.Score(sentences, arguments.options);
          });
    }
    if (requests.empty()) break;
    Request& request = requests.front();
    const absl::StatusOr<client::ScoreResult> result = request.result.get();
    if (!result.ok()) return Locate(result.status(), **source, request.chunk);
    std::string text;
    for (size_t i = 0; i < result->scores.size(); ++i) {
      totals.Add(result->scores[i]);
      text += formatter.Sentence(request.chunk.first + static_cast<int64_t>(i),
                                 request.chunk.sentences[i], *result, result->scores[i]);
    }
    if (absl::Status status = WriteOut(text); !status.ok()) return status;
    requests.pop_front();
  }
  if (!input_error.ok()) return input_error;
  const std::string text = formatter.Totals(totals);
  if (formatter.TotalsOnStdout()) return WriteOut(text);
  std::fputs(text.c_str(), stderr);
  return absl::OkStatus();
}

}  // namespace bitlm::cli
