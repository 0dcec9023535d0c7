// The file of a boot set: refused, or it means what its bytes say.
#include <algorithm>
#include <cstdlib>

#include "storage/boot_set.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace diskless;
    const ByteSpan bytes{reinterpret_cast<const std::byte*>(data), size};
    const auto set = storage::decode_boot_set(bytes);
    if (!set) return 0;
    if (set->run_count() > storage::BootSet::max_runs) std::abort();
    const auto again = storage::encode(*set);
    if (!std::ranges::equal(again, bytes)) std::abort();
    return 0;
}
