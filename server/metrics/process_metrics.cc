#include "server/metrics/process_metrics.h"

#include <dirent.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <sstream>
#include <vector>

#include "absl/strings/str_format.h"

namespace bitlm {
namespace {

std::string Metric(const char* name, const char* type, const char* help, double value) {
  return absl::StrFormat("# HELP %s %s\n# TYPE %s %s\n%s %.17g\n", name, help, name, type, name,
                         value);
}

int CountOpenFiles() {
  DIR* directory = opendir("/proc/self/fd");
  if (directory == nullptr) return 0;
  int count = -3;  // ".", ".." and this directory itself.
  while (readdir(directory) != nullptr) ++count;
  closedir(directory);
  return count;
}

double BootTimeSeconds() {
  std::ifstream file("/proc/stat");
  std::string key;
  while (file >> key) {
    double value = 0;
    if (key == "btime" && file >> value) return value;
    file.ignore(1 << 20, '\n');
  }
  return 0;
}

}  // namespace

std::string ProcessMetrics() {
  std::ifstream file("/proc/self/stat");
  const std::string stat(std::istreambuf_iterator<char>(file), {});
  const size_t name_end = stat.rfind(')');  // The name may hold anything.
  if (name_end == std::string::npos) return "";
  std::istringstream rest(stat.substr(name_end + 2));
  // proc(5): fields[i] is field i + 3.
  const std::vector<std::string> fields(std::istream_iterator<std::string>(rest), {});
  if (fields.size() < 22) return "";
  const auto number = [&](size_t field) { return std::strtod(fields[field - 3].c_str(), nullptr); };
  const auto ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
  const auto page = static_cast<double>(sysconf(_SC_PAGESIZE));
  return Metric("process_cpu_seconds_total", "counter", "User and system CPU time",
                (number(14) + number(15)) / ticks) +
         Metric("process_resident_memory_bytes", "gauge", "Resident memory", number(24) * page) +
         Metric("process_virtual_memory_bytes", "gauge", "Virtual memory", number(23)) +
         Metric("process_open_fds", "gauge", "Open file descriptors", CountOpenFiles()) +
         Metric("process_start_time_seconds", "gauge", "Start of the process since the epoch",
                BootTimeSeconds() + number(22) / ticks) +
         Metric("process_threads", "gauge", "Threads of the process", number(20));
}

}  // namespace bitlm
