// The process_* metrics that every Prometheus client library exports, from /proc.
#pragma once

#include <string>

namespace bitlm {

// process_cpu_seconds_total, process_resident_memory_bytes, process_virtual_memory_bytes,
// process_open_fds, process_start_time_seconds and process_threads in the Prometheus text format;
// empty where there is no /proc.
std::string ProcessMetrics();

}  // namespace bitlm
