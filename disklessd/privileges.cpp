#include "disklessd/privileges.hpp"

#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

namespace diskless {

void drop_privileges(const std::string& user) {
    if (user.empty()) return;
    const passwd* entry = ::getpwnam(user.c_str());
    if (entry == nullptr)
        throw std::runtime_error{fmt::format("there is no user '{0}'; make one (adduser --system {0}) or remove [server] user", user)};
    if (::getuid() == entry->pw_uid) return;
    if (::initgroups(user.c_str(), entry->pw_gid) != 0 || ::setgid(entry->pw_gid) != 0 || ::setuid(entry->pw_uid) != 0) {
        throw std::runtime_error{
            fmt::format("cannot become user '{}': {}; start as root or remove [server] user", user, std::strerror(errno))};
    }
}

}  // namespace diskless
