// SecurityFiles: keeps tokens and what is known of the certificate in step with their files.
#pragma once

#include <memory>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/base/mutex.h"
#include "server/metrics/server_metrics.h"
#include "server/service/access.h"
#include "server/service/tls.h"

namespace bitlm {

// Looks at the files every interval and when told to. A file that turns out bad is logged, once;
// the tokens stay as they were then. Thread-safe.
class SecurityFiles {
 public:
  // `token_file` may be empty. `metrics` outlives this. Errors: those of CheckTls and Tokens::Read.
  static absl::StatusOr<std::unique_ptr<SecurityFiles>> Open(const TlsFiles& tls,
                                                             const std::string& token_file,
                                                             absl::Duration interval,
                                                             ServerMetrics* metrics);
  ~SecurityFiles();
  SecurityFiles(const SecurityFiles&) = delete;
  SecurityFiles& operator=(const SecurityFiles&) = delete;

  // Null when callers need none.
  const Tokens* tokens() const { return tokens_.get(); }
  // Looks now. Does not wait.
  void ReloadSoon();

 private:
  SecurityFiles(const TlsFiles& tls, const std::string& token_file, absl::Duration interval,
                ServerMetrics* metrics)
      : tls_(tls), token_file_(token_file), interval_(interval), metrics_(metrics) {}
  // Called by one thread at a time. Errors: the first that is found.
  absl::Status Look();
  void Watch();

  const TlsFiles tls_;
  const std::string token_file_;
  const absl::Duration interval_;
  ServerMetrics* const metrics_;
  std::unique_ptr<Tokens> tokens_;
  std::string logged_;  // The error that the log has.

  Mutex mutex_;
  CondVar wake_;
  bool look_now_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace bitlm
