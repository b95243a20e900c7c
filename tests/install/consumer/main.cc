// Uses the installed client library and the installed contract; no server is needed.
#include <cstdio>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "bitlm/v1/language_model_service.pb.h"
#include "clients/cpp/client.h"

int main() {
  bitlm::v1::ScoreSentencesRequest request;
  request.add_sentences("a sentence");
  if (request.sentences_size() != 1) {
    std::fprintf(stderr, "the generated code does not work\n");
    return 1;
  }
  // Port 1 has no listener: the call must fail, and in the way that the header promises.
  const bitlm::client::Client client({.target = "127.0.0.1:1", .timeout = absl::Milliseconds(500)});
  const auto models = client.ListModels();
  const bool right = models.status().code() == absl::StatusCode::kUnavailable ||
                     models.status().code() == absl::StatusCode::kDeadlineExceeded;
  std::printf("%s\n", models.status().ToString().c_str());
  return right ? 0 : 1;
}
