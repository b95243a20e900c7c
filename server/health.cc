#include "server/health.h"

#include <pthread.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <utility>

namespace bitlm {

Health::Health(const ModelRegistry* registry, ServerMetrics* metrics,
               std::function<absl::Duration()> stalled_for, absl::Duration stall_timeout)
    : registry_(registry),
      metrics_(metrics),
      stalled_for_(std::move(stalled_for)),
      stall_timeout_(stall_timeout) {
  if (stall_timeout_ <= absl::ZeroDuration()) return;
  thread_ = std::thread([this] { Watch(); });
  pthread_setname_np(thread_.native_handle(), "bitlm-health");
}

Health::~Health() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    wake_.NotifyAll();
  }
  if (thread_.joinable()) thread_.join();
}

void Health::Attach(Listener listener, std::vector<std::string> services) {
  MutexLock lock(mutex_);
  listener_ = std::move(listener);
  services_ = std::move(services);
  Report();
}

void Health::SetOpen(bool open) {
  MutexLock lock(mutex_);
  open_ = open;
  Report();
}

void Health::OnModelChanged(const std::string& name) {
  MutexLock lock(mutex_);
  if (std::find(models_.begin(), models_.end(), name) == models_.end()) models_.push_back(name);
  Report();
}

bool Health::stalled() const {
  return stall_timeout_ > absl::ZeroDuration() && stalled_for_() > stall_timeout_;
}

void Health::Watch() {
  const auto interval = std::chrono::nanoseconds(absl::ToInt64Nanoseconds(
      std::clamp(stall_timeout_ / 10, absl::Milliseconds(10), absl::Seconds(1))));
  MutexLock lock(mutex_);
  while (!stopping_) {
    wake_.WaitUntil(mutex_, std::chrono::steady_clock::now() + interval);
    const bool now = stalled();
    if (now == was_stalled_ || stopping_) continue;
    was_stalled_ = now;
    if (now) {
      spdlog::error("the engine hangs: no batch has begun or ended for {} ms; NOT_SERVING",
                    absl::ToInt64Milliseconds(stall_timeout_));
    } else {
      spdlog::warn("the engine goes on");
    }
    Report();
  }
}

void Health::Report() {
  has_model_ = !registry_->List().empty();
  const bool serving = ready();
  metrics_->SetEngineStalled(stalled());
  for (const auto& model : registry_->List()) {
    metrics_->SetModelReady(model->name, model->version, serving);
  }
  if (listener_ == nullptr) return;
  listener_("", serving);
  for (const std::string& service : services_) listener_(service, serving);
  for (const std::string& name : models_) listener_(name, serving && registry_->Serves(name));
}

}  // namespace bitlm
