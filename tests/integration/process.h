// Process: a child process with its standard streams, for tests of whole programs.
#pragma once

#include <sys/types.h>

#include <string>
#include <thread>
#include <vector>

namespace bitlm {

struct ProcessOptions {
  std::string input;  // Standard input; closed after it.
  // "NAME=value", beside the environment of the test without BITLM_*.
  std::vector<std::string> environment;
};

// Runs from construction. Its output is collected in the background, so it never blocks on it.
class Process {
 public:
  explicit Process(const std::vector<std::string>& command, const ProcessOptions& options = {});
  // Kills it if it still runs.
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  void Signal(int number) const;
  // Whether it has ended; Wait is to be called all the same.
  bool Ended() const;
  // Waits for its end. Returns the exit status, or 128 + the signal that ended it.
  int Wait();
  // After Wait.
  const std::string& output() const { return output_; }
  const std::string& errors() const { return errors_; }

 private:
  pid_t pid_ = -1;
  int exit_status_ = -1;
  std::string output_;
  std::string errors_;
  std::vector<std::thread> threads_;
};

// A program that this build has made: "bitlm".
std::string Program(const std::string& name);

}  // namespace bitlm
