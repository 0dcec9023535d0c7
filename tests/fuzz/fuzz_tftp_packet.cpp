// Any datagram through the TFTP decoder: no crash, no read out of bounds; what is accepted is within its RFC's bounds, and an OACK of its
// options reads the same. Input: the datagram.
#include <cstdlib>

#include "services/tftp/wire/netascii.hpp"
#include "services/tftp/wire/packet.hpp"
#include "storage/boot_files.hpp"

namespace {

using namespace diskless;
using namespace diskless::tftp;

void require(bool condition) {
    if (!condition) std::abort();
}

void check_options(const wire::Options& options) {
    if (options.blksize) require(*options.blksize >= 8 && *options.blksize <= 65464);
    if (options.timeout_s) require(*options.timeout_s >= 1);
    if (options.windowsize) require(*options.windowsize >= 1);
    std::vector<std::byte> bytes;
    wire::encode_oack(options, bytes);
    const auto back = wire::decode(bytes);
    require(back.has_value() && std::get<wire::Oack>(*back).options == options);
}

/// The name a request asks for: whatever it was, it stays in its root.
void check_name(std::string_view name) {
    const auto clean = storage::BootFiles::clean(name);
    if (!clean) return;
    require(!clean->empty() && clean->front() != '/' && ("/" + *clean + "/").find("/../") == std::string::npos);
    require(storage::BootFiles::clean(*clean) == clean);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const ByteSpan datagram = std::as_bytes(std::span{data, size});
    const auto packet = wire::decode(datagram);
    if (!packet) {
        require(!packet.error().reason.empty());
        return 0;
    }
    if (const auto* request = std::get_if<wire::Rrq>(&*packet)) {
        check_options(request->options);
        check_name(request->filename);
    } else if (const auto* oack = std::get_if<wire::Oack>(&*packet)) {
        check_options(oack->options);
    } else if (const auto* block = std::get_if<wire::Data>(&*packet)) {
        require(block->bytes.size() + wire::data_header_bytes == size);
        require(wire::to_netascii(as_text(block->bytes)).size() >= block->bytes.size());
    } else if (const auto* error = std::get_if<wire::Error>(&*packet)) {
        std::vector<std::byte> bytes;
        wire::encode_error(error->code, error->text, bytes);
        require(wire::decode(bytes).has_value());
    }
    return 0;
}
