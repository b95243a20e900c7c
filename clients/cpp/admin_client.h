// The C++ client of bitlm-server's admin service.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace bitlm::client {

// Errors of all calls: those of the server; UNAVAILABLE with the target when it does not answer.
// Nothing is retried. Thread-safe.
class AdminClient {
 public:
  // `target`: the server's admin address, "host:port"; `token`: a bearer token, empty: none.
  // Connects when first used.
  AdminClient(const std::string& target, const std::string& token, absl::Duration timeout);
  ~AdminClient();

  // `version` 0: the highest ones, as the server's --latest-versions says.
  absl::Status Load(const std::string& model, int64_t version) const;
  // `version` 0: all.
  absl::Status Unload(const std::string& model, int64_t version) const;
  // Looks at the repository. The result: versions that could not be loaded, and why.
  absl::StatusOr<std::vector<std::string>> Reload() const;
  // Turns requests away (true) or takes them again. The result: tokens of those that the server
  // has.
  absl::StatusOr<int64_t> SetDraining(bool draining) const;
  // "debug", "info", "warning" or "error". The result: the level before.
  absl::StatusOr<std::string> SetLogLevel(const std::string& level) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace bitlm::client
