// RawInitiator: an iSCSI initiator that can send anything, right or wrong, over a blocking socket. For tests only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "services/iscsi/wire/pdu.hpp"
#include "services/iscsi/wire/requests.hpp"
#include "services/iscsi/wire/responses.hpp"

namespace diskless::test {

namespace wire = iscsi::wire;
using Bytes = std::vector<std::byte>;

struct Pdu {
    wire::Bhs bhs{};
    Bytes ahs;
    Bytes data;

    [[nodiscard]] wire::Opcode opcode() const noexcept { return wire::opcode_of(bhs); }
    [[nodiscard]] std::string text() const { return std::string{as_text(data)}; }
};

/// The bytes of a PDU on the wire: lengths, padding and digests added.
[[nodiscard]] Bytes encode(Pdu pdu, wire::Digests digests = {});
template<class Request>
[[nodiscard]] Pdu make_pdu(const Request& request, Bytes data = {}) {
    Pdu pdu{.data = std::move(data)};
    request.encode(pdu.bhs);
    return pdu;
}
/// "key=value" lines become a text segment.
[[nodiscard]] Bytes text_segment(const std::vector<std::pair<std::string, std::string>>& keys);
[[nodiscard]] Bytes pattern(std::size_t size, unsigned seed = 1);

using Keys = std::vector<std::pair<std::string, std::string>>;

class RawInitiator {
 public:
    explicit RawInitiator(std::uint16_t port);
    RawInitiator(const RawInitiator&) = delete;
    RawInitiator& operator=(const RawInitiator&) = delete;
    ~RawInitiator() { close(); }
    void close();

    void send(const Pdu& pdu) { send_bytes(encode(pdu, digests)); }
    void send_bytes(ByteSpan bytes);
    /// The next PDU; nothing when the target has closed the connection. Throws when nothing happens for ten seconds.
    [[nodiscard]] std::optional<Pdu> receive();
    /// True when the target closes the connection; PDUs before that are skipped.
    [[nodiscard]] bool is_closed();

    /// One login request with these keys straight to full feature phase; the response as it came.
    [[nodiscard]] wire::LoginResponse login(const std::string& initiator, const std::string& target, Keys further = {},
                                            wire::Isid isid = {{std::byte{0x80}}});
    /// The same by way of CHAP with MD5; mutual when `target_proof` is given: then it gets what the target answers to our challenge.
    [[nodiscard]] wire::LoginResponse login_chap(const std::string& initiator, const std::string& target, const std::string& user,
                                                 const std::string& secret, Keys* target_proof = nullptr);
    std::string login_text;  ///< what the target answered

    [[nodiscard]] wire::ScsiCommand command(std::vector<std::uint8_t> cdb, std::uint32_t expected, bool read, bool write);
    struct Result {
        std::uint8_t status = 0xff;
        Bytes data;
        Bytes sense;
        wire::Residual residual;
        bool collapsed = false;  ///< status came with the last Data-In
        unsigned data_pdus = 0, r2ts = 0;
    };
    /// Sends a command and everything it asks for; answers R2Ts in pieces of `segment` bytes.
    [[nodiscard]] Result run(const wire::ScsiCommand& command, const Bytes& out = {}, std::size_t immediate = 0,
                             std::size_t unsolicited = 0);
    [[nodiscard]] Result read(std::uint64_t lba, std::uint32_t blocks, std::uint64_t lun = 0);
    [[nodiscard]] Result write(std::uint64_t lba, const Bytes& data, std::size_t immediate = 0, std::size_t unsolicited = 0);
    [[nodiscard]] Result test_unit_ready();
    /// The unit attention of a new session.
    void clear_attention() { (void)test_unit_ready(); }
    void send_data_out(std::uint32_t tag, std::uint32_t transfer_tag, const Bytes& out, std::size_t from, std::size_t to);

    wire::Digests digests;
    std::uint32_t cmd_sn = 1, exp_stat_sn = 0, max_cmd_sn = 0, exp_cmd_sn = 0;
    std::uint32_t next_tag = 1;
    std::size_t segment = 8192;

 private:
    [[nodiscard]] bool receive_bytes(MutableByteSpan bytes);

    int socket_ = -1;
};

inline constexpr std::uint32_t block_bytes = 512;
[[nodiscard]] std::vector<std::uint8_t> read_10(std::uint32_t lba, std::uint16_t blocks);
[[nodiscard]] std::vector<std::uint8_t> write_10(std::uint32_t lba, std::uint16_t blocks);

}  // namespace diskless::test
