#include "clients/bench/report.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_format.h"

namespace bitlm::bench {
namespace {

constexpr std::pair<const char*, double> kPercentiles[] = {
    {"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99.9", 0.999}, {"max", 1}};

std::string Milliseconds(absl::Duration time) {
  return absl::StrFormat("%.3f ms", absl::ToDoubleMilliseconds(time));
}

nlohmann::ordered_json Latencies(std::vector<absl::Duration> times) {
  std::sort(times.begin(), times.end());
  nlohmann::ordered_json json;
  for (const auto& [name, p] : kPercentiles) {
    if (!times.empty()) json[name] = absl::ToDoubleSeconds(Percentile(times, p));
  }
  return json;
}

nlohmann::ordered_json Json(const CallGroup& group, absl::Duration elapsed) {
  const double seconds = absl::ToDoubleSeconds(elapsed);
  nlohmann::ordered_json json;
  json["calls"] = group.codes;
  json["ok_per_second"] = static_cast<double>(group.latencies.size()) / seconds;
  json["sentences_per_second"] = static_cast<double>(group.sentences) / seconds;
  json["tokens_per_second"] = static_cast<double>(group.tokens) / seconds;
  json["latency_seconds"] = Latencies(group.latencies);
  if (!group.refusals.empty()) json["refusal_seconds"] = Latencies(group.refusals);
  return json;
}

void AddLatencies(const char* name, std::vector<absl::Duration> times, std::string* text) {
  if (times.empty()) return;
  std::sort(times.begin(), times.end());
  absl::StrAppendFormat(text, "%-12s", name);
  for (const auto& [percentile, p] : kPercentiles) {
    absl::StrAppendFormat(text, "  %s %s", percentile, Milliseconds(Percentile(times, p)));
  }
  *text += "\n";
}

void Add(const char* title, const CallGroup& group, absl::Duration elapsed, std::string* text) {
  const double seconds = absl::ToDoubleSeconds(elapsed);
  absl::StrAppendFormat(text, "%-12s  %.1f/s OK, %.1f sentences/s, %.1f tokens/s\n", title,
                        static_cast<double>(group.latencies.size()) / seconds,
                        static_cast<double>(group.sentences) / seconds,
                        static_cast<double>(group.tokens) / seconds);
  AddLatencies("  latency", group.latencies, text);
  AddLatencies("  refusal", group.refusals, text);
  *text += "  ended     ";
  for (const auto& [code, count] : group.codes) absl::StrAppendFormat(text, "  %s %d", code, count);
  *text += "\n";
}

}  // namespace

absl::Duration Percentile(const std::vector<absl::Duration>& sorted, double p) {
  const double rank = std::ceil(p * static_cast<double>(sorted.size()));
  return sorted[static_cast<size_t>(std::max(rank, 1.0)) - 1];
}

std::string TextReport(const LoadResult& result) {
  std::string text;
  Add("calls", result.calls, result.elapsed, &text);
  if (!result.storm.codes.empty()) Add("storm", result.storm, result.elapsed, &text);
  return text;
}

std::string JsonReport(const LoadResult& result) {
  nlohmann::ordered_json json = Json(result.calls, result.elapsed);
  json["measured_seconds"] = absl::ToDoubleSeconds(result.elapsed);
  if (!result.storm.codes.empty()) json["storm"] = Json(result.storm, result.elapsed);
  return json.dump() + "\n";
}

}  // namespace bitlm::bench
