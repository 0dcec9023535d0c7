// Once every socket is bound, root is not needed any more.
#pragma once

#include <string>

namespace diskless {

/// Becomes `user` with its groups, for good. Empty: stays what it is. Throws std::runtime_error when that cannot be done.
void drop_privileges(const std::string& user);

}  // namespace diskless
