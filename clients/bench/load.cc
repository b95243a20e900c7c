#include "clients/bench/load.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <queue>
#include <random>
#include <thread>
#include <utility>

#include "bitlm/v1/language_model_service.grpc.pb.h"
#include "clients/cpp/connection.h"
#include "grpcpp/client_context.h"
#include "grpcpp/support/channel_arguments.h"

namespace bitlm::bench {
namespace {

using Time = std::chrono::steady_clock::time_point;

std::string CodeName(grpc::StatusCode code) {
  static const char* const kNames[] = {"OK",
                                       "CANCELLED",
                                       "UNKNOWN",
                                       "INVALID_ARGUMENT",
                                       "DEADLINE_EXCEEDED",
                                       "NOT_FOUND",
                                       "ALREADY_EXISTS",
                                       "PERMISSION_DENIED",
                                       "RESOURCE_EXHAUSTED",
                                       "FAILED_PRECONDITION",
                                       "ABORTED",
                                       "OUT_OF_RANGE",
                                       "UNIMPLEMENTED",
                                       "INTERNAL",
                                       "UNAVAILABLE",
                                       "DATA_LOSS",
                                       "UNAUTHENTICATED"};
  return code >= 0 && code <= 16 ? kNames[code] : std::to_string(code);
}

struct Call {
  grpc::ClientContext context;
  v1::ScoreSentencesResponse score;
  v1::NextWordsResponse next;
  Time intended;
  bool storm = false;
  bool measured = false;
};

// Cancels calls at given times.
class Canceller {
 public:
  Canceller() : thread_([this] { Run(); }) {}
  ~Canceller() {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_one();
    thread_.join();
  }
  void CancelAt(Time time, std::shared_ptr<Call> call) {
    std::lock_guard lock(mutex_);
    queue_.push({time, std::move(call)});
    changed_.notify_one();
  }

 private:
  struct Entry {
    Time time;
    std::shared_ptr<Call> call;
    bool operator<(const Entry& other) const { return time > other.time; }  // Earliest first.
  };

  void Run() {
    std::unique_lock lock(mutex_);
    while (!stopping_) {
      if (queue_.empty()) {
        changed_.wait(lock);
      } else if (const Time time = queue_.top().time; std::chrono::steady_clock::now() < time) {
        changed_.wait_until(lock, time);
      } else {
        const std::shared_ptr<Call> call = queue_.top().call;
        queue_.pop();
        lock.unlock();
        call->context.TryCancel();
        lock.lock();
      }
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::priority_queue<Entry> queue_;
  bool stopping_ = false;
  std::thread thread_;
};

class Load {
 public:
  Load(const Workload& workload, const LoadOptions& options)
      : workload_(workload), options_(options), random_(options.seed) {}

  absl::Status Connect() {
    for (int i = 0; i < options_.connections; ++i) {
      grpc::ChannelArguments arguments;
      arguments.SetInt("bitlm.bench.connection", i);  // Otherwise channels share a connection.
      arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
      arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);  // What the server says is what counts.
      arguments.SetMaxReceiveMessageSize(-1);
      const auto [channel, status] =
          client::Connect(options_.target, options_.credentials, arguments);
      if (!status.ok()) return status;
      const auto limit = std::chrono::system_clock::now() + std::chrono::seconds(5);
      if (!channel->WaitForConnected(limit)) {
        return absl::UnavailableError(options_.target + ": no server answers");
      }
      stubs_.push_back(v1::LanguageModelService::NewStub(channel));
    }
    return absl::OkStatus();
  }

  LoadResult Run() {
    start_ = std::chrono::steady_clock::now();
    measure_ = start_ + absl::ToChronoNanoseconds(options_.warmup);
    end_ = measure_ + absl::ToChronoNanoseconds(options_.duration);
    if (options_.rate > 0) {
      RunOpen();
    } else {
      for (int i = 0; i < options_.concurrency; ++i) Send(std::chrono::steady_clock::now());
    }
    std::unique_lock lock(mutex_);
    idle_.wait(lock, [this] { return in_flight_ == 0; });
    result_.elapsed = options_.duration;
    return std::move(result_);
  }

 private:
  void RunOpen() {
    Arrivals arrivals(options_.arrivals, options_.rate, options_.seed);
    {
      std::lock_guard lock(mutex_);
      ++in_flight_;  // The loop itself: idle is when it has ended, too.
    }
    while (true) {
      const Time time = start_ + absl::ToChronoNanoseconds(arrivals.Next());
      if (time >= end_) break;
      std::this_thread::sleep_until(time);
      Send(time);
    }
    End();
  }

  // Sends the next request, which was to be sent at `intended`.
  void Send(Time intended) {
    {
      std::lock_guard lock(mutex_);
      ++in_flight_;
    }
    // It has ended when nobody holds it any more, gRPC's thread included, which has work with it
    // after Done: the process may end with the last one.
    const std::shared_ptr<Call> call(new Call, [this](Call* ended) {
      delete ended;
      End();
    });
    call->intended = intended;
    call->measured = intended >= measure_ && intended < end_;
    size_t number = 0;
    std::optional<Time> cancel;
    {
      std::lock_guard lock(mutex_);
      number = sent_++;
      std::uniform_real_distribution<double> uniform;
      absl::Duration deadline = options_.deadline;
      if (uniform(random_) < options_.storm) {
        call->storm = true;
        deadline = options_.storm_deadline_min +
                   uniform(random_) * (options_.storm_deadline_max - options_.storm_deadline_min);
      }
      client::Authorize(options_.credentials, &call->context);
      call->context.set_deadline(std::chrono::system_clock::now() +
                                 absl::ToChronoMicroseconds(deadline));
      if (uniform(random_) < options_.cancel) {
        cancel = std::chrono::steady_clock::now() +
                 absl::ToChronoNanoseconds(uniform(random_) * options_.cancel_within);
      }
    }
    auto& stub = *stubs_[number % stubs_.size()];
    const auto done = [this, call](const grpc::Status& status) { Done(*call, status); };
    if (workload_.rpc == Rpc::kScoreSentences) {
      stub.async()->ScoreSentences(&call->context, &workload_.score[number % workload_.size()],
                                   &call->score, done);
    } else {
      stub.async()->NextWords(&call->context, &workload_.next[number % workload_.size()],
                              &call->next, done);
    }
    if (cancel.has_value()) canceller_.CancelAt(*cancel, call);
  }

  void Done(const Call& call, const grpc::Status& status) {
    const Time now = std::chrono::steady_clock::now();
    if (call.measured) {
      const absl::Duration latency = absl::FromChrono(now - call.intended);
      std::lock_guard lock(mutex_);
      CallGroup& group = call.storm ? result_.storm : result_.calls;
      ++group.codes[CodeName(status.error_code())];
      if (status.ok()) {
        group.latencies.push_back(latency);
        group.sentences += call.score.scores_size();
        for (const auto& score : call.score.scores()) group.tokens += score.token_count();
      } else if (status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED) {
        group.refusals.push_back(latency);
      }
    }
    if (options_.rate == 0 && now < end_) Send(now);
  }

  void End() {
    std::lock_guard lock(mutex_);
    if (--in_flight_ == 0) idle_.notify_all();
  }

  const Workload& workload_;
  const LoadOptions& options_;
  std::vector<std::unique_ptr<v1::LanguageModelService::Stub>> stubs_;
  Canceller canceller_;
  Time start_, measure_, end_;
  std::mutex mutex_;
  std::condition_variable idle_;
  std::mt19937_64 random_;
  size_t sent_ = 0;
  int64_t in_flight_ = 0;
  LoadResult result_;
};

}  // namespace

absl::StatusOr<LoadResult> RunLoad(const Workload& workload, const LoadOptions& options) {
  Load load(workload, options);
  if (absl::Status status = load.Connect(); !status.ok()) return status;
  return load.Run();
}

}  // namespace bitlm::bench
