#include "server/logging.h"

#include <google/protobuf/stubs/logging.h>
#include <spdlog/formatter.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/time/time.h"

namespace bitlm {
namespace {

std::string Time(spdlog::log_clock::time_point time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::FromChrono(time), absl::UTCTimeZone());
}

std::string Text(spdlog::string_view_t view) { return {view.data(), view.size()}; }

// Of the line that this thread is writing: the logger formats it in the same call.
thread_local const std::vector<LogField>* current_fields = nullptr;

class TextFormatter : public spdlog::formatter {
 public:
  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
    const std::string line = Time(message.time) + " " +
                             Text(spdlog::level::to_string_view(message.level)) + " " +
                             Text(message.payload) + Fields() + "\n";
    out.append(line.data(), line.data() + line.size());
  }
  std::unique_ptr<spdlog::formatter> clone() const override {
    return std::make_unique<TextFormatter>();
  }

 private:
  static std::string Fields() {
    std::string text;
    if (current_fields == nullptr) return text;
    for (const LogField& field : *current_fields) {
      text.append(" ").append(field.name).append("=").append(field.value);
    }
    return text;
  }
};

class JsonFormatter : public spdlog::formatter {
 public:
  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
    nlohmann::ordered_json object = {{"time", Time(message.time)},
                                     {"level", Text(spdlog::level::to_string_view(message.level))},
                                     {"message", Text(message.payload)}};
    if (current_fields != nullptr) {
      for (const LogField& field : *current_fields) {
        object[std::string(field.name)] =
            field.number ? nlohmann::ordered_json::parse(field.value, nullptr, false)
                         : nlohmann::ordered_json(field.value);
      }
    }
    const std::string line =
        object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
    out.append(line.data(), line.data() + line.size());
  }
  std::unique_ptr<spdlog::formatter> clone() const override {
    return std::make_unique<JsonFormatter>();
  }
};

}  // namespace

void SetUpLogging(const std::string& level, const std::string& format) {
  auto logger =
      std::make_shared<spdlog::logger>("bitlm", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  if (format == "json") {
    logger->set_formatter(std::make_unique<JsonFormatter>());
  } else {
    logger->set_formatter(std::make_unique<TextFormatter>());
  }
  logger->set_level(spdlog::level::from_str(level));
  spdlog::set_default_logger(std::move(logger));
  google::protobuf::SetLogHandler(
      [](google::protobuf::LogLevel, const char*, int, const std::string& message) {
        spdlog::debug("protobuf: {}", message);
      });
}

void LogFields(bool error, std::string_view message, const std::vector<LogField>& fields) {
  current_fields = &fields;
  spdlog::log(error ? spdlog::level::err : spdlog::level::info,
              spdlog::string_view_t(message.data(), message.size()));
  current_fields = nullptr;
}

std::string LogLevel() { return Text(spdlog::level::to_string_view(spdlog::get_level())); }

bool SetLogLevel(const std::string& level) {
  if (level != "debug" && level != "info" && level != "warning" && level != "error") return false;
  spdlog::set_level(spdlog::level::from_str(level));
  return true;
}

}  // namespace bitlm
