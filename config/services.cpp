// [tftp], [http] and [iscsi].
#include <limits>

#include "config/names.hpp"
#include "config/tables.hpp"

namespace diskless::config {
namespace {

using std::chrono::milliseconds;

constexpr std::uint64_t max_sessions = 1'000'000;  // a slip of the finger, not a limit anybody meets: memory ends first
constexpr milliseconds longest_timeout = 24h;

std::optional<std::string> parse_target_prefix(std::string_view text) noexcept {
    return is_target_prefix(text) ? std::optional{std::string{text}} : std::nullopt;
}

std::optional<boot::ChapAlgorithm> parse_chap_algorithm(std::string_view text) noexcept {
    if (text == "md5") return boot::ChapAlgorithm::md5;
    if (text == "sha1") return boot::ChapAlgorithm::sha1;
    if (text == "sha256") return boot::ChapAlgorithm::sha256;
    if (text == "sha3-256") return boot::ChapAlgorithm::sha3_256;
    return std::nullopt;
}

}  // namespace

void read_tftp(TableReader table, Tftp& tftp, ServicePlaces& places) {
    places.tftp_port = table.whole("port", tftp.port, 0);
    places.tftp_root = table.path("root", tftp.root);
    table.whole("max_transfers", tftp.max_transfers, 1, max_sessions);
    table.whole("max_transfers_per_client", tftp.max_transfers_per_client, 1, max_sessions);
    table.boolean("single_port", tftp.single_port);
    table.whole("max_blksize", tftp.max_blksize, 512, 65464);   // RFC 2348
    table.whole("max_windowsize", tftp.max_windowsize, 1);      // RFC 7440
    table.duration("retransmit", tftp.retransmit, 10ms, 255s);  // RFC 2349: the timeout a client may ask for ends at 255
    table.whole("max_retransmits", tftp.max_retransmits, 1, 100);
    table.finish();
}

void read_http(TableReader table, Http& http, ServicePlaces& places) {
    places.http_port = table.whole("port", http.port, 0);
    places.http_root = table.path("root", http.root);
    places.http_tls_port = table.whole("tls_port", http.tls_port, 1);
    places.tls_cert = table.path("tls_cert", http.tls_cert);
    places.tls_key = table.path("tls_key", http.tls_key);
    table.whole("max_connections", http.max_connections, 1, max_sessions);
    table.duration("idle_timeout", http.idle_timeout, 100ms, longest_timeout);
    table.duration("write_timeout", http.write_timeout, 100ms, longest_timeout);
    table.finish();
}

void read_iscsi(TableReader table, Iscsi& iscsi, ServicePlaces& places) {
    places.iscsi_port = table.whole("port", iscsi.port, 0);
    std::optional<std::string> prefix;
    table.parsed("target_prefix", prefix, parse_target_prefix,
                 "\"iqn.\", the year and month since when you own a domain, and the domain reversed, in lower case, such as "
                 "\"iqn.2026-11.lan.lab\"");
    if (prefix) iscsi.target_prefix = *prefix;
    table.whole("max_sessions", iscsi.max_sessions, 1, max_sessions);
    table.whole("max_connections", iscsi.max_connections, 1, max_sessions);
    table.duration("session_timeout", iscsi.session_timeout, 1s, milliseconds{24h} * 30);
    table.duration("login_timeout", iscsi.login_timeout, 100ms, longest_timeout);
    table.whole("queue_depth", iscsi.queue_depth, 1, 65536);
    table.size("buffer_bytes", iscsi.buffer_bytes, std::uint64_t{1} << 20);
    places.iscsi_tls_port = table.whole("tls_port", iscsi.tls_port, 0);
    places.iscsi_tls_cert = table.path("tls_cert", iscsi.tls_cert);
    places.iscsi_tls_key = table.path("tls_key", iscsi.tls_key);
    places.iscsi_tls_client_ca = table.path("tls_client_ca", iscsi.tls_client_ca);
    places.chap_secrets = table.path("chap_secrets", iscsi.chap_secrets);
    table.boolean("allow_short_secrets", iscsi.allow_short_secrets);
    if (table.has("chap_algorithms")) iscsi.chap_algorithms.clear();
    table.list("chap_algorithms", iscsi.chap_algorithms, parse_chap_algorithm, "\"md5\", \"sha1\", \"sha256\" or \"sha3-256\"");
    places.discovery_auth = table.list("discovery_auth", iscsi.discovery_auth, parse_chap_user, chap_user_form);
    table.finish();
}

}  // namespace diskless::config
