// Health: what the server says of itself, to clients, to probes, and to metrics.
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/time/time.h"
#include "engine/base/mutex.h"
#include "server/metrics/server_metrics.h"
#include "server/registry/model_registry.h"

namespace bitlm {

// The server is ready while it is open, its engine makes progress, and it has a model; a model is
// SERVING while the server is ready and has a version of it. Thread-safe.
class Health {
 public:
  // `stalled_for` tells how long the engine has had work and made no progress; it hangs when that
  // is longer than `stall_timeout`; zero: never. `registry` and `metrics` outlive this.
  Health(const ModelRegistry* registry, ServerMetrics* metrics,
         std::function<absl::Duration()> stalled_for, absl::Duration stall_timeout);
  ~Health();
  Health(const Health&) = delete;
  Health& operator=(const Health&) = delete;

  // Hears whether what has this name is served.
  using Listener = std::function<void(const std::string& name, bool serving)>;
  // Tells the listener from now on, about "" (the server), `services` and every model; null: no
  // more.
  void Attach(Listener listener, std::vector<std::string> services);
  // Whether the server takes requests: not before it listens, and not while it drains.
  void SetOpen(bool open);
  // The versions of a model have changed.
  void OnModelChanged(const std::string& name);

  bool ready() const { return open_ && !stalled() && has_model_; }
  // False while the engine hangs.
  bool alive() const { return !stalled(); }

 private:
  bool stalled() const;
  void Watch();
  void Report() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const ModelRegistry* const registry_;
  ServerMetrics* const metrics_;
  const std::function<absl::Duration()> stalled_for_;
  const absl::Duration stall_timeout_;
  std::atomic<bool> open_ = false;
  std::atomic<bool> has_model_ = false;

  Mutex mutex_;
  CondVar wake_;
  Listener listener_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> services_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> models_ ABSL_GUARDED_BY(mutex_);  // Names that have been told of.
  bool was_stalled_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace bitlm
