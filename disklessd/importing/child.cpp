#include "disklessd/importing/child.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <system_error>

#include "disklessd/importing/error.hpp"

namespace diskless::importing {
namespace {

constexpr int tick_ms = 200;
constexpr std::size_t max_output_bytes = 1 << 20;
constexpr int no_such_program = 127;

struct Pipe {
    Pipe() {
        if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw std::system_error{errno, std::system_category(), "pipe"};
    }
    ~Pipe() {
        ::close(ends[0]);
        close_writer();
    }
    Pipe(const Pipe&) = delete;
    Pipe& operator=(const Pipe&) = delete;
    void close_writer() {
        if (ends[1] >= 0) ::close(ends[1]);
        ends[1] = -1;
    }
    std::array<int, 2> ends{};
};

/// Between fork and exec: only what a signal handler may do.
[[noreturn]] void become(char* const* arguments, int out, int err, pid_t parent) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(no_such_program);
    const int null = ::open("/dev/null", O_RDWR);
    ::dup2(null, STDIN_FILENO);
    ::dup2(out, STDOUT_FILENO);
    ::dup2(err, STDERR_FILENO);
    sigset_t none;
    ::sigemptyset(&none);
    ::pthread_sigmask(SIG_SETMASK, &none, nullptr);
    ::execvp(arguments[0], arguments);
    ::_exit(no_such_program);
}

class Child {
 public:
    Child(const std::vector<std::string>& arguments, const Pipe& out, const Pipe& err) {
        std::vector<char*> words;
        words.reserve(arguments.size() + 1);
        for (const std::string& argument : arguments) words.push_back(const_cast<char*>(argument.c_str()));  // exec's C signature
        words.push_back(nullptr);
        const pid_t self = ::getpid();
        pid_ = ::fork();
        if (pid_ < 0) throw std::system_error{errno, std::system_category(), "fork"};
        if (pid_ == 0) become(words.data(), out.ends[1], err.ends[1], self);
    }
    ~Child() {
        if (pid_ == 0) return;
        ::kill(pid_, SIGKILL);
        (void)wait();
    }
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;

    int wait() {
        int status = 0;
        while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
        }
        pid_ = 0;
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }

 private:
    pid_t pid_ = 0;
};

/// False: it is closed.
bool take(int from, std::string& into) {
    std::array<char, 4096> buffer{};
    const ssize_t n = ::read(from, buffer.data(), buffer.size());
    if (n < 0) return errno == EINTR;
    if (into.size() < max_output_bytes) into.append(buffer.data(), static_cast<std::size_t>(n));
    return n > 0;
}

}  // namespace

Ended run_child(const std::vector<std::string>& arguments, const std::stop_token& stop,
                const std::function<void(std::string_view out)>& tick) {
    Pipe out, err;
    Child child{arguments, out, err};
    out.close_writer();
    err.close_writer();
    Ended ended;
    std::array<pollfd, 2> open{pollfd{out.ends[0], POLLIN, 0}, pollfd{err.ends[0], POLLIN, 0}};
    while (open[0].fd >= 0 || open[1].fd >= 0) {
        stop_here(stop);
        ::poll(open.data(), open.size(), tick_ms);
        if (open[0].revents != 0 && !take(open[0].fd, ended.out)) open[0].fd = -1;
        if (open[1].revents != 0 && !take(open[1].fd, ended.err)) open[1].fd = -1;
        if (tick) tick(ended.out);
    }
    ended.status = child.wait();
    return ended;
}

}  // namespace diskless::importing
