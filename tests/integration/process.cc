#include "tests/integration/process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

extern char** environ;

namespace bitlm {
namespace {

void ReadAll(int fd, std::string* text) {
  char buffer[4096];
  for (ssize_t n = 0; (n = read(fd, buffer, sizeof(buffer))) > 0;) {
    text->append(buffer, static_cast<size_t>(n));
  }
  close(fd);
}

void WriteAll(int fd, const std::string& text) {
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t n = write(fd, text.data() + done, text.size() - done);
    if (n <= 0) break;  // The child has closed it.
    done += static_cast<size_t>(n);
  }
  close(fd);
}

std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (const std::string& each : strings) pointers.push_back(const_cast<char*>(each.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

Process::Process(const std::vector<std::string>& command, const ProcessOptions& options) {
  signal(SIGPIPE, SIG_IGN);
  std::vector<std::string> environment = options.environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    if (std::strncmp(*entry, "BITLM_", 6) != 0) environment.emplace_back(*entry);
  }
  const std::vector<char*> argv = Pointers(command), envp = Pointers(environment);
  int in[2], out[2], err[2];
  if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0) {
    std::abort();
  }
  pid_ = fork();
  if (pid_ == 0) {  // Only calls that are safe after fork in a process with threads.
    dup2(in[0], STDIN_FILENO);
    dup2(out[1], STDOUT_FILENO);
    dup2(err[1], STDERR_FILENO);
    execve(argv[0], argv.data(), envp.data());
    _exit(127);
  }
  close(in[0]);
  close(out[1]);
  close(err[1]);
  threads_.emplace_back(WriteAll, in[1], options.input);
  threads_.emplace_back(ReadAll, out[0], &output_);
  threads_.emplace_back(ReadAll, err[0], &errors_);
}

Process::~Process() {
  if (exit_status_ < 0) Signal(SIGKILL);
  Wait();
}

void Process::Signal(int number) const { kill(pid_, number); }

bool Process::Ended() const {
  siginfo_t info{};
  return exit_status_ >= 0 ||
         (waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
          info.si_pid == pid_);
}

int Process::Wait() {
  if (exit_status_ < 0) {
    int status = 0;
    waitpid(pid_, &status, 0);
    exit_status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    for (std::thread& thread : threads_) thread.join();
  }
  return exit_status_;
}

std::string Program(const std::string& name) { return BITLM_BINARY_DIR "/bin/" + name; }

}  // namespace bitlm
