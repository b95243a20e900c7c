// bitlm-bench: load for bitlm-server.
#include <cstdio>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "clients/bench/arguments.h"
#include "clients/bench/load.h"
#include "clients/bench/report.h"
#include "clients/bench/workload.h"

namespace {

using namespace bitlm::bench;  // NOLINT: a program of its own.

absl::StatusOr<Workload> ReadWorkload(const Arguments& arguments) {
  const bool lists = !arguments.nbest.empty();
  const std::string& path = lists ? arguments.nbest : arguments.sentences;
  std::ifstream file;
  if (path != "-") {
    file.open(path);
    if (!file) return absl::NotFoundError(absl::StrCat(path, ": cannot be read"));
  }
  std::istream& text = path == "-" ? std::cin : file;
  auto workload =
      lists ? ReadNBestLists(text, arguments.workload) : ReadSentences(text, arguments.workload);
  if (!workload.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": ", workload.status().message()));
  }
  return workload;
}

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "bitlm-bench: %s\n", std::string(status.message()).c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  const auto arguments = ParseArguments(std::vector<std::string>(argv + 1, argv + argc));
  if (!arguments.ok()) {
    std::fprintf(stderr, "bitlm-bench: %s\nTry bitlm-bench --help.\n",
                 std::string(arguments.status().message()).c_str());
    return 2;
  }
  if (!arguments->output.empty()) {
    std::fputs(arguments->output.c_str(), stdout);
    return 0;
  }
  const auto workload = ReadWorkload(*arguments);
  if (!workload.ok()) return Fail(workload.status());
  const auto result = RunLoad(*workload, arguments->load);
  if (!result.ok()) return Fail(result.status());
  std::fputs((arguments->json ? JsonReport(*result) : TextReport(*result)).c_str(), stdout);
  return 0;
}
