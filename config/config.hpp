// The configuration as values: one struct per table of diskless.toml (DESIGN: interface contract). load() reads and checks; it is the only
// code that knows TOML. Everything has a default, so an empty file is a valid configuration.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "boot/catalog.hpp"
#include "boot/chap_secrets.hpp"
#include "common/network.hpp"

namespace diskless::config {

using namespace std::chrono_literals;

struct Server {
    std::string interface;                ///< boot network; empty: `address` alone decides
    std::optional<Ipv4Address> address;   ///< where the services listen and what clients are told; default: the interface's first address
    std::optional<Ipv6Address> address6;  ///< the same over IPv6; default: the interface's address in a subnet6, if there is one
    std::filesystem::path data_dir = "/var/lib/diskless";
    std::filesystem::path api_socket;  ///< default /run/diskless/api.sock, with another data_dir <data_dir>/api.sock
    unsigned io_threads = 0;           ///< 0: chosen by the program
    std::string log_level = "info";
    std::string user;              ///< drop privileges to this user once all sockets are bound; empty: stay
    std::string io = "auto";       ///< disk backend: "auto", "uring", "threads"
    unsigned storage_threads = 8;  ///< of the thread-pool backend

    friend bool operator==(const Server&, const Server&) = default;
};

enum class DhcpMode : std::uint8_t { server, proxy, off };

struct Subnet {
    Ipv4Network network;
    std::vector<Ipv4Range> pool;
    std::optional<Ipv4Address> router;
    std::vector<Ipv4Address> dns;
    std::string domain;
    std::chrono::seconds lease_time = 12h;
    std::vector<boot::DhcpOption> options;  ///< [dhcp]'s included

    friend bool operator==(const Subnet&, const Subnet&) = default;
};

/// A network whose machines get addresses by DHCPv6, made of their MACs.
struct Subnet6 {
    Ipv6Network network;  ///< 64 bits at most
    std::vector<Ipv6Address> dns;
    std::string domain;
    std::chrono::seconds lease_time = 12h;

    friend bool operator==(const Subnet6&, const Subnet6&) = default;
};

struct Dhcp {
    DhcpMode mode = DhcpMode::server;
    std::uint16_t port = 67;  ///< clients are answered on port + 1
    bool router_advertisement = true;
    bool conflict_probe = true;
    bool authoritative = true;         ///< NAK addresses that are wrong on this network
    std::uint32_t max_leases = 65536;  ///< bound on memory: beyond it new clients get nothing
    std::vector<Subnet> subnets;
    std::vector<Subnet6> subnets6;  ///< any: DHCPv6 is served, whatever `mode` says of IPv4

    friend bool operator==(const Dhcp&, const Dhcp&) = default;
};

struct Tftp {
    std::uint16_t port = 69;     ///< 0: off
    std::filesystem::path root;  ///< default <data_dir>/boot
    std::uint32_t max_transfers = 1024;
    std::uint32_t max_transfers_per_client = 256;  ///< by its address
    bool single_port = false;                      ///< answer from `port`, for firewalls that follow no other
    std::uint16_t max_blksize = 65464;
    std::uint16_t max_windowsize = 64;
    std::chrono::milliseconds retransmit = 1s;
    unsigned max_retransmits = 6;

    friend bool operator==(const Tftp&, const Tftp&) = default;
};

struct Http {
    std::uint16_t port = 8080;      ///< 0: off
    std::filesystem::path root;     ///< default: TFTP's root
    std::uint16_t tls_port = 8443;  ///< beside `port`, once there is a certificate
    std::filesystem::path tls_cert, tls_key;
    std::uint32_t max_connections = 2048;
    std::chrono::milliseconds idle_timeout = 30s;   ///< keep-alive silence, and the time a request's head may take
    std::chrono::milliseconds write_timeout = 60s;  ///< a peer that takes no byte for so long is gone

    friend bool operator==(const Http&, const Http&) = default;
};

struct Iscsi {
    std::uint16_t port = 3260;  ///< 0: off
    std::string target_prefix = "iqn.2026-11.lan.diskless";
    std::uint32_t max_sessions = 1024;
    std::uint32_t max_connections = 2048;                   ///< sockets, logins under way included
    std::chrono::milliseconds session_timeout = 30min;      ///< a session whose initiator has gone is dropped
    std::chrono::milliseconds login_timeout = 15s;          ///< from accept to full feature phase
    std::uint32_t queue_depth = 128;                        ///< commands in flight per session: the command window
    std::uint64_t buffer_bytes = std::uint64_t{256} << 20;  ///< data of all commands in flight together
    std::chrono::milliseconds ping_interval = 30s;          ///< silence after which a session is asked for a sign of life
    std::chrono::milliseconds probe_timeout = 10s;          ///< for an old session when its initiator logs in anew: a peer that does not
                                                            ///< even acknowledge for so long is gone
    std::chrono::milliseconds logout_timeout = 500ms;       ///< on stop: for initiators to log out, as they are asked to
    std::chrono::milliseconds stop_timeout = 5s;            ///< then: for commands in flight to end
    std::uint16_t tls_port = 0;                             ///< beside `port`, for initiators behind TLS; 0: off
    std::filesystem::path tls_cert, tls_key;
    std::filesystem::path tls_client_ca;  ///< whose clients are welcome; empty: no certificate is asked for
    std::filesystem::path chap_secrets;   ///< the file with users and secrets; empty: there are none
    bool allow_short_secrets = false;     ///< below 96 bits (RFC 7143 12.1.3)
    std::vector<boot::ChapAlgorithm> chap_algorithms{boot::ChapAlgorithm::md5, boot::ChapAlgorithm::sha1, boot::ChapAlgorithm::sha256,
                                                     boot::ChapAlgorithm::sha3_256};
    std::vector<std::string> discovery_auth;  ///< users, one of whom a discovery session has to be; none: nothing to prove

    friend bool operator==(const Iscsi&, const Iscsi&) = default;
};

enum class UnknownPolicy : std::uint8_t { ignore, enroll, menu };

struct UnknownClients {
    UnknownPolicy policy = UnknownPolicy::ignore;
    std::string group;
    std::vector<std::string> groups;  ///< what the menu offers to become a client of; `group` among them
    std::string name = "pc-{mac}";    ///< of clients that are made: {mac}, {group}, {n}, {nn}, {nnn}
    std::string password;             ///< asked before the menu enrols; empty: nobody is asked

    friend bool operator==(const UnknownClients&, const UnknownClients&) = default;
};

struct Config {
    std::filesystem::path file;
    Server server;
    Dhcp dhcp;
    Tftp tftp;
    Http http;
    Iscsi iscsi;
    UnknownClients unknown_clients;
    boot::ChapSecrets secrets;   ///< what [iscsi] chap_secrets holds; not part of its table, for it counts after a reload
    boot::CatalogData declared;  ///< images, groups, clients, targets, all with declared = true
};

/// All that is wrong with a file, one finding a line: `file:line:column: problem; remedy`.
class ConfigError : public std::runtime_error {
 public:
    using std::runtime_error::runtime_error;
};

/// Reads and checks. Throws ConfigError with every finding, not only the first.
[[nodiscard]] Config load(const std::filesystem::path& file);
/// The same for a text; `name` stands for the file in findings. Relative paths are looked up as load() would.
[[nodiscard]] Config parse(std::string_view text, const std::filesystem::path& name);

}  // namespace diskless::config
