#include "common/port_owner.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

namespace diskless {
namespace {

namespace fs = std::filesystem;

/// "socket:[4711]" of each socket that is bound to the port. proc(5): the second word of a line is the local address and port, the tenth
/// the inode.
std::set<std::string> sockets_at(std::uint16_t port) {
    std::set<std::string> sockets;
    for (const char* table : {"/proc/net/udp", "/proc/net/udp6"}) {
        std::ifstream in{table};
        std::string line;
        std::getline(in, line);
        while (std::getline(in, line)) {
            std::istringstream words{line};
            std::string slot, local, word, inode;
            words >> slot >> local;
            for (int i = 0; i < 7; ++i) words >> word;
            words >> inode;
            if (local.ends_with(fmt::format(":{:04X}", port))) sockets.insert(fmt::format("socket:[{}]", inode));
        }
    }
    return sockets;
}

bool holds_one(const fs::path& process, const std::set<std::string>& sockets) {
    std::error_code error;
    for (fs::directory_iterator open{process / "fd", error}, end; !error && open != end; open.increment(error)) {
        std::error_code gone;
        if (sockets.contains(fs::read_symlink(open->path(), gone).native())) return true;
    }
    return false;
}

}  // namespace

std::optional<std::string> owner_of_udp_port(std::uint16_t port) {
    const std::set<std::string> sockets = sockets_at(port);
    if (sockets.empty()) return std::nullopt;
    std::error_code error;
    for (fs::directory_iterator process{"/proc", error}, end; !error && process != end; process.increment(error)) {
        const std::string pid = process->path().filename().native();
        if (pid.find_first_not_of("0123456789") != std::string::npos || !holds_one(process->path(), sockets)) continue;
        std::string name;
        std::getline(std::ifstream{process->path() / "comm"}, name);
        return fmt::format("{} (pid {})", name, pid);
    }
    return std::nullopt;
}

}  // namespace diskless
