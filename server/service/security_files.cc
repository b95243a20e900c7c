#include "server/service/security_files.h"

#include <pthread.h>
#include <spdlog/spdlog.h>

#include <chrono>

#include "engine/base/status.h"

namespace bitlm {

absl::StatusOr<std::unique_ptr<SecurityFiles>> SecurityFiles::Open(const TlsFiles& tls,
                                                                   const std::string& token_file,
                                                                   absl::Duration interval,
                                                                   ServerMetrics* metrics) {
  std::unique_ptr<SecurityFiles> files(new SecurityFiles(tls, token_file, interval, metrics));
  if (!token_file.empty()) {
    BITLM_ASSIGN_OR_RETURN(files->tokens_, Tokens::Read(token_file));
  }
  BITLM_RETURN_IF_ERROR(files->Look());
  if (tls.enabled() || !token_file.empty()) {
    files->thread_ = std::thread([self = files.get()] { self->Watch(); });
    pthread_setname_np(files->thread_.native_handle(), "bitlm-files");
  }
  return files;
}

SecurityFiles::~SecurityFiles() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    wake_.NotifyAll();
  }
  if (thread_.joinable()) thread_.join();
}

void SecurityFiles::ReloadSoon() {
  MutexLock lock(mutex_);
  look_now_ = true;
  wake_.NotifyAll();
}

absl::Status SecurityFiles::Look() {
  absl::Status result;
  if (tls_.enabled()) {
    const absl::StatusOr<absl::Time> expiry = CheckTls(tls_);
    if (expiry.ok()) metrics_->SetCertificateExpiry(*expiry);
    result.Update(expiry.status());
  }
  if (tokens_ != nullptr) result.Update(tokens_->Reload());
  return result;
}

void SecurityFiles::Watch() {
  while (true) {
    {
      MutexLock lock(mutex_);
      const auto end = std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(interval_);
      while (!look_now_ && !stopping_ && wake_.WaitUntil(mutex_, end)) {
      }
      if (stopping_) return;
      look_now_ = false;
    }
    const absl::Status status = Look();
    const std::string error(status.message());
    if (error != logged_ && !status.ok()) spdlog::error("{}", error);
    if (status.ok() && !logged_.empty()) spdlog::info("certificates and tokens are good again");
    logged_ = error;
  }
}

}  // namespace bitlm
