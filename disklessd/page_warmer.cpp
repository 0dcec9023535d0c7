#include "disklessd/page_warmer.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <fstream>
#include <string>

namespace diskless {
namespace {

/// POSIX_FADV_WILLNEED silently stops at the device's read-ahead size, which is seldom less than this.
constexpr std::uint64_t step_bytes = std::uint64_t{128} << 10;
/// A read of a client waits for this much at most: 16 ms of a SATA disk.
constexpr std::uint64_t under_way_bytes = std::uint64_t{8} << 20;

class OpenFile {
 public:
    explicit OpenFile(const std::filesystem::path& path) : fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC)} {}
    ~OpenFile() {
        if (fd >= 0) ::close(fd);
    }
    OpenFile(const OpenFile&) = delete;
    OpenFile& operator=(const OpenFile&) = delete;
    const int fd;
};

void wait_for_byte(int fd, std::uint64_t at) {
    char byte = 0;
    (void)!::pread(fd, &byte, 1, static_cast<off_t>(at));
}

}  // namespace

std::uint64_t available_memory_bytes() {
    std::ifstream in{"/proc/meminfo"};
    std::string word;
    std::uint64_t kib = 0;
    while (in >> word) {
        if (word == "MemAvailable:" && in >> kib) return kib << 10;
    }
    return 0;
}

void PageWarmer::warm(const std::filesystem::path& path, const storage::BootSet::File& file) {
    const OpenFile opened{path};
    if (opened.fd < 0) return;
    // What is asked for here, and nothing around it.
    ::posix_fadvise(opened.fd, 0, 0, POSIX_FADV_RANDOM);
    std::deque<std::uint64_t> under_way;  // last bytes
    for (const storage::PieceRun& run : file.runs) {
        const std::uint64_t end = std::min(run.end() * storage::piece_bytes, file.size_bytes);
        for (std::uint64_t at = run.first * storage::piece_bytes; at < end;) {
            const std::uint64_t length = std::min({step_bytes, end - at, budget_bytes_});
            if (length == 0 || stopping_) return;
            ::posix_fadvise(opened.fd, static_cast<off_t>(at), static_cast<off_t>(length), POSIX_FADV_WILLNEED);
            at += length;
            budget_bytes_ -= length;
            warmed_bytes_ += length;
            under_way.push_back(at - 1);
            if (under_way.size() < under_way_bytes / step_bytes) continue;
            wait_for_byte(opened.fd, under_way.front());
            under_way.pop_front();
        }
    }
    for (const std::uint64_t last : under_way) wait_for_byte(opened.fd, last);
}

}  // namespace diskless
