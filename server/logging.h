// The log of bitlm-server: lines on standard error, as text or JSON.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace bitlm {

// Sets up spdlog's default logger. `level`: "debug", "info", "warning", "error"; `format`: "text"
// ("2026-01-31T12:00:00.123Z info message") or "json" ({"time", "level", "message"}). Messages of
// protobuf go to level debug: they are caused by what clients send.
void SetUpLogging(const std::string& level, const std::string& format);

// A named value of a line.
struct LogField {
  std::string_view name;
  std::string value;
  bool number = false;  // JSON has it without quotes.
};
// One line of level info (error: of level error) with fields: text "message name=value ...", JSON
// {"time", "level", "message", and the fields}.
void LogFields(bool error, std::string_view message, const std::vector<LogField>& fields);

// The level in force, and another one. False, and no change, when there is no such level.
std::string LogLevel();
bool SetLogLevel(const std::string& level);

}  // namespace bitlm
